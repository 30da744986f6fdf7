//! FETCH responses, whole or in pieces (RFC 3501 §7.4.2).

use mailstore::Uid;

use crate::command::{
    BinarySection, BinaryWanted, FetchSection, Section, SectionName, SectionText,
};
use crate::extension::ObjectId;
use crate::response::FetchData;
use crate::types::SeqNum;

use super::{name_list, number, spaced, string};

/// A FETCH response of which the items are being written. It holds no output, so that what is
/// written can be sent in between.
#[derive(Debug)]
#[must_use = "an open response must be closed"]
pub struct Fetch {
    place: Place,
}

/// What a literal can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Literal {
    /// Any octets but NUL (RFC 3501 §9).
    WithoutNul,
    /// Any octets: a `literal8` (RFC 3516 §7).
    Any,
}

/// Where in a FETCH response the next item goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Directly after the parenthesis.
    First,
    /// After another item.
    Later,
}

/// Writes the beginning of `* n FETCH (…)`.
pub fn fetch_open(out: &mut Vec<u8>, seq: SeqNum) -> Fetch {
    open(out, seq.get(), b" FETCH (")
}

/// Writes the beginning of `uidfetch-resp = uniqueid SP "UIDFETCH" SP msg-att` (RFC 9586 §4).
pub fn uid_fetch_open(out: &mut Vec<u8>, uid: Uid) -> Fetch {
    open(out, uid.get(), b" UIDFETCH (")
}

fn open(out: &mut Vec<u8>, message: u32, name: &[u8]) -> Fetch {
    out.extend_from_slice(b"* ");
    number(out, message);
    out.extend_from_slice(name);
    Fetch {
        place: Place::First,
    }
}

impl Fetch {
    /// Writes one item.
    pub fn item(&mut self, out: &mut Vec<u8>, data: &FetchData) {
        self.separate(out);
        msg_att(out, data);
    }

    /// Writes the name of a section and the announcement of its octets, which the caller writes
    /// next, exactly `octets` of them.
    pub fn section_open(&mut self, out: &mut Vec<u8>, section: &FetchSection, octets: u64) {
        self.separate(out);
        section_name(out, section);
        announcement(out, octets);
    }

    /// The same, with a name that [`section_name`] wrote.
    pub fn named_section_open(&mut self, out: &mut Vec<u8>, name: &[u8], octets: u64) {
        self.separate(out);
        out.extend_from_slice(name);
        announcement(out, octets);
    }

    /// Writes the name of a decoded section and the announcement of its octets, which the caller
    /// writes next, exactly `octets` of them (RFC 3516 §4.3).
    pub fn binary_open(
        &mut self,
        out: &mut Vec<u8>,
        section: &BinarySection,
        octets: u64,
        literal: Literal,
    ) {
        self.separate(out);
        binary_name(out, section);
        match literal {
            Literal::WithoutNul => announcement(out, octets),
            Literal::Any => {
                out.extend_from_slice(format!(" ~{{{octets}}}\r\n").as_bytes());
            }
        }
    }

    /// Writes a decoded section that is not there.
    pub fn binary_nil(&mut self, out: &mut Vec<u8>, section: &BinarySection) {
        self.separate(out);
        binary_name(out, section);
        out.extend_from_slice(b" NIL");
    }

    /// Writes the size of a decoded section.
    pub fn binary_size(&mut self, out: &mut Vec<u8>, section: &BinarySection, octets: u64) {
        self.separate(out);
        binary_name(out, section);
        out.push(b' ');
        number(out, octets);
    }

    /// Writes the UID.
    pub fn uid(&mut self, out: &mut Vec<u8>, uid: Uid) {
        self.separate(out);
        out.extend_from_slice(b"UID ");
        number(out, uid.get());
    }

    /// Writes `"EMAILID" SP "(" objectid ")"` or the same of THREADID (RFC 8474 §7).
    pub fn object_id(&mut self, out: &mut Vec<u8>, name: &str, id: ObjectId) {
        self.separate(out);
        out.extend_from_slice(name.as_bytes());
        object_id(out, id);
    }

    /// Writes `"PREVIEW" SP nstring` (RFC 8970 §6).
    pub fn preview(&mut self, out: &mut Vec<u8>, preview: Option<&[u8]>) {
        self.separate(out);
        out.extend_from_slice(b"PREVIEW ");
        match preview {
            Some(preview) => string::string(out, preview),
            None => out.extend_from_slice(b"NIL"),
        }
    }

    /// Writes an item that is in wire form already, name and value.
    pub fn written(&mut self, out: &mut Vec<u8>, item: &[u8]) {
        self.separate(out);
        out.extend_from_slice(item);
    }

    /// Writes an item whose value is in wire form already.
    pub fn wire(&mut self, out: &mut Vec<u8>, name: &str, wire: &[u8]) {
        self.separate(out);
        out.extend_from_slice(name.as_bytes());
        out.push(b' ');
        out.extend_from_slice(wire);
    }

    /// Writes the end of the response.
    pub fn close(self, out: &mut Vec<u8>) {
        out.extend_from_slice(b")\r\n");
    }

    /// Whether nothing was written in it yet.
    pub fn is_empty(&self) -> bool {
        self.place == Place::First
    }

    /// Writes the space between items.
    fn separate(&mut self, out: &mut Vec<u8>) {
        if self.place == Place::Later {
            out.push(b' ');
        }
        self.place = Place::Later;
    }
}

/// Writes `msg-att-dynamic / msg-att-static` (RFC 3501 §9).
fn msg_att(out: &mut Vec<u8>, data: &FetchData) {
    match data {
        FetchData::Uid(uid) => {
            out.extend_from_slice(b"UID ");
            number(out, uid.get());
        }
        FetchData::ModSeq(mod_seq) => {
            out.extend_from_slice(b"MODSEQ (");
            number(out, mod_seq.get());
            out.push(b')');
        }
        FetchData::Flags(flags) => {
            out.extend_from_slice(b"FLAGS ");
            name_list(out, flags);
        }
        FetchData::InternalDate(seconds) => {
            out.extend_from_slice(b"INTERNALDATE ");
            date_time(out, *seconds);
        }
        FetchData::SaveDate(seconds) => {
            out.extend_from_slice(b"SAVEDATE ");
            match seconds {
                Some(seconds) => date_time(out, *seconds),
                None => out.extend_from_slice(b"NIL"),
            }
        }
        FetchData::Rfc822Size(octets) => {
            out.extend_from_slice(b"RFC822.SIZE ");
            number(out, *octets);
        }
        FetchData::Wire(name, wire) => {
            out.extend_from_slice(name.as_bytes());
            out.push(b' ');
            out.extend_from_slice(wire);
        }
        FetchData::Section(section, octets) => {
            section_name(out, section);
            out.push(b' ');
            match octets {
                Some(octets) => {
                    out.extend_from_slice(format!("{{{}}}\r\n", octets.len()).as_bytes());
                    out.extend_from_slice(octets);
                }
                None => out.extend_from_slice(b"NIL"),
            }
        }
    }
}

/// Writes `SP "(" objectid ")"` (RFC 8474 §7).
pub(super) fn object_id(out: &mut Vec<u8>, id: ObjectId) {
    out.extend_from_slice(b" (");
    id.write(out);
    out.push(b')');
}

/// Writes `SP "{" number "}" CRLF`.
fn announcement(out: &mut Vec<u8>, octets: u64) {
    out.extend_from_slice(b" {");
    number(out, octets);
    out.extend_from_slice(b"}\r\n");
}

/// Writes `"RFC822" [".HEADER" / ".TEXT"] / "BODY" section ["<" number ">"]` (RFC 3501 §9).
pub fn section_name(out: &mut Vec<u8>, fetched: &FetchSection) {
    match fetched.name {
        SectionName::Rfc822 => out.extend_from_slice(b"RFC822"),
        SectionName::Rfc822Header => out.extend_from_slice(b"RFC822.HEADER"),
        SectionName::Rfc822Text => out.extend_from_slice(b"RFC822.TEXT"),
        SectionName::Body => {
            out.extend_from_slice(b"BODY[");
            section_spec(out, &fetched.section);
            out.push(b']');
            if let Some(partial) = fetched.partial {
                out.extend_from_slice(format!("<{}>", partial.origin).as_bytes());
            }
        }
    }
}

/// Writes `"BINARY" section-binary ["<" number ">"] / "BINARY.SIZE" section-binary` (RFC 3516 §4.3,
/// §7).
fn binary_name(out: &mut Vec<u8>, section: &BinarySection) {
    let name: &[u8] = match section.wanted {
        BinaryWanted::Octets(..) => b"BINARY[",
        BinaryWanted::Size => b"BINARY.SIZE[",
    };
    out.extend_from_slice(name);
    section_part(out, &section.part);
    out.push(b']');
    if let BinaryWanted::Octets(Some(partial), _) = section.wanted {
        out.extend_from_slice(format!("<{}>", partial.origin).as_bytes());
    }
}

/// Writes `[section-spec]` (RFC 3501 §9).
fn section_spec(out: &mut Vec<u8>, section: &Section) {
    section_part(out, &section.part);
    if let Some(text) = &section.text {
        if !section.part.is_empty() {
            out.push(b'.');
        }
        section_text(out, text);
    }
}

/// Writes `section-part = nz-number *("." nz-number)` (RFC 3501 §9).
fn section_part(out: &mut Vec<u8>, part: &[u32]) {
    for (at, number_of_part) in part.iter().enumerate() {
        if at > 0 {
            out.push(b'.');
        }
        number(out, *number_of_part);
    }
}

/// Writes `section-text = section-msgtext / "MIME"` (RFC 3501 §9).
fn section_text(out: &mut Vec<u8>, text: &SectionText) {
    match text {
        SectionText::Header => out.extend_from_slice(b"HEADER"),
        SectionText::HeaderFields(names) => {
            out.extend_from_slice(b"HEADER.FIELDS ");
            header_list(out, names);
        }
        SectionText::HeaderFieldsNot(names) => {
            out.extend_from_slice(b"HEADER.FIELDS.NOT ");
            header_list(out, names);
        }
        SectionText::Text => out.extend_from_slice(b"TEXT"),
        SectionText::Mime => out.extend_from_slice(b"MIME"),
    }
}

/// Writes `header-list = "(" header-fld-name *(SP header-fld-name) ")"` (RFC 3501 §9).
fn header_list(out: &mut Vec<u8>, names: &[Vec<u8>]) {
    out.push(b'(');
    spaced(out, names, |out, name| string::astring(out, name));
    out.push(b')');
}

/// Writes `date-time` in Universal Time (RFC 3501 §9), for seconds since 1970. Times outside of
/// the years 0 to 9999 become the nearest one inside.
fn date_time(out: &mut Vec<u8>, seconds: i64) {
    let seconds = seconds.clamp(FIRST_SECOND, LAST_SECOND);
    let (days, time) = (
        seconds.div_euclid(DAY_SECONDS),
        seconds.rem_euclid(DAY_SECONDS),
    );
    let (year, month, day) = civil(days);
    let month = usize::try_from(month - 1)
        .ok()
        .and_then(|index| MONTHS.get(index))
        .unwrap_or(&"Jan");
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    let [day, year, hour, minute, second] =
        [day, year, hour, minute, second].map(|value| u16::try_from(value).unwrap_or(0));
    out.push(b'"');
    out.push(if day < 10 { b' ' } else { digit(day / 10) });
    out.push(digit(day));
    out.push(b'-');
    out.extend_from_slice(month.as_bytes());
    out.push(b'-');
    two_digits(out, year / 100);
    two_digits(out, year);
    for (before, value) in [(b' ', hour), (b':', minute), (b':', second)] {
        out.push(before);
        two_digits(out, value);
    }
    out.extend_from_slice(b" +0000\"");
}

/// Writes the last two digits of a number.
fn two_digits(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&[digit(value / 10), digit(value)]);
}

/// The last digit of a number.
fn digit(value: u16) -> u8 {
    u8::try_from(value % 10).map_or(b'0', |digit| b'0' + digit)
}

/// Year, month and day of a day counted from 1 January 1970, in the proleptic Gregorian calendar.
///
/// Years are counted from March, so that the leap day is the last of its year; a month's first day
/// is then a linear function of its number.
fn civil(days: i64) -> (i64, i64, i64) {
    // 1 March of the year 0 is 719,468 days before 1 January 1970.
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let (month, next_year) = if march_month < 10 {
        (march_month + 3, 0)
    } else {
        (march_month - 9, 1)
    };
    (era * 400 + year_of_era + next_year, month, day)
}

/// Seconds of a day.
const DAY_SECONDS: i64 = 86_400;

/// 1 January of the year 0, 00:00:00.
const FIRST_SECOND: i64 = -62_167_219_200;

/// 31 December 9999, 23:59:59.
const LAST_SECOND: i64 = 253_402_300_799;

/// `date-month` (RFC 3501 §9)
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
