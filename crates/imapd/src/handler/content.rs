//! The octets of one message, read no further than they are needed.

use std::io::{self, Read};

use mailstore::{CrlfReader, Error, Mailbox, Message, MessageFile, Uid};

use crate::message::{FIRST, MOST, Parsed, preview, preview_of_beginning};

/// A message, or its beginning, with its structure.
#[derive(Debug)]
pub(crate) struct Content {
    /// The octets, in CRLF form.
    pub(crate) octets: Vec<u8>,
    /// Their structure.
    pub(crate) parsed: Parsed,
}

/// A message that was read up to a place. Clients fetch large messages part by part, and reading
/// each from the start would take time that is quadratic in the size.
#[derive(Debug)]
pub(crate) struct Resume {
    /// The message.
    pub(crate) uid: Uid,
    /// How many octets were read, in CRLF form.
    pub(crate) offset: u64,
    /// The rest.
    pub(crate) reader: CrlfReader,
}

impl Resume {
    /// The message from its start, or from where `earlier` was left if that is of use to get to
    /// `origin`.
    ///
    /// # Errors
    /// If the message has to be opened and cannot be.
    pub(crate) fn open(
        earlier: Option<Self>,
        origin: u64,
        mailbox: &Mailbox,
        message: Message<'_>,
    ) -> Result<Self, Error> {
        let uid = message.uid();
        match earlier.filter(|it| it.uid == uid && it.offset <= origin) {
            Some(earlier) => Ok(earlier),
            None => Ok(Self {
                uid,
                offset: 0,
                reader: mailbox.read(message)?.into_reader(),
            }),
        }
    }
}

impl Resume {
    /// Reads at most `limit` octets; 0 if there are none, or none can be read.
    pub(crate) fn read(&mut self, chunk: &mut [u8], limit: u64) -> u64 {
        let limit = usize::try_from(limit)
            .unwrap_or(usize::MAX)
            .min(chunk.len());
        match self.reader.read(chunk.get_mut(..limit).unwrap_or_default()) {
            Ok(count) => {
                let count = u64::try_from(count).unwrap_or(0);
                self.offset = self.offset.saturating_add(count);
                count
            }
            Err(error) => {
                tracing::error!(%error, "message could not be read");
                0
            }
        }
    }
}

/// How much of a header is looked at (S32).
const HEADER_MAX: usize = 10 * 1024 * 1024;

/// Up to which size a message is read whole also if only its header is wanted.
const SMALL: u64 = 64 * 1024;

/// How much is read at once.
pub(crate) const CHUNK: usize = 32 * 1024;

impl Content {
    /// Reads a whole message, and has its size remembered.
    ///
    /// # Errors
    /// [`Error::Expunged`] if its bytes are gone.
    pub(crate) fn whole(mailbox: &Mailbox, message: Message<'_>) -> Result<Self, Error> {
        Self::from_file(mailbox.read(message)?, mailbox, message.uid())
    }

    /// Reads the octets of a whole message that has been opened, without looking into them.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn octets_from_file(
        file: MessageFile,
        mailbox: &Mailbox,
        uid: Uid,
    ) -> Result<Self, Error> {
        let octets = whole_octets(file, mailbox, uid)?;
        let parsed = Parsed::new(&[]);
        Ok(Self { octets, parsed })
    }

    /// Reads a whole message that has been opened.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn from_file(file: MessageFile, mailbox: &Mailbox, uid: Uid) -> Result<Self, Error> {
        let mut content = Self::octets_from_file(file, mailbox, uid)?;
        content.parsed = Parsed::new(&content.octets);
        Ok(content)
    }

    /// Reads the header of a message only, up to the blank line.
    ///
    /// # Errors
    /// [`Error::Expunged`] if its bytes are gone.
    pub(crate) fn header(mailbox: &Mailbox, message: Message<'_>) -> Result<Self, Error> {
        let octets = header_octets(mailbox, message)?;
        let parsed = Parsed::new(&octets);
        Ok(Self { octets, parsed })
    }
}

/// The header of a message, with the blank line.
///
/// # Errors
/// [`Error::Expunged`] if its bytes are gone.
pub(crate) fn header_octets(mailbox: &Mailbox, message: Message<'_>) -> Result<Vec<u8>, Error> {
    let file = mailbox.read(message)?;
    if message.rfc822_size().is_some() || file.physical_size() > SMALL {
        return read_header(file.into_reader()).map_err(unreadable);
    }
    // Whoever wants the header first wants the size soon.
    let mut octets = whole_octets(file, mailbox, message.uid())?;
    octets.truncate(header_end(&octets, 0).unwrap_or(octets.len()));
    Ok(octets)
}

/// The preview of a message, of which no more is read than it takes, and how many octets were read.
///
/// # Errors
/// If the message cannot be read.
pub(crate) fn preview_of(
    mailbox: &Mailbox,
    message: Message<'_>,
) -> Result<(String, usize), Error> {
    let file = mailbox.read(message)?;
    let mut reader = file.into_reader();
    let mut octets = Vec::new();
    let mut read = |octets: &mut Vec<u8>, most: usize| {
        let limit = u64::try_from(most - octets.len()).unwrap_or(0);
        let read = reader.by_ref().take(limit).read_to_end(octets);
        read.map_err(unreadable)
    };
    read(&mut octets, FIRST)?;
    if octets.len() == FIRST
        && let Some(made) = preview_of_beginning(&octets)
    {
        return Ok((made, octets.len()));
    }
    read(&mut octets, MOST)?;
    Ok((preview(&octets), octets.len()))
}

/// All octets of a message; what they tell is remembered.
fn whole_octets(file: MessageFile, mailbox: &Mailbox, uid: Uid) -> Result<Vec<u8>, Error> {
    let modified = file.modified();
    let octets = file.read_crlf()?;
    if let Ok(size) = u64::try_from(octets.len()) {
        mailbox.note_read(uid, size, modified);
    }
    Ok(octets)
}

/// Counts the octets of a message anew, and has the number remembered: what another program wrote
/// into the file's name was wrong.
pub(crate) fn correct_size(mailbox: &Mailbox, message: Message<'_>) {
    let count = |mut reader: CrlfReader| io::copy(&mut reader, &mut io::sink()).map_err(unreadable);
    let counted = mailbox
        .read(message)
        .and_then(|file| count(file.into_reader()));
    match counted {
        Ok(octets) => {
            tracing::warn!(octets, "message has another size than it was said to have");
            mailbox.note_rfc822_size(message.uid(), octets);
        }
        Err(error) => tracing::error!(%error, "message could not be read"),
    }
}

/// Reads up to the blank line, it included.
fn read_header(mut reader: impl Read) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let count = reader.read(&mut chunk)?;
        // The blank line may begin in what was read before.
        let searched = octets.len().saturating_sub(3);
        octets.extend_from_slice(chunk.get(..count).unwrap_or_default());
        if let Some(end) = header_end(&octets, searched) {
            octets.truncate(end);
            return Ok(octets);
        }
        if count == 0 || octets.len() >= HEADER_MAX {
            return Ok(octets);
        }
    }
}

/// Where the blank line ends, if it begins at `from` or later.
fn header_end(octets: &[u8], from: usize) -> Option<usize> {
    if octets.starts_with(b"\r\n") {
        return Some(2);
    }
    let searched = octets.get(from..)?;
    let blank = searched.windows(4).position(|it| it == b"\r\n\r\n")?;
    Some(from + blank + 4)
}

/// A message that the system cannot read.
pub(crate) fn unreadable(source: io::Error) -> Error {
    Error::Io {
        path: "message".into(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_ends_with_its_blank_line() {
        let long = format!("A: {}\r\n\r\n", "x".repeat(4089));
        let rows: [(&str, &str); 5] = [
            ("A: b\r\n\r\nbody\r\n\r\n", "A: b\r\n\r\n"),
            ("\r\nbody", "\r\n"),
            ("A: b\r\nno end", "A: b\r\nno end"),
            ("", ""),
            (&format!("{long}body"), &long),
        ];
        for (message, header) in rows {
            assert_eq!(read_header(message.as_bytes()).unwrap(), header.as_bytes());
        }
    }
}
