//! Sizes and times with their units.

use std::time::Duration;

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

/// A second in milliseconds, as the ranges of durations have it.
pub(super) const SECOND: u64 = 1_000;
/// A minute.
pub(super) const MINUTE: u64 = 60 * SECOND;
/// An hour.
pub(super) const HOUR: u64 = 60 * MINUTE;
/// 1024 octets.
pub(super) const KIB: u64 = 1 << 10;
/// 1024 KiB.
pub(super) const MIB: u64 = 1 << 20;
/// 1024 MiB.
pub(super) const GIB: u64 = 1 << 30;

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
