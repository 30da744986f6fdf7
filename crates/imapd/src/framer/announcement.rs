//! Announcements of literals at the end of a line (RFC 3501 §4.3, RFC 7888 §6).

/// A literal that was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// How many octets it has.
    pub octets: u64,
    /// Whether the client waits.
    pub kind: Literal,
}

/// Whether a client waits before it sends a literal (RFC 7888 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Literal {
    /// `{n}`: it waits for `+ …`.
    Sync,
    /// `{n+}`: it does not.
    NonSync,
}

/// What the end of a line says about a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Announcement {
    /// Nothing: the command ends here.
    None,
    /// A literal follows.
    Literal(Announced),
    /// A literal follows, of a size that cannot be told.
    Unreadable(Literal),
}

impl Announcement {
    /// How many octets at the end of a line decide about an announcement.
    pub(super) const WINDOW: usize = 32;

    /// `"{" number ["+"] "}"` at the end of a line (RFC 7888 §6), with a number of at most 64 bits.
    ///
    /// Only the last [`Self::WINDOW`] octets are looked at, so that a line which is not kept whole
    /// means the same; more digits than that are no number anyway.
    pub(super) fn at_end_of(line: &[u8]) -> Self {
        let window = line.len().saturating_sub(Self::WINDOW);
        let line = line.get(window..).unwrap_or_default();
        let Some(line) = line.strip_suffix(b"}") else {
            return Self::None;
        };
        let (line, kind) = match line.strip_suffix(b"+") {
            Some(line) => (line, Literal::NonSync),
            None => (line, Literal::Sync),
        };
        let digits = line
            .iter()
            .rev()
            .take_while(|octet| octet.is_ascii_digit())
            .count();
        let (before, digits) = line.split_at(line.len() - digits);
        if digits.is_empty() || !(before.is_empty() || before.ends_with(b"{")) {
            return Self::None;
        }
        let octets = str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse().ok());
        match octets {
            Some(octets) if before.ends_with(b"{") => Self::Literal(Announced { octets, kind }),
            _ if before.is_empty() && window == 0 => Self::None,
            Some(_) | None => Self::Unreadable(kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements_are_read() {
        let literal = |octets, kind| Announcement::Literal(Announced { octets, kind });
        let table: [(&str, Announcement); 17] = [
            ("a LOGIN {5}", literal(5, Literal::Sync)),
            ("a LOGIN {5+}", literal(5, Literal::NonSync)),
            ("{0}", literal(0, Literal::Sync)),
            ("{0005+}", literal(5, Literal::NonSync)),
            ("{18446744073709551615}", literal(u64::MAX, Literal::Sync)),
            (
                "{18446744073709551616}",
                Announcement::Unreadable(Literal::Sync),
            ),
            (
                "{18446744073709551616+}",
                Announcement::Unreadable(Literal::NonSync),
            ),
            (
                "{00000000000000000000000000000000000000000000001+}",
                Announcement::Unreadable(Literal::NonSync),
            ),
            ("5}", Announcement::None),
            ("x5}", Announcement::None),
            ("{}", Announcement::None),
            ("{+}", Announcement::None),
            ("{-5}", Announcement::None),
            ("{5 }", Announcement::None),
            ("{5++}", Announcement::None),
            ("\"{5}\"", Announcement::None),
            ("", Announcement::None),
        ];
        for (line, expected) in table {
            assert_eq!(
                Announcement::at_end_of(line.as_bytes()),
                expected,
                "{line:?}"
            );
        }
    }
}
