//! `[quota]` and `[[quota.users]]`: as they are written, and what they mean.

mod rule;

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use mailstore::quota::{Grace, Limits, Maildirsize};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use toml::de::DeTable;

use super::raw::users;
use super::settings::Quota;
use super::table::Document;
use super::unit::{GIB, HOUR, parse_size};
use super::value::{Refused, duration, number, size, text};

pub(super) use rule::limits as limits_of_rule;
pub(crate) use rule::not_understood;

/// `[quota]`, without the tables below it.
#[derive(Deserialize)]
#[serde(default)]
struct Raw {
    #[serde(deserialize_with = "storage")]
    storage: Option<u64>,
    #[serde(deserialize_with = "messages")]
    messages: Option<u64>,
    #[serde(deserialize_with = "grace")]
    grace: Grace,
    #[serde(deserialize_with = "duration::<_, 0, HOUR>")]
    recheck: Duration,
    #[serde(deserialize_with = "maildirsize")]
    maildirsize: Maildirsize,
    #[serde(deserialize_with = "users")]
    administrators: Vec<String>,
}

impl Default for Raw {
    fn default() -> Self {
        let settings = Quota::default();
        Self {
            storage: settings.limits.storage,
            messages: settings.limits.messages,
            grace: settings.grace,
            recheck: settings.recheck,
            maildirsize: settings.maildirsize,
            administrators: settings.administrators,
        }
    }
}

/// One of `[[quota.users]]`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Exception {
    #[serde(deserialize_with = "users")]
    users: Vec<String>,
    #[serde(deserialize_with = "storage")]
    storage: Option<u64>,
    #[serde(deserialize_with = "messages")]
    messages: Option<u64>,
}

/// Reads both.
pub(super) fn quota<'i>(document: &mut Document<'i>, top: &mut DeTable<'i>) -> Quota {
    const USERS: &str = "quota.users";
    let mut entries = document.entries("quota", top);
    let below = document.tables_below(("quota", "users"), USERS, &mut entries);
    let (raw, _): (Raw, _) = document.read("quota", &entries);
    let mut quota = Quota {
        limits: Limits {
            storage: raw.storage,
            messages: raw.messages,
        },
        grace: raw.grace,
        recheck: raw.recheck,
        maildirsize: raw.maildirsize,
        administrators: raw.administrators,
        ..Quota::default()
    };
    if below.is_none() {
        let (Exception { .. }, _) = document.read(USERS, &DeTable::default());
    }
    let mut first: HashMap<String, usize> = HashMap::new();
    for (table, line) in below.unwrap_or_default() {
        let (raw, lines): (Exception, _) = document.read(USERS, &table);
        if raw.users.is_empty() && lines.of("users").is_none() {
            document.error(
                Some(line),
                "no `users` say whose quota this is",
                "write users = [\"ann@example.org\"]",
            );
        }
        let or = |key, own, all| if lines.of(key).is_some() { own } else { all };
        let limits = Limits {
            storage: or("storage", raw.storage, quota.limits.storage),
            messages: or("messages", raw.messages, quota.limits.messages),
        };
        for user in raw.users {
            if let Some(first) = first.insert(user.clone(), line) {
                document.error(
                    lines.of("users"),
                    format!("{user:?} has a quota already, on line {first}"),
                    "remove one of them",
                );
            }
            quota.users.insert(user, limits);
        }
    }
    quota
}

/// Reads octets; 0 is no limit.
fn storage<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let octets: u64 = size::<_, _, 0, { 1024 * 1024 * GIB }>(from)?;
    Ok((octets > 0).then_some(octets))
}

/// Reads a number of messages; 0 is no limit.
fn messages<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let messages: u64 = number::<_, _, 0, { 1 << 32 }>(from)?;
    Ok((messages > 0).then_some(messages))
}

/// Reads a part of the limit, or octets.
fn grace<'de, D: Deserializer<'de>>(from: D) -> Result<Grace, D::Error> {
    text(from, |text| {
        let percent = text.strip_suffix('%').map(|number| number.trim().parse());
        match percent {
            Some(Ok(percent)) if percent <= 100 => return Ok(Grace::Percent(percent)),
            Some(_) => {}
            None => {
                if let Some(octets) = parse_size(&text).filter(|octets| *octets <= 1024 * GIB) {
                    return Ok(Grace::Octets(octets));
                }
            }
        }
        Err(Refused::new(
            format!("{text:?} is neither a part nor a size"),
            "write for example \"10%\", up to \"100%\", or \"50 MiB\"",
        ))
    })
}

/// Reads whether `maildirsize` is kept: true, false, or `"auto"`.
fn maildirsize<'de, D: Deserializer<'de>>(from: D) -> Result<Maildirsize, D::Error> {
    from.deserialize_any(MaildirsizeVisitor)
}

struct MaildirsizeVisitor;

impl Visitor<'_> for MaildirsizeVisitor {
    type Value = Maildirsize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false or \"auto\"\nwrite true, false or \"auto\"")
    }

    fn visit_bool<E: Error>(self, kept: bool) -> Result<Maildirsize, E> {
        Ok(if kept {
            Maildirsize::Always
        } else {
            Maildirsize::Never
        })
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Maildirsize, E> {
        if text == "auto" {
            return Ok(Maildirsize::Auto);
        }
        let problem = format!("{text:?} is not known");
        let refused = Refused::new(problem, "write true, false or \"auto\"");
        Err(E::custom(refused))
    }
}
