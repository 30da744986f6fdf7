//! Dates and times (RFC 3501 §9).

use std::time::{Duration, SystemTime};

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{take, take_while_m_n};
use nom::character::complete::{char, one_of};
use nom::combinator::map_opt;
use nom::error::context;
use nom::sequence::{delimited, preceded, terminated};

use crate::command::Date;

use super::Parsed;

/// `date = date-text / DQUOTE date-text DQUOTE` (RFC 3501 §9)
pub(super) fn date(input: &[u8]) -> Parsed<'_, Date> {
    let quoted = delimited(char('"'), date_text, char('"'));
    context("a date such as 1-Feb-1994", alt((quoted, date_text))).parse(input)
}

/// `date-text = date-day "-" date-month "-" date-year` (RFC 3501 §9)
fn date_text(input: &[u8]) -> Parsed<'_, Date> {
    calendar_date(date_day, input)
}

/// `date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE`
/// (RFC 3501 §9)
pub(super) fn date_time(input: &[u8]) -> Parsed<'_, SystemTime> {
    let fields = (
        |input| calendar_date(date_day_fixed_lenient, input),
        preceded(char(' '), time),
        preceded(char(' '), zone),
    );
    let time = map_opt(
        delimited(char('"'), fields, char('"')),
        |(Date(days), time, zone)| system_time(i64::from(days) * 86_400 + time - zone),
    );
    context(
        "a date and time such as \"17-Jul-1996 02:44:25 -0700\"",
        time,
    )
    .parse(input)
}

/// A day by `day`, then `"-" date-month "-" date-year`, if the month has such a day
fn calendar_date<'a>(
    day: impl Fn(&'a [u8]) -> Parsed<'a, i64>,
    input: &'a [u8],
) -> Parsed<'a, Date> {
    let month = delimited(char('-'), date_month, char('-'));
    map_opt((day, month, date_year), |(day, month, year)| {
        days_from_civil(year, month, day)
    })
    .parse(input)
}

/// `date-day = 1*2DIGIT` (RFC 3501 §9)
fn date_day(input: &[u8]) -> Parsed<'_, i64> {
    digits(1, 2, input)
}

/// `date-day-fixed = (SP DIGIT) / 2DIGIT` (RFC 3501 §9)
///
/// Interop: clients that build APPEND's date by hand forget the space before a single digit.
fn date_day_fixed_lenient(input: &[u8]) -> Parsed<'_, i64> {
    let one = preceded(char(' '), |input| digits(1, 1, input));
    alt((one, date_day)).parse(input)
}

/// `date-month = "Jan" / "Feb" / … / "Dec"` (RFC 3501 §9), as a number from 1
fn date_month(input: &[u8]) -> Parsed<'_, i64> {
    map_opt(take(3usize), |name: &[u8]| {
        let index = MONTHS
            .iter()
            .position(|month| month.as_bytes().eq_ignore_ascii_case(name))?;
        i64::try_from(index + 1).ok()
    })
    .parse(input)
}

/// `date-year = 4DIGIT` (RFC 3501 §9)
fn date_year(input: &[u8]) -> Parsed<'_, i64> {
    digits(4, 4, input)
}

/// `time = 2DIGIT ":" 2DIGIT ":" 2DIGIT` (RFC 3501 §9), as seconds; a leap second is allowed
fn time(input: &[u8]) -> Parsed<'_, i64> {
    let two = |input| digits(2, 2, input);
    let fields = (terminated(two, char(':')), terminated(two, char(':')), two);
    map_opt(fields, |(hours, minutes, seconds)| {
        let valid = hours < 24 && minutes < 60 && seconds <= 60;
        valid.then_some(hours * 3600 + minutes * 60 + seconds)
    })
    .parse(input)
}

/// `zone = ("+" / "-") 4DIGIT` (RFC 3501 §9), as seconds east of Greenwich
fn zone(input: &[u8]) -> Parsed<'_, i64> {
    let fields = (
        one_of("+-"),
        |input| digits(2, 2, input),
        |input| digits(2, 2, input),
    );
    map_opt(fields, |(sign, hours, minutes)| {
        let seconds = hours * 3600 + minutes * 60;
        let valid = hours < 24 && minutes < 60;
        valid.then_some(if sign == '-' { -seconds } else { seconds })
    })
    .parse(input)
}

/// From `least` to `most` digits, as a number
fn digits(least: usize, most: usize, input: &[u8]) -> Parsed<'_, i64> {
    let text = take_while_m_n(least, most, |octet: u8| octet.is_ascii_digit());
    map_opt(text, |digits| str::from_utf8(digits).ok()?.parse().ok()).parse(input)
}

/// A calendar date in the proleptic Gregorian calendar, if there is such a day.
///
/// Years are counted from March, so that the leap day is the last of its year; a month's first day
/// is then a linear function of its number.
fn days_from_civil(year: i64, month: i64, day: i64) -> Option<Date> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if day < 1 || day > length {
        return None;
    }
    let year = if month > 2 { year } else { year - 1 };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let march_month = (month + 9) % 12;
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    // 1 March of the year 0 is 719,468 days before 1 January 1970.
    let days = era * 146_097 + day_of_era - 719_468;
    i32::try_from(days).ok().map(Date)
}

/// A time by its seconds since 1970, which may be negative.
fn system_time(seconds: i64) -> Option<SystemTime> {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    }
}

/// `date-month` (RFC 3501 §9)
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_since_1970() {
        let table = [
            ("1-Jan-1970", Some(0)),
            ("01-jan-1970", Some(0)),
            ("\"2-JAN-1970\"", Some(1)),
            ("31-Dec-1969", Some(-1)),
            ("1-Feb-1994", Some(8_797)),
            ("29-Feb-2000", Some(11_016)),
            ("1-Mar-2000", Some(11_017)),
            ("31-Dec-9999", Some(2_932_896)),
            ("1-Jan-0000", Some(-719_528)),
            ("29-Feb-1900", None),
            ("29-Feb-2023", None),
            ("31-Apr-2000", None),
            ("32-Jan-2000", None),
            ("0-Jan-2000", None),
            ("001-Jan-2000", None),
            ("1-Jan-200", None),
            ("1-Foo-2000", None),
            ("1 Jan 2000", None),
            ("\"1-Jan-2000", None),
            (" 1-Jan-2000", None),
        ];
        for (input, days) in table {
            let found = date(input.as_bytes()).ok();
            let whole = found.filter(|(rest, _)| rest.is_empty());
            assert_eq!(whole.map(|(_, date)| date.0), days, "{input:?}");
        }
        assert_ne!(
            date(b"1-Jan-20000").map(|(rest, _)| rest.len()),
            Ok(0),
            "five digits are not a year"
        );
    }

    #[test]
    fn date_times_are_universal_time() {
        let table = [
            ("\"17-Jul-1996 02:44:25 -0700\"", Some(837_596_665)),
            ("\" 1-Jan-1970 00:00:00 +0000\"", Some(0)),
            ("\"01-Jan-1970 00:00:00 +0000\"", Some(0)),
            ("\"1-Jan-1970 00:00:00 +0000\"", Some(0)),
            ("\" 1-Jan-1970 01:00:00 +0200\"", Some(-3_600)),
            ("\"31-Dec-2016 23:59:60 +0000\"", Some(1_483_228_800)),
            (" 1-Jan-1970 00:00:00 +0000", None),
            ("\" 1-Jan-1970 00:00:00\"", None),
            ("\" 1-Jan-1970 00:00:00 0000\"", None),
            ("\" 1-Jan-1970 24:00:00 +0000\"", None),
            ("\" 1-Jan-1970 00:60:00 +0000\"", None),
            ("\" 1-Jan-1970 00:00:00 +2400\"", None),
            ("\" 1-Jan-1970 00:00:00 +0060\"", None),
            ("\" 1-Jan-1970  00:00:00 +0000\"", None),
            ("\" 11-Jan-1970 00:00:00 +0000\"", None),
            ("\"31-Feb-1970 00:00:00 +0000\"", None),
        ];
        for (input, seconds) in table {
            let expected = seconds.and_then(system_time);
            let found = date_time(input.as_bytes()).ok().map(|(_, time)| time);
            assert_eq!(found, expected, "{input:?}");
        }
    }
}
