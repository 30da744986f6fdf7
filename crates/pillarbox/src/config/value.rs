//! Values as people write them: sizes, times, numbers, addresses, and what is said of bad ones.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Expected, SeqAccess, Unexpected, Visitor};

use super::unit::{parse_duration, parse_size, show_duration, show_size};

/// Why a value was refused, and what to write instead.
///
/// Serde hands errors on as text and so this is its text too: the problem on one line, the fix on
/// the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// What is wrong, as it goes on after the name of the key: "is not a size".
    pub(super) problem: String,
    /// What to do.
    pub(super) fix: String,
}

impl Refused {
    /// Makes one.
    pub(super) fn new(problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            fix: fix.into(),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.problem, self.fix)
    }
}

impl std::error::Error for Refused {}

impl Error for Refused {
    fn custom<T: fmt::Display>(message: T) -> Self {
        let text = message.to_string();
        let (problem, fix) = text.rsplit_once('\n').unwrap_or((&text, "correct it"));
        Self::new(problem, fix)
    }

    fn invalid_type(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        // The words that serde has for the types of TOML.
        let found = found.to_string();
        let found = match found.split(' ').next() {
            Some("integer") => "a number",
            Some("floating") => "a fraction",
            Some("boolean") => "true or false",
            Some("sequence") => "a list",
            Some("map") => "a table",
            Some("date") => "a date",
            Some(_) | None => "a string",
        };
        let text = wanted.to_string();
        let (wanted, fix) = match text.as_str() {
            "a string" => ("a string", "write it in quotes"),
            "a boolean" => ("true or false", "write true or false, without quotes"),
            text => text.split_once('\n').unwrap_or((text, "correct it")),
        };
        Self::new(format!("is {found}, but must be {wanted}"), fix)
    }

    fn unknown_variant(found: &str, known: &'static [&'static str]) -> Self {
        Self::new(format!("{found:?} is not known"), one_of(known))
    }
}

/// What to do if one of these words is wanted.
pub(super) fn one_of(words: &[&str]) -> String {
    format!("write \"{}\"", words.join("\" or \""))
}

/// Reads a whole number from `LOW` to `HIGH`.
pub(super) fn number<'de, D, T, const LOW: u64, const HIGH: u64>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    let scalar = Scalar {
        wanted: "a whole number",
        fix: format!("write a number from {LOW} to {HIGH}"),
    };
    match from.deserialize_any(&scalar)? {
        Written::Number(number) => scalar.within(number, LOW, HIGH),
        Written::Text(text) => Err(Error::invalid_type(Unexpected::Str(&text), &&scalar)),
    }
}

/// Reads a size from `LOW` to `HIGH`: a string like `"50 MiB"`, or a number of octets.
pub(super) fn size<'de, D, T, const LOW: u64, const HIGH: u64>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    let (low, high) = (show_size(LOW), show_size(HIGH));
    let scalar = Scalar {
        wanted: "a size",
        fix: format!("write a size from \"{low}\" to \"{high}\""),
    };
    let octets = match from.deserialize_any(&scalar)? {
        Written::Number(octets) => octets,
        Written::Text(text) => {
            parse_size(&text).ok_or_else(|| scalar.refuse(format!("{text:?} is not a size")))?
        }
    };
    scalar.within(octets, LOW, HIGH)
}

/// Reads a duration from `LOW` to `HIGH` milliseconds: a string like `"30m"` or `"1h 30m"`.
pub(super) fn duration<'de, D, const LOW: u64, const HIGH: u64>(
    from: D,
) -> Result<Duration, D::Error>
where
    D: Deserializer<'de>,
{
    let range = Duration::from_millis(LOW)..=Duration::from_millis(HIGH);
    let (low, high) = (show_duration(*range.start()), show_duration(*range.end()));
    let scalar = Scalar {
        wanted: "a string with a unit",
        fix: format!("write a time from \"{low}\" to \"{high}\""),
    };
    match from.deserialize_any(&scalar)? {
        Written::Number(number) => Err(Error::custom(Refused::new(
            "is a number, but must be a string with a unit",
            format!("say which unit: \"{number}s\" or \"{number}m\""),
        ))),
        Written::Text(text) => match parse_duration(&text) {
            None => Err(scalar.refuse(format!("{text:?} is not a time"))),
            Some(found) if !range.contains(&found) => Err(scalar.refuse("is out of range")),
            Some(found) => Ok(found),
        },
    }
}

/// A number or a string, before anybody has asked what it means.
enum Written {
    Number(u64),
    Text(String),
}

/// Takes what is [`Written`], and knows what should have been.
struct Scalar {
    /// What must be there: "a size".
    wanted: &'static str,
    /// What to do if it is not.
    fix: String,
}

impl Scalar {
    /// Refuses a value of the right type.
    fn refuse<E: Error>(&self, problem: impl Into<String>) -> E {
        E::custom(Refused::new(problem, &*self.fix))
    }

    /// The number, if it is in the range.
    fn within<T: TryFrom<u64>, E: Error>(&self, number: u64, low: u64, high: u64) -> Result<T, E> {
        T::try_from(number)
            .ok()
            .filter(|_| (low..=high).contains(&number))
            .ok_or_else(|| self.refuse("is out of range"))
    }
}

impl Visitor<'_> for &Scalar {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.wanted, self.fix)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Written, E> {
        u64::try_from(number)
            .map(Written::Number)
            .map_err(|_| E::custom(Refused::new("is negative", FROM_ZERO)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Written, E> {
        Ok(Written::Text(text.to_owned()))
    }
}

/// What to do about a number that none of our types can hold.
pub(super) const FROM_ZERO: &str = "write a number from 0 up";

/// Reads an address with its port, or a list of them.
pub(super) fn addresses<'de, D>(from: D) -> Result<Vec<SocketAddr>, D::Error>
where
    D: Deserializer<'de>,
{
    from.deserialize_any(Addresses)
}

/// Takes an address or a list of them.
struct Addresses;

impl<'de> Visitor<'de> for Addresses {
    type Value = Vec<SocketAddr>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an address with a port\nwrite {ADDRESSES}")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        parse_address(text)
            .map(|address| vec![address])
            .map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(text) = list.next_element::<String>()? {
            all.push(parse_address(&text).map_err(Error::custom)?);
        }
        if all.is_empty() {
            let fix = format!("write {ADDRESSES}");
            return Err(Error::custom(Refused::new("is empty", fix)));
        }
        Ok(all)
    }
}

/// How addresses are written.
const ADDRESSES: &str = "\"192.0.2.1:143\" or \"[::]:143\", or a list of such";

/// Reads an address with its port.
fn parse_address(text: &str) -> Result<SocketAddr, Refused> {
    text.parse().map_err(|_| {
        let text = text.trim();
        let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
        let port = port.parse::<u16>();
        let fix = match (host, port, text.parse::<IpAddr>()) {
            ("" | "*", Ok(port), _) => format!("write [\"0.0.0.0:{port}\", \"[::]:{port}\"]"),
            ("localhost", Ok(port), _) => {
                format!("write [\"127.0.0.1:{port}\", \"[::1]:{port}\"]")
            }
            (_, _, Ok(address)) => format!("write \"{}\"", SocketAddr::new(address, 143)),
            (_, Ok(_) | Err(_), Err(_)) => format!("write {ADDRESSES}"),
        };
        Refused::new(format!("{text:?} is not an address with a port"), fix)
    })
}

/// Reads a string and makes something of it.
pub(super) fn text<'de, D, T>(
    from: D,
    read: impl FnOnce(String) -> Result<T, Refused>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
{
    read(String::deserialize(from)?).map_err(Error::custom)
}

/// Reads a list of strings and makes something of each.
pub(super) fn list<'de, D, T, C: FromIterator<T>>(
    from: D,
    fix: &'static str,
    read: impl FnMut(&String) -> Result<T, Refused>,
) -> Result<C, D::Error>
where
    D: Deserializer<'de>,
{
    let strings = Vec::<String>::deserialize(from)
        .map_err(|_| Error::custom(Refused::new("must be a list of strings", fix)))?;
    let (mut problems, mut fixes) = (Vec::new(), Vec::new());
    let read = strings.iter().map(read);
    let values = read.filter_map(|value| match value {
        Ok(value) => Some(value),
        Err(Refused { problem, fix }) => {
            problems.push(problem);
            if !fixes.contains(&fix) {
                fixes.push(fix);
            }
            None
        }
    });
    let values: C = values.collect();
    if problems.is_empty() {
        return Ok(values);
    }
    let refused = Refused::new(problems.join("; "), fixes.join("; "));
    Err(Error::custom(refused))
}
