//! The MD5 sum of a header by which Dovecot, as apop3d before it, tells messages apart that have
//! neither UID nor file name of their own: those in mbox files.
//!
//! What is summed up: the values of `Delivered-To` and `X-Delivery-ID`, of the first `Received`,
//! and of `Date` and `Message-ID` until that has come. A value is what follows the colon, without
//! one blank at its start, and the folded lines as they are, all without their line ends.

use std::io::{self, BufRead, BufReader, Read};

use md5::{Digest as _, Md5};

/// A digest.
pub(crate) type HeaderDigest = [u8; 16];

/// Reads the header of a message and gives its digest.
///
/// # Errors
/// If reading fails.
pub(crate) fn header_digest(message: impl Read) -> io::Result<HeaderDigest> {
    let mut lines = BufReader::new(message.take(HEADER_LIMIT));
    let mut sum = Sum::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        lines.read_until(b'\n', &mut line)?;
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.is_empty() {
            return Ok(sum.md5.finalize().into());
        }
        sum.add(text);
    }
}

/// What has been summed up.
#[derive(Default)]
struct Sum {
    md5: Md5,
    /// The field that the last line was of.
    field: Field,
    /// Whether the first `Received` is over.
    received: bool,
}

/// The fields that count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Field {
    /// `Delivered-To` and `X-Delivery-ID`.
    Delivery,
    /// `Received`.
    Received,
    /// `Date` and `Message-ID`.
    Origin,
    /// None of them.
    #[default]
    Other,
}

impl Sum {
    /// Adds a line that is not empty.
    fn add(&mut self, line: &[u8]) {
        if let [b' ' | b'\t', ..] = line {
            self.update(line);
            return;
        }
        self.received |= self.field == Field::Received;
        let Some(colon) = memchr::memchr(b':', line) else {
            self.field = Field::Other;
            return;
        };
        let (name, value) = line.split_at(colon);
        self.field = Field::named(name.trim_ascii_end());
        let value = value.strip_prefix(b":").unwrap_or(value);
        let blank = usize::from(matches!(value, [b' ' | b'\t', ..]));
        self.update(value.get(blank..).unwrap_or_default());
    }

    /// Sums up the value of the present field, if it counts.
    fn update(&mut self, value: &[u8]) {
        let counts = match self.field {
            Field::Delivery => true,
            Field::Received | Field::Origin => !self.received,
            Field::Other => false,
        };
        if counts {
            self.md5.update(value);
        }
    }
}

impl Field {
    /// The field with this name.
    fn named(name: &[u8]) -> Self {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("Delivered-To") || is("X-Delivery-ID") {
            Self::Delivery
        } else if is("Received") {
            Self::Received
        } else if is("Date") || is("Message-ID") {
            Self::Origin
        } else {
            Self::Other
        }
    }
}

/// How much of a header counts: more than any mail program makes, and little enough to keep in
/// memory if it is one line.
const HEADER_LIMIT: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn hexadecimal(message: &str) -> String {
        let digest = header_digest(message.as_bytes()).unwrap();
        digest.iter().map(|octet| format!("{octet:02x}")).collect()
    }

    /// What Dovecot 2.3.19 answered to UIDL for these messages in an mbox file, with `%m`.
    #[test]
    fn digests_are_those_of_dovecot() {
        for (message, digest) in [
            (
                "date: \t \n \n x\n\nbody 65\n",
                "1ac338ce31f1c44aa8143a554202d175",
            ),
            (
                "date:  caf\u{e9}\n \n x\n\nbody 102\n",
                "0c785b8ae71ad3d19aa17748beb64c4c",
            ),
            (
                "X-Delivery-ID: \t x\n \n x\n\nbody 2\n",
                "94dd5d55277d314cadb5217074fb806b",
            ),
            (
                "Message-Id :  x\n folded 3\n\nbody 330\n",
                "40dcb62e6b10ad1fa0c51cf438430bb1",
            ),
            (
                "Delivered-To:foo bar  \nRECEIVED: \t x\n\tf1\n\t f2  \nReceived:  <a7@x>\n\
                 Received:\tx\n \n x\n\nbody 1\n",
                "4eb2d9d86f358de6673bcefb129767bd",
            ),
            (
                "Date: \t foo bar  \nX-Delivery-ID: x\n folded 5\n\
                 X-Delivery-ID:Tue, 14 Nov 2023 12:00:00 +0000\nFrom: <a5@x>\n \n x\ndate: \n\n\
                 body 7\n",
                "d02ee8f18eaedafc1cdeb2d59b98ee9c",
            ),
        ] {
            assert_eq!(hexadecimal(message), digest, "{message:?}");
            let crlf = message.replace('\n', "\r\n");
            assert_eq!(hexadecimal(&crlf), digest, "{crlf:?}");
        }
    }

    #[test]
    fn odd_headers_have_digests() {
        let empty = "d41d8cd98f00b204e9800998ecf8427e";
        for message in [
            "",
            "\n",
            "no field\n x\n\nDate: x\n",
            " folded\n\n",
            "To: x",
        ] {
            assert_eq!(hexadecimal(message), empty, "{message:?}");
        }
        let long = format!("Date: {}\n\n", "x".repeat(3 << 20));
        assert_ne!(hexadecimal(&long), empty);
    }
}
