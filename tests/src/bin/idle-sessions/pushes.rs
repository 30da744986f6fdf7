//! Delivering messages, and timing when each session hears of them.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use pillarbox_tests::serve::Serve;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use crate::options::Options;
use crate::sessions::{self, Session};

/// The sessions, and what they have been told.
pub(crate) struct Pushes {
    sessions: Vec<Waiting>,
    mailboxes: Vec<Mailbox>,
    readiness: rustix::fd::OwnedFd,
    /// From a delivery to the session's client reading of it.
    times: Vec<Duration>,
}

/// A session, and how many messages it knows of.
struct Waiting {
    session: Session,
    told: usize,
}

/// A mailbox.
struct Mailbox {
    maildir: PathBuf,
    /// How many sessions have it selected.
    sessions: usize,
    /// When each of its messages was delivered.
    delivered: Vec<Instant>,
}

impl Pushes {
    /// Watches all sessions.
    ///
    /// # Errors
    /// If the system cannot.
    pub(crate) fn new(server: &Serve, options: &Options, sessions: Vec<Session>) -> Result<Self> {
        let readiness = epoll::create(CreateFlags::CLOEXEC)?;
        let mut mailboxes: Vec<Mailbox> = (0..options.mailboxes)
            .map(|number| Mailbox {
                maildir: server.maildir(&sessions::user(number)),
                sessions: 0,
                delivered: Vec::new(),
            })
            .collect();
        for (at, session) in sessions.iter().enumerate() {
            let data = EventData::new_u64(u64::try_from(at)?);
            let socket = session.client.connection.socket()?;
            epoll::add(&readiness, socket, data, EventFlags::IN)?;
            let mailbox = mailboxes.get_mut(session.mailbox);
            mailbox.context("no such mailbox")?.sessions += 1;
        }
        let sessions = sessions
            .into_iter()
            .map(|session| Waiting { session, told: 0 });
        Ok(Self {
            sessions: sessions.collect(),
            mailboxes,
            readiness,
            times: Vec::new(),
        })
    }

    /// Delivers a message into each of these mailboxes, as fast as can be, and waits until all their
    /// sessions know.
    ///
    /// # Errors
    /// If it cannot be delivered, or a session is not told.
    pub(crate) fn deliver(&mut self, mailboxes: &[usize]) -> Result<()> {
        let mut staged = Vec::new();
        let mut missing = 0;
        for &number in mailboxes {
            let mailbox = self.mailboxes.get(number).context("no such mailbox")?;
            let name = format!("{}.idle.host", mailbox.delivered.len());
            let from = mailbox.maildir.join("tmp").join(&name);
            fs::write(&from, "Subject: news\n\nText\n")?;
            staged.push((number, from, mailbox.maildir.join("new").join(&name)));
            missing += mailbox.sessions;
        }
        for (number, from, to) in staged {
            let mailbox = self.mailboxes.get_mut(number);
            let mailbox = mailbox.context("no such mailbox")?;
            mailbox.delivered.push(Instant::now());
            fs::rename(from, to)?;
        }
        while missing > 0 {
            let heard = self.listen(PATIENCE)?;
            missing -= heard.context("a session was not told")?;
        }
        Ok(())
    }

    /// Waits so long without doing anything but listening.
    ///
    /// # Errors
    /// If the server closes a session.
    pub(crate) fn wait(&mut self, time: Duration) -> Result<()> {
        let began = Instant::now();
        while let Some(left) = time.checked_sub(began.elapsed()) {
            if self.listen(left)?.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Reads what comes first; says of how many messages sessions have heard. `None` if nothing
    /// comes in time.
    fn listen(&mut self, patience: Duration) -> Result<Option<usize>> {
        let mut events = Vec::with_capacity(256);
        let patience = Timespec::try_from(patience)?;
        let buffer = rustix::buffer::spare_capacity(&mut events);
        if epoll::wait(&self.readiness, buffer, Some(&patience))? == 0 {
            return Ok(None);
        }
        let mut heard = 0;
        for event in events {
            let at = usize::try_from(event.data.u64())?;
            let waiting = self.sessions.get_mut(at).context("no such session")?;
            let lines = waiting.session.client.lines_at_hand();
            let now = Instant::now();
            let lines = lines.context("the server closed a session")?;
            let mailbox = self.mailboxes.get(waiting.session.mailbox);
            let delivered = &mailbox.context("no such mailbox")?.delivered;
            for count in lines.iter().filter_map(|line| exists(line)) {
                let news = delivered.get(waiting.told..count).unwrap_or_default();
                self.times
                    .extend(news.iter().map(|&then| now.duration_since(then)));
                heard += news.len();
                waiting.told = count;
            }
        }
        Ok(Some(heard))
    }

    /// Shows the times, with the hundredths of a second that the server's processors were busy, and
    /// forgets them.
    pub(crate) fn show(&mut self, name: &str, busy: u64) {
        let mut times = std::mem::take(&mut self.times);
        times.sort();
        let Some((last, _)) = times.split_last() else {
            return;
        };
        let part = |percent: usize| {
            let time = times.get(times.len() * percent / 100).unwrap_or(last);
            time.as_secs_f64() * 1e3
        };
        println!(
            "{name:<14}{} pushes: p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms; {:.0} us of the \
             processor for each",
            times.len(),
            part(50),
            part(99),
            last.as_secs_f64() * 1e3,
            busy as f64 * 1e4 / times.len() as f64
        );
    }
}

/// The number of an EXISTS response.
fn exists(line: &str) -> Option<usize> {
    let number = line.strip_prefix("* ")?.strip_suffix(" EXISTS\r\n")?;
    number.parse().ok()
}

/// How long to wait for what never comes.
const PATIENCE: Duration = Duration::from_secs(30);
