//! UID lists: `dovecot-uidlist` and Courier's `courierimapuiddb`.
//!
//! Version 3 (Dovecot 1.1 and later), fields of the header in any order:
//!
//! ```text
//! 3 V<uidvalidity> N<next uid> [G<mailbox guid, 32 hex>] [P<format of UIDLs>] [other]
//! <uid> [<key><value> ...] :<file name>
//! ```
//!
//! Version 1 (Dovecot 1.0, and Courier):
//!
//! ```text
//! 1 <uidvalidity> <next uid>
//! <uid> <file name>
//! ```
//!
//! Keys of a message are one capital letter: `S` size of the file, `W` size in CRLF form, `P`
//! POP3 UIDL (empty: the same as the base), `O` place in the POP3 listing, `G` GUID. UIDs ascend
//! strictly. Of a file name only the base counts; the rest is what the flags were once.
//!
//! Lines are appended without touching the header, so in version 3 the next UID is at least one
//! more than the last; in version 1 a UID at or above the next one is damage. A last line without a
//! line end was being written when the writer died: it is no entry, but its UID counts as given.

use std::collections::HashMap;
use std::fmt;

use crate::filename::base;
use crate::id::{Uid, UidValidity};

/// A UID list as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uidlist {
    /// The version it was read as, 1 or 3. Written is always version 3.
    pub version: u8,
    /// The mailbox's UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// The UID that the next message gets: above every UID ever given.
    pub next_uid: Uid,
    /// The mailbox's identity (`G`), its 32 hexadecimal digits as a number.
    pub mailbox_guid: Option<u128>,
    /// How UIDLs were made when the file was written (`P` in the header), as it stands there.
    pub pop3_format: Option<Box<[u8]>>,
    /// Fields of the header that have no meaning here, as they are, with one space between them.
    pub other: Box<[u8]>,
    /// The messages, ascending by UID, each base once.
    pub entries: Vec<UidlistEntry>,
}

/// A message in a [`Uidlist`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UidlistEntry {
    /// Its UID.
    pub uid: Uid,
    /// The identity of its file: the name up to the first `:`.
    pub base: Box<[u8]>,
    /// The size of its file in octets (`S`).
    pub size: Option<u64>,
    /// Its size in CRLF form (`W`).
    pub rfc822_size: Option<u64>,
    /// Its POP3 UIDL (`P`); empty if that is the base.
    pub uidl: Option<Box<[u8]>>,
    /// Its place in the POP3 listing (`O`).
    pub order: Option<u32>,
    /// Its GUID (`G`), as it stands there; the base if there is none.
    pub guid: Option<Box<[u8]>>,
    /// Fields that have no meaning here, as they are, with one space between them.
    pub other: Box<[u8]>,
}

/// What is wrong with a UID list, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UidlistError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: UidlistProblem,
}

/// What is wrong with a line of a UID list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UidlistProblem {
    /// There is no whole first line.
    NoHeader,
    /// The version is neither 1 nor 3.
    Version,
    /// UIDVALIDITY or the next UID is missing, 0 or not a number.
    Header,
    /// The line does not begin with a UID.
    NoUid,
    /// The UID is not above the one before.
    Order,
    /// The UID is at or above the next one (version 1), or too large.
    TooHigh,
    /// The fields before the file name are not of the form `<key><value>`.
    Fields,
    /// The file name is empty or has a `/`.
    Name,
    /// There are more lines than messages can be.
    TooMany,
}

impl fmt::Display for UidlistError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

impl std::error::Error for UidlistError {}

impl fmt::Display for UidlistProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHeader => "there is no header",
            Self::Version => "the version is neither 1 nor 3",
            Self::Header => "UIDVALIDITY or the next UID is missing or not a number above 0",
            Self::NoUid => "there is no UID",
            Self::Order => "the UID is not above the one before",
            Self::TooHigh => "the UID is not below the next one",
            Self::Fields => "the fields before the file name cannot be read",
            Self::Name => "the file name is empty or has a slash",
            Self::TooMany => "there are too many lines",
        })
    }
}

impl Uidlist {
    /// Reads a list, in time linear in its length.
    ///
    /// # Errors
    /// If it is damaged, or of another version. No part of it can be trusted then.
    pub fn parse(file: &[u8]) -> Result<Self, UidlistError> {
        Self::parse_at_most(file, MAX_ENTRIES)
    }

    fn parse_at_most(file: &[u8], most: usize) -> Result<Self, UidlistError> {
        let mut lines = Lines {
            rest: file,
            number: 0,
        };
        let header = lines.next();
        let at_header = |problem| UidlistError { line: 1, problem };
        let header = header.ok_or(at_header(UidlistProblem::NoHeader))?;
        let mut list = Self::parse_header(header).map_err(at_header)?;
        let mut last = None;
        while let Some(line) = lines.next() {
            let entry = list.parse_line(line, last);
            let entry = entry.map_err(|problem| UidlistError {
                line: lines.number,
                problem,
            })?;
            last = Some(entry.uid);
            if list.entries.len() >= most {
                let (line, problem) = (lines.number, UidlistProblem::TooMany);
                return Err(UidlistError { line, problem });
            }
            list.entries.push(entry);
        }
        // What the writer was about to give.
        let torn = number(lines.rest).and_then(|(uid, rest)| {
            let whole = rest.first() == Some(&b' ');
            Uid::new(uid).filter(|_| whole)
        });
        for given in [last, torn].into_iter().flatten() {
            list.next_uid = list.next_uid.max(given.next().unwrap_or(Uid::MAX));
        }
        list.drop_twins();
        Ok(list)
    }

    fn parse_header(line: &[u8]) -> Result<Self, UidlistProblem> {
        let (version, rest) = number(line).ok_or(UidlistProblem::NoHeader)?;
        let mut fields = fields(rest);
        let mut list = Header::default();
        match version {
            1 => {
                let mut value = || fields.next().and_then(whole_number);
                list.uid_validity = value();
                list.next_uid = value();
            }
            3 => fields.for_each(|field| list.take(field)),
            _ => return Err(UidlistProblem::Version),
        }
        let uid_validity = list.uid_validity.and_then(UidValidity::new);
        let next_uid = list.next_uid.and_then(Uid::new);
        Ok(Self {
            version: if version == 1 { 1 } else { 3 },
            uid_validity: uid_validity.ok_or(UidlistProblem::Header)?,
            next_uid: next_uid.ok_or(UidlistProblem::Header)?,
            mailbox_guid: list.mailbox_guid,
            pop3_format: list.pop3_format,
            other: list.other.into(),
            entries: Vec::new(),
        })
    }

    fn parse_line(&self, line: &[u8], last: Option<Uid>) -> Result<UidlistEntry, UidlistProblem> {
        let (uid, rest) = number(line).ok_or(UidlistProblem::NoUid)?;
        let uid = Uid::new(uid).ok_or(UidlistProblem::NoUid)?;
        if rest.first() != Some(&b' ') {
            return Err(UidlistProblem::NoUid);
        }
        if last >= Some(uid) {
            return Err(UidlistProblem::Order);
        }
        if uid == Uid::MAX || (self.version == 1 && uid >= self.next_uid) {
            return Err(UidlistProblem::TooHigh);
        }
        let mut entry = UidlistEntry::new(uid, b"");
        let name = if self.version == 1 {
            rest.trim_ascii_start()
        } else {
            entry.take_fields(rest).ok_or(UidlistProblem::Fields)?
        };
        let base = base(name);
        if base.is_empty() || name.contains(&b'/') {
            return Err(UidlistProblem::Name);
        }
        entry.base = base.into();
        Ok(entry)
    }

    /// Leaves each base one UID, the last: a file that came back got a new one.
    fn drop_twins(&mut self) {
        let mut last: HashMap<&[u8], Uid> = HashMap::with_capacity(self.entries.len());
        for entry in &self.entries {
            last.insert(&entry.base, entry.uid);
        }
        if last.len() == self.entries.len() {
            return;
        }
        let kept = |entry: &UidlistEntry| last.get(&*entry.base) == Some(&entry.uid);
        let keep: Vec<bool> = self.entries.iter().map(kept).collect();
        let mut keep = keep.into_iter();
        self.entries.retain(|_| keep.next().unwrap_or_default());
    }

    /// The list as a file of version 3. What cannot stand in it is left out: a value with a space
    /// or a control character, an entry without a proper base, an entry out of order.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.entries.len() * 96);
        let header = format!("3 V{} N{}", self.uid_validity, self.next_uid);
        out.extend_from_slice(header.as_bytes());
        if let Some(guid) = self.mailbox_guid {
            out.extend_from_slice(format!(" G{guid:032x}").as_bytes());
        }
        push_field(&mut out, b"P", self.pop3_format.as_deref());
        for other in fields(&self.other) {
            push_field(&mut out, b"", Some(other));
        }
        out.push(b'\n');
        let mut last = None;
        for entry in &self.entries {
            let forbidden = |byte: &u8| matches!(byte, b'/' | b':' | b'\n' | 0);
            let proper = !entry.base.is_empty() && !entry.base.iter().any(forbidden);
            // It would be read as a part of the line end.
            let proper = proper && !entry.base.ends_with(b"\r");
            if proper && Some(entry.uid) > last && entry.uid < Uid::MAX {
                entry.write(&mut out);
                last = Some(entry.uid);
            }
        }
        out
    }
}

impl UidlistEntry {
    /// An entry that says nothing more of the message with this base.
    pub fn new(uid: Uid, base: &[u8]) -> Self {
        Self {
            uid,
            base: base.into(),
            size: None,
            rfc822_size: None,
            uidl: None,
            order: None,
            guid: None,
            other: Box::default(),
        }
    }

    /// Reads the fields up to the `:` before the name, which it gives.
    fn take_fields<'a>(&mut self, line: &'a [u8]) -> Option<&'a [u8]> {
        let mut rest = line.trim_ascii_start();
        let mut other = Vec::new();
        loop {
            if let Some(name) = rest.strip_prefix(b":") {
                self.other = other.into();
                return Some(name);
            }
            let space = rest.iter().position(|&byte| byte == b' ')?;
            let (field, after) = rest.split_at_checked(space)?;
            let (key, value) = field.split_first()?;
            if !key.is_ascii_uppercase() {
                return None;
            }
            let known = match key {
                b'S' => set(&mut self.size, whole_large(value)),
                b'W' => set(&mut self.rfc822_size, whole_large(value)),
                b'O' => set(&mut self.order, whole_number(value)),
                b'P' => set(&mut self.uidl, identity(value)),
                b'G' => set(&mut self.guid, identity(value)),
                _ => false,
            };
            if !known {
                push_other(&mut other, field);
            }
            rest = after.trim_ascii_start();
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let number = |value: Option<u64>| value.map(|value| value.to_string().into_bytes());
        out.extend_from_slice(self.uid.to_string().as_bytes());
        push_field(out, b"S", number(self.size).as_deref());
        push_field(out, b"W", number(self.rfc822_size).as_deref());
        push_field(out, b"P", self.uidl.as_deref());
        push_field(out, b"O", number(self.order.map(u64::from)).as_deref());
        push_field(out, b"G", self.guid.as_deref());
        for other in fields(&self.other) {
            if other.first().is_some_and(u8::is_ascii_uppercase) {
                push_field(out, b"", Some(other));
            }
        }
        out.extend_from_slice(b" :");
        out.extend_from_slice(&self.base);
        out.push(b'\n');
    }
}

/// The header of version 3 while it is read.
#[derive(Default)]
struct Header {
    uid_validity: Option<u32>,
    next_uid: Option<u32>,
    mailbox_guid: Option<u128>,
    pop3_format: Option<Box<[u8]>>,
    other: Vec<u8>,
}

impl Header {
    fn take(&mut self, field: &[u8]) {
        let Some((key, value)) = field.split_first() else {
            return;
        };
        let known = match key {
            // The last one counts; a bad one makes the header bad.
            b'V' => {
                self.uid_validity = whole_number(value);
                true
            }
            b'N' => {
                self.next_uid = whole_number(value);
                true
            }
            b'G' => set(&mut self.mailbox_guid, guid(value)),
            b'P' => set(&mut self.pop3_format, Some(value.into())),
            _ => false,
        };
        if !known {
            push_other(&mut self.other, field);
        }
    }
}

/// The whole lines of a file, and then what is left.
struct Lines<'a> {
    rest: &'a [u8],
    /// The number of the last line given.
    number: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memchr(b'\n', self.rest)?;
        let (line, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest.get(1..)?;
        self.number += 1;
        // As Dovecot reads it, which takes a list that was edited elsewhere.
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

/// A UIDL or a GUID, unless a client could not be shown it (RFC 1939 §7). It may be longer than
/// allowed there, because file names are, and clients know it as it is.
fn identity(value: &[u8]) -> Option<Box<[u8]>> {
    let shown = value.len() <= MAX_IDENTITY && value.iter().all(u8::is_ascii_graphic);
    shown.then(|| value.into())
}

/// Puts a value in its place, unless it cannot be read; says whether it did.
fn set<T>(place: &mut Option<T>, value: Option<T>) -> bool {
    let read = value.is_some();
    if read {
        *place = value;
    }
    read
}

fn push_other(other: &mut Vec<u8>, field: &[u8]) {
    if !other.is_empty() {
        other.push(b' ');
    }
    other.extend_from_slice(field);
}

/// A space, a key and a value; nothing if there is none or it cannot stand there.
fn push_field(out: &mut Vec<u8>, key: &[u8], value: Option<&[u8]>) {
    let forbidden = |byte: &u8| *byte <= b' ' || *byte == 0x7f;
    if let Some(value) = value.filter(|value| !value.iter().any(forbidden)) {
        out.push(b' ');
        out.extend_from_slice(key);
        out.extend_from_slice(value);
    }
}

/// What is between spaces.
fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let fields = line.split(|&byte| byte == b' ');
    fields.filter(|field| !field.is_empty())
}

/// The digits at the start as a number, and the rest.
fn number(line: &[u8]) -> Option<(u32, &[u8])> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = line.split_at_checked(digits)?;
    Some((whole_number(digits)?, rest))
}

fn whole_number(digits: &[u8]) -> Option<u32> {
    u32::try_from(whole_large(digits)?).ok()
}

fn whole_large(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}

fn guid(digits: &[u8]) -> Option<u128> {
    if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u128::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

/// How many messages a list can have: below what a line of each needs, so that a file of very
/// short lines takes no more memory than any other.
const MAX_ENTRIES: usize = 4 << 20;
/// The longest UIDL or GUID: as long as a file name.
const MAX_IDENTITY: usize = 255;

#[cfg(test)]
mod tests;
