//! The text of `dovecot-acl`: one entry in a line, in Dovecot's words.
//!
//! `identifier SP rights [SP ":" names]`, where rights are letters, and names are separated by
//! spaces or commas. An identifier with spaces is in double quotes, with backslashes before quotes
//! and backslashes; one with `-` before it takes rights away. Empty lines and those that begin with
//! `#` are passed over.

use std::collections::BTreeSet;

use super::{Acl, Granted, Identifier, Rights};

/// What makes a file of no use, and the line that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    pub(super) line: usize,
    pub(super) problem: &'static str,
}

/// Reads the whole file.
pub(super) fn parse(octets: &[u8]) -> Result<Acl, Damage> {
    let mut acl = Acl::default();
    for (line, octets) in (1..).zip(octets.split(|octet| *octet == b'\n')) {
        if octets.is_empty() || octets.starts_with(b"#") {
            continue;
        }
        let damage = |problem| Damage { line, problem };
        let text = str::from_utf8(octets).map_err(|_| damage("not UTF-8"))?;
        parse_line(text, &mut acl).map_err(damage)?;
    }
    Ok(acl)
}

/// Takes in one line.
fn parse_line(line: &str, acl: &mut Acl) -> Result<(), &'static str> {
    let (name, rest) = match line.strip_prefix('"') {
        Some(quoted) => unquote(quoted)?,
        None => match line.split_once(' ') {
            Some((name, rest)) => (name.to_owned(), rest),
            None => (line.to_owned(), ""),
        },
    };
    let granted = parse_rights(rest)?;
    let (negative, name) = match name.strip_prefix('-') {
        Some(name) => (true, name),
        None => (false, name.as_str()),
    };
    let identifier = Identifier::parse(name).ok_or("identifier is not known")?;
    let entry = acl.entries.entry(identifier).or_default();
    let part = match negative {
        true => &mut entry.negative,
        false => &mut entry.positive,
    };
    match part.replace(granted) {
        Some(_) => Err("identifier stands there twice"),
        None => Ok(()),
    }
}

/// What is in double quotes, and what follows the space behind them.
fn unquote(quoted: &str) -> Result<(String, &str), &'static str> {
    let mut name = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => {
                let rest = quoted.get(at + 1..).unwrap_or_default();
                let rest = match rest.strip_prefix(' ') {
                    None if !rest.is_empty() => return Err("no space behind the quotes"),
                    rest => rest.unwrap_or_default(),
                };
                return Ok((name, rest));
            }
            '\\' => match letters.next() {
                Some((_, letter)) => name.push(letter),
                None => break,
            },
            letter => name.push(letter),
        }
    }
    Err("quotes are not closed")
}

/// Letters, then names behind a colon.
fn parse_rights(text: &str) -> Result<Granted, &'static str> {
    let is_space = |letter: char| letter == ' ' || letter == '\t';
    let text = text.trim_start_matches(is_space);
    let end = text.find([' ', '\t', ':']).unwrap_or(text.len());
    let (letters, names) = text.split_at(end);
    let mut granted = Granted::default();
    for letter in letters.chars() {
        let right = Rights::from_letter(letter).ok_or("right is not known")?;
        granted.rights = granted.rights.union(right);
    }
    let names = names.trim_start_matches(is_space);
    if names.is_empty() {
        return Ok(granted);
    }
    let names = names.strip_prefix(':').ok_or("no colon before names")?;
    for name in names.split([' ', ',', '\t']).filter(|it| !it.is_empty()) {
        match Rights::from_name(name) {
            Some(right) => granted.rights = granted.rights.union(right),
            None => drop(granted.others.insert(name.to_owned())),
        }
    }
    Ok(granted)
}

/// Writes the whole file.
pub(super) fn format(acl: &Acl) -> String {
    let mut out = String::new();
    for (identifier, entry) in &acl.entries {
        if let Some(granted) = &entry.positive {
            format_line(&mut out, &identifier.to_string(), granted);
        }
        if let Some(granted) = &entry.negative {
            format_line(&mut out, &format!("-{identifier}"), granted);
        }
    }
    out
}

fn format_line(out: &mut String, name: &str, granted: &Granted) {
    if name.contains([' ', '"']) {
        out.push('"');
        for letter in name.chars() {
            if matches!(letter, '"' | '\\') {
                out.push('\\');
            }
            out.push(letter);
        }
        out.push('"');
    } else {
        out.push_str(name);
    }
    out.push(' ');
    out.extend(granted.rights.letters());
    format_others(out, &granted.others);
    out.push('\n');
}

/// Rights that only other programs know, by their names.
fn format_others(out: &mut String, others: &BTreeSet<String>) {
    for (position, name) in others.iter().enumerate() {
        out.push_str(if position == 0 { " :" } else { " " });
        out.push_str(name);
    }
}
