//! Maildir file names: base, size fields, and the flags after `:2,`.
//!
//! ```text
//! <sec>.M<usec>P<pid>Q<counter>R<random>.<host>[,S=<octets>][,W=<octets>][:2,<letters>[,<foreign>]]
//! ```
//!
//! The base, everything before the first `:`, is the identity of a message; only it is compared.
//! What follows the last `:` is the info part, which any program may change by a rename at any
//! time. Letters and fields that we do not know belong to somebody else, and are kept.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use crate::flag::{FlagSet, Keywords, SystemFlag};
use crate::source::Source;

/// The identity of a message: everything before the first `:` of its file name.
pub fn base(name: &[u8]) -> &[u8] {
    let end = memchr::memchr(b':', name).unwrap_or(name.len());
    name.get(..end).unwrap_or_default()
}

/// What a file name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileName<'a> {
    /// The identity: everything before the first `:`.
    pub base: &'a [u8],
    /// The system flags, and the keywords with a letter at their positions.
    pub flags: FlagSet,
    /// The size of the file in octets (`S=`): a hint until the file has been looked at.
    pub size: Option<u64>,
    /// The size in CRLF form (`W=`): a hint until the file has been read.
    pub rfc822_size: Option<u64>,
}

impl<'a> FileName<'a> {
    /// Reads a name in `new/` or `cur/`; `None` if it begins with a dot or has no base, which
    /// makes it no message.
    pub fn parse(name: &'a [u8]) -> Option<Self> {
        let base = base(name);
        Self::is_message(name).then(|| Self {
            base,
            flags: flags(name),
            size: size_field(base, b",S="),
            rfc822_size: size_field(base, b",W="),
        })
    }

    /// Whether a file of this name is a message: it has a base, and does not begin with a dot.
    pub fn is_message(name: &[u8]) -> bool {
        !matches!(name.first(), None | Some(b':' | b'.'))
    }
}

/// The octets of the file that a name tells of.
pub(crate) fn physical_size(name: &[u8]) -> Option<u64> {
    size_field(base(name), b",S=")
}

/// The flags that a name tells of: the system flags, and the keywords with a letter at their
/// positions.
pub fn flags(name: &[u8]) -> FlagSet {
    let letters = split(name).letters.iter();
    letters.fold(FlagSet::EMPTY, |flags, &letter| flags.union(known(letter)))
}

/// The name with its flags replaced: `base:2,` and the letters in ASCII order. Letters that we do
/// not know and everything after a comma in the info part stay; keywords without a letter are
/// left out.
pub fn with_flags(name: &[u8], flags: FlagSet) -> Vec<u8> {
    let parts = split(name);
    let foreign = parts.letters.iter().copied();
    let mut letters: Vec<u8> = foreign
        .filter(|&letter| known(letter) == FlagSet::EMPTY)
        .chain(flags.system().map(SystemFlag::letter))
        .chain(flags.keywords().filter_map(keyword_letter))
        .collect();
    letters.sort_unstable();
    letters.dedup();
    [parts.stem, b":2,", &letters, parts.rest].concat()
}

/// The order in which messages that are found get their UIDs: time in the name, then base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SortKey<'a> {
    seconds: u64,
    microseconds: u64,
    base: &'a [u8],
}

impl<'a> SortKey<'a> {
    /// Of a file name. A part of the time that the name does not have counts as 0.
    pub fn new(name: &'a [u8]) -> Self {
        let base = base(name);
        let mut fields = base.split(|&byte| byte == b'.');
        let seconds = fields.next().map_or(0, leading_number);
        let unique = fields.next().unwrap_or_default();
        let microseconds = match unique.iter().position(|&byte| byte == b'M') {
            Some(position) => unique.get(position + 1..).map_or(0, leading_number),
            None => 0,
        };
        Self {
            seconds,
            microseconds,
            base,
        }
    }

    /// A number that is not greater than that of any greater key.
    pub(crate) fn coarse(&self) -> u64 {
        const MICROSECONDS: u64 = (1 << 20) - 1;
        const SECONDS: u64 = u64::MAX >> 20;
        if self.seconds >= SECONDS {
            return u64::MAX;
        }
        self.seconds << 20 | self.microseconds.min(MICROSECONDS)
    }
}

/// Makes the bases of new file names, unique also between processes and machines.
#[derive(Debug)]
pub struct Unique {
    process: u32,
    host: String,
    counter: AtomicU64,
}

impl Unique {
    /// For this process, on the host of this name.
    pub fn new(hostname: &str) -> Self {
        let mut host = String::new();
        for &byte in hostname.as_bytes().iter().take(MAX_HOST) {
            if byte.is_ascii_graphic() && !b"/:,\\".contains(&byte) {
                host.push(char::from(byte));
            } else {
                host.push_str(&format!("\\{byte:03o}"));
            }
        }
        if host.is_empty() {
            host.push_str("localhost");
        }
        Self {
            process: std::process::id(),
            host,
            counter: AtomicU64::new(0),
        }
    }

    /// The next base: `<sec>.M<usec>P<pid>Q<counter>R<random>.<host>`.
    pub fn next(&self, source: &Source) -> String {
        self.series(source).next()
    }

    /// Bases for many files of one command. They share the random number: what tells the bases of
    /// one process apart is the counter.
    pub fn series<'a>(&'a self, source: &'a Source) -> Series<'a> {
        Series {
            unique: self,
            source,
            random: source.random(),
        }
    }
}

/// Makes the bases of files that come together.
#[derive(Debug)]
pub struct Series<'a> {
    unique: &'a Unique,
    source: &'a Source,
    random: u64,
}

impl Series<'_> {
    /// The next base, as [`Unique::next`] makes it.
    pub fn next(&self) -> String {
        let time = self.source.wall().duration_since(UNIX_EPOCH);
        let time = time.unwrap_or_default();
        let counter = self.unique.counter.fetch_add(1, Ordering::Relaxed);
        let (process, host) = (self.unique.process, &self.unique.host);
        let mut base = String::with_capacity(USUAL);
        let written = write!(
            base,
            "{}.M{}P{process}Q{counter}R{:016x}.{host}",
            time.as_secs(),
            time.subsec_micros(),
            self.random,
        );
        debug_assert!(written.is_ok(), "a String takes everything");
        base
    }
}

/// The parts of a name around its flags.
struct Parts<'a> {
    /// Everything before the info part.
    stem: &'a [u8],
    /// The letters after `:2,`.
    letters: &'a [u8],
    /// A comma and what follows it, or nothing.
    rest: &'a [u8],
}

/// Cuts a name at its last `:`. An info part that is not `2,` has no flags and is dropped.
fn split(name: &[u8]) -> Parts<'_> {
    let colon = name.iter().rposition(|&byte| byte == b':');
    let (stem, info) = colon
        .and_then(|colon| name.split_at_checked(colon))
        .unwrap_or((name, b""));
    let info = info.strip_prefix(b":2,").unwrap_or_default();
    let comma = info.iter().position(|&byte| byte == b',');
    let (letters, rest) = comma
        .and_then(|comma| info.split_at_checked(comma))
        .unwrap_or((info, b""));
    Parts {
        stem,
        letters,
        rest,
    }
}

/// The flag of a letter; none if the letter is not ours.
fn known(letter: u8) -> FlagSet {
    if let Some(flag) = SystemFlag::from_letter(letter) {
        return FlagSet::EMPTY.with(flag);
    }
    match letter {
        b'a'..=b'z' => FlagSet::EMPTY.with_keyword(letter - b'a'),
        _ => FlagSet::EMPTY,
    }
}

/// The letter of a keyword's position, if it has one.
fn keyword_letter(position: u8) -> Option<u8> {
    (usize::from(position) < Keywords::LETTERS).then(|| b'a' + position)
}

/// The number of the first field that begins with `key` and ends where a field may end.
fn size_field(base: &[u8], key: &[u8]) -> Option<u64> {
    let start = base.windows(key.len()).position(|window| window == key)?;
    let value = base.get(start + key.len()..)?;
    let value = value.split(|&byte| byte == b',').next()?;
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(value).ok()?.parse().ok()
}

/// The digits at the start as a number; too many of them are the largest number.
fn leading_number(text: &[u8]) -> u64 {
    text.iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0u64, |number, &digit| {
            number
                .saturating_mul(10)
                .saturating_add(u64::from(digit - b'0'))
        })
}

/// How much of a host name goes into file names, so that these stay below 255 octets.
const MAX_HOST: usize = 32;
/// How many octets most names have at the most.
const USUAL: usize = 112;

#[cfg(test)]
mod tests {
    use super::{FileName, SortKey, Unique, base, with_flags};
    use crate::flag::{FlagSet, SystemFlag};
    use crate::source::Source;
    use proptest::prelude::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn flags(letters: &str) -> FlagSet {
        letters.bytes().fold(FlagSet::EMPTY, |flags, letter| {
            flags.union(super::known(letter))
        })
    }

    #[test]
    fn names_are_read() {
        let table = [
            ("1.M2P3.host", "1.M2P3.host", "", None, None),
            ("1.M2P3.host:2,", "1.M2P3.host", "", None, None),
            ("1.M2P3.host:2,FS", "1.M2P3.host", "FS", None, None),
            (
                "1.M2P3.host:2,DFRSTabz",
                "1.M2P3.host",
                "DFRSTabz",
                None,
                None,
            ),
            ("1.M2P3.host:2,PSX", "1.M2P3.host", "S", None, None),
            ("1.M2P3.host:2,S,T", "1.M2P3.host", "S", None, None),
            ("1.M2P3.host:1,S", "1.M2P3.host", "", None, None),
            ("1.M2P3.host:S", "1.M2P3.host", "", None, None),
            ("a:b:2,S", "a", "S", None, None),
            ("a:2,S:2,F", "a", "F", None, None),
            ("1.h,S=12:2,S", "1.h,S=12", "S", Some(12), None),
            (
                "1.h,S=12,W=13:2,S",
                "1.h,S=12,W=13",
                "S",
                Some(12),
                Some(13),
            ),
            ("1.h,W=13,S=12", "1.h,W=13,S=12", "", Some(12), Some(13)),
            ("1.h,S=", "1.h,S=", "", None, None),
            ("1.h,S=1x", "1.h,S=1x", "", None, None),
            ("1.h,S=+1", "1.h,S=+1", "", None, None),
            ("1.h,S=x,S=1", "1.h,S=x,S=1", "", None, None),
            ("1.h:2,S,S=5", "1.h", "S", None, None),
            (
                "1.h,S=18446744073709551615",
                "1.h,S=18446744073709551615",
                "",
                Some(u64::MAX),
                None,
            ),
            (
                "1.h,S=18446744073709551616",
                "1.h,S=18446744073709551616",
                "",
                None,
                None,
            ),
        ];
        for (name, base, letters, size, rfc822_size) in table {
            let expected = FileName {
                base: base.as_bytes(),
                flags: flags(letters),
                size,
                rfc822_size,
            };
            assert_eq!(FileName::parse(name.as_bytes()), Some(expected), "{name}");
        }
        for name in ["", ":2,S", ".hidden", ".:2,", ":", ".nfs0001:2,S"] {
            assert_eq!(FileName::parse(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn flags_are_replaced_and_the_rest_is_kept() {
        let table = [
            ("1.h", "", "1.h:2,"),
            ("1.h", "SF", "1.h:2,FS"),
            ("1.h:2,", "TSRFD", "1.h:2,DFRST"),
            ("1.h:2,DFRST", "", "1.h:2,"),
            ("1.h:2,ab", "bSz", "1.h:2,Sbz"),
            ("1.h:2,PS", "F", "1.h:2,FP"),
            ("1.h:2,ZP1S", "", "1.h:2,1PZ"),
            ("1.h:2,PP", "S", "1.h:2,PS"),
            ("1.h:2,S,foo,T", "F", "1.h:2,F,foo,T"),
            ("1.h:1,x", "S", "1.h:2,S"),
            ("1.h,S=5:2,S", "F", "1.h,S=5:2,F"),
            ("a:b:2,S", "F", "a:b:2,F"),
        ];
        for (name, letters, expected) in table {
            let changed = with_flags(name.as_bytes(), flags(letters));
            assert_eq!(changed, expected.as_bytes(), "{name}");
            assert_eq!(base(&changed), base(name.as_bytes()));
        }
    }

    #[test]
    fn keywords_past_the_letters_are_not_in_the_name() {
        let flags = FlagSet::EMPTY.with_keyword(25).with_keyword(26);
        assert_eq!(with_flags(b"1.h", flags), b"1.h:2,z");
    }

    #[test]
    fn messages_sort_by_the_time_in_the_name() {
        let sorted: [&[u8]; 10] = [
            b"b",
            b"a.M5.h",
            b"9.M1P1.h",
            b"10.M2P9.h:2,S",
            b"10.#0M9P9.h",
            b"10.M10P1.h",
            b"10.M10P2.h:2,",
            b"11.h",
            b"11.i",
            b"99999999999999999999999999.M1.h",
        ];
        let mut names = sorted;
        names.reverse();
        names.sort_by_key(|name| SortKey::new(name));
        assert_eq!(names, sorted);
    }

    #[test]
    fn new_names_are_unique_and_never_split() {
        let time = UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_042);
        let source = Source::new(move || time, || 0xABC);
        let unique = Unique::new("a/b:c,d\u{e9}.example");
        let (first, second) = (unique.next(&source), unique.next(&source));
        let process = std::process::id();
        assert_eq!(
            first,
            format!(
                "1700000000.M42P{process}Q0R0000000000000abc.a\\057b\\072c\\054d\\303\\251.example"
            )
        );
        assert_ne!(first, second);
        assert_eq!(base(first.as_bytes()), first.as_bytes());
        assert!(SortKey::new(first.as_bytes()) < SortKey::new(second.as_bytes()));
        assert!(Unique::new("").next(&source).ends_with(".localhost"));
        assert!(Unique::new(&"é".repeat(200)).next(&source).len() < 230);
    }

    fn any_flags() -> impl Strategy<Value = FlagSet> {
        any::<u64>().prop_map(FlagSet::from_bits)
    }

    /// The flags that a name can hold.
    fn in_name() -> FlagSet {
        FlagSet::from_bits((1 << (5 + 26)) - 1)
    }

    proptest! {
        #[test]
        fn flags_round_trip(name in "[a-z0-9.]{1,8}(,S=[0-9]{1,3})?(:2,[A-Za-z]{0,5}(,[a-z]{0,3})?)?", flags in any_flags()) {
            prop_assume!(!name.starts_with('.'));
            let changed = with_flags(name.as_bytes(), flags);
            let parsed = FileName::parse(&changed).unwrap();
            prop_assert_eq!(parsed.base, base(name.as_bytes()));
            prop_assert_eq!(parsed.flags, flags.without(flags.without(in_name())));
            prop_assert_eq!(with_flags(&changed, flags), changed.clone());
            prop_assert!(SystemFlag::ALL.iter().all(|flag| parsed.flags.has(*flag) == flags.has(*flag)));
        }

        #[test]
        fn any_bytes_never_panic(name in any::<Vec<u8>>(), flags in any_flags()) {
            let changed = with_flags(&name, flags);
            prop_assert_eq!(base(&changed), base(&name));
            prop_assert_eq!(SortKey::new(&changed), SortKey::new(&name));
            prop_assert_eq!(
                FileName::parse(&changed).map(|parsed| parsed.base),
                FileName::parse(&name).map(|parsed| parsed.base)
            );
        }
    }
}
