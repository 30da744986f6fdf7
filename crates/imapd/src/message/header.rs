//! Header fields (RFC 5322 §2.2): where they are, not what they mean.

use std::borrow::Cow;

use super::steps;

/// A header section, or fields taken from one, with the blank line if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a>(&'a [u8]);

impl<'a> Header<'a> {
    /// A header by its octets; what follows a blank line is not looked at.
    pub fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    /// Its octets.
    pub fn octets(self) -> &'a [u8] {
        self.0
    }

    /// The fields that are wanted, as they are, and the blank line if there is one
    /// (RFC 3501 §6.4.5).
    pub(super) fn subset(self, mut wanted: impl FnMut(&Field<'_>) -> bool) -> Vec<u8> {
        let mut out = Vec::new();
        for field in Fields::new(self.0) {
            if wanted(&field) {
                out.extend_from_slice(field.raw);
            }
        }
        if has_blank_line(self.0) {
            out.extend_from_slice(b"\r\n");
        }
        out
    }
}

/// One header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field<'a> {
    /// All of it: name, colon, folded value, line end.
    pub(super) raw: &'a [u8],
    /// The field name; empty if the line is no field.
    pub(super) name: &'a [u8],
    /// What comes after the colon, still folded.
    pub(super) value: &'a [u8],
}

impl<'a> Field<'a> {
    /// Takes a field apart. Without a colon after a proper name there is neither name nor value.
    fn new(raw: &'a [u8]) -> Self {
        let malformed = Self {
            raw,
            name: b"",
            value: b"",
        };
        let Some(colon) = raw
            .iter()
            .position(|&octet| octet == b':' || octet == b'\n')
        else {
            return malformed;
        };
        let (name, rest) = raw.split_at(colon);
        let Some((b':', value)) = rest.split_first() else {
            return malformed;
        };
        let name = trim_end(name);
        if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
            return malformed;
        }
        Self { raw, name, value }
    }

    /// Whether this is the field of that name (RFC 5322 §1.2.2: names in any case).
    pub(super) fn is(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The value on one line.
    pub(super) fn unfolded(&self) -> Cow<'a, [u8]> {
        unfold(self.value)
    }
}

/// The fields of a header, in order, up to the blank line.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The fields of a header section.
    pub(super) fn new(header: &'a [u8]) -> Self {
        Self { rest: header }
    }

    /// The first field of that name.
    pub(super) fn named(header: &'a [u8], name: &[u8]) -> Option<Field<'a>> {
        Self::new(header).find(|field| field.is(name))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        if self.rest.is_empty() || is_blank(self.rest) {
            return None;
        }
        let mut len = 0;
        loop {
            let rest = self.rest.get(len..).unwrap_or_default();
            let line = line_len(rest);
            len += line;
            let next = rest.get(line).copied();
            if line == 0 || !matches!(next, Some(b' ' | b'\t')) {
                break;
            }
        }
        steps::add(len);
        let (raw, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(Field::new(raw))
    }
}

/// The length of the first line, with its line end.
pub(super) fn line_len(text: &[u8]) -> usize {
    memchr::memchr(b'\n', text).map_or(text.len(), |end| end + 1)
}

/// Whether text begins with a blank line.
pub(super) fn is_blank(text: &[u8]) -> bool {
    text.starts_with(b"\r\n") || text.starts_with(b"\n")
}

/// Whether a header section ends with the blank line that separates it from the body.
pub(super) fn has_blank_line(header: &[u8]) -> bool {
    matches!(header, b"\r\n" | b"\n") || header.ends_with(b"\n\r\n") || header.ends_with(b"\n\n")
}

/// Removes folding and the white space around (RFC 5322 §2.2.3).
pub(super) fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    steps::add(value.len());
    let value = trim(value);
    if memchr::memchr(b'\n', value).is_none() {
        return Cow::Borrowed(value);
    }
    let mut out = Vec::with_capacity(value.len());
    for line in value.split_inclusive(|&octet| octet == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        out.extend_from_slice(text.strip_suffix(b"\r").unwrap_or(text));
    }
    Cow::Owned(out)
}

/// Without white space and line ends around.
pub(super) fn trim(text: &[u8]) -> &[u8] {
    let text = trim_end(text);
    let start = text.iter().position(|&octet| !is_space(octet));
    text.get(start.unwrap_or(text.len())..).unwrap_or_default()
}

/// Without white space and line ends behind.
pub(super) fn trim_end(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|&octet| !is_space(octet));
    text.get(..end.map_or(0, |end| end + 1)).unwrap_or_default()
}

/// Whether an octet is white space or part of a line end.
pub(super) fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_folding_and_malformed_lines() {
        let header =
            b" lost\r\nA: 1\r\n\t2\r\nno field\r\nFrom x y 10:00\r\nB :\r\n\r\nBody: x\r\n";
        let fields: Vec<_> = Fields::new(header).collect();
        let names: Vec<&[u8]> = fields.iter().map(|field| field.name).collect();
        assert_eq!(names, [b"" as &[u8], b"A", b"", b"", b"B"]);
        assert_eq!(fields[1].raw, b"A: 1\r\n\t2\r\n");
        assert_eq!(fields[1].unfolded().as_ref(), b"1\t2");
        assert_eq!(fields[4].unfolded().as_ref(), b"");
    }

    #[test]
    fn a_header_may_end_anywhere() {
        assert_eq!(Fields::new(b"").count(), 0);
        assert_eq!(Fields::new(b"\r\nA: 1\r\n").count(), 0);
        let field = Fields::new(b"A: 1").next().unwrap();
        assert_eq!((field.raw, field.value), (b"A: 1" as &[u8], b" 1" as &[u8]));
    }

    #[test]
    fn blank_lines_are_found() {
        for (header, expected) in [
            (b"" as &[u8], false),
            (b"\r\n", true),
            (b"A: 1\r\n", false),
            (b"A: 1\r\n\r\n", true),
        ] {
            assert_eq!(has_blank_line(header), expected, "{header:?}");
        }
    }
}
