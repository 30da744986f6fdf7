//! `dovecot-keywords`: the names of the keyword letters of one mailbox, shared with other programs.
//!
//! Lines of `<0..25> <keyword>`; the number is the letter, counted from `a`. Names compare without
//! case and the first one wins; a line that is anything else is ignored. Written under the lock of
//! the mailbox and `dovecot-keywords.lock`, as a whole; since other programs only compare the
//! modification time in seconds, that always grows.

use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::error::Result;
use crate::flag::{FlagSet, Keyword, Keywords};
use crate::lock::Dotlock;
use crate::replace::{Replacement, read};

/// The keywords that have letters in the mailbox in `directory`, and when the file was last
/// changed (`None` without a file).
pub(crate) fn load(directory: &Path) -> Result<(Keywords, Option<SystemTime>)> {
    match read(&directory.join(FILE))? {
        Some(contents) => Ok((parse(&contents.bytes), Some(contents.modified))),
        None => Ok((Keywords::default(), None)),
    }
}

/// Writes the keywords that have letters. The caller holds the lock of the mailbox.
pub(crate) fn store(directory: &Path, keywords: &Keywords) -> Result<()> {
    let path = directory.join(FILE);
    let replacement = Replacement::begin(&path)?;
    let _lock = Dotlock::acquire(&directory.join(LOCK), TIMEOUT, || {
        replacement.file_system_time()
    })?;
    let before = std::fs::symlink_metadata(&path);
    let before = before.and_then(|metadata| metadata.modified()).ok();
    replacement.commit(write(keywords).as_bytes(), before)
}

/// Gives a name to every letter in `used` that has none: `unknown-<number>`, as other programs
/// call it, with `?` added until it is unique. A letter never changes its meaning by that.
pub(crate) fn name_letters(keywords: &mut Keywords, used: FlagSet) {
    for position in used.keywords() {
        if is_letter(position) && keywords.get(position).is_none() {
            set_unknown(keywords, position);
        }
    }
}

fn parse(bytes: &[u8]) -> Keywords {
    let mut keywords = Keywords::default();
    for line in bytes.split(|&byte| byte == b'\n') {
        let Some((position, name)) = parse_line(line) else {
            continue;
        };
        if keywords.get(position).is_some() {
            continue;
        }
        // A name that no client could be shown keeps its letter from being given away.
        match str::from_utf8(name).ok().and_then(Keyword::new) {
            Some(keyword) if keywords.position(&keyword).is_none() => {
                keywords.set(position, keyword);
            }
            Some(_) | None => set_unknown(&mut keywords, position),
        }
    }
    keywords
}

fn parse_line(line: &[u8]) -> Option<(u8, &[u8])> {
    let space = line.iter().position(|&byte| byte == b' ')?;
    let (number, name) = line.split_at_checked(space)?;
    let name = name.get(1..)?;
    if name.is_empty() || !number.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let position: u8 = str::from_utf8(number).ok()?.parse().ok()?;
    is_letter(position).then_some((position, name))
}

fn write(keywords: &Keywords) -> String {
    let letters = keywords.iter().filter(|(position, _)| is_letter(*position));
    letters
        .map(|(position, keyword)| format!("{position} {keyword}\n"))
        .collect()
}

fn is_letter(position: u8) -> bool {
    usize::from(position) < Keywords::LETTERS
}

fn set_unknown(keywords: &mut Keywords, position: u8) {
    let mut name = format!("unknown-{position}");
    while let Some(keyword) = Keyword::new(&name) {
        if keywords.position(&keyword).is_none() {
            keywords.set(position, keyword);
            return;
        }
        name.push('?');
    }
}

/// The file in the mailbox's directory.
const FILE: &str = "dovecot-keywords";
/// Its lock file.
const LOCK: &str = "dovecot-keywords.lock";
/// How long to wait for another program that changes it.
const TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::{load, name_letters, parse, store, write};
    use crate::flag::{FlagSet, Keyword, Keywords};
    use proptest::prelude::*;
    use std::fs;
    use std::time::{Duration, UNIX_EPOCH};

    fn list(keywords: &Keywords) -> Vec<(u8, &str)> {
        let names = keywords.iter();
        names
            .map(|(position, keyword)| (position, keyword.as_str()))
            .collect()
    }

    #[test]
    fn lines_are_read_and_others_ignored() {
        let file = b"0 $Forwarded\n1 NonJunk\n\nJunk\n26 Beyond\n-1 Minus\n+2 Plus\n4 \n300 Big\n25 Last\n3 no newline";
        let keywords = parse(file);
        assert_eq!(
            list(&keywords),
            [
                (0, "$Forwarded"),
                (1, "NonJunk"),
                (3, "unknown-3"),
                (25, "Last")
            ]
        );
    }

    #[test]
    fn the_first_name_and_the_first_number_win() {
        let keywords = parse(b"0 Junk\n0 Other\n1 JUNK\n2 unknown-1\n");
        assert_eq!(
            list(&keywords),
            [(0, "Junk"), (1, "unknown-1"), (2, "unknown-2")]
        );
    }

    #[test]
    fn letters_without_a_name_get_one() {
        let mut keywords = parse(b"0 a\n1 UNKNOWN-3\n2 unknown-3?\n");
        let used = FlagSet::EMPTY
            .with_keyword(0)
            .with_keyword(3)
            .with_keyword(40);
        name_letters(&mut keywords, used);
        assert_eq!(
            list(&keywords),
            [
                (0, "a"),
                (1, "UNKNOWN-3"),
                (2, "unknown-3?"),
                (3, "unknown-3??")
            ]
        );
    }

    #[test]
    fn only_letters_are_written() {
        let mut keywords = Keywords::default();
        keywords.set(2, Keyword::new("two").unwrap());
        keywords.set(25, Keyword::new("last").unwrap());
        keywords.set(26, Keyword::new("beyond").unwrap());
        assert_eq!(write(&keywords), "2 two\n25 last\n");
    }

    #[test]
    fn every_write_is_a_later_second() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        assert_eq!(load(path).unwrap(), (Keywords::default(), None));
        let mut keywords = Keywords::default();
        let mut last = UNIX_EPOCH;
        for name in ["one", "two", "three"] {
            keywords.add(&Keyword::new(name).unwrap());
            store(path, &keywords).unwrap();
            let (loaded, modified) = load(path).unwrap();
            assert_eq!(loaded, keywords);
            let whole = Duration::from_secs(1);
            let modified = modified.unwrap();
            let seconds =
                |time: std::time::SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_secs();
            assert!(seconds(modified) >= seconds(last + whole));
            last = modified;
        }
        let names: Vec<_> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["dovecot-keywords"]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(names in proptest::collection::btree_map(0u8..26, "[a-z$]{1,6}", 0..26)) {
            let mut keywords = Keywords::default();
            for (position, name) in &names {
                let keyword = Keyword::new(name).unwrap();
                if keywords.position(&keyword).is_none() {
                    keywords.set(*position, keyword);
                }
            }
            let again = parse(write(&keywords).as_bytes());
            prop_assert_eq!(list(&again), list(&keywords));
        }

        #[test]
        fn any_bytes_never_panic(bytes in any::<Vec<u8>>()) {
            let keywords = parse(&bytes);
            let again = parse(write(&keywords).as_bytes());
            prop_assert_eq!(list(&again), list(&keywords));
        }
    }
}
