//! The TRANSACTION state (RFC 1939 §5): one user, one maildrop.

use auth::Identity;

use super::context::Context;
use super::download::{Download, Extent, Progress};
use super::maildrop::Maildrop;
use super::update::Update;
use super::{Pace, State, Want};
use crate::command::{self, MsgNum};
use crate::digits::decimal;
use crate::error::Refused;

/// A user has the maildrop open.
pub(super) struct Transaction {
    maildrop: Maildrop,
    job: Option<Job>,
}

/// A command that is not answered at once.
enum Job {
    /// Sizes, or what unique-ids need, are being learned, from this position on, for the answer to
    /// this.
    Learn(usize, Then),
    /// A listing is being sent, from this position on.
    List(Listing, usize),
    /// A message is to be opened.
    Open(usize, Extent),
    /// A message is being sent.
    Download(Box<Download>),
}

/// What needs sizes, or what unique-ids need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// STAT.
    Stat,
    /// LIST.
    List,
    /// LIST of one message.
    ListOne(usize),
    /// UIDL.
    UniqueIds,
    /// UIDL of one message.
    UniqueIdOne(usize),
}

/// The listings of all messages (RFC 1939 §5, §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listing {
    /// LIST.
    Scan,
    /// UIDL.
    UniqueIds,
}

impl Transaction {
    /// Opens the maildrop of a user and answers the login. May touch the disk.
    pub(super) fn open(identity: &Identity, context: &mut Context) -> Result<Self, Refused> {
        let maildrop = Maildrop::open(&context.settings, identity)?;
        let (messages, _) = maildrop.totals();
        tracing::info!(messages, "logged in");
        context
            .responses
            .ok(format_args!("maildrop has {}", Count(messages)));
        Ok(Self {
            maildrop,
            job: None,
        })
    }

    /// Runs a command, or begins to.
    pub(super) fn run(
        &mut self,
        command: command::Transaction,
        context: &mut Context,
    ) -> Result<(), Refused> {
        match command {
            command::Transaction::Stat => self.learned(Then::Stat, context),
            command::Transaction::List(None) => self.learned(Then::List, context),
            command::Transaction::List(Some(number)) => {
                let position = self.maildrop.position(number)?;
                self.learned(Then::ListOne(position), context)
            }
            command::Transaction::Retr(number) => self.download(number, Extent::Whole),
            command::Transaction::Top { message, lines } => {
                self.download(message, Extent::Top(lines))
            }
            command::Transaction::Dele(number) => {
                self.maildrop.delete(number)?;
                context
                    .responses
                    .ok(format_args!("message {number} deleted"));
                Ok(())
            }
            command::Transaction::Noop => {
                context.responses.ok("");
                Ok(())
            }
            command::Transaction::Rset => {
                self.maildrop.reset();
                let (messages, _) = self.maildrop.totals();
                context
                    .responses
                    .ok(format_args!("maildrop has {}", Count(messages)));
                Ok(())
            }
            command::Transaction::Uidl(None) => self.learned(Then::UniqueIds, context),
            command::Transaction::Uidl(Some(number)) => {
                let position = self.maildrop.position(number)?;
                self.learned(Then::UniqueIdOne(position), context)
            }
        }
    }

    /// QUIT: on to UPDATE (RFC 1939 §6).
    pub(super) fn quit(self) -> State {
        State::Update(Box::new(Update::new(self.maildrop)))
    }

    /// Sends more of a listing.
    pub(super) fn fill(&mut self, context: &mut Context) {
        let Some(Job::List(listing, next)) = &mut self.job else {
            return;
        };
        while !context.responses.is_full() {
            let Some(position) = self.maildrop.first_kept(*next) else {
                context.responses.end();
                self.job = None;
                return;
            };
            context.responses.listed(position, |line| match listing {
                Listing::Scan => decimal(self.maildrop.octets(position), line),
                Listing::UniqueIds => {
                    self.maildrop.write_unique_id(position, line);
                }
            });
            *next = position + 1;
        }
    }

    /// Does a slice of the job. May touch the disk.
    pub(super) fn work(mut self: Box<Self>, context: &mut Context) -> State {
        match self.job.take() {
            Some(Job::Learn(next, then)) => self.learn(next, then, context),
            Some(Job::Open(position, extent)) => {
                match Download::start(position, extent, &mut self.maildrop, context) {
                    Ok(download) => self.job = download.map(|it| Job::Download(Box::new(it))),
                    Err(refused) => context.responses.refuse(&refused),
                }
            }
            Some(Job::Download(mut download)) => {
                match download.step(&mut self.maildrop, context) {
                    Ok(Progress::More) => self.job = Some(Job::Download(download)),
                    Ok(Progress::Complete) => {}
                    Err(error) => {
                        // Without the end of the response the client knows that it is not whole.
                        tracing::error!(%error, "message could not be read on");
                        return State::Ended;
                    }
                }
            }
            job @ (Some(Job::List(..)) | None) => self.job = job,
        }
        State::Transaction(self)
    }

    /// What stops the session now.
    pub(super) const fn want(&self) -> Want {
        match &self.job {
            None => Want::Command,
            Some(Job::List(..)) => Want::Fill,
            Some(Job::Learn(..)) => Want::Work(Pace::Slow),
            Some(Job::Open(..) | Job::Download(_)) => Want::Work(Pace::Quick),
        }
    }

    /// Answers a command that needs sizes or unique-ids, now or once all is known.
    fn learned(&mut self, then: Then, context: &mut Context) -> Result<(), Refused> {
        let known = match then {
            Then::Stat | Then::List => self.maildrop.all_measured(),
            Then::ListOne(position) => self.maildrop.is_measured(position),
            Then::UniqueIds => self.maildrop.all_identified(),
            Then::UniqueIdOne(position) => self.maildrop.is_identified(position),
        };
        if known {
            self.answer(then, context);
        } else {
            self.job = Some(Job::Learn(0, then));
        }
        Ok(())
    }

    /// Learns more, and answers when all is known.
    fn learn(&mut self, next: usize, then: Then, context: &mut Context) {
        let learned = match then {
            Then::Stat | Then::List => Ok(self.maildrop.measure(next)),
            Then::ListOne(position) => self.maildrop.measure_one(position).map(|_| None),
            Then::UniqueIds => Ok(self.maildrop.identify(next)),
            Then::UniqueIdOne(position) => self.maildrop.identify_one(position).map(|()| None),
        };
        match learned {
            Ok(Some(next)) => self.job = Some(Job::Learn(next, then)),
            Ok(None) => self.answer(then, context),
            Err(refused) => context.responses.refuse(&refused),
        }
    }

    /// Answers a command for which all is known.
    fn answer(&mut self, then: Then, context: &mut Context) {
        match then {
            Then::Stat => {
                let (messages, octets) = self.maildrop.totals();
                context.responses.ok(format_args!("{messages} {octets}"));
            }
            Then::List => {
                let (messages, octets) = self.maildrop.totals();
                context
                    .responses
                    .ok(format_args!("{} ({octets} octets)", Count(messages)));
                self.job = Some(Job::List(Listing::Scan, 0));
            }
            Then::ListOne(position) => {
                let (number, octets) = (MsgNum::at(position), self.maildrop.octets(position));
                context.responses.ok(format_args!("{number} {octets}"));
            }
            Then::UniqueIds => {
                context.responses.ok("unique-id listing follows");
                self.job = Some(Job::List(Listing::UniqueIds, 0));
            }
            Then::UniqueIdOne(position) => {
                let number = MsgNum::at(position);
                let mut unique_id = Vec::new();
                if self.maildrop.write_unique_id(position, &mut unique_id) {
                    let unique_id = String::from_utf8_lossy(&unique_id);
                    context.responses.ok(format_args!("{number} {unique_id}"));
                } else {
                    context.responses.refuse(&Refused::Gone(number));
                }
            }
        }
    }

    /// Begins RETR or TOP.
    fn download(&mut self, number: MsgNum, extent: Extent) -> Result<(), Refused> {
        let position = self.maildrop.position(number)?;
        self.job = Some(Job::Open(position, extent));
        Ok(())
    }
}

/// A number of messages, in words.
struct Count(usize);

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            1 => f.write_str("1 message"),
            messages => write!(f, "{messages} messages"),
        }
    }
}
