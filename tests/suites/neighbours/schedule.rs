//! Random schedules: sessions in every command, a neighbour in every directory, and from time to
//! time a moment of calm in which everything is compared.
//!
//! `PILLARBOX_NEIGHBOURS_SEED` repeats the choices of a run, though not its timing.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pillarbox_tests::binary::executable;
use pillarbox_tests::client::{Client, timed};
use pillarbox_tests::program::run;
use pillarbox_tests::random::Random;
use pillarbox_tests::serve::{Serve, Setup};

use crate::disk::{Disk, text};
use crate::session::{Known, Session};

/// The mailboxes that stay.
const MAILBOXES: [&str; 2] = ["INBOX", "Work"];

/// An account that is changed from several sides.
pub(crate) struct World {
    pub(crate) server: Serve,
    pub(crate) root: PathBuf,
    limbo: PathBuf,
    pub(crate) known: Arc<Mutex<Known>>,
    next: AtomicU64,
    /// Whether whole mailboxes come and go.
    unsteady: bool,
}

impl World {
    /// A server with some messages in both mailboxes.
    pub(crate) fn new() -> Self {
        let server = Serve::start(&Setup::default()).unwrap();
        let world = Self {
            root: server.maildir("ann"),
            limbo: server.dir().join("limbo"),
            known: Arc::default(),
            next: AtomicU64::new(1),
            unsteady: true,
            server,
        };
        for mailbox in MAILBOXES {
            let disk = world.disk(mailbox);
            disk.make();
            fs::create_dir_all(world.limbo.join(mailbox)).unwrap();
            for _ in 0..15 {
                disk.deliver(world.number(), None);
            }
        }
        world
    }

    /// A number that no message has.
    pub(crate) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Where its server speaks IMAP.
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address("imap").unwrap()
    }

    /// A mailbox as it is on the disk.
    pub(crate) fn disk(&self, mailbox: &str) -> Disk {
        Disk::new(match mailbox {
            "INBOX" => self.root.clone(),
            other => self.root.join(format!(".{other}")),
        })
    }

    /// What a neighbour does in one round.
    fn meddle(&self, random: &mut Random) {
        for _ in 0..30 {
            let mailbox = *random.pick(&MAILBOXES);
            let (disk, limbo) = (self.disk(mailbox), self.limbo.join(mailbox));
            match random.below(10) {
                0..3 => drop(disk.deliver(self.number(), None)),
                3 => drop(disk.deliver(self.number(), Some("S"))),
                4 => disk.bring_back(random, &limbo),
                5 if self.unsteady => self.meddle_with_folders(random),
                _ => disk.meddle(random, &limbo),
            }
        }
    }

    /// Whole mailboxes come, go and change their names.
    fn meddle_with_folders(&self, random: &mut Random) {
        let [one, other] =
            [random.below(4), random.below(4)].map(|at| self.root.join(format!(".F{at}")));
        match random.below(4) {
            0 => drop(fs::remove_dir_all(&one)),
            1 => drop(fs::rename(&one, &other)),
            _ => {
                let disk = Disk::new(one);
                disk.make();
                disk.deliver(self.number(), None);
            }
        }
    }

    /// Runs `pillarbox index` on the account, which must find nothing wrong.
    fn index(&self, task: &str) {
        run(Command::new(executable().unwrap())
            .arg("index")
            .args(task.split(' '))
            .arg(&self.root)
            .arg("--config")
            .arg(self.server.dir().join("pillarbox.toml")));
    }

    /// What an administrator does in one round: looks on.
    fn administer(&self, random: &mut Random) {
        for _ in 0..2 {
            let task = *random.pick(&["check", "dump", "import", "import -n"]);
            self.index(task);
        }
    }

    /// What a session does in one round.
    pub(crate) fn work(&self, session: &mut Session, random: &mut Random) {
        for _ in 0..15 {
            let count = session.count();
            let place = 1 + random.below(count.max(1));
            let until = place.max(count.min(place + random.below(5)));
            let other = *random.pick(&["INBOX", "Work", "F0", "F1"]);
            let flag = random.pick(&["\\Seen", "\\Flagged", "\\Answered", "\\Deleted", "Later"]);
            let command = match random.below(16) {
                _ if count == 0 => "NOOP".to_owned(),
                0..3 => format!("FETCH {place}:{until} (UID BODY.PEEK[])"),
                3 => format!("FETCH {place}:{until} (UID FLAGS ENVELOPE RFC822.SIZE BODY.PEEK[])"),
                4..6 => format!("STORE {place}:{until} +FLAGS ({flag})"),
                6 => format!("STORE {place} -FLAGS ({flag})"),
                7 => format!("COPY {place}:{until} {other}"),
                8 => format!("MOVE {place} {other}"),
                9 => "EXPUNGE".to_owned(),
                10 => "SEARCH UNSEEN TEXT This".to_owned(),
                11 => format!("STATUS {other} (MESSAGES UNSEEN UIDNEXT)"),
                12 => "LIST \"\" * RETURN (STATUS (MESSAGES))".to_owned(),
                13 => {
                    session.idle();
                    session.done();
                    continue;
                }
                14 => {
                    let mailbox = *random.pick(&MAILBOXES);
                    session.select(mailbox);
                    continue;
                }
                _ => {
                    let text = text(self.number());
                    format!("APPEND {other} {{{}+}}\r\n{text}", text.len())
                }
            };
            session.command(&command);
        }
    }

    /// Nothing changes now: this session's process has to find out soon what there is.
    pub(crate) fn settle(&self, session: &mut Session) -> Duration {
        let there = self.disk(&session.mailbox).messages();
        let mut waited = Duration::ZERO;
        loop {
            let (seen, time) = timed(|| session.everything());
            waited += time;
            if seen.as_ref() == Ok(&there) {
                return waited;
            }
            // A neighbour's change in the very instant of our own shows a little later.
            let mailbox = &session.mailbox;
            assert!(waited < SOON, "{mailbox}: {seen:?} and not {there:?}");
        }
    }

    /// What its process knows, a session is told with its next NOOP.
    pub(crate) fn compare(&self, session: &mut Session) {
        let there = self.disk(&session.mailbox).messages();
        assert_eq!(session.everything(), Ok(there), "{}", session.mailbox);
    }
}

/// The time in which every change has to show (S16).
pub(crate) const SOON: Duration = Duration::from_secs(5);

/// What repeats the choices of this run; it is printed.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("PILLARBOX_NEIGHBOURS_SEED");
    let seed = seed.map_or_else(
        |_| RandomState::new().hash_one(0),
        |seed| seed.parse().unwrap(),
    );
    let notice = format!("PILLARBOX_NEIGHBOURS_SEED={seed}\n");
    // Not by a macro: the output of a test that passes would be swallowed.
    std::io::stderr().write_all(notice.as_bytes()).unwrap();
    seed
}

#[test]
fn s16_what_neighbours_do_is_seen_in_every_command() {
    let world = World::new();
    rounds(&world, &[&world.server], 20);
}

/// Several rounds with sessions on these servers.
fn rounds(world: &World, servers: &[&Serve], count: usize) {
    let mut random = Random::new(seed());
    let address = |at: usize| servers[at % servers.len()].address("imap").unwrap();
    // Of those who wait, every process and every mailbox has one.
    let open = |at: usize| Session::new(address(at), &world.known, MAILBOXES[at / 2 % 2]);
    let mut workers: Vec<Session> = (0..4).map(open).collect();
    let mut idlers: Vec<Session> = (0..4).map(open).collect();
    for session in &mut idlers {
        world.settle(session);
    }
    let mut longest = Duration::ZERO;
    for _ in 0..count {
        for session in &mut idlers {
            session.idle();
        }
        std::thread::scope(|scope| {
            for session in &mut workers {
                let mut random = Random::new(random.next());
                scope.spawn(move || world.work(session, &mut random));
            }
            let mut neighbour = Random::new(random.next());
            scope.spawn(move || world.meddle(&mut neighbour));
            if servers.len() > 1 {
                let mut random = Random::new(random.next());
                scope.spawn(move || world.administer(&mut random));
            }
        });
        for session in &mut idlers {
            let there = world.disk(&session.mailbox).messages();
            let ((), time) = timed(|| session.is_pushed(&there));
            longest = longest.max(time);
            session.done();
            longest = longest.max(world.settle(session));
        }
        for session in &mut workers {
            world.compare(session);
        }
    }
    let notice = format!("the last change showed after {longest:?}\n");
    std::io::stderr().write_all(notice.as_bytes()).unwrap();
}

#[test]
fn two_processes_and_the_command_line_agree_on_one_tree() {
    let mut world = World::new();
    // The command line tells of a mailbox that goes away while it looks.
    world.unsteady = false;
    let other = world.server.restart().unwrap();
    rounds(&world, &[&world.server, &other], 8);
    world.index("export --format dovecot");
    // Against what was just written, too.
    world.index("check --sizes");
}

#[test]
fn a_mailbox_made_anew_by_the_command_line_ends_cleanly_in_every_process() {
    let world = World::new();
    let other = world.server.restart().unwrap();
    let there = world.disk("INBOX").messages();
    let mut ends = Vec::new();
    for server in [&world.server, &other] {
        let mut client = Client::selected(server, "ann");
        client.send("a IDLE\r\n");
        assert!(client.line().starts_with('+'));
        let mut work = Session::new(server.address("imap").unwrap(), &world.known, "Work");
        assert_eq!(work.everything(), Ok(world.disk("Work").messages()));
        ends.push((client, work));
    }
    world.index("rebuild --yes");
    for (mut client, mut work) in ends {
        assert!(client.rest().contains("* BYE"));
        assert_eq!(work.everything(), Ok(world.disk("Work").messages()));
    }
    for server in [&world.server, &other] {
        // Another UIDVALIDITY, and so nothing that was known before.
        let known = Arc::default();
        let mut session = Session::new(server.address("imap").unwrap(), &known, "INBOX");
        assert_eq!(session.everything().as_ref(), Ok(&there));
    }
}
