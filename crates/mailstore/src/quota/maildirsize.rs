//! `maildirsize` in the root of an account: the quota file of Maildir++, for other programs.
//!
//! The first line has the limits, `<octets>S,<messages>C`, and each of the others what was added or
//! removed, `<octets> <messages>`; together they are the usage. Whoever adds or removes messages
//! appends a line, without a lock. Whoever finds the file too long, or wrong, counts and replaces it.
//!
//! It is written here, and of what it says only the limits are used: other programs deliver without
//! telling it. So it can be wrong, and when a count finds the same difference twice while nobody has
//! written to the file, it is replaced. One count is not enough, because a delivery agent puts the
//! message in its place before it writes the line.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::OFlags;

use super::{Limits, Usage};
use crate::error::{Error, Result};
use crate::replace::{Replacement, failed, open_regular, read};

/// The file as far as it is known.
#[derive(Debug)]
pub(super) struct MaildirsizeFile {
    path: PathBuf,
    /// What the file was like when it was last read, and what it said.
    seen: Option<(Version, Said)>,
    /// The version that did not agree with a count.
    doubted: Option<Version>,
}

/// What tells one state of the file from another.
type Version = (u64, SystemTime);

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Said {
    limits: Limits,
    /// The sum of its lines; `None` if they make no sense.
    usage: Option<Usage>,
}

/// What is added, or taken away if it is below 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) messages: i64,
    pub(crate) octets: i64,
}

impl Change {
    /// What comes.
    pub(crate) fn adding(usage: Usage) -> Self {
        Self {
            messages: i64::try_from(usage.messages).unwrap_or(i64::MAX),
            octets: i64::try_from(usage.octets).unwrap_or(i64::MAX),
        }
    }

    /// What goes.
    pub(crate) fn removing(usage: Usage) -> Self {
        let Self { messages, octets } = Self::adding(usage);
        Self {
            messages: -messages,
            octets: -octets,
        }
    }

    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            messages: self.messages.saturating_add(other.messages),
            octets: self.octets.saturating_add(other.octets),
        }
    }
}

impl MaildirsizeFile {
    /// That of the account in `root`; nothing is read yet.
    pub(super) fn of(root: &Path) -> Self {
        Self {
            path: root.join(NAME),
            seen: None,
            doubted: None,
        }
    }

    /// Whether there is such a file.
    pub(super) fn exists(&self) -> bool {
        self.path.symlink_metadata().is_ok()
    }

    /// The limits in its first line, if there is such a file and it has any.
    pub(super) fn limits(&mut self) -> Option<Limits> {
        let (_, said) = self.look()?;
        (said.limits != Limits::NONE).then_some(said.limits)
    }

    /// Has the next count replace the file if the two do not agree.
    pub(super) fn doubt(&mut self) {
        self.doubted = self.look().map(|(version, _)| version);
    }

    /// Tells of messages that have come or gone, if the file is there.
    pub(super) fn append(&self, change: Change) {
        if change == Change::default() {
            return;
        }
        let line = format!("{} {}\n", change.octets, change.messages);
        let flags = OFlags::WRONLY | OFlags::APPEND;
        let written = open_regular(&self.path, flags)
            .and_then(|mut file| file.write_all(line.as_bytes()).map_err(failed(&self.path)));
        match written {
            Ok(()) | Err(Error::NotFound) => {}
            // Found by the next count.
            Err(error) => tracing::debug!(%error, "maildirsize not written"),
        }
    }

    /// Compares the file with a count, and replaces it if it must be: if there are too many lines,
    /// or it is wrong for the second time. `limits` are for one that is new, or for every one.
    pub(super) fn reconcile(&mut self, counted: Usage, own: Own, limits: Limits) {
        let limits = match (self.look(), own) {
            (None, Own::Neighbours) => return,
            (None, Own::Ours) => limits,
            (Some((version, said)), own) => {
                let kept = match own {
                    Own::Ours => limits,
                    Own::Neighbours => said.limits,
                };
                let agrees = said.usage == Some(counted);
                let doubted = self.doubted.replace(version) == Some(version);
                if agrees {
                    self.doubted = None;
                }
                let short = version.0 < MOST_OCTETS;
                if short && kept == said.limits && (agrees || said.usage.is_some() && !doubted) {
                    return;
                }
                kept
            }
        };
        self.doubted = None;
        if let Err(error) = self.replace(counted, limits) {
            tracing::warn!(%error, "maildirsize not written");
        }
    }

    fn replace(&mut self, counted: Usage, limits: Limits) -> Result<()> {
        let text = format!(
            "{}\n{} {}\n",
            first_line(limits),
            counted.octets,
            counted.messages
        );
        self.seen = None;
        Replacement::begin(&self.path)?.commit(text.as_bytes(), None)
    }

    /// Reads the file if it has changed.
    fn look(&mut self) -> Option<(Version, Said)> {
        let metadata = self.path.symlink_metadata().ok()?;
        let version = (metadata.len(), metadata.modified().ok()?);
        if let Some((seen, said)) = self.seen
            && seen == version
        {
            return Some((version, said));
        }
        let said = match read(&self.path) {
            Ok(contents) => parse(&contents?.bytes),
            Err(error) => {
                tracing::debug!(%error, "maildirsize not read");
                return None;
            }
        };
        self.seen = Some((version, said));
        Some((version, said))
    }
}

/// Whose limits are in the first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    /// Ours.
    Ours,
    /// Those that another program has put there.
    Neighbours,
}

/// The limits as the file has them: octets that are not limited are 0, if messages are not either.
fn first_line(limits: Limits) -> String {
    match (limits.storage, limits.messages) {
        (Some(octets), Some(messages)) => format!("{octets}S,{messages}C"),
        (None, Some(messages)) => format!("{messages}C"),
        (octets, None) => format!("{}S", octets.unwrap_or(0)),
    }
}

/// Reads the file. A last line without an end is not finished yet.
fn parse(text: &[u8]) -> Said {
    let text = String::from_utf8_lossy(text);
    let whole = text.rfind('\n').and_then(|end| text.get(..end));
    let mut lines = whole.unwrap_or_default().split('\n');
    Said {
        limits: limits(lines.next().unwrap_or_default()),
        usage: sum(lines),
    }
}

/// The limits in a first line; 0 is none.
fn limits(line: &str) -> Limits {
    let mut limits = Limits::NONE;
    for word in line.trim().split(',') {
        let limit = |number: &str| number.parse().ok().filter(|limit| *limit > 0);
        if let Some(number) = word.strip_suffix('S') {
            limits.storage = limit(number);
        } else if let Some(number) = word.strip_suffix('C') {
            limits.messages = limit(number);
        }
    }
    limits
}

/// What the lines come to, if they make sense.
fn sum<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Usage> {
    let (mut octets, mut messages, mut any) = (0i64, 0i64, false);
    for line in lines {
        let mut words = line.split_whitespace();
        octets = octets.checked_add(words.next()?.parse().ok()?)?;
        messages = messages.checked_add(words.next()?.parse().ok()?)?;
        any = true;
    }
    let usage = Usage {
        messages: messages.try_into().ok()?,
        octets: octets.try_into().ok()?,
    };
    any.then_some(usage)
}

/// The file.
const NAME: &str = "maildirsize";
/// A file of so many octets is replaced, as Maildir++ has it.
const MOST_OCTETS: u64 = 5120;

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(messages: u64, octets: u64) -> Usage {
        Usage { messages, octets }
    }

    #[test]
    fn files_of_other_programs_are_understood() {
        let limits = |storage, messages| Limits { storage, messages };
        let rows: [(&str, Limits, Option<Usage>); 11] = [
            (
                "1000000S,1000C\n5 1\n7 1\n-5 -1\n",
                limits(Some(1_000_000), Some(1000)),
                Some(usage(1, 7)),
            ),
            // Courier pads.
            (
                "10C,20S\n           115           2\n",
                limits(Some(20), Some(10)),
                Some(usage(2, 115)),
            ),
            ("0S\n5 1\n", Limits::NONE, Some(usage(1, 5))),
            ("5S\n5 1\n7 1", limits(Some(5), None), Some(usage(1, 5))),
            ("5S\n", limits(Some(5), None), None),
            ("5S", Limits::NONE, None),
            ("", Limits::NONE, None),
            ("5S\n5\n", limits(Some(5), None), None),
            ("5S\n-5 1\n", limits(Some(5), None), None),
            ("5S\nx 1\n", limits(Some(5), None), None),
            ("5X,é\n9223372036854775807 1\n1 1\n", Limits::NONE, None),
        ];
        for (text, limits, usage) in rows {
            assert_eq!(parse(text.as_bytes()), Said { limits, usage }, "{text:?}");
        }
    }

    #[test]
    fn first_lines_come_back() {
        for (storage, messages) in [
            (Some(5), Some(6)),
            (None, Some(6)),
            (Some(5), None),
            (None, None),
        ] {
            let all = Limits { storage, messages };
            assert_eq!(limits(&first_line(all)), all);
        }
    }

    #[test]
    fn a_file_is_replaced_when_it_is_wrong_twice_or_too_long() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(NAME);
        let text = || std::fs::read_to_string(&path).unwrap();
        let mut file = MaildirsizeFile::of(root.path());
        let ours = Limits {
            storage: Some(9),
            messages: None,
        };
        file.reconcile(usage(1, 5), Own::Neighbours, ours);
        assert!(!path.exists());
        file.append(Change::adding(usage(1, 5)));
        assert!(!path.exists());

        std::fs::write(&path, "100S\n5 1\n").unwrap();
        file.reconcile(usage(1, 5), Own::Neighbours, ours);
        file.append(Change::adding(usage(1, 7)));
        file.append(Change::removing(usage(2, 12)));
        file.append(Change::default());
        assert_eq!(text(), "100S\n5 1\n7 1\n-12 -2\n");
        file.reconcile(usage(3, 3), Own::Neighbours, ours);
        assert_eq!(
            text(),
            "100S\n5 1\n7 1\n-12 -2\n",
            "perhaps a line is on its way"
        );
        file.reconcile(usage(3, 3), Own::Neighbours, ours);
        assert_eq!(text(), "100S\n3 3\n");

        std::fs::write(&path, format!("100S\n{}", "1 1\n".repeat(1300))).unwrap();
        file.reconcile(usage(1300, 1300), Own::Neighbours, ours);
        assert_eq!(text(), "100S\n1300 1300\n");
        file.reconcile(usage(1300, 1300), Own::Ours, ours);
        assert_eq!(text(), "9S\n1300 1300\n");
        std::fs::remove_file(&path).unwrap();
        file.reconcile(usage(2, 3), Own::Ours, ours);
        assert_eq!(text(), "9S\n3 2\n");
    }
}
