//! CATENATE (RFC 4469): an APPEND whose message is put together from text and from parts of other
//! messages, which stay at the server.
//!
//! The parts are named by IMAP URLs. Their octets are copied from file to file, without passing
//! through memory as a whole, and without setting `\Seen`. A message is looked into once for all
//! parts of it that follow each other in a command.

mod url;

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use mailstore::{Error, Mailbox, Message, Rights, Uid};

use super::imap_rev2::Revision;
use super::{Capability, Extension, Shown};
use crate::command::Section;
use crate::error::Refused;
use crate::handler::content::{CHUNK, Content, Resume, unreadable};
use crate::message::{Header, Parsed};
use crate::response::{Code, Completion};
use crate::session::authenticated::Authenticated;
pub(crate) use url::MessageUrl;

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::Catenate,
    capability: "CATENATE",
    rfc: 4469,
    shown: Shown::Always,
    enables: None,
};

/// The octets that a URL names, as far as they have not been copied.
#[derive(Debug)]
pub(crate) enum Source {
    /// A stretch of a message: octets to pass over, then octets to copy.
    Stretch(Box<Resume>, u64, u64),
    /// Header fields put together.
    Octets(Vec<u8>),
}

/// The structure of the message of which a URL named a part last, for the URLs behind it in the
/// same command. There is nothing in it but numbers, of as many parts as are told apart.
#[derive(Debug, Default)]
pub(crate) struct Known(Option<Structure>);

/// The structure of a message.
#[derive(Debug)]
struct Structure {
    /// The mailbox, as it is in memory while it is of the same UIDVALIDITY.
    mailbox: Arc<Mailbox>,
    uid: Uid,
    /// How many octets the message has.
    octets: usize,
    parsed: Parsed,
}

impl Known {
    /// The structure of a message, which is looked into if it is not the one before.
    fn of(&mut self, mailbox: &Arc<Mailbox>, message: Message<'_>) -> Result<&Structure, Error> {
        let uid = message.uid();
        let known = self.0.take();
        let known = known.filter(|it| it.uid == uid && Arc::ptr_eq(&it.mailbox, mailbox));
        let structure = match known {
            Some(known) => known,
            None => {
                let content = Content::whole(mailbox, message)?;
                Structure {
                    mailbox: Arc::clone(mailbox),
                    uid,
                    octets: content.octets.len(),
                    parsed: content.parsed,
                }
            }
        };
        Ok(self.0.insert(structure))
    }
}

/// `NO [BADURL …]` (RFC 4469 §4.1).
fn bad_url(url: &[u8]) -> Refused {
    let text = "No such message or part";
    Refused(Completion::no(text).with(Code::BadUrl(url.to_vec())))
}

impl Source {
    /// Finds what a URL names, in the mailboxes of this account; `known` is of the URLs before it.
    ///
    /// # Errors
    /// `NO [BADURL …]` if there is no such thing.
    pub(crate) fn open(
        text: &[u8],
        account: &Authenticated,
        hostname: &str,
        known: &mut Known,
    ) -> Result<Self, Refused> {
        let bad = || bad_url(text);
        let url = MessageUrl::parse(text).ok_or_else(bad)?;
        if !url.is_of(hostname, &account.user) {
            return Err(bad());
        }
        let text = str::from_utf8(&url.mailbox).map_err(|_| bad())?;
        let place = match account.place_of_another(text) {
            Some(place) => place.map_err(|_| bad())?,
            None => {
                let name = account.namespace().parse_utf8(text.as_bytes());
                account.own(account.account.resolve(name.map_err(|_| bad())?)?)
            }
        };
        let mailbox = match place.open_for(&account.user) {
            Err(Error::NotFound) => return Err(bad()),
            opened => opened?,
        };
        let rights = mailbox.rights(place.owner.who(&account.user));
        if !rights.has(Rights::READ) {
            return Err(bad());
        }
        let snapshot = mailbox.snapshot();
        let valid = url
            .uid_validity
            .is_none_or(|it| it == snapshot.uid_validity());
        let message = snapshot.by_uid(url.uid).filter(|_| valid);
        let message = message.ok_or_else(bad)?;
        match Self::of(&url, &mailbox, message, account.enabled.revision(), known) {
            Ok(found) => found.ok_or_else(bad),
            Err(Error::Expunged | Error::NotFound) => Err(bad()),
            Err(error) => Err(error.into()),
        }
    }

    /// The octets that a URL names of a message; `None` if it has no such part.
    fn of(
        url: &MessageUrl,
        mailbox: &Arc<Mailbox>,
        message: Message<'_>,
        revision: Revision,
        known: &mut Known,
    ) -> Result<Option<Self>, Error> {
        let (first, most) = url.partial.unwrap_or((0, u64::MAX));
        if url.section == Section::default() {
            let from = Box::new(Resume::open(None, 0, mailbox, message)?);
            return Ok(Some(Self::Stretch(from, first, most)));
        }
        let known = known.of(mailbox, message)?;
        let extent = known.parsed.extent(known.octets, &url.section, revision);
        let Some(extent) = extent else {
            return Ok(None);
        };
        if let Some(text) = url.section.text.as_ref().filter(|text| text.is_fields()) {
            let header = octets_of(extent, mailbox, message)?;
            let fields = Header::new(&header).section(text).unwrap_or_default();
            let first = usize::try_from(first).unwrap_or(usize::MAX);
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            let wanted = fields.get(first..).unwrap_or_default();
            let wanted = wanted.get(..most).unwrap_or(wanted);
            return Ok(Some(Self::Octets(wanted.to_vec())));
        }
        let left = octets(extent.len()).saturating_sub(first).min(most);
        let pass = octets(extent.start).saturating_add(first);
        let from = Box::new(Resume::open(None, 0, mailbox, message)?);
        Ok(Some(Self::Stretch(from, pass, left)))
    }

    /// The next octets, none of them if they begin further on; `None` at the end.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let (from, pass, left) = match self {
            Self::Octets(octets) if octets.is_empty() => return Ok(None),
            Self::Octets(octets) => return Ok(Some(std::mem::take(octets))),
            Self::Stretch(_, _, 0) => return Ok(None),
            Self::Stretch(from, pass, left) => (from, pass, left),
        };
        let limit = if *pass > 0 { *pass } else { *left };
        let limit = usize::try_from(limit).unwrap_or(CHUNK).min(CHUNK);
        let mut octets = vec![0; limit];
        let count = from.reader.read(&mut octets);
        let count = count.map_err(unreadable)?;
        if count == 0 {
            return Ok(None);
        }
        octets.truncate(count);
        let count = u64::try_from(count).unwrap_or(0);
        if *pass > 0 {
            *pass -= count;
            octets.clear();
        } else {
            *left -= count;
        }
        Ok(Some(octets))
    }
}

/// Octets of a message.
fn octets_of(
    extent: Range<usize>,
    mailbox: &Mailbox,
    message: Message<'_>,
) -> Result<Vec<u8>, Error> {
    let mut reader = mailbox.read(message)?.into_reader();
    let mut before = reader.by_ref().take(octets(extent.start));
    io::copy(&mut before, &mut io::sink()).map_err(unreadable)?;
    let mut found = Vec::new();
    let mut wanted = reader.take(octets(extent.len()));
    wanted.read_to_end(&mut found).map_err(unreadable)?;
    Ok(found)
}

/// A number of octets, as it is told.
fn octets(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
