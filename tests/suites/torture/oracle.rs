//! What must be there after a crash, and what may be.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use mailstore::{MailboxName, Store};
use pillarbox_tests::serve::Serve;

use crate::Flags;
use crate::imap::{COMMON, POP3_USER, USER};
use crate::pop3::Removed;
use crate::seen::{self, SeenMailbox, SeenMessage};
use pillarbox_tests::client::timed;
use pillarbox_tests::random::Random;

/// One message in one mailbox.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) user: String,
    pub(crate) mailbox: String,
    /// Not known of what others have delivered.
    pub(crate) uid: Option<u32>,
    pub(crate) number: u64,
    pub(crate) flags: Flags,
}

/// A UID that the server has given to a message.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) user: String,
    pub(crate) uid_validity: u32,
    pub(crate) uid: u32,
    pub(crate) number: u64,
}

/// What one client owns: nobody else changes it.
#[derive(Debug, Default)]
pub(crate) struct Share {
    pub(crate) user: String,
    pub(crate) instances: Vec<Instance>,
    /// Mailboxes that only this client uses.
    pub(crate) mailboxes: BTreeSet<String>,
    /// The command that was not acknowledged.
    pub(crate) pending: Option<Pending>,
    pub(crate) given: Vec<Given>,
}

/// A command in flight. Numbers are places in the share.
#[derive(Clone, Debug)]
pub(crate) enum Pending {
    Append(Instance),
    Store(Vec<(usize, Flags)>),
    Copy(Vec<Instance>),
    Move(Vec<usize>, Vec<Instance>),
    Expunge(Vec<usize>),
    Create(String),
    Rename(String, String),
    Delete(String),
}

impl Share {
    /// A mailbox has a new name, and so have those below it.
    pub(crate) fn renamed(&mut self, from: &str, to: &str) {
        let new = |name: &str| match name.strip_prefix(from) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{to}{rest}"),
            _ => name.to_owned(),
        };
        self.mailboxes = self.mailboxes.iter().map(|name| new(name)).collect();
        for instance in &mut self.instances {
            instance.mailbox = new(&instance.mailbox);
        }
    }
}

/// An instance that is expected.
#[derive(Debug)]
struct Expected {
    instance: Instance,
    /// Flags that it may have instead.
    or_flags: Option<Flags>,
    /// Whether it must be there.
    sure: bool,
    found: bool,
}

impl Expected {
    fn sure(instance: Instance) -> Self {
        Self {
            instance,
            or_flags: None,
            sure: true,
            found: false,
        }
    }

    fn maybe(instance: Instance) -> Self {
        Self {
            sure: false,
            ..Self::sure(instance)
        }
    }

    fn is(&self, user: &str, mailbox: &str, seen: &SeenMessage) -> bool {
        let instance = &self.instance;
        let flags = self.or_flags.as_ref() == Some(&seen.flags) || instance.flags == seen.flags;
        !self.found
            && flags
            && (instance.user.as_str(), instance.mailbox.as_str()) == (user, mailbox)
            && instance.number == seen.number
            && instance.uid.is_none_or(|uid| uid == seen.uid)
    }
}

/// The truth, and what became of it.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    shares: Vec<Share>,
    removed: Removed,
    delivered: Vec<Instance>,
    /// What every UID has named, by user and UIDVALIDITY.
    named: BTreeMap<(String, u32, u32), u64>,
    /// The last UIDVALIDITY and UIDNEXT of a mailbox that keeps its name.
    numbers: BTreeMap<(String, String), (u32, u32)>,
    /// The highest mod-sequence of a mailbox, by user and UIDVALIDITY.
    mod_seqs: BTreeMap<(String, u32), u64>,
    uids: usize,
    kills: usize,
    moving: usize,
    doubled: usize,
}

impl Oracle {
    /// What each client works with in the next round.
    pub(crate) fn shares(&mut self) -> Vec<Share> {
        if self.shares.is_empty() {
            let named = |user: &str| Share {
                user: user.to_owned(),
                ..Share::default()
            };
            self.shares = vec![named(USER), named(USER), named(USER), named(POP3_USER)];
        }
        self.shares.drain(..).collect()
    }

    /// Takes what everybody knew when the server was killed.
    pub(crate) fn after_kill(
        &mut self,
        shares: Vec<Share>,
        removed: Removed,
        delivered: Vec<Instance>,
    ) {
        self.kills += 1;
        self.shares = shares;
        self.removed = removed;
        self.delivered = delivered;
        for share in &mut self.shares {
            for given in std::mem::take(&mut share.given) {
                self.uids += 1;
                name(
                    &mut self.named,
                    &given.user,
                    given.uid_validity,
                    given.uid,
                    given.number,
                );
            }
        }
    }

    /// While nothing runs: mod-sequences do not go back. Only now and then, because looking
    /// through the store mends what the next server should.
    pub(crate) fn high_water(&mut self, server: &Serve) {
        if !self.kills.is_multiple_of(5) {
            return;
        }
        let store = Store::new(mailstore::Options {
            fsync: mailstore::Fsync::Never,
            namespace: mailstore::Namespace::default(),
            hostname: "torture".to_owned(),
            lock_timeout: Duration::from_secs(5),
            mtime_guard: Duration::from_secs(1),
            cache_bytes: 1 << 20,
            source: source(),
        });
        for user in [USER, POP3_USER] {
            let Ok(account) = Arc::clone(&store).account(&server.maildir(user)) else {
                continue;
            };
            let mailbox = account.open(&MailboxName::inbox()).unwrap();
            let snapshot = mailbox.snapshot();
            let key = (user.to_owned(), snapshot.uid_validity().get());
            let highest = snapshot.highest_mod_seq().get();
            let before = self.mod_seqs.insert(key, highest);
            assert!(
                before.is_none_or(|before| before <= highest),
                "S5: {user}: HIGHESTMODSEQ"
            );
        }
    }

    /// Compares what is served with what must be, and takes it for the truth from now on.
    pub(crate) fn verify(&mut self, server: &Serve, random: &mut Random) {
        for user in [USER, POP3_USER] {
            let mut seen = seen::all(server, user, random);
            let mut waited = Duration::ZERO;
            // What another program puts into cur/ in the same instant as the server changes it
            // shows a little later.
            while waited < LATEST && self.is_late(user, &seen) {
                let (again, time) = timed(|| seen::all(server, user, random));
                seen = again;
                waited += time;
            }
            self.compare(user, &seen);
        }
        self.removed = Removed::default();
        self.delivered.clear();
    }

    /// Whether something that was delivered does not show yet.
    fn is_late(&self, user: &str, seen: &BTreeMap<String, SeenMailbox>) -> bool {
        let inbox = &seen["INBOX"].messages;
        self.delivered.iter().any(|it| {
            let removed = &self.removed;
            it.user == user
                && !removed.surely.contains(&it.number)
                && !removed.perhaps.contains(&it.number)
                && inbox.iter().all(|message| message.number != it.number)
        })
    }

    fn compare(&mut self, user: &str, seen: &BTreeMap<String, SeenMailbox>) {
        let (mut expected, moves) = self.expected(user, seen);
        self.moving += moves.len();
        for (mailbox, content) in seen {
            self.check_numbers(user, mailbox, content);
            // Those with known UIDs are found first: others may have copies of the same message.
            for known in [true, false] {
                for message in &content.messages {
                    let taken = |it: &Expected| {
                        it.found
                            && it.instance.uid == Some(message.uid)
                            && it.instance.mailbox == *mailbox
                    };
                    if expected.iter().any(taken) {
                        continue;
                    }
                    let found = expected.iter_mut().find(|it| {
                        (it.instance.uid.is_some() || !known) && it.is(user, mailbox, message)
                    });
                    match found {
                        Some(it) => {
                            it.found = true;
                            it.instance.uid = Some(message.uid);
                            it.instance.flags = message.flags.clone();
                        }
                        None if known => {}
                        None => panic!(
                            "not expected in {mailbox} of {user}: {message:?}\n{expected:#?}"
                        ),
                    }
                }
            }
        }
        for it in &expected {
            assert!(it.found || !it.sure, "lost: {it:?}\n{seen:#?}");
        }
        for (from, to) in moves {
            match (expected[from].found, expected[to].found) {
                (false, false) => panic!("lost by MOVE: {:?}", expected[from]),
                (true, true) => self.doubled += 1,
                _ => {}
            }
        }
        self.hand_out(user, expected);
    }

    /// What is expected of a user, and which two of it are a message that is moving.
    fn expected(
        &mut self,
        user: &str,
        seen: &BTreeMap<String, SeenMailbox>,
    ) -> (Vec<Expected>, Vec<(usize, usize)>) {
        let mut expected = Vec::new();
        let mut moves = Vec::new();
        let mut mailboxes: BTreeSet<String> = COMMON.map(str::to_owned).into();
        for share in self.shares.iter_mut().filter(|share| share.user == user) {
            let pending = share.pending.take();
            settle_tree(share, pending.as_ref(), seen);
            mailboxes.extend(share.mailboxes.iter().cloned());
            let base = expected.len();
            expected.extend(share.instances.drain(..).map(Expected::sure));
            match pending {
                Some(Pending::Append(instance)) => expected.push(Expected::maybe(instance)),
                Some(Pending::Copy(copies)) => {
                    expected.extend(copies.into_iter().map(Expected::maybe))
                }
                Some(Pending::Store(changed)) => {
                    for (at, flags) in changed {
                        expected[base + at].or_flags = Some(flags);
                    }
                }
                Some(Pending::Expunge(gone)) => {
                    for at in gone {
                        expected[base + at].sure = false;
                    }
                }
                Some(Pending::Move(from, to)) => {
                    for (at, copy) in from.into_iter().zip(to) {
                        expected[base + at].sure = false;
                        moves.push((base + at, expected.len()));
                        expected.push(Expected::maybe(copy));
                    }
                }
                Some(Pending::Create(_) | Pending::Rename(..) | Pending::Delete(_)) | None => {}
            }
        }
        let delivered = self.delivered.iter().filter(|it| it.user == user);
        expected.extend(delivered.cloned().map(Expected::sure));
        if user == POP3_USER {
            expected.retain(|it| !self.removed.surely.contains(&it.instance.number));
            for it in &mut expected {
                it.sure &= !self.removed.perhaps.contains(&it.instance.number);
            }
        }
        for mailbox in seen.keys() {
            assert!(mailboxes.contains(mailbox), "{mailbox} is back");
        }
        for mailbox in &mailboxes {
            let bobs = user == POP3_USER && *mailbox != "INBOX";
            assert!(
                seen.contains_key(mailbox) || bobs,
                "{mailbox} is lost: {:?}",
                seen.keys()
            );
        }
        (expected, moves)
    }

    /// Gives every message that is there to a client.
    fn hand_out(&mut self, user: &str, expected: Vec<Expected>) {
        let places: Vec<usize> = (0..self.shares.len())
            .filter(|at| self.shares[*at].user == user)
            .collect();
        for (number, it) in (0..).zip(expected.into_iter().filter(|it| it.found)) {
            let owner = self.shares.iter().position(|share| {
                share.user == user && share.mailboxes.contains(&it.instance.mailbox)
            });
            let at = owner.unwrap_or(places[number % places.len()]);
            self.shares[at].instances.push(it.instance);
        }
    }

    /// UIDs name what they have always named; UIDNEXT and UIDVALIDITY do not go back.
    fn check_numbers(&mut self, user: &str, mailbox: &str, content: &SeenMailbox) {
        for message in &content.messages {
            name(
                &mut self.named,
                user,
                content.uid_validity,
                message.uid,
                message.number,
            );
        }
        let first = (user.to_owned(), content.uid_validity, 0);
        let last = (user.to_owned(), content.uid_validity, u32::MAX);
        let highest = self.named.range(first..=last).next_back();
        let highest = highest.map_or(0, |((_, _, uid), _)| *uid);
        assert!(
            highest < content.uid_next,
            "S5: UIDNEXT of {mailbox} goes back"
        );
        let now = (content.uid_validity, content.uid_next);
        let key = (user.to_owned(), mailbox.to_owned());
        if let Some((uid_validity, uid_next)) = self.numbers.insert(key, now) {
            assert_eq!(uid_validity, now.0, "S5: UIDVALIDITY of {mailbox}");
            assert!(
                uid_next <= now.1,
                "S5: UIDNEXT of {mailbox}: {uid_next}, then {}",
                now.1
            );
        }
    }

    /// Of messages in a MOVE in flight, few are in both mailboxes (S4): a crash between the first
    /// link and the last removal is mended by whoever takes the source's lock next.
    pub(crate) fn check_moves(&self) {
        let allowed = (self.moving / 100).max(1);
        assert!(self.doubled <= allowed, "S4: {}", self.report());
    }

    /// What happened so far.
    pub(crate) fn report(&self) -> String {
        format!(
            "{} kills, {} UIDs given, {} messages in a MOVE in flight, {} of them doubled",
            self.kills, self.uids, self.moving, self.doubled
        )
    }
}

/// When a delivery shows at the latest.
const LATEST: Duration = Duration::from_secs(8);

/// Decides by what is there whether a change of the tree in flight was done; it is never half
/// done.
fn settle_tree(share: &mut Share, pending: Option<&Pending>, seen: &BTreeMap<String, SeenMailbox>) {
    match pending {
        Some(Pending::Create(name)) if seen.contains_key(name) => {
            share.mailboxes.insert(name.clone());
        }
        Some(Pending::Delete(name)) if !seen.contains_key(name) => {
            share.mailboxes.remove(name);
            share.instances.retain(|instance| instance.mailbox != *name);
        }
        Some(Pending::Rename(from, to)) if seen.contains_key(to) => share.renamed(from, to),
        _ => {}
    }
}

/// A UID names a message, now and for ever.
fn name(
    named: &mut BTreeMap<(String, u32, u32), u64>,
    user: &str,
    uid_validity: u32,
    uid: u32,
    number: u64,
) {
    let before = named.insert((user.to_owned(), uid_validity, uid), number);
    assert!(
        before.is_none_or(|before| before == number),
        "S5: UID {uid} of UIDVALIDITY {uid_validity} names {number} and {before:?}"
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "directory times are the system's, so are the store's"
)]
fn source() -> mailstore::Source {
    let counter = std::sync::atomic::AtomicU64::new(RandomState::new().hash_one("source"));
    mailstore::Source::new(std::time::SystemTime::now, move || {
        counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst)
    })
}
