//! The day in a Date field (RFC 5322 §3.3), for SENTBEFORE, SENTON and SENTSINCE.

use super::header::{Fields, Header};
use super::mime::Parsed;
use super::token::Lexer;
use crate::command::Date;

impl Header<'_> {
    /// The day that the Date field names, disregarding time and timezone (RFC 3501 §6.4.4).
    pub fn sent_date(self) -> Option<Date> {
        parse(Fields::named(self.octets(), b"Date")?.value)
    }
}

impl Parsed {
    /// See [`Header::sent_date`].
    pub fn sent_date(&self, message: &[u8]) -> Option<Date> {
        Header::new(message.get(self.header()).unwrap_or_default()).sent_date()
    }
}

/// Reads `[day-name ","] day month year`, and the obsolete short years (RFC 5322 §4.3).
///
/// Interop: hyphens between day, month and year, and full names of months.
fn parse(value: &[u8]) -> Option<Date> {
    let mut lexer = Lexer::new(value);
    skip_separators(&mut lexer);
    if lexer.take_while(|octet| octet.is_ascii_alphabetic()) != b"" {
        skip_separators(&mut lexer);
    }
    let day = number(lexer.take_while(|octet| octet.is_ascii_digit()))?;
    skip_separators(&mut lexer);
    let name = lexer.take_while(|octet| octet.is_ascii_alphabetic());
    let month = month(name)?;
    skip_separators(&mut lexer);
    let digits = lexer.take_while(|octet| octet.is_ascii_digit());
    let year = number(digits)?;
    let year = match digits.len() {
        ..=1 => return None,
        2 if year < 50 => year + 2000,
        2 | 3 => year + 1900,
        _ => year,
    };
    let valid = (1..=31).contains(&day) && (1..=9999).contains(&year);
    valid.then(|| Date(days(year, month, day)))
}

/// Days since 1 January 1970 in the proleptic Gregorian calendar.
fn days(year: i32, month: i32, day: i32) -> i32 {
    // Years begin in March, so that a leap day is the last day of one.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    365 * year + leap_days + day_of_year - DAYS_TO_1970
}

/// The number of a month by the first three letters of its name.
fn month(name: &[u8]) -> Option<i32> {
    let name = name.get(..3)?;
    let months = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
        b"Dec",
    ];
    (1..)
        .zip(months)
        .find(|(_, month)| name.eq_ignore_ascii_case(*month))
        .map(|(number, _)| number)
}

fn number(digits: &[u8]) -> Option<i32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn skip_separators(lexer: &mut Lexer<'_>) {
    while lexer.skip_cfws() || lexer.eat(b',') || lexer.eat(b'-') || lexer.eat(b'.') {}
}

/// Days from 1 March of the year 0 to 1 January 1970.
const DAYS_TO_1970: i32 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_from_1970() {
        for (value, expected) in [
            ("Thu, 1 Jan 1970 00:00:00 +0000", Some(0)),
            ("Fri, 21 Nov 1997 09:55:06 -0600", Some(10_186)),
            ("Tue, 29 Feb 2000 23:59:59 +1400", Some(11_016)),
            ("1 Mar 2000 00:00 GMT", Some(11_017)),
            ("Wed, 31 Dec 1969 12:00:00 Z", Some(-1)),
            (
                "Thu,\r\n      13\r\n        Feb\r\n          1969",
                Some(-322),
            ),
            ("21 Nov 97 09:55:06 GMT", Some(10_186)),
            ("21 Nov 04", Some(12_743)),
            ("1 Jan 100", Some(10_957)),
            ("(c) Mon(d), 1-January-2024", Some(19_723)),
            ("Mon. 1 Jan 2024", Some(19_723)),
            ("", None),
            ("yesterday", None),
            ("32 Jan 2024", None),
            ("0 Jan 2024", None),
            ("1 Foo 2024", None),
            ("1 Jan", None),
            ("1 Jan 99999", None),
            ("99999999999999999999 Jan 2024", None),
        ] {
            assert_eq!(parse(value.as_bytes()), expected.map(Date), "{value}");
        }
    }

    #[test]
    fn only_the_date_field_counts() {
        let message = b"Resent-Date: 1 Jan 1970\r\ndate: 2 Jan 1970\r\n\r\nDate: 3 Jan 1970\r\n";
        assert_eq!(Parsed::new(message).sent_date(message), Some(Date(1)));
        assert_eq!(Parsed::new(b"").sent_date(b""), None);
    }
}
