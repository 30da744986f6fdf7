//! The subscription list of an account: `subscriptions` in the root, shared with other programs.
//!
//! Two formats are read, and an existing file keeps its own:
//! - with the header `V` TAB `2` and an empty line: one name per line, its levels separated by
//!   TAB, each escaped by \001; new files are of this kind;
//! - without a header: one name per line, levels separated by `.`.
//!
//! While there is no such file, the list of Courier is the list (`courierimapsubscribed`: one name
//! per line, below `INBOX.`; names that begin with `#` are shared ones and not ours). The first
//! change puts it into a file of our own.
//!
//! Names are those on disk, without the namespace's prefix. A name that does not exist is kept
//! (RFC 3501 §6.3.6, §6.3.9), and so is a line that is no name to us. Changes happen under the
//! lock of `pillarbox.account` and `subscriptions.lock`, as a whole.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::lock::{Dotlock, FileLock};
use crate::name::{MailboxName, NameError, Namespace};
use crate::replace::{Replacement, read};
use crate::uid_validity;

/// The names on the list, each once, in the order of the file.
pub(crate) fn load(root: &Path, namespace: &Namespace) -> Result<Vec<MailboxName>> {
    let path = root.join(FILE);
    let file = read_list(root, &path)?;
    let mut seen = HashSet::new();
    let names = file.lines.iter();
    Ok(names
        .filter_map(|line| file.name(line, namespace))
        .filter(|name| seen.insert(name.clone()))
        .collect())
}

/// The files in the root that can be the list.
pub(crate) const LISTS: [&str; 2] = [FILE, COURIER];

/// What to do with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Put it on the list, if it is not there.
    Subscribe,
    /// Take it off the list, if it is there.
    Unsubscribe,
}

/// Changes the list, durably.
///
/// # Errors
/// [`Error::Locked`] if another program has the file locked for longer than `timeout`.
pub(crate) fn change(
    root: &Path,
    namespace: &Namespace,
    name: &MailboxName,
    change: Change,
    timeout: Duration,
) -> Result<()> {
    let is_it =
        |file: &Subscriptions, line: &[u8]| file.name(line, namespace).as_ref() == Some(name);
    let line = |file: &Subscriptions| Ok(file.line(name, namespace));
    change_line(root, change, timeout, is_it, line)
}

/// The names on the list by their levels, also those that are no mailboxes of this account, such as
/// names of other users' mailboxes.
pub(crate) fn load_levels(root: &Path, namespace: &Namespace) -> Result<Vec<Vec<String>>> {
    let file = read_list(root, &root.join(FILE))?;
    let levels = |line: &Vec<u8>| file.levels(line, namespace);
    Ok(file.lines.iter().filter_map(levels).collect())
}

/// Changes the list, durably, by a name of these levels.
///
/// # Errors
/// As for [`change`], and if a list without a header cannot hold the name.
pub(crate) fn change_levels(
    root: &Path,
    namespace: &Namespace,
    levels: &[String],
    change: Change,
    timeout: Duration,
) -> Result<()> {
    let is_it =
        |file: &Subscriptions, line: &[u8]| file.levels(line, namespace).as_deref() == Some(levels);
    let line = |file: &Subscriptions| {
        let plain = file.format == Format::Plain;
        if plain && levels.iter().any(|level| level.contains('.')) {
            return Err(Error::Name(NameError::Unstorable));
        }
        let stored = levels.iter().map(|level| namespace.stored_text(level));
        let separator = if plain { "." } else { "\t" };
        Ok(stored.collect::<Vec<_>>().join(separator).into_bytes())
    };
    change_line(root, change, timeout, is_it, line)
}

/// Changes the list by one line.
fn change_line(
    root: &Path,
    change: Change,
    timeout: Duration,
    is_it: impl Fn(&Subscriptions, &[u8]) -> bool,
    line: impl FnOnce(&Subscriptions) -> Result<Vec<u8>>,
) -> Result<()> {
    let path = root.join(FILE);
    let _lock = FileLock::acquire(&root.join(uid_validity::LOCK), timeout)?;
    let replacement = Replacement::begin(&path)?;
    let _dotlock = Dotlock::acquire(&root.join(LOCK), timeout, || replacement.file_system_time())?;
    let mut file = read_list(root, &path)?;
    let is_other = |line: &Vec<u8>| !is_it(&file, line);
    let others: Vec<Vec<u8>> = file
        .lines
        .iter()
        .filter(|line| is_other(line))
        .cloned()
        .collect();
    let is_subscribed = others.len() < file.lines.len();
    match change {
        Change::Subscribe if is_subscribed => return Ok(()),
        Change::Unsubscribe if !is_subscribed => return Ok(()),
        Change::Subscribe if others.len() >= MAX_NAMES => {
            return Err(Error::Limit("subscriptions"));
        }
        Change::Subscribe => {
            let line = line(&file)?;
            file.lines.push(line);
        }
        Change::Unsubscribe => file.lines = others,
    }
    replacement.commit(&file.write(), None)
}

/// Puts Courier's list, while it counts, into a file of our own, which Dovecot reads as well.
///
/// # Errors
/// As for [`change`].
pub(crate) fn adopt(root: &Path, timeout: Duration) -> Result<()> {
    let path = root.join(FILE);
    let _lock = FileLock::acquire(&root.join(uid_validity::LOCK), timeout)?;
    if path.symlink_metadata().is_ok() {
        return Ok(());
    }
    let file = read_list(root, &path)?;
    if file.lines.is_empty() {
        return Ok(());
    }
    let replacement = Replacement::begin(&path)?;
    let _dotlock = Dotlock::acquire(&root.join(LOCK), timeout, || replacement.file_system_time())?;
    replacement.commit(&file.write(), None)
}

/// The list in `path`, else Courier's, else an empty one.
fn read_list(root: &Path, path: &Path) -> Result<Subscriptions> {
    if let Some(contents) = read(path)? {
        return Subscriptions::parse(&contents.bytes).ok_or_else(|| unknown_version(path));
    }
    match read(&root.join(COURIER)) {
        Ok(Some(contents)) => Ok(Subscriptions::from_courier(&contents.bytes)),
        Ok(None) | Err(Error::Corrupt { .. }) => Ok(Subscriptions::default()),
        Err(error) => Err(error),
    }
}

/// How names are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Format {
    /// With a header, levels separated by TAB.
    #[default]
    Version2,
    /// Without a header, levels separated by `.`.
    Plain,
}

/// A subscription file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Subscriptions {
    format: Format,
    /// The lines below the header that are not empty, as they are.
    lines: Vec<Vec<u8>>,
}

impl Subscriptions {
    /// `None` if the file is of a version that we do not know.
    fn parse(file: &[u8]) -> Option<Self> {
        let (format, names) = if let Some(names) = file.strip_prefix(HEADER) {
            (Format::Version2, names)
        } else if file.starts_with(b"V\t") {
            return None;
        } else if file.is_empty() {
            (Format::Version2, file)
        } else {
            (Format::Plain, file)
        };
        let lines = names.split(|&byte| byte == b'\n');
        let lines = lines.filter(|line| !line.is_empty()).map(<[u8]>::to_vec);
        Some(Self {
            format,
            lines: lines.collect(),
        })
    }

    /// Courier's list, as a new file of ours.
    fn from_courier(file: &[u8]) -> Self {
        let lines = file.split(|&byte| byte == b'\n').map(|line| {
            let name = line.strip_suffix(b"\r").unwrap_or(line);
            name.strip_prefix(b"INBOX.").unwrap_or(name)
        });
        let ours = lines.filter(|name| !name.is_empty() && !name.starts_with(b"#"));
        let escaped = |name: &[u8]| -> Vec<u8> {
            let tab = |byte: &u8| if *byte == b'.' { b'\t' } else { *byte };
            name.iter().map(tab).collect()
        };
        // A name with an octet that would have to be escaped is not one that can be stored.
        let plain = ours.filter(|name| !name.iter().any(u8::is_ascii_control));
        Self {
            format: Format::Version2,
            lines: plain.map(escaped).collect(),
        }
    }

    fn write(&self) -> Vec<u8> {
        let mut out = match self.format {
            Format::Version2 => [HEADER, b"\n"].concat(),
            Format::Plain => Vec::new(),
        };
        for line in &self.lines {
            out.extend_from_slice(line);
            out.push(b'\n');
        }
        out
    }

    /// The mailbox of a line, if it can be one.
    fn name(&self, line: &[u8], namespace: &Namespace) -> Option<MailboxName> {
        match self.format {
            Format::Plain => namespace.read_stored(line),
            Format::Version2 => {
                let levels = line.split(|&byte| byte == b'\t').map(unescape);
                let levels: Option<Vec<Vec<u8>>> = levels.collect();
                let levels = levels?;
                if levels.iter().any(|level| level.contains(&b'.')) {
                    return None;
                }
                namespace.read_stored(&levels.join(&b'.'))
            }
        }
    }

    /// The levels of the name in a line, if it can be decoded.
    fn levels(&self, line: &[u8], namespace: &Namespace) -> Option<Vec<String>> {
        let levels = match self.format {
            Format::Plain => line
                .split(|&byte| byte == b'.')
                .map(<[u8]>::to_vec)
                .collect(),
            Format::Version2 => {
                let levels = line.split(|&byte| byte == b'\t').map(unescape);
                levels.collect::<Option<Vec<Vec<u8>>>>()?
            }
        };
        let levels = levels.iter().map(|level| namespace.read_stored_text(level));
        levels.collect()
    }

    /// The line of a mailbox. Its stored name has no character that would need an escape.
    fn line(&self, name: &MailboxName, namespace: &Namespace) -> Vec<u8> {
        let stored = namespace.stored(name);
        match self.format {
            Format::Plain => stored.into_bytes(),
            Format::Version2 => stored.replace('.', "\t").into_bytes(),
        }
    }
}

/// A level without its escapes; `None` if one is unknown or cut off.
fn unescape(level: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(level.len());
    let mut bytes = level.iter();
    while let Some(&byte) = bytes.next() {
        out.push(match byte {
            1 => match bytes.next()? {
                b'0' => 0,
                b'1' => 1,
                b't' => b'\t',
                b'r' => b'\r',
                b'n' => b'\n',
                _ => return None,
            },
            _ => byte,
        });
    }
    Some(out)
}

fn unknown_version(path: &Path) -> Error {
    Error::Corrupt {
        path: path.to_owned(),
        problem: "subscription list of an unknown version",
    }
}

/// The list, in the root.
const FILE: &str = "subscriptions";
/// Courier's list, in the root.
const COURIER: &str = "courierimapsubscribed";
/// Its lock file.
const LOCK: &str = "subscriptions.lock";
/// The first line of version 2.
const HEADER: &[u8] = b"V\t2\n";
/// How many names a list can have (S43).
const MAX_NAMES: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::{Change, FILE, LOCK, MAX_NAMES, change, load};
    use crate::error::Error;
    use crate::name::{MailboxName, Namespace};
    use proptest::prelude::*;
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    const TIMEOUT: Duration = Duration::from_secs(30);

    fn name(text: &str) -> MailboxName {
        Namespace::default().parse(text.as_bytes()).unwrap()
    }

    fn names(root: &Path) -> Vec<String> {
        let list = load(root, &Namespace::default()).unwrap();
        list.iter().map(ToString::to_string).collect()
    }

    fn edit(root: &Path, what: Change, mailbox: &str) {
        change(root, &Namespace::default(), &name(mailbox), what, TIMEOUT).unwrap();
    }

    fn file(root: &Path) -> String {
        fs::read_to_string(root.join(FILE)).unwrap()
    }

    #[test]
    fn a_new_list_has_the_header() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        assert!(names(root).is_empty());
        edit(root, Change::Unsubscribe, "none");
        assert!(!root.join(FILE).exists());
        edit(root, Change::Subscribe, "Work/2026");
        edit(root, Change::Subscribe, "inbox");
        edit(root, Change::Subscribe, "Entw&APw-rfe");
        edit(root, Change::Subscribe, "Work/2026");
        assert_eq!(file(root), "V\t2\n\nWork\t2026\nINBOX\nEntw&APw-rfe\n");
        assert_eq!(names(root), ["Work.2026", "INBOX", "Entwürfe"]);
        edit(root, Change::Unsubscribe, "INBOX");
        assert_eq!(file(root), "V\t2\n\nWork\t2026\nEntw&APw-rfe\n");
        let files = fs::read_dir(root).unwrap();
        let mut files: Vec<_> = files.map(|entry| entry.unwrap().file_name()).collect();
        files.sort();
        assert_eq!(files, ["pillarbox.account.lock", "subscriptions"]);
    }

    #[test]
    fn a_list_without_header_stays_so() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::write(root.join(FILE), "INBOX\nWork.2026\nWork\nR&-D").unwrap();
        assert_eq!(names(root), ["INBOX", "Work.2026", "Work", "R&D"]);
        edit(root, Change::Subscribe, "a/b");
        edit(root, Change::Unsubscribe, "Work");
        assert_eq!(file(root), "INBOX\nWork.2026\nR&-D\na.b\n");
    }

    #[test]
    fn escapes_are_read_and_strange_lines_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let strange = "a\u{1}tb\nx.y\n&bad\n..\t..\n\u{1}\n\u{1}z\n/etc\n~root\n";
        fs::write(
            root.join(FILE),
            format!("V\t2\n\nA\tB\n{strange}A\tB\ninbox\n"),
        )
        .unwrap();
        assert_eq!(names(root), ["A.B", "INBOX"]);
        edit(root, Change::Subscribe, "C");
        assert_eq!(
            file(root),
            format!("V\t2\n\nA\tB\n{strange}A\tB\ninbox\nC\n")
        );
        edit(root, Change::Unsubscribe, "A/B");
        edit(root, Change::Unsubscribe, "INBOX");
        assert_eq!(file(root), format!("V\t2\n\n{strange}C\n"));
    }

    #[test]
    fn names_have_no_prefix() {
        let root = tempfile::tempdir().unwrap();
        let namespace = Namespace {
            prefix: "INBOX.".to_owned(),
            separator: '.',
            utf8_on_disk: true,
        };
        let sent = namespace.parse(b"INBOX.Sent.&APw-").unwrap();
        change(root.path(), &namespace, &sent, Change::Subscribe, TIMEOUT).unwrap();
        assert_eq!(file(root.path()), "V\t2\n\nSent\tü\n");
        let list = load(root.path(), &namespace).unwrap();
        assert_eq!(namespace.display(&list[0]), "INBOX.Sent.&APw-");
    }

    #[test]
    fn a_later_version_is_neither_read_nor_written() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::write(root.join(FILE), "V\t3\n\nA\n").unwrap();
        let namespace = Namespace::default();
        let loaded = load(root, &namespace);
        assert!(matches!(loaded, Err(Error::Corrupt { .. })));
        let changed = change(root, &namespace, &name("B"), Change::Subscribe, TIMEOUT);
        assert!(matches!(changed, Err(Error::Corrupt { .. })));
        assert_eq!(file(root), "V\t3\n\nA\n");
    }

    #[test]
    fn an_empty_file_gets_the_header() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(FILE), "").unwrap();
        edit(root.path(), Change::Subscribe, "A");
        assert_eq!(file(root.path()), "V\t2\n\nA\n");
    }

    #[test]
    fn couriers_list_counts_until_there_is_one_of_ours() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let courier = root.join("courierimapsubscribed");
        let lines = "INBOX\nINBOX.Sent\n#shared.a.b\nINBOX.Work.Entw&APw-rfe\n\nINBOX.INBOX.x";
        fs::write(&courier, lines).unwrap();
        assert_eq!(names(root), ["INBOX", "Sent", "Work.Entwürfe", "INBOX.x"]);
        assert!(!root.join(FILE).exists());
        edit(root, Change::Unsubscribe, "Sent");
        edit(root, Change::Subscribe, "New");
        let expected = "V\t2\n\nINBOX\nWork\tEntw&APw-rfe\nINBOX\tx\nNew\n";
        assert_eq!(file(root), expected);
        assert_eq!(fs::read_to_string(&courier).unwrap(), lines);
        fs::write(&courier, "INBOX.Other\n").unwrap();
        assert_eq!(names(root), ["INBOX", "Work.Entwürfe", "INBOX.x", "New"]);
    }

    #[test]
    fn another_programs_lock_is_respected() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::write(root.join(LOCK), "1:elsewhere.example").unwrap();
        let (namespace, brief) = (Namespace::default(), Duration::from_millis(3));
        let changed = change(root, &namespace, &name("A"), Change::Subscribe, brief);
        assert!(matches!(changed, Err(Error::Locked)));
        assert!(!root.join(FILE).exists() && root.join(LOCK).exists());
    }

    #[test]
    fn the_list_is_bounded() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let lines: String = (0..MAX_NAMES)
            .map(|number| format!("m{number}\n"))
            .collect();
        fs::write(root.join(FILE), lines).unwrap();
        let namespace = Namespace::default();
        let changed = change(root, &namespace, &name("A"), Change::Subscribe, TIMEOUT);
        assert!(matches!(changed, Err(Error::Limit(_))));
        edit(root, Change::Subscribe, "m7");
        edit(root, Change::Unsubscribe, "m7");
        edit(root, Change::Subscribe, "A");
        assert_eq!(names(root).len(), MAX_NAMES);
    }

    #[test]
    fn threads_do_not_lose_each_others_names() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    for number in 0..10 {
                        edit(root, Change::Subscribe, &format!("m{thread}/{number}"));
                    }
                });
            }
        });
        assert_eq!(names(root).len(), 40);
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in any::<Vec<u8>>(), header in any::<bool>()) {
            let bytes = if header { [super::HEADER, &bytes].concat() } else { bytes };
            if let Some(file) = super::Subscriptions::parse(&bytes) {
                for line in &file.lines {
                    if let Some(name) = file.name(line, &Namespace::default()) {
                        let again = file.line(&name, &Namespace::default());
                        prop_assert_eq!(file.name(&again, &Namespace::default()), Some(name));
                    }
                }
                prop_assert_eq!(super::Subscriptions::parse(&file.write()).unwrap().lines, file.lines);
            }
        }
    }
}
