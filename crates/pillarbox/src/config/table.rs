//! A TOML document on the way to settings: serde reads its tables, and what serde does not do is
//! done here. All mistakes are found, not only the first; each has its line; and unknown keys are
//! told apart from misplaced and misspelled ones.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::finding::{Finding, Report};
use super::value::{FROM_ZERO, Refused, one_of};

/// A configuration file while it is read.
pub(super) struct Document<'i> {
    path: &'i Path,
    text: &'i str,
    report: Report,
    /// All keys that there could be, by table; `""` is the top.
    known: BTreeMap<&'static str, Vec<&'static str>>,
    /// All keys that there are: table, key, line.
    written: Vec<(&'static str, String, usize)>,
}

/// The lines that the keys of a table stand on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines(BTreeMap<String, usize>);

impl Lines {
    /// The line of what is set first, if anything is.
    pub(super) fn first(&self) -> Option<usize> {
        self.0.values().copied().min()
    }

    /// The line of `key`, if it is set.
    pub(crate) fn of(&self, key: &str) -> Option<usize> {
        self.0.get(key).copied()
    }
}

impl<'i> Document<'i> {
    /// Parses `text`. Syntax errors become findings, and what could be read is returned.
    pub(super) fn parse(path: &'i Path, text: &'i str) -> (Self, DeTable<'i>) {
        let mut document = Self {
            path,
            text,
            report: Report::default(),
            known: BTreeMap::new(),
            written: Vec::new(),
        };
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let line = error.span().map(|span| document.line(span.start));
            let problem = format!("not TOML: {}", error.message().replace('\n', ", "));
            document.error(line, problem, fix_of_syntax(error.message()));
        }
        (document, table.into_inner())
    }

    /// Reads the values of one table. What is wrong is noted and left at its default.
    pub(super) fn read<T>(&mut self, name: &'static str, entries: &DeTable<'i>) -> (T, Lines)
    where
        T: Default + for<'de> Deserialize<'de>,
    {
        let mut lines = Lines::default();
        for key in entries.keys() {
            let (line, key) = (self.line(key.span().start), key.get_ref().to_string());
            lines.0.insert(key.clone(), line);
            self.written.push((name, key, line));
        }
        let mut sound = entries.clone();
        // Serde stops at the first mistake; so once more without it, until there is none.
        let value = loop {
            let fields = Fields {
                entries: &sound,
                known: Cell::default(),
                current: Cell::default(),
            };
            let read = T::deserialize(&fields);
            self.know(name, fields.known.get());
            let refused = match read {
                Ok(value) => break value,
                Err(refused) => refused,
            };
            let Some(key) = fields.current.get().map(str::to_owned) else {
                self.error(None, refused.problem, refused.fix);
                break T::default();
            };
            let problem = format!("`{key}` {}", refused.problem);
            self.error(lines.of(&key), problem, refused.fix);
            sound.remove(key.as_str());
        };
        (value, lines)
    }

    /// Reads the table below `key` of the top, as if it were empty if it is not there.
    pub(super) fn table<T>(&mut self, key: &'static str, top: &mut DeTable<'i>) -> (T, Lines)
    where
        T: Default + for<'de> Deserialize<'de>,
    {
        let entries = self.entries(key, top);
        self.read(key, &entries)
    }

    /// What is in the table below `key` of the top; nothing if it is not there.
    pub(super) fn entries(&mut self, key: &'static str, top: &mut DeTable<'i>) -> DeTable<'i> {
        match self.take(key, top) {
            None => DeTable::default(),
            Some((DeValue::Table(entries), _)) => entries,
            Some((_, line)) => {
                let problem = format!("`{key}` must be a table");
                let fix = format!("write [{key}] on a line of its own, and its settings below");
                self.error(Some(line), problem, fix);
                DeTable::default()
            }
        }
    }

    /// The tables below `[[key]]` of the top, each with its line; `None` if there are none.
    pub(super) fn tables(
        &mut self,
        key: &'static str,
        top: &mut DeTable<'i>,
    ) -> Option<Vec<(DeTable<'i>, usize)>> {
        let (value, line) = self.take(key, top)?;
        self.list_of_tables(key, value, line)
    }

    /// The tables below `[[table.key]]`, of what is below `[table]`.
    pub(super) fn tables_below(
        &mut self,
        (table, key): (&'static str, &'static str),
        name: &'static str,
        entries: &mut DeTable<'i>,
    ) -> Option<Vec<(DeTable<'i>, usize)>> {
        self.know(table, &[key]);
        let (found, value) = entries.remove_entry(key)?;
        let line = self.line(found.span().start);
        self.list_of_tables(name, value.into_inner(), line)
    }

    /// The tables that a value holds, each with its line.
    fn list_of_tables(
        &mut self,
        key: &'static str,
        value: DeValue<'i>,
        line: usize,
    ) -> Option<Vec<(DeTable<'i>, usize)>> {
        let problem = format!("`{key}` must be a list of tables");
        let fix = format!("write [[{key}]] on a line of its own, and its settings below");
        let DeValue::Array(list) = value else {
            self.error(Some(line), problem, fix);
            return None;
        };
        let mut tables = Vec::new();
        for item in list {
            let line = self.line(item.span().start);
            if let DeValue::Table(entries) = item.into_inner() {
                tables.push((entries, line));
            } else {
                self.error(Some(line), &*problem, &*fix);
            }
        }
        Some(tables)
    }

    /// Notes something that must be mended.
    pub(super) fn error(
        &mut self,
        line: Option<usize>,
        problem: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let finding = Finding::error(self.path, line, problem, fix);
        self.report.push(finding);
    }

    /// Notes something that should be known.
    pub(super) fn warning(
        &mut self,
        line: Option<usize>,
        problem: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let finding = Finding::warning(self.path, line, problem, fix);
        self.report.push(finding);
    }

    /// All keys that there could be, by table.
    #[cfg(test)]
    pub(super) fn known(self) -> BTreeMap<&'static str, Vec<&'static str>> {
        self.known
    }

    /// Says what is unknown, now that all that is known has been asked for.
    pub(super) fn finish(mut self) -> Report {
        for (table, key, line) in std::mem::take(&mut self.written) {
            let known = self.known.get(table).map_or(&[][..], Vec::as_slice);
            if known.contains(&key.as_str()) {
                continue;
            }
            let shown = match table {
                "" => format!("unknown key `{key}`"),
                table => format!("unknown key `{key}` in {}", header(table)),
            };
            let fix = self.advice(table, &key);
            self.error(Some(line), shown, fix);
        }
        self.report.sort();
        self.report
    }

    /// What to do about an unknown key.
    fn advice(&self, table: &str, key: &str) -> String {
        let here = self.known.get(table).map_or(&[][..], Vec::as_slice);
        if let Some(nearest) = nearest(here.iter().copied(), key) {
            return format!("write `{nearest}`");
        }
        let elsewhere = self
            .known
            .iter()
            .find(|(other, keys)| **other != table && keys.contains(&key));
        match elsewhere {
            Some((&"", _)) => "move it above the first line in brackets".to_owned(),
            Some((other, _)) => format!("move it below the line {}", header(other)),
            None => format!("remove it; what can be set is {}", here.join(", ")),
        }
    }

    /// Takes `key` out of the top, with its line.
    fn take(&mut self, key: &'static str, top: &mut DeTable<'i>) -> Option<(DeValue<'i>, usize)> {
        self.know("", &[key]);
        let (found, value) = top.remove_entry(key)?;
        Some((value.into_inner(), self.line(found.span().start)))
    }

    /// Notes keys that there could be.
    fn know(&mut self, table: &'static str, keys: &[&'static str]) {
        let known = self.known.entry(table).or_default();
        for key in keys {
            if !known.contains(key) {
                known.push(key);
            }
        }
    }

    /// The line of an offset in the text, from 1.
    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        1 + before.iter().filter(|&&octet| octet == b'\n').count()
    }
}

/// A table as serde sees it: the fields that the struct has, and no other.
struct Fields<'t, 'i> {
    entries: &'t DeTable<'i>,
    /// The fields of the struct.
    known: Cell<&'static [&'static str]>,
    /// The field that is being read.
    current: Cell<Option<&'t str>>,
}

impl<'de> Deserializer<'de> for &Fields<'_, '_> {
    type Error = Refused;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.known.set(fields);
        let entries = self.entries.iter().filter_map(|(key, value)| {
            let key = key.get_ref().as_ref();
            fields.contains(&key).then(|| {
                self.current.set(Some(key));
                (key, Value(value))
            })
        });
        visitor.visit_map(MapDeserializer::new(entries))
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        Err(Error::invalid_type(Unexpected::Map, &visitor))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// A value as serde sees it.
struct Value<'t, 'i>(&'t Spanned<DeValue<'i>>);

impl<'de> Deserializer<'de> for Value<'_, '_> {
    type Error = Refused;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        match self.0.get_ref() {
            DeValue::String(text) => visitor.visit_str(text),
            DeValue::Boolean(value) => visitor.visit_bool(*value),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => visitor.visit_i64(number),
                    Err(_) if number.as_str().starts_with('-') => {
                        Err(Refused::new("is negative", FROM_ZERO))
                    }
                    Err(_) => Err(Refused::new("is out of range", FROM_ZERO)),
                }
            }
            DeValue::Array(list) => visitor.visit_seq(SeqDeserializer::new(list.iter().map(Value))),
            DeValue::Float(_) => Err(Error::invalid_type(Unexpected::Float(0.0), &visitor)),
            DeValue::Table(_) => Err(Error::invalid_type(Unexpected::Map, &visitor)),
            DeValue::Datetime(_) => Err(Error::invalid_type(Unexpected::Other("date"), &visitor)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        let fix = one_of(words);
        let word = String::deserialize(self).map_err(|refused| Refused { fix, ..refused })?;
        visitor.visit_enum(word.into_deserializer())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Refused> for Value<'_, '_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// What to do about a syntax error with this message.
fn fix_of_syntax(message: &str) -> &'static str {
    if message.starts_with("duplicate key") {
        "keep one of them, with the settings of both if it is a line in brackets"
    } else if message.starts_with("string values must be quoted") {
        "write the value in double quotes"
    } else {
        "see https://toml.io for how it is written"
    }
}

/// The line that a table begins with.
fn header(table: &str) -> String {
    if table == "listeners" || table.contains('.') {
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
