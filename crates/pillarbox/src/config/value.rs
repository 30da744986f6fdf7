//! Values as people write them: durations, sizes, choices.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

/// Why a value was refused, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// What is wrong, as it goes on after the name of the key: "is not a size".
    pub(super) problem: String,
    /// What to do.
    pub(super) fix: String,
}

/// A value that was accepted or refused.
pub(super) type Read<T> = Result<T, Refused>;

impl Refused {
    /// Makes one.
    pub(super) fn new(problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            fix: fix.into(),
        }
    }

    /// A value of another type than was wanted.
    fn type_of(value: &DeValue<'_>, wanted: &str, example: &str) -> Self {
        let found = match value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a number",
            DeValue::Float(_) => "a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        Self::new(
            format!("is {found}, but must be {wanted}"),
            format!("write {example}"),
        )
    }
}

/// Any string.
pub(super) fn string(value: &DeValue<'_>) -> Read<String> {
    if let DeValue::String(text) = value {
        Ok(text.to_string())
    } else {
        Err(Refused::type_of(value, "a string", "it in quotes"))
    }
}

/// `true` or `false`.
pub(super) fn boolean(value: &DeValue<'_>) -> Read<bool> {
    if let DeValue::Boolean(value) = value {
        Ok(*value)
    } else {
        Err(Refused::type_of(
            value,
            "true or false",
            "true or false, without quotes",
        ))
    }
}

/// A whole number in `range`.
pub(super) fn number<T>(range: RangeInclusive<T>) -> impl Fn(&DeValue<'_>) -> Read<T>
where
    T: Copy + PartialOrd + TryFrom<u64> + std::fmt::Display,
{
    move |value| {
        let (low, high) = (range.start(), range.end());
        let fix = format!("write a number from {low} to {high}");
        let Some(number) = integer(value) else {
            return Err(Refused {
                fix,
                ..Refused::type_of(value, "a whole number", "")
            });
        };
        T::try_from(number?)
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(|| Refused::new("is out of range", fix))
    }
}

/// A size in `range`: a string like `"50 MiB"`, or a number of octets.
pub(super) fn size<T>(range: RangeInclusive<T>) -> impl Fn(&DeValue<'_>) -> Read<T>
where
    T: Copy + PartialOrd + TryFrom<u64> + Into<Octets>,
{
    move |value| {
        let (Octets(low), Octets(high)) = ((*range.start()).into(), (*range.end()).into());
        let fix = format!(
            "write a size from \"{}\" to \"{}\"",
            show_size(low),
            show_size(high)
        );
        let octets = match (value, integer(value)) {
            (_, Some(number)) => number?,
            (DeValue::String(text), None) => parse_size(text)
                .ok_or_else(|| Refused::new(format!("{text:?} is not a size"), fix.clone()))?,
            (_, None) => {
                return Err(Refused {
                    fix,
                    ..Refused::type_of(value, "a size", "")
                });
            }
        };
        T::try_from(octets)
            .ok()
            .filter(|octets| range.contains(octets))
            .ok_or_else(|| Refused::new("is out of range", fix))
    }
}

/// A number of octets, whatever type holds it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Octets(u64);

impl From<u64> for Octets {
    fn from(octets: u64) -> Self {
        Self(octets)
    }
}

impl From<usize> for Octets {
    fn from(octets: usize) -> Self {
        Self(u64::try_from(octets).unwrap_or(u64::MAX))
    }
}

/// A duration in `range`: a string like `"30m"` or `"1h 30m"`.
pub(super) fn duration(range: RangeInclusive<Duration>) -> impl Fn(&DeValue<'_>) -> Read<Duration> {
    move |value| {
        let fix = format!(
            "write a time from \"{}\" to \"{}\"",
            show_duration(*range.start()),
            show_duration(*range.end())
        );
        let DeValue::String(text) = value else {
            let fix = match integer(value) {
                Some(Ok(number)) => format!("say which unit: \"{number}s\" or \"{number}m\""),
                Some(Err(_)) | None => fix,
            };
            return Err(Refused {
                fix,
                ..Refused::type_of(value, "a string with a unit", "")
            });
        };
        let found = parse_duration(text)
            .ok_or_else(|| Refused::new(format!("{text:?} is not a time"), fix.clone()))?;
        if range.contains(&found) {
            Ok(found)
        } else {
            Err(Refused::new("is out of range", fix))
        }
    }
}

/// One of several words.
pub(super) fn choice<T: Copy>(
    choices: &'static [(&'static str, T)],
) -> impl Fn(&DeValue<'_>) -> Read<T> {
    move |value| {
        let words: Vec<String> = choices
            .iter()
            .map(|(word, _)| format!("\"{word}\""))
            .collect();
        let fix = format!("write {}", words.join(" or "));
        let DeValue::String(text) = value else {
            return Err(Refused {
                fix,
                ..Refused::type_of(value, "a string", "")
            });
        };
        choices
            .iter()
            .find_map(|(word, meaning)| (text.as_ref() == *word).then_some(*meaning))
            .ok_or_else(|| Refused::new(format!("{text:?} is not known"), fix))
    }
}

/// An address with its port, or a list of them.
pub(super) fn addresses(value: &DeValue<'_>) -> Read<Vec<SocketAddr>> {
    const EXAMPLE: &str = "\"192.0.2.1:143\" or \"[::]:143\", or a list of such";
    let address = |value: &DeValue<'_>| {
        let DeValue::String(text) = value else {
            return Err(Refused::type_of(value, "an address with a port", EXAMPLE));
        };
        text.parse::<SocketAddr>().map_err(|_| {
            let text = text.trim();
            let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
            let port = port.parse::<u16>();
            let fix = match (host, port, text.parse::<IpAddr>()) {
                ("" | "*", Ok(port), _) => format!("write [\"0.0.0.0:{port}\", \"[::]:{port}\"]"),
                ("localhost", Ok(port), _) => {
                    format!("write [\"127.0.0.1:{port}\", \"[::1]:{port}\"]")
                }
                (_, _, Ok(address)) => format!("write \"{}\"", SocketAddr::new(address, 143)),
                (_, Ok(_) | Err(_), Err(_)) => format!("write {EXAMPLE}"),
            };
            Refused::new(format!("{text:?} is not an address with a port"), fix)
        })
    };
    let DeValue::Array(list) = value else {
        return address(value).map(|address| vec![address]);
    };
    if list.is_empty() {
        return Err(Refused::new("is empty", format!("write {EXAMPLE}")));
    }
    list.iter().map(|value| address(value.get_ref())).collect()
}

/// The number that a value is; `None` if it is none at all.
fn integer(value: &DeValue<'_>) -> Option<Read<u64>> {
    let DeValue::Integer(found) = value else {
        return None;
    };
    let number = u64::from_str_radix(found.as_str(), found.radix());
    Some(number.map_err(|_| {
        let sign = if found.as_str().starts_with('-') {
            "is negative"
        } else {
            "is out of range"
        };
        Refused::new(sign, "write a number from 0 up")
    }))
}

/// Reads `50 MiB`, `64KB` or `512`; units are powers of 1024 with and without the `i`, as
/// administrators mean them.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end)?;
    let number: u64 = digits.parse().ok()?;
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

/// The shortest way to write a size.
pub(super) fn show_size(octets: u64) -> String {
    for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if octets > 0 && octets.is_multiple_of(1 << shift) {
            return format!("{} {unit}", octets >> shift);
        }
    }
    format!("{octets} B")
}

/// Reads `30m`, `1h 30m`, `500ms` or `90 s`.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut sum = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let (digits, after) = rest.split_at_checked(end)?;
        let number: u64 = digits.parse().ok()?;
        let after = after.trim_start();
        let end = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end)?;
        let factor = match unit {
            "ms" => 1,
            "s" | "sec" | "second" | "seconds" => 1_000,
            "m" | "min" | "minute" | "minutes" => 60_000,
            "h" | "hour" | "hours" => 3_600_000,
            "d" | "day" | "days" => 86_400_000,
            _ => return None,
        };
        sum = sum.checked_add(Duration::from_millis(number.checked_mul(factor)?))?;
        rest = after.trim_start();
    }
    Some(sum)
}

/// The shortest way to write a duration.
pub(super) fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    for (factor, unit) in [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1_000, "s"),
    ] {
        if millis.is_multiple_of(factor) {
            return format!("{}{unit}", millis / factor);
        }
    }
    format!("{millis}ms")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, expected) in [
            ("0", Some(0)),
            ("512", Some(512)),
            ("512 B", Some(512)),
            ("8 KiB", Some(8_192)),
            ("8k", Some(8_192)),
            ("50MiB", Some(50 << 20)),
            (" 50 mb ", Some(50 << 20)),
            ("2 GiB", Some(2 << 30)),
            ("", None),
            ("MiB", None),
            ("-1", None),
            ("1.5 MiB", None),
            ("1 TiB", None),
            ("99999999999 GiB", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(parse_size(text), expected, "{text:?}");
        }
    }

    #[test]
    fn durations_are_read() {
        let seconds = |n| Some(Duration::from_secs(n));
        for (text, expected) in [
            ("0s", seconds(0)),
            ("30s", seconds(30)),
            ("30 s", seconds(30)),
            ("2m", seconds(120)),
            ("1h 30m", seconds(5_400)),
            ("1h30m", seconds(5_400)),
            ("1d", seconds(86_400)),
            ("10 minutes", seconds(600)),
            ("250ms", Some(Duration::from_millis(250))),
            ("", None),
            ("30", None),
            ("m", None),
            ("-1s", None),
            ("1.5h", None),
            ("1 fortnight", None),
            ("99999999999999999999s", None),
            ("9999999999999999999d", None),
        ] {
            assert_eq!(parse_duration(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read(octets in any::<u64>(), millis in 0..u64::from(u32::MAX)) {
            prop_assert_eq!(parse_size(&show_size(octets)), Some(octets));
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&show_duration(duration)), Some(duration));
        }

        #[test]
        fn any_text_never_panics(text in ".{0,20}|[0-9]{0,20} ?[a-zA-Z]{0,4}") {
            let _size = parse_size(&text);
            let _duration = parse_duration(&text);
        }
    }
}
