//! Messages on their way into a mailbox.

use std::io::{self, Write};
use std::mem;
use std::sync::Arc;
use std::time::SystemTime;

use mailstore::{Account, Appending, FlagChange, FlagMask, Mailbox, Uid, Usage};

use crate::error::Refused;
use crate::extension::catenate::Source;
use crate::extension::utf8_accept::{HeaderOctets, HeaderWatch};
use crate::extension::{Capabilities, notify, replace, uidplus};
use crate::response::{Code, Completion, PlainCode};
use crate::session::State;
use crate::session::responses::Responses;
use crate::settings::Limits;

use super::transcode::{OctetWatch, transcode};

/// The messages of one APPEND: staged until all of them are whole, then in the mailbox, all or none.
#[derive(Debug)]
pub(super) struct Upload {
    mailbox: Arc<Mailbox>,
    /// Which flags the messages may have.
    kept: FlagMask,
    /// The most octets of one message.
    largest: u64,
    /// The most messages.
    most: usize,
    whole: Vec<Appending>,
    current: Option<Appending>,
    holds: Holds,
    /// What those take up that are whole.
    staged: Usage,
    /// The room that there is for them.
    room: Room,
    /// What the header of a message may have.
    header: HeaderOctets,
    /// The look at that of the message that comes.
    watch: HeaderWatch,
    /// The look at all of it, if it may hold any octets.
    octets: OctetWatch,
}

/// The room that an account has for messages.
#[derive(Debug)]
pub(super) struct Room {
    account: Account,
    /// What goes when they come.
    freed: Usage,
}

impl Room {
    /// That of an account of which something is removed.
    pub(super) fn new(account: &Account, freed: Usage) -> Self {
        let account = account.clone();
        Self { account, freed }
    }

    /// Whether messages have room (RFC 9208 §4.3.1). When they are put into the mailbox, that is
    /// asked again.
    fn check(&self, wanted: Usage) -> Result<(), Refused> {
        Ok(self.account.check_room(wanted.less(self.freed))?)
    }
}

/// What a message may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// What a literal may (RFC 3501 §9).
    Text,
    /// The same, in parts, of which some may be empty (RFC 4469 §3).
    Part,
    /// What another message has (RFC 4469 §3).
    Copied,
    /// Any octets: it comes as a `literal8` (RFC 3516 §4.4).
    AnyOctets,
}

impl Upload {
    /// For a mailbox.
    pub(super) fn new(
        mailbox: Arc<Mailbox>,
        kept: FlagMask,
        limits: &Limits,
        header: HeaderOctets,
        room: Room,
    ) -> Self {
        Self {
            mailbox,
            kept,
            largest: limits.message,
            most: limits.messages,
            whole: Vec::new(),
            current: None,
            holds: Holds::Text,
            staged: Usage::default(),
            room,
            header,
            watch: HeaderWatch::new(header),
            octets: OctetWatch::default(),
        }
    }

    /// Begins the next message.
    ///
    /// # Errors
    /// If it is one too many, or nothing can be staged.
    pub(super) fn begin(
        &mut self,
        flags: FlagChange,
        internal_date: Option<SystemTime>,
    ) -> Result<(), Refused> {
        if self.whole.len() >= self.most {
            return Err(Refused::no(PlainCode::Limit, "Too many messages at once"));
        }
        self.watch = HeaderWatch::new(self.header);
        self.octets = OctetWatch::default();
        self.current = Some(Appending {
            staged: self.mailbox.stage()?,
            flags: flags.only(self.kept),
            internal_date,
        });
        Ok(())
    }

    /// Whether so many more octets of the message may come.
    ///
    /// # Errors
    /// If it becomes too large, or has no room, or has none: a client cancels an APPEND like that (RFC 3502).
    pub(super) fn expect(&mut self, octets: u64, holds: Holds) -> Result<(), Refused> {
        self.holds = holds;
        let before = self.current.as_ref().map_or(0, |it| it.staged.octets());
        if before.saturating_add(octets) > self.largest {
            let text = format!("Message is larger than {} octets", self.largest);
            return Err(Refused(Completion::no(text).with(Code::TooBig)));
        }
        if octets == 0 && !matches!(holds, Holds::Part | Holds::Copied) {
            return Err(empty());
        }
        let coming = Usage::of_message(before.saturating_add(octets));
        self.room.check(self.staged.plus(coming))
    }

    /// Adds octets of another message, a slice's worth; `false` when there are no more.
    ///
    /// # Errors
    /// If it becomes too large, or something cannot be read or written.
    pub(super) fn copy(&mut self, source: &mut Source) -> Result<bool, Refused> {
        self.holds = Holds::Copied;
        for _ in 0..CHUNKS_PER_SLICE {
            let Some(octets) = source.next()? else {
                return Ok(false);
            };
            let count = u64::try_from(octets.len()).unwrap_or(u64::MAX);
            self.expect(count, Holds::Copied)?;
            self.write(&octets)?;
        }
        Ok(true)
    }

    /// Adds octets to the message.
    ///
    /// # Errors
    /// If they cannot be written, or may not be in a header or in a literal.
    pub(super) fn write(&mut self, octets: &[u8]) -> Result<(), Refused> {
        self.watch.check(octets)?;
        match self.holds {
            Holds::AnyOctets => self.octets.look(octets),
            // `CHAR8` is any octet but NUL (RFC 3501 §9).
            Holds::Text | Holds::Part if memchr::memchr(0, octets).is_some() => {
                return Err(Refused::bad("expected a literal without NUL"));
            }
            Holds::Text | Holds::Part | Holds::Copied => {}
        }
        match &mut self.current {
            Some(message) => message.staged.write_all(octets).map_err(not_written),
            None => Ok(()),
        }
    }

    /// The message is whole: its octets are forced to the disk, and its file is closed, so that
    /// many messages hold no descriptors.
    ///
    /// # Errors
    /// If that fails, or it has octets that no message can have.
    pub(super) fn end(&mut self) -> Result<(), Refused> {
        if let Some(mut message) = self.current.take() {
            if message.staged.octets() == 0 {
                return Err(empty());
            }
            if self.octets.may_need_encoding() {
                transcode(&self.mailbox, &mut message)?;
            }
            self.mailbox.complete(&mut message)?;
            let usage = Usage::of_message(message.staged.octets());
            self.staged = self.staged.plus(usage);
            self.whole.push(message);
        }
        Ok(())
    }

    /// Puts all messages into the mailbox.
    pub(super) fn append(&mut self, offered: Capabilities, state: &mut State) -> Completion {
        match self.mailbox.append(mem::take(&mut self.whole)) {
            Ok(appended) => {
                notify::note_added(state, &self.mailbox, &appended.uids);
                let code = uidplus::append_uid(&appended, offered);
                Completion::ok("APPEND completed").with_any(code)
            }
            Err(error) => Refused::from(error).0,
        }
    }

    /// Puts the message, of which there is one, in the place of another.
    ///
    /// # Errors
    /// If the store cannot do it.
    pub(super) fn replace(
        &mut self,
        old: Uid,
        state: &mut State,
        out: &mut Responses,
    ) -> Result<Completion, Refused> {
        let new = self.whole.pop();
        let new = new.ok_or_else(|| Refused::bad("expected one message"))?;
        replace::finish(state, old, &self.mailbox, new, out)
    }
}

/// How many chunks of another message one slice of work copies.
const CHUNKS_PER_SLICE: usize = 32;

/// A message without octets.
fn empty() -> Refused {
    Refused::no(PlainCode::Cannot, "Message is empty")
}

/// The answer when a part of the message could not be staged.
#[expect(clippy::needless_pass_by_value, reason = "made for `map_err`")]
pub(super) fn not_written(error: io::Error) -> Refused {
    let full = matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    );
    tracing::error!(%error, "message could not be staged");
    if full {
        Refused::no(PlainCode::OverQuota, "No space left for mail")
    } else {
        Refused::no(PlainCode::Unavailable, "Message could not be stored")
    }
}
