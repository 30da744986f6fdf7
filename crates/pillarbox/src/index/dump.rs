//! `pillarbox index dump`: all that the index of a mailbox holds, for people or as JSON.

use std::io::{self, Write};
use std::process::ExitCode;
use std::slice;

use anyhow::{Result, bail};
use mailstore::inspect::Inspection;
use mailstore::{Message, Snapshot};
use serde::Serialize;

use super::context::{Context, plain};
use super::table::{Align, Table};
use super::target;
use crate::cli::DumpArgs;

/// Prints the index of a mailbox.
pub(super) fn run(args: &DumpArgs, out: &mut impl Write) -> Result<ExitCode> {
    let context = Context::new(&args.store, slice::from_ref(&args.path))?;
    let work = context.list(target::mailbox(&args.path)?)?;
    for listed in &work.mailboxes {
        let Some(inspection) = Inspection::read(&listed.directory)? else {
            bail!(
                "{} has no pillarbox.index yet; `pillarbox index import` makes it",
                listed.directory.display()
            );
        };
        let dump = Dump::of(&inspection, context.show(&listed.name));
        if args.json {
            serde_json::to_writer(&mut *out, &dump).map_err(io::Error::from)?;
            writeln!(out)?;
        } else {
            print(&dump, out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// An index, in the words of RFC 3501 and RFC 7162. What is not known is `null`.
#[derive(Debug, Serialize)]
struct Dump {
    mailbox: String,
    directory: String,
    index_octets: u64,
    /// Octets after the last valid change: being written, or left by a crash.
    unfinished_tail: bool,
    mailbox_id: String,
    uidvalidity: u32,
    uidnext: u32,
    highestmodseq: u64,
    first_recent: u32,
    messages: Vec<Entry>,
    keywords: Vec<KeywordEntry>,
    vanished: Vec<Range>,
    /// Up to this mod-sequence, expunged UIDs may have been forgotten.
    vanished_forgotten: u64,
}

#[derive(Debug, Serialize)]
struct KeywordEntry {
    position: u8,
    letter: Option<char>,
    name: String,
}

#[derive(Debug, Serialize)]
struct Range {
    first: u32,
    last: u32,
    modseq: u64,
}

#[derive(Debug, Serialize)]
struct Entry {
    uid: u32,
    flags: Vec<&'static str>,
    keywords: Vec<String>,
    modseq: u64,
    rfc822_size: Option<u64>,
    /// Seconds since 1970.
    internal_date: Option<i64>,
    /// Seconds since 1970.
    saved: Option<u32>,
    place: &'static str,
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pop3_uidl: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pop3_order: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guid: Option<String>,
}

impl Dump {
    fn of(inspection: &Inspection, mailbox: String) -> Self {
        let snapshot = inspection.snapshot();
        let keywords = snapshot.keywords().iter();
        let keywords = keywords.map(|(position, keyword)| KeywordEntry {
            position,
            letter: letter(position),
            name: keyword.as_str().to_owned(),
        });
        let vanished = inspection.vanished().map(|range| Range {
            first: range.first.get(),
            last: range.last.get(),
            modseq: range.mod_seq.get(),
        });
        let messages = snapshot.iter();
        let messages = messages.map(|message| Entry::of(inspection, snapshot, message));
        Self {
            mailbox,
            directory: inspection.directory().display().to_string(),
            index_octets: inspection.octets(),
            unfinished_tail: inspection.has_tail(),
            mailbox_id: format!("{:032x}", inspection.mailbox_id()),
            uidvalidity: snapshot.uid_validity().get(),
            uidnext: snapshot.uid_next().get(),
            highestmodseq: snapshot.highest_mod_seq().get(),
            first_recent: snapshot.first_recent().get(),
            messages: messages.collect(),
            keywords: keywords.collect(),
            vanished: vanished.collect(),
            vanished_forgotten: inspection.vanished_floor(),
        }
    }
}

impl Entry {
    fn of(inspection: &Inspection, snapshot: &Snapshot, message: Message<'_>) -> Self {
        let flags = message.flags();
        let file = inspection.file(message);
        let kept = message.kept();
        let text = |bytes: Option<&[u8]>| bytes.map(|it| String::from_utf8_lossy(it).into_owned());
        let keywords = flags.keywords().map(|position| {
            let known = snapshot.keywords().get(position);
            known.map_or_else(|| format!("#{position}"), |name| name.as_str().to_owned())
        });
        Self {
            uid: message.uid().get(),
            flags: flags.system().map(mailstore::SystemFlag::name).collect(),
            keywords: keywords.collect(),
            modseq: message.mod_seq().get(),
            rfc822_size: message.rfc822_size(),
            internal_date: message.internal_date(),
            saved: file.saved,
            place: file.place,
            file: String::from_utf8_lossy(file.name).into_owned(),
            pop3_uidl: kept.and_then(|kept| text(kept.uidl.as_deref())),
            pop3_order: kept.and_then(|kept| kept.order),
            guid: kept.and_then(|kept| text(kept.guid.as_deref())),
        }
    }
}

/// The letter of a keyword in file names, if it has one.
fn letter(position: u8) -> Option<char> {
    let letter = b'a'.checked_add(position)?;
    letter.is_ascii_lowercase().then(|| char::from(letter))
}

fn print(dump: &Dump, out: &mut impl Write) -> io::Result<()> {
    let mut line = |name: &str, value: &dyn std::fmt::Display| writeln!(out, "{name:<18}{value}");
    line("Mailbox", &plain(&dump.mailbox))?;
    line("Directory", &plain(&dump.directory))?;
    line("Mailbox id", &dump.mailbox_id)?;
    line("UIDVALIDITY", &dump.uidvalidity)?;
    line("UIDNEXT", &dump.uidnext)?;
    line("HIGHESTMODSEQ", &dump.highestmodseq)?;
    line("First recent UID", &dump.first_recent)?;
    line("Messages", &dump.messages.len())?;
    line("Index, octets", &dump.index_octets)?;
    if dump.unfinished_tail {
        line(
            "Unfinished tail",
            &"yes: being written, or left by a crash; the next change removes it",
        )?;
    }
    for keyword in &dump.keywords {
        let letter = keyword.letter.map_or_else(
            || "no letter: only in the index".to_owned(),
            |letter| format!("letter {letter}"),
        );
        let name = plain(&keyword.name);
        writeln!(out, "{:<18}{name} ({letter})", "Keyword")?;
    }
    for range in &dump.vanished {
        let Range {
            first,
            last,
            modseq,
        } = range;
        writeln!(
            out,
            "{:<18}{first}:{last} (mod-sequence {modseq})",
            "Expunged UIDs"
        )?;
    }
    if dump.vanished_forgotten > 0 {
        let floor = dump.vanished_forgotten;
        writeln!(
            out,
            "{:<18}some up to mod-sequence {floor}",
            "Forgotten UIDs"
        )?;
    }
    if !dump.messages.is_empty() {
        writeln!(out, "\n{}", messages(dump))?;
    }
    Ok(())
}

fn messages(dump: &Dump) -> Table {
    let (left, right) = (Align::Left, Align::Right);
    let mut table = Table::new(&[
        ("UID", right),
        ("MODSEQ", right),
        ("SIZE", right),
        ("INTERNAL DATE", left),
        ("SAVED", left),
        ("FLAGS", left),
        ("FILE", left),
        ("KEPT", left),
    ]);
    let unknown = || "-".to_owned();
    for message in &dump.messages {
        let flags = message.flags.iter().map(|flag| (*flag).to_owned());
        let words: Vec<String> = flags.chain(message.keywords.iter().cloned()).collect();
        let size = message.rfc822_size;
        table.row(vec![
            message.uid.to_string(),
            message.modseq.to_string(),
            size.map_or_else(unknown, |size| size.to_string()),
            message.internal_date.map_or_else(unknown, date),
            message.saved.map(i64::from).map_or_else(unknown, date),
            format!("({})", plain(&words.join(" "))),
            format!("{}/{}", message.place, plain(&message.file)),
            kept(message),
        ]);
    }
    table
}

/// What another server knew of the message, as its list of UIDs has it.
fn kept(message: &Entry) -> String {
    let order = message.pop3_order.map(|order| order.to_string());
    let fields = [
        ("UIDL", message.pop3_uidl.as_ref()),
        ("order", order.as_ref()),
        ("GUID", message.guid.as_ref()),
    ];
    let words = fields.iter().filter_map(|(name, value)| {
        let value = value.as_ref()?;
        Some(format!("{name} {}", plain(value)))
    });
    words.collect::<Vec<_>>().join(", ")
}

/// A time in seconds since 1970 as `2026-02-03 12:00:00Z`.
fn date(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // The era of 400 years, the day in it, and the year and month counted from March.
    let shifted = days.saturating_add(719_468);
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = year + era * 400 + carry;
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::{date, letter};

    #[test]
    fn dates_are_universal_time() {
        let table = [
            (0, "1970-01-01 00:00:00Z"),
            (-1, "1969-12-31 23:59:59Z"),
            (951_782_400, "2000-02-29 00:00:00Z"),
            (1_770_120_000, "2026-02-03 12:00:00Z"),
            (4_107_542_399, "2100-02-28 23:59:59Z"),
            (4_107_542_400, "2100-03-01 00:00:00Z"),
        ];
        for (seconds, shown) in table {
            assert_eq!(date(seconds), shown);
        }
    }

    #[test]
    fn the_first_26_keywords_have_letters() {
        assert_eq!(letter(0), Some('a'));
        assert_eq!(letter(25), Some('z'));
        assert_eq!(letter(26), None);
        assert_eq!(letter(255), None);
    }
}
