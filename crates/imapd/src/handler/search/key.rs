//! Search keys, ready to be tried on one message after the other.

use mailstore::{Error, Keyword, Mailbox, Message, ModSeq, SystemFlag};

use crate::command::{Date, DateOp, SearchKey};
use crate::extension::ObjectId;
use crate::handler::content::{Content, header_octets};
use crate::handler::shelf::{Shelf, header_in};
use crate::message::{Header, Needle, Record, Summary, ThreadKey};
use crate::session::positions::Positions;
use crate::session::view::View;

/// A search key. Keys of a list are in the order of what they cost.
#[derive(Debug)]
pub(super) enum Key {
    /// All of these.
    And(Vec<Self>),
    /// One of these.
    Or(Vec<Self>),
    /// Not this.
    Not(Box<Self>),
    /// A system flag.
    Flag(SystemFlag),
    /// A keyword.
    Keyword(Keyword),
    /// `\Recent`.
    Recent,
    /// These positions.
    At(Positions),
    /// This mod-sequence or a higher one.
    ModSeq(Option<ModSeq>),
    /// Larger than so many octets.
    Larger(u64),
    /// Smaller.
    Smaller(u64),
    /// By internal date.
    InternalDate(DateOp, Date),
    /// By save date.
    SaveDate(DateOp, Date),
    /// Whether there is a save date.
    SaveDateSupported,
    /// By EMAILID.
    EmailId(Vec<u8>),
    /// By THREADID.
    ThreadId(Vec<u8>),
    /// By the Date field.
    SentDate(DateOp, Date),
    /// A string in a header field.
    Header(Vec<u8>, Needle),
    /// A string in the body.
    Body(Needle),
    /// A string anywhere.
    Text(Needle),
}

/// What it costs to try a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cost {
    /// The index knows.
    Index,
    /// The index knows, or a look at the file tells.
    File,
    /// The header has to be read.
    Header,
    /// The message has to be read.
    Message,
}

/// A message on which keys are tried; read when that cannot be avoided.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    position: usize,
    message: Message<'a>,
    view: &'a View,
    mailbox: &'a Mailbox,
    shelf: &'a mut Shelf,
    /// The header, if it was read.
    header: Option<Vec<u8>>,
    whole: Option<Content>,
    /// How often the file was looked at.
    looks: usize,
}

impl Key {
    /// All of these.
    pub(super) fn and(keys: Vec<SearchKey>, view: &View) -> Self {
        let keys = keys.into_iter().map(|key| Self::new(key, view));
        Self::And(by_cost(keys.collect()))
    }

    /// One key; its recursion is as deep as the parser allowed.
    fn new(key: SearchKey, view: &View) -> Self {
        match key {
            SearchKey::All => Self::And(Vec::new()),
            SearchKey::And(keys) => Self::and(keys, view),
            SearchKey::Or(pair) => {
                let (one, other) = *pair;
                Self::Or(by_cost(vec![Self::new(one, view), Self::new(other, view)]))
            }
            SearchKey::Not(key) => Self::Not(Box::new(Self::new(*key, view))),
            SearchKey::Flag(flag) => Self::Flag(flag),
            SearchKey::Keyword(Some(keyword)) => Self::Keyword(keyword),
            SearchKey::Keyword(None) => Self::Or(Vec::new()),
            SearchKey::Recent => Self::Recent,
            SearchKey::Messages(messages) => Self::At(view.find(&messages)),
            SearchKey::ModSeq(mod_seq) => Self::ModSeq(mod_seq),
            SearchKey::Larger(octets) => Self::Larger(octets),
            SearchKey::Smaller(octets) => Self::Smaller(octets),
            SearchKey::InternalDate(op, date) => Self::InternalDate(op, date),
            SearchKey::SaveDate(op, date) => Self::SaveDate(op, date),
            SearchKey::SaveDateSupported => Self::SaveDateSupported,
            SearchKey::EmailId(id) => Self::EmailId(id),
            SearchKey::ThreadId(id) => Self::ThreadId(id),
            SearchKey::SentDate(op, date) => Self::SentDate(op, date),
            SearchKey::Header(name, text) => Self::Header(name, Needle::new(&text)),
            SearchKey::Body(text) => Self::Body(Needle::new(&text)),
            SearchKey::Text(text) => Self::Text(Needle::new(&text)),
        }
    }

    /// What it costs at the most.
    fn cost(&self) -> Cost {
        match self {
            Self::And(keys) | Self::Or(keys) => {
                keys.iter().map(Self::cost).max().unwrap_or(Cost::Index)
            }
            Self::Not(key) => key.cost(),
            Self::Flag(_)
            | Self::Keyword(_)
            | Self::Recent
            | Self::At(_)
            | Self::ModSeq(_)
            | Self::SaveDateSupported
            | Self::EmailId(_) => Cost::Index,
            Self::Larger(_) | Self::Smaller(_) | Self::InternalDate(..) | Self::SaveDate(..) => {
                Cost::File
            }
            Self::SentDate(..) | Self::Header(..) | Self::ThreadId(_) => Cost::Header,
            Self::Body(_) | Self::Text(_) => Cost::Message,
        }
    }

    /// Whether a message matches.
    pub(super) fn matches(&self, candidate: &mut Candidate<'_>) -> Result<bool, Error> {
        let message = candidate.message;
        Ok(match self {
            Self::And(keys) => {
                for key in keys {
                    if !key.matches(candidate)? {
                        return Ok(false);
                    }
                }
                true
            }
            Self::Or(keys) => {
                for key in keys {
                    if key.matches(candidate)? {
                        return Ok(true);
                    }
                }
                false
            }
            Self::Not(key) => !key.matches(candidate)?,
            Self::Flag(flag) => message.flags().has(*flag),
            Self::Keyword(keyword) => {
                let position = candidate.view.snapshot().keywords().position(keyword);
                position.is_some_and(|position| message.flags().has_keyword(position))
            }
            Self::Recent => candidate.view.is_recent(message.uid()),
            Self::At(positions) => positions.contains(candidate.position),
            Self::ModSeq(mod_seq) => Some(message.mod_seq()) >= *mod_seq,
            Self::Larger(octets) => candidate.size()? > *octets,
            Self::Smaller(octets) => candidate.size()? < *octets,
            Self::InternalDate(op, date) => holds(*op, candidate.internal_date()?, *date),
            Self::SaveDate(op, date) => match message.save_date() {
                Some(saved) => holds(*op, day(saved), *date),
                // As in mailboxes that do not have it (RFC 8514 §4.3).
                None => holds(*op, candidate.internal_date()?, *date),
            },
            Self::SaveDateSupported => message.save_date().is_some(),
            Self::EmailId(id) => ObjectId::Email(message.email_id()).is(id),
            Self::ThreadId(id) => {
                let key = candidate.thread_key()?;
                ObjectId::of_thread(key, message.email_id()).is(id)
            }
            Self::SentDate(op, date) => {
                let sent = candidate.header(Record::for_field(b"Date"), |it| it.sent_date())?;
                sent.is_some_and(|sent| holds(*op, sent, *date))
            }
            Self::Header(name, needle) => candidate.header(Record::for_field(name), |header| {
                header.contains(name, needle)
            })?,
            Self::Body(needle) => {
                let Content { octets, parsed } = candidate.whole()?;
                parsed.body_contains(octets, needle)
            }
            Self::Text(needle) => {
                let Content { octets, parsed } = candidate.whole()?;
                parsed.text_contains(octets, needle)
            }
        })
    }
}

impl<'a> Candidate<'a> {
    /// The message at a position.
    pub(super) fn new(
        position: usize,
        message: Message<'a>,
        view: &'a View,
        mailbox: &'a Mailbox,
        shelf: &'a mut Shelf,
    ) -> Self {
        Self {
            position,
            message,
            view,
            mailbox,
            shelf,
            header: None,
            whole: None,
            looks: 0,
        }
    }

    /// How often the file was looked at.
    pub(super) fn looks(&self) -> usize {
        self.looks
    }

    /// How many octets were read.
    pub(super) fn octets_read(&self) -> usize {
        let whole = self.whole.as_ref().map_or(0, |it| it.octets.len());
        self.header.as_ref().map_or(0, Vec::len) + whole
    }

    /// RFC822.SIZE.
    fn size(&mut self) -> Result<u64, Error> {
        if let Some(size) = self.message.rfc822_size() {
            return Ok(size);
        }
        self.looks += 1;
        self.mailbox.rfc822_size(self.message)
    }

    /// The day of the internal date; told in UTC, it is compared in UTC.
    fn internal_date(&mut self) -> Result<Date, Error> {
        let seconds = match self.message.internal_date() {
            Some(seconds) => seconds,
            None => {
                self.looks += 1;
                self.mailbox.internal_date(self.message)?
            }
        };
        Ok(day(seconds))
    }

    /// Looks at the header: of the message if that has been read, or as much of it as a record
    /// has.
    fn header<T>(
        &mut self,
        record: Record,
        look: impl FnOnce(Header<'_>) -> T,
    ) -> Result<T, Error> {
        if let Some(Content { octets, parsed }) = &self.whole {
            let header = octets.get(parsed.header()).unwrap_or_default();
            return Ok(look(Header::new(header)));
        }
        if let Some(header) = &self.header {
            return Ok(look(Header::new(header)));
        }
        let snapshot = self.view.snapshot();
        let kept = self
            .shelf
            .search(self.mailbox, record, snapshot, self.position);
        if let Some(header) = kept.and_then(|octets| header_in(record, octets)) {
            return Ok(look(header));
        }
        self.looks += 1;
        let header = header_octets(self.mailbox, self.message)?;
        let uid = self.message.uid();
        if record == Record::Summary {
            self.shelf.put(record, uid, &Summary::make(&header));
        } else {
            self.shelf.put(record, uid, &header);
        }
        Ok(look(Header::new(self.header.insert(header))))
    }

    /// What the message has in common with others of its thread.
    fn thread_key(&mut self) -> Result<Option<ThreadKey>, Error> {
        let snapshot = self.view.snapshot();
        let record = Record::Thread;
        let kept = self
            .shelf
            .search(self.mailbox, record, snapshot, self.position);
        if let Some(key) = kept.and_then(ThreadKey::read) {
            return Ok(key);
        }
        let fields = Record::for_field(b"References");
        let key = self.header(fields, |header| ThreadKey::of(header.octets()))?;
        let made = ThreadKey::record(key);
        self.shelf.put(record, self.message.uid(), &made);
        Ok(key)
    }

    /// All of the message.
    fn whole(&mut self) -> Result<&Content, Error> {
        let whole = match self.whole.take() {
            Some(whole) => whole,
            None => {
                self.looks += 1;
                Content::whole(self.mailbox, self.message)?
            }
        };
        Ok(self.whole.insert(whole))
    }
}

/// The day of a time in seconds since 1970.
fn day(seconds: i64) -> Date {
    const DAY: i64 = 24 * 60 * 60;
    let day = i32::try_from(seconds.div_euclid(DAY));
    Date(day.unwrap_or(i32::MAX))
}

/// Whether a day is before, on, or since a date (RFC 3501 §6.4.4).
fn holds(op: DateOp, day: Date, date: Date) -> bool {
    match op {
        DateOp::Before => day < date,
        DateOp::On => day == date,
        DateOp::Since => day >= date,
    }
}

/// In the order of cost.
fn by_cost(mut keys: Vec<Key>) -> Vec<Key> {
    keys.sort_by_key(Key::cost);
    keys
}
