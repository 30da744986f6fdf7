//! A TOML table on the way to settings: values are taken out of it, and what is left is unknown.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::finding::{Finding, Report};
use super::value::Read;

/// A configuration file while it is read.
pub(super) struct Document<'i> {
    path: &'i Path,
    text: &'i str,
    report: RefCell<Report>,
    /// All keys that were asked for, by table; `""` is the top.
    known: RefCell<BTreeMap<&'static str, Vec<&'static str>>>,
    /// Keys that nobody asked for: table, key, line.
    unknown: RefCell<Vec<(&'static str, String, usize)>>,
}

impl<'i> Document<'i> {
    /// Parses `text`. Syntax errors become findings, and what could be read is returned.
    pub(super) fn parse(path: &'i Path, text: &'i str) -> (Self, DeTable<'i>) {
        let document = Self {
            path,
            text,
            report: RefCell::default(),
            known: RefCell::default(),
            unknown: RefCell::default(),
        };
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let line = error.span().map(|span| document.line(span.start));
            let problem = format!("not TOML: {}", error.message().replace('\n', ", "));
            document.error(line, problem, "see https://toml.io for how it is written");
        }
        (document, table.into_inner())
    }

    /// Starts to take values out of the table with this name; `""` is the top.
    pub(super) fn table<'d>(
        &'d self,
        name: &'static str,
        entries: DeTable<'i>,
        line: usize,
    ) -> Table<'i, 'd> {
        Table {
            document: self,
            name,
            entries,
            line,
        }
    }

    /// Notes something that must be mended.
    pub(super) fn error(
        &self,
        line: Option<usize>,
        problem: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let finding = Finding::error(self.path, line, problem, fix);
        self.report.borrow_mut().push(finding);
    }

    /// Notes something that should be known.
    pub(super) fn warning(
        &self,
        line: Option<usize>,
        problem: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let finding = Finding::warning(self.path, line, problem, fix);
        self.report.borrow_mut().push(finding);
    }

    /// Notes keys that would have been asked for, were their table there.
    pub(super) fn know(&self, table: &'static str, keys: &[&'static str]) {
        let mut known = self.known.borrow_mut();
        known.entry(table).or_default().extend(keys);
    }

    /// All keys that were asked for, by table.
    #[cfg(test)]
    pub(super) fn known(&self) -> BTreeMap<&'static str, Vec<&'static str>> {
        self.known.borrow().clone()
    }

    /// Says what is unknown, now that all that is known has been asked for.
    pub(super) fn finish(self) -> Report {
        let unknown = self.unknown.take();
        for (table, key, line) in &unknown {
            let shown = match *table {
                "" => format!("unknown key `{key}`"),
                table => format!("unknown key `{key}` in {}", header(table)),
            };
            self.error(Some(*line), shown, self.advice(table, key));
        }
        let mut report = self.report.into_inner();
        report.sort();
        report
    }

    /// What to do about an unknown key.
    fn advice(&self, table: &str, key: &str) -> String {
        let known = self.known.borrow();
        let here = known.get(table).map_or(&[][..], Vec::as_slice);
        if let Some(nearest) = nearest(here.iter().copied(), key) {
            return format!("write `{nearest}`");
        }
        let elsewhere = known
            .iter()
            .find(|(other, keys)| **other != table && keys.contains(&key));
        match elsewhere {
            Some((&"", _)) => "move it above the first line in brackets".to_owned(),
            Some((other, _)) => format!("move it below the line {}", header(other)),
            None => format!("remove it; what can be set is {}", here.join(", ")),
        }
    }

    /// The line of an offset in the text, from 1.
    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        1 + before.iter().filter(|&&octet| octet == b'\n').count()
    }
}

/// A table that values are taken out of.
pub(super) struct Table<'i, 'd> {
    document: &'d Document<'i>,
    name: &'static str,
    entries: DeTable<'i>,
    line: usize,
}

impl<'i, 'd> Table<'i, 'd> {
    /// Puts the value of `key` into `target`, if it is there and right; returns its line if it is
    /// there.
    pub(super) fn set<T>(
        &mut self,
        key: &'static str,
        target: &mut T,
        read: impl FnOnce(&DeValue<'i>) -> Read<T>,
    ) -> Option<usize> {
        let (value, line) = self.take(key)?;
        match read(value.get_ref()) {
            Ok(value) => *target = value,
            Err(refused) => {
                let problem = format!("`{key}` {}", refused.problem);
                self.document.error(Some(line), problem, refused.fix);
            }
        }
        Some(line)
    }

    /// The table below `key`; empty if it is not there.
    pub(super) fn table(&mut self, key: &'static str) -> Self {
        let Some((value, line)) = self.take(key) else {
            return self.document.table(key, DeTable::default(), self.line);
        };
        let DeValue::Table(entries) = value.into_inner() else {
            let problem = format!("`{key}` must be a table");
            let fix = format!("write [{key}] on a line of its own, and its settings below");
            self.document.error(Some(line), problem, fix);
            return self.document.table(key, DeTable::default(), line);
        };
        self.document.table(key, entries, line)
    }

    /// The tables below `[[key]]`; `None` if there are none.
    pub(super) fn tables(&mut self, key: &'static str) -> Option<Vec<Self>> {
        let (value, line) = self.take(key)?;
        let wrong = |line| {
            let problem = format!("`{key}` must be a list of tables");
            let fix = format!("write [[{key}]] on a line of its own, and its settings below");
            self.document.error(Some(line), problem, fix);
        };
        let DeValue::Array(list) = value.into_inner() else {
            wrong(line);
            return None;
        };
        let mut tables = Vec::new();
        for item in list {
            let line = self.document.line(item.span().start);
            if let DeValue::Table(entries) = item.into_inner() {
                tables.push(self.document.table(key, entries, line));
            } else {
                wrong(line);
            }
        }
        Some(tables)
    }

    /// The line that the table begins on.
    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// Ends the taking: all that is left is unknown.
    pub(super) fn finish(self) {
        let mut unknown = self.document.unknown.borrow_mut();
        for key in self.entries.keys() {
            let line = self.document.line(key.span().start);
            unknown.push((self.name, key.get_ref().to_string(), line));
        }
    }

    /// Takes out the value of `key`, with its line.
    fn take(&mut self, key: &'static str) -> Option<(Spanned<DeValue<'i>>, usize)> {
        let mut known = self.document.known.borrow_mut();
        let keys = known.entry(self.name).or_default();
        if !keys.contains(&key) {
            keys.push(key);
        }
        let (found, value) = self.entries.remove_entry(key)?;
        let line = self.document.line(found.span().start);
        Some((value, line))
    }
}

/// The line that a table begins with.
fn header(table: &str) -> String {
    if table == "listeners" {
        format!("[[{table}]]")
    } else {
        format!("[{table}]")
    }
}

/// The known word that `word` was probably meant to be: one much like it, or one that is a part of
/// it, as `certificate` in `tls_certificate`.
fn nearest<'k>(known: impl Iterator<Item = &'k str> + Clone, word: &str) -> Option<&'k str> {
    let alike = known
        .clone()
        .map(|known| (strsim::jaro_winkler(known, word), known))
        .filter(|(likeness, _)| *likeness >= 0.85)
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    let mut known = known;
    match alike {
        Some((_, known)) => Some(known),
        None => known.find(|known| word.split(['_', '-']).any(|part| part == *known)),
    }
}
