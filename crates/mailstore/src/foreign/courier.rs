//! What Courier keeps beside its list: keywords, and the UIDLs that POP3 clients know.
//!
//! `courierimapkeywords/`, per mailbox: the file `:list` has the names of keywords, one per line,
//! an empty line, and then lines `<base>:<n> <n> …` with numbers of names. A newer state of a
//! message is in a file of its own, one name per line: `.<N>.<base>`, of which the highest N
//! counts, and `<base>`, which is newer than all.
//!
//! `courierpop3dsizelist`, in INBOX: a header `/<version> <next uid> [<uidv>]`, then lines
//! `<file> <size> [<uid>[:<uidv>[:…]]]`. The UIDL of a message is `UID<uid>-<uidv>`, or
//! `UID<uid>` if the second number is 0, or, if the first is, the base with every octet that may
//! not stand in a UIDL as `+XX`.

use std::collections::HashMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::read_whole;
use crate::error::{Error, Result};
use crate::filename::base;
use crate::flag::Keyword;
use crate::replace::failed;

/// The keywords of messages by base.
pub(crate) type KeywordsByBase = HashMap<Vec<u8>, Vec<Keyword>>;

/// Reads the keywords of the mailbox in `directory`; none if there are none. A name that is no
/// keyword (RFC 3501 §9) is left out, and so is a file that is none.
pub(crate) fn keywords(directory: &Path) -> Result<KeywordsByBase> {
    let path = directory.join(KEYWORDS);
    // A link could lead to somebody else's.
    if !fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
        return Ok(HashMap::new());
    }
    let entries = match fs::read_dir(&path) {
        Err(error) if is_absent(&error) => return Ok(HashMap::new()),
        entries => entries.map_err(failed(&path))?,
    };
    let mut states: HashMap<Vec<u8>, u64> = HashMap::new();
    for entry in entries {
        let name = entry.map_err(failed(&path))?.file_name();
        if let Some((base, age)) = state_of(name.as_bytes()) {
            let newest = states.entry(base.to_vec()).or_default();
            *newest = age.max(*newest);
        }
    }
    let mut keywords = match read_small(&path.join(":list"), MAX_LIST)? {
        Some(bytes) => parse_list(&bytes),
        None => HashMap::new(),
    };
    for (base, age) in states {
        let mut name = Vec::new();
        if age != NEWEST {
            name.extend_from_slice(format!(".{age}.").as_bytes());
        }
        name.extend_from_slice(&base);
        let file = path.join(std::ffi::OsStr::from_bytes(&name));
        if let Some(bytes) = read_small(&file, MAX_STATE)? {
            keywords.insert(base, names(&bytes).collect());
        }
    }
    keywords.retain(|_, keywords| !keywords.is_empty());
    Ok(keywords)
}

/// The base that a file in `courierimapkeywords/` is about, and how new it is.
fn state_of(name: &[u8]) -> Option<(&[u8], u64)> {
    if name.starts_with(b":") {
        return None;
    }
    let Some(rest) = name.strip_prefix(b".") else {
        return Some((base(name), NEWEST));
    };
    let dot = rest.iter().position(|&byte| byte == b'.')?;
    let (digits, after) = rest.split_at_checked(dot)?;
    let after = base(after.get(1..)?);
    let age: u64 = str::from_utf8(digits).ok()?.parse().ok()?;
    // A number written otherwise would not be found again by its value.
    let plain = age.to_string().as_bytes() == digits && age < NEWEST;
    (plain && !after.is_empty()).then_some((after, age))
}

fn parse_list(bytes: &[u8]) -> KeywordsByBase {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let named = lines.by_ref().take_while(|line| !line.is_empty());
    let named: Vec<Option<Keyword>> = named.map(keyword).collect();
    let mut keywords = HashMap::new();
    for line in lines {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            continue;
        };
        let (base, numbers) = line.split_at_checked(colon).unwrap_or_default();
        let numbers = numbers.get(1..).unwrap_or_default();
        let numbers = numbers.split(|&byte| byte == b' ').filter_map(number);
        let found = numbers.filter_map(|number| {
            let place = usize::try_from(number).ok()?;
            named.get(place)?.clone()
        });
        // No mailbox has more, so a longer line repeats itself.
        let found: Vec<Keyword> = found.take(named.len()).collect();
        if !base.is_empty() {
            keywords.insert(base.to_vec(), found);
        }
    }
    keywords
}

fn names(bytes: &[u8]) -> impl Iterator<Item = Keyword> {
    bytes.split(|&byte| byte == b'\n').filter_map(keyword)
}

fn keyword(name: &[u8]) -> Option<Keyword> {
    Keyword::new(str::from_utf8(name).ok()?)
}

/// A message in the list of POP3 sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pop3Message {
    pub(crate) base: Vec<u8>,
    /// Its size in CRLF form.
    pub(crate) size: u64,
    pub(crate) uidl: Vec<u8>,
}

/// Reads the list of POP3 sizes in `directory`, in its order; empty if there is none.
pub(crate) fn pop3_messages(directory: &Path) -> Result<Vec<Pop3Message>> {
    let bytes = read_small(&directory.join(POP3), MAX_LIST)?;
    Ok(bytes.map(|bytes| parse_pop3(&bytes)).unwrap_or_default())
}

fn parse_pop3(bytes: &[u8]) -> Vec<Pop3Message> {
    let lines = bytes.split_inclusive(|&byte| byte == b'\n');
    let whole = lines.filter_map(|line| line.strip_suffix(b"\n"));
    let messages = whole.filter(|line| !line.starts_with(b"/"));
    messages.filter_map(parse_pop3_line).collect()
}

fn parse_pop3_line(line: &[u8]) -> Option<Pop3Message> {
    let mut fields = line.split(|&byte| byte == b' ');
    let name = fields.next()?;
    let name = name.rsplit(|&byte| byte == b'/').next().unwrap_or(name);
    let base = base(name);
    let size = number(fields.next()?)?;
    let mut uid = fields
        .next()
        .unwrap_or_default()
        .split(|&byte| byte == b':');
    let mut value = || uid.next().and_then(number).unwrap_or_default();
    let uidl = match (value(), value()) {
        (0, _) => escaped(base),
        (uid, 0) => format!("UID{uid}").into_bytes(),
        (uid, uidv) => format!("UID{uid}-{uidv}").into_bytes(),
    };
    (!base.is_empty()).then(|| Pop3Message {
        base: base.to_vec(),
        size,
        uidl,
    })
}

/// A base as a UIDL.
fn escaped(base: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(base.len());
    for &byte in base {
        if byte.is_ascii_graphic() && !b"'\"+".contains(&byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("+{byte:02X}").as_bytes());
        }
    }
    out
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}

/// A file, unless it is none or too large.
fn read_small(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    match read_whole(path, limit) {
        Err(Error::Corrupt { path, problem }) => {
            tracing::warn!(path = %path.display(), problem, "not read");
            Ok(None)
        }
        read => Ok(read?.map(|(bytes, _)| bytes)),
    }
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
    )
}

/// The directory of keywords in a mailbox.
pub(crate) const KEYWORDS: &str = "courierimapkeywords";
/// The POP3 sizes, in INBOX.
pub(crate) const POP3: &str = "courierpop3dsizelist";
/// The age of a state without a number.
const NEWEST: u64 = u64::MAX;
/// The largest list: some four million messages.
const MAX_LIST: u64 = 512 << 20;
/// The largest state of one message.
const MAX_STATE: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(keywords: &KeywordsByBase) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let line = |(base, keywords): (&Vec<u8>, &Vec<Keyword>)| {
            let names: Vec<&str> = keywords.iter().map(Keyword::as_str).collect();
            format!("{} {}", text(base), names.join(","))
        };
        let mut lines: Vec<String> = keywords.iter().map(line).collect();
        lines.sort();
        lines
    }

    #[test]
    fn the_newest_state_of_a_message_counts() {
        let mailbox = tempfile::tempdir().unwrap();
        let path = mailbox.path().join(KEYWORDS);
        assert!(keywords(mailbox.path()).unwrap().is_empty());
        fs::create_dir(&path).unwrap();
        let list = "Junk\nbad name\n$Work\n\n1.a:0\n1.b:2 0\n1.c:0 1 9 x\n1.d:0\nnone\n1.e:0";
        let files = [
            (":list", list),
            (".5.1.a", "$Work\n"),
            (".6.1.a", "Later\n"),
            (".07.1.a", "odd\n"),
            (".7.1.b", "Later\n"),
            ("1.b", "$Work\nNewest\n"),
            ("1.d", ""),
            (".x.1.a", "odd\n"),
            (".9", "odd\n"),
            (":tmp", "odd\n"),
        ];
        for (name, contents) in files {
            fs::write(path.join(name), contents).unwrap();
        }
        fs::create_dir(path.join("1.dir")).unwrap();
        let expected = ["1.a Later", "1.b $Work,Newest", "1.c Junk", "1.e Junk"];
        assert_eq!(shown(&keywords(mailbox.path()).unwrap()), expected);
    }

    #[test]
    fn the_keywords_of_somebody_else_are_not_read() {
        let mailbox = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        fs::write(other.path().join("1.a"), "Secret\n").unwrap();
        let path = mailbox.path().join(KEYWORDS);
        for target in [other.path(), Path::new(KEYWORDS)] {
            std::os::unix::fs::symlink(target, &path).unwrap();
            assert!(keywords(mailbox.path()).unwrap().is_empty());
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn every_version_of_pop3_sizes_is_read() {
        let mailbox = tempfile::tempdir().unwrap();
        assert!(pop3_messages(mailbox.path()).unwrap().is_empty());
        let table = [
            ("/3 7 99\n1.a 12 5:99:0\n", "1.a", 12, "UID5-99"),
            ("/2 7 99\n1.a 12 5:99\n", "1.a", 12, "UID5-99"),
            ("/2 7 99\n1.a 12 5:0\n", "1.a", 12, "UID5"),
            ("/1 7\ncur/1.a:2,S 12 5\n", "1.a", 12, "UID5"),
            (
                "1.a+b'c\"d\u{7f} 12\n",
                "1.a+b'c\"d\u{7f}",
                12,
                "1.a+2Bb+27c+22d+7F",
            ),
            ("/3 7 99\n1.a 12 0:0:0\n", "1.a", 12, "1.a"),
        ];
        for (file, base, size, uidl) in table {
            fs::write(mailbox.path().join(POP3), file).unwrap();
            let messages = pop3_messages(mailbox.path()).unwrap();
            let expected = Pop3Message {
                base: base.into(),
                size,
                uidl: uidl.into(),
            };
            assert_eq!(messages, [expected], "{file}");
        }
        let odd = b"/3 7 99\n\nx\n1.a\n1.a y 5:9\n:2,S 12 5:9:0\n1.b 12 5:9";
        assert!(parse_pop3(odd).is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for message in parse_pop3(&bytes) {
                prop_assert!(message.uidl.iter().all(u8::is_ascii_graphic));
            }
            drop(parse_list(&bytes));
            prop_assert!(state_of(&bytes).is_none_or(|(base, _)| bytes.ends_with(base) || bytes.contains(&b':')));
        }
    }
}
