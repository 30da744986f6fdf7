//! The grammar of commands: RFC 1939 §9, RFC 2449 §3, RFC 2595 §4, RFC 5034 §5, RFC 6856.
//!
//! A line is complete when it comes here, so these are nom's complete parsers.

use auth::Secret;
use auth::sasl::Mechanism;
use nom::bytes::complete::{tag, take_while, take_while1};
use nom::character::complete::{digit1, satisfy};
use nom::combinator::{all_consuming, map, map_opt, opt, rest, verify};
use nom::error::{ContextError, ErrorKind, ParseError, context};
use nom::sequence::{pair, preceded, terminated};
use nom::{IResult, Parser};

use crate::command::{
    Any, Auth, Authorization, Command, LanguageRange, MsgNum, Transaction, UserName, decimal,
    password,
};

/// Why a line is not a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyntaxError {
    /// The keyword is none of ours.
    Unknown,
    /// The keyword is ours, the arguments are not right.
    Expected(&'static str),
}

/// What a rule gives.
type Parsed<'a, T> = IResult<&'a [u8], T, SyntaxError>;

impl ParseError<&[u8]> for SyntaxError {
    fn from_error_kind(_: &[u8], _: ErrorKind) -> Self {
        Self::Expected(NOTHING_MORE)
    }

    fn append(_: &[u8], _: ErrorKind, other: Self) -> Self {
        other
    }
}

impl ContextError<&[u8]> for SyntaxError {
    fn add_context(_: &[u8], expected: &'static str, _: Self) -> Self {
        Self::Expected(expected)
    }
}

/// Parses one line, given without its CRLF.
///
/// `command = keyword *(SP param) CRLF` (RFC 2449 §3); keywords are case-insensitive.
///
/// # Errors
/// [`SyntaxError`], which never repeats the input.
pub fn command(line: &[u8]) -> Result<Command, SyntaxError> {
    let (arguments, keyword) = keyword(line).map_err(|_| SyntaxError::Unknown)?;
    let result = match keyword.as_slice() {
        b"CAPA" => nothing(Command::Any(Any::Capa), arguments),
        b"LANG" => lang(arguments),
        b"QUIT" => nothing(Command::Any(Any::Quit), arguments),
        b"USER" => user(arguments),
        b"PASS" => pass(arguments),
        b"APOP" => apop(arguments),
        b"AUTH" => auth(arguments),
        b"STLS" => nothing(Command::Authorization(Authorization::Stls), arguments),
        b"UTF8" => nothing(Command::Authorization(Authorization::Utf8), arguments),
        b"STAT" => nothing(Command::Transaction(Transaction::Stat), arguments),
        b"LIST" => optional_msg(Transaction::List, arguments),
        b"RETR" => msg(Transaction::Retr, arguments),
        b"DELE" => msg(Transaction::Dele, arguments),
        b"NOOP" => nothing(Command::Transaction(Transaction::Noop), arguments),
        b"RSET" => nothing(Command::Transaction(Transaction::Rset), arguments),
        b"TOP" => top(arguments),
        b"UIDL" => optional_msg(Transaction::Uidl, arguments),
        _ => return Err(SyntaxError::Unknown),
    };
    match result {
        Ok((_, command)) => Ok(command),
        Err(nom::Err::Error(error) | nom::Err::Failure(error)) => Err(error),
        Err(nom::Err::Incomplete(_)) => Err(SyntaxError::Expected(NOTHING_MORE)),
    }
}

/// `keyword = 3*4VCHAR` (RFC 2449 §3), in upper case, up to a space or the end of the line.
fn keyword(input: &[u8]) -> Parsed<'_, Vec<u8>> {
    map(
        verify(take_while(|byte| byte != b' '), |keyword: &[u8]| {
            (3..=4).contains(&keyword.len())
        }),
        <[u8]>::to_ascii_uppercase,
    )
    .parse(input)
}

/// No arguments.
fn nothing(command: Command, input: &[u8]) -> Parsed<'_, Command> {
    let (input, ()) = end_lenient(input)?;
    Ok((input, command))
}

/// `"LANG" [SP language-range]` (RFC 6856 §3.2)
fn lang(input: &[u8]) -> Parsed<'_, Command> {
    let range = context(
        "a language range",
        map_opt(
            take_while1(|byte: u8| byte == b'*' || byte == b'-' || byte.is_ascii_alphanumeric()),
            LanguageRange::new,
        ),
    );
    map(terminated(optional(range), end_lenient), |range| {
        Command::Any(Any::Lang(range))
    })
    .parse(input)
}

/// `"USER" SP name` (RFC 1939 §7); the name is the rest of the line.
fn user(input: &[u8]) -> Parsed<'_, Command> {
    let name = map_opt(verify(rest, |name: &[u8]| !name.is_empty()), UserName::new);
    map(
        all_consuming(context("a name in UTF-8", preceded(tag(" "), name))),
        |name| Command::Authorization(Authorization::User(name)),
    )
    .parse(input)
}

/// `"PASS" SP string` (RFC 1939 §7); spaces belong to the password.
fn pass(input: &[u8]) -> Parsed<'_, Command> {
    let string = map_opt(rest, password);
    map(
        all_consuming(context("a password in UTF-8", preceded(tag(" "), string))),
        |password| Command::Authorization(Authorization::Pass(password)),
    )
    .parse(input)
}

/// `"APOP" SP name SP digest` (RFC 1939 §7); what they are does not matter, we offer no APOP.
fn apop(input: &[u8]) -> Parsed<'_, Command> {
    map(rest, |_| Command::Authorization(Authorization::Apop)).parse(input)
}

/// `auth-command = "AUTH" SP sasl-mech [SP initial-response]` (RFC 5034 §5)
fn auth(input: &[u8]) -> Parsed<'_, Command> {
    let mechanism = take_while1(|byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let initial = take_while1(|byte: u8| byte.is_ascii_graphic());
    let arguments = pair(mechanism, optional(initial));
    map(
        terminated(
            context("a SASL mechanism and base64", optional(arguments)),
            end_lenient,
        ),
        |arguments| Command::Authorization(Authorization::Auth(auth_form(arguments))),
    )
    .parse(input)
}

/// Tells the forms of AUTH apart.
fn auth_form(arguments: Option<(&[u8], Option<&[u8]>)>) -> Auth {
    let Some((name, initial)) = arguments else {
        return Auth::List;
    };
    let mechanism = str::from_utf8(name).ok().and_then(Mechanism::from_name);
    mechanism.map_or(Auth::Unsupported, |mechanism| Auth::Start {
        mechanism,
        initial: initial.map(Secret::new),
    })
}

/// `keyword SP msg` (RFC 1939 §9)
fn msg(make: fn(MsgNum) -> Transaction, input: &[u8]) -> Parsed<'_, Command> {
    map(
        terminated(
            context("a message-number", preceded(tag(" "), message_number)),
            end_lenient,
        ),
        |number| Command::Transaction(make(number)),
    )
    .parse(input)
}

/// `keyword [SP msg]` (RFC 1939 §9)
fn optional_msg(make: fn(Option<MsgNum>) -> Transaction, input: &[u8]) -> Parsed<'_, Command> {
    map(
        terminated(
            optional(message_number),
            context("a message-number", end_lenient),
        ),
        |number| Command::Transaction(make(number)),
    )
    .parse(input)
}

/// `"TOP" SP msg SP n` (RFC 1939 §7)
fn top(input: &[u8]) -> Parsed<'_, Command> {
    let lines = map(digit1, decimal);
    let arguments = (tag(" "), message_number, tag(" "), lines);
    map(
        terminated(
            context("a message-number and a number of lines", arguments),
            end_lenient,
        ),
        |(_, message, _, lines)| Command::Transaction(Transaction::Top { message, lines }),
    )
    .parse(input)
}

/// `msg = 1*DIGIT`: decimal, without a sign (RFC 1939 §4)
fn message_number(input: &[u8]) -> Parsed<'_, MsgNum> {
    map(digit1, MsgNum::from_digits).parse(input)
}

/// `[SP argument]`
fn optional<'a, T>(
    argument: impl Parser<&'a [u8], Output = T, Error = SyntaxError>,
) -> impl Parser<&'a [u8], Output = Option<T>, Error = SyntaxError> {
    opt(preceded(pair(tag(" "), not_end), argument))
}

/// Something that is no space follows.
fn not_end(input: &[u8]) -> Parsed<'_, ()> {
    nom::combinator::peek(satisfy(|character| character != ' '))
        .map(|_| ())
        .parse(input)
}

/// The end of the line.
///
/// Interop: spaces before it are ignored, because scripts and old clients send `LIST `.
fn end_lenient(input: &[u8]) -> Parsed<'_, ()> {
    all_consuming(take_while(|byte| byte == b' '))
        .map(|_| ())
        .parse(input)
}

/// What a command without arguments expects after its keyword.
const NOTHING_MORE: &str = "the end of the line";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How a line parses, in `Debug` form.
    fn parsed(line: &str) -> String {
        format!("{:?}", command(line.as_bytes()))
    }

    #[test]
    fn every_command_parses() {
        for (line, expected) in [
            ("CAPA", "Ok(Any(Capa))"),
            ("capa ", "Ok(Any(Capa))"),
            ("LANG", "Ok(Any(Lang(None)))"),
            ("LANG *", "Ok(Any(Lang(Some(LanguageRange(\"*\")))))"),
            (
                "LANG en-US",
                "Ok(Any(Lang(Some(LanguageRange(\"en-us\")))))",
            ),
            ("quit", "Ok(Any(Quit))"),
            ("USER mrose", "Ok(Authorization(User(UserName(..))))"),
            ("USER two words", "Ok(Authorization(User(UserName(..))))"),
            ("PASS a b  c ", "Ok(Authorization(Pass(Secret(..))))"),
            ("PASS ", "Ok(Authorization(Pass(Secret(..))))"),
            ("APOP mrose c4c9334b", "Ok(Authorization(Apop))"),
            ("AUTH", "Ok(Authorization(Auth(List)))"),
            ("AUTH ", "Ok(Authorization(Auth(List)))"),
            ("AUTH XYZ", "Ok(Authorization(Auth(Unsupported)))"),
            (
                "AUTH plain",
                "Ok(Authorization(Auth(Start { mechanism: Plain, initial: None })))",
            ),
            (
                "AUTH PLAIN =",
                "Ok(Authorization(Auth(Start { mechanism: Plain, initial: Some(Secret(..)) })))",
            ),
            ("STLS", "Ok(Authorization(Stls))"),
            ("UTF8", "Ok(Authorization(Utf8))"),
            ("STAT", "Ok(Transaction(Stat))"),
            ("LIST", "Ok(Transaction(List(None)))"),
            ("LIST ", "Ok(Transaction(List(None)))"),
            ("LIST 2", "Ok(Transaction(List(Some(MsgNum(2)))))"),
            ("RETR 1", "Ok(Transaction(Retr(MsgNum(1))))"),
            ("RETR 007", "Ok(Transaction(Retr(MsgNum(7))))"),
            ("DELE 0", "Ok(Transaction(Dele(MsgNum(0))))"),
            ("NOOP", "Ok(Transaction(Noop))"),
            ("RSET", "Ok(Transaction(Rset))"),
            (
                "TOP 1 10",
                "Ok(Transaction(Top { message: MsgNum(1), lines: 10 }))",
            ),
            ("UIDL", "Ok(Transaction(Uidl(None)))"),
            ("UIDL 3", "Ok(Transaction(Uidl(Some(MsgNum(3)))))"),
        ] {
            assert_eq!(parsed(line), expected, "{line}");
        }
    }

    #[test]
    fn spaces_belong_to_the_password() {
        let Ok(Command::Authorization(Authorization::Pass(secret))) = command(b"PASS a b  c ")
        else {
            panic!("not a PASS");
        };
        assert_eq!(secret.expose(), b"a b  c ");
    }

    #[test]
    fn bad_lines_say_what_was_expected() {
        for (line, expected) in [
            ("STAT x", "the end of the line"),
            ("USER", "a name in UTF-8"),
            ("USER ", "a name in UTF-8"),
            ("PASS", "a password in UTF-8"),
            ("RETR", "a message-number"),
            ("RETR ", "a message-number"),
            ("RETR +1", "a message-number"),
            ("RETR -1", "a message-number"),
            ("RETR 1x", "the end of the line"),
            ("LIST +1", "a message-number"),
            ("LIST 1 2", "a message-number"),
            ("TOP 1", "a message-number and a number of lines"),
            ("TOP 1 -1", "a message-number and a number of lines"),
            ("TOP 1 10 ", ""),
            ("LANG e n", "the end of the line"),
        ] {
            let expected = if expected.is_empty() {
                "Ok(Transaction(Top { message: MsgNum(1), lines: 10 }))".to_owned()
            } else {
                format!("Err(Expected({expected:?}))")
            };
            assert_eq!(parsed(line), expected, "{line}");
        }
    }

    #[test]
    fn other_protocols_are_unknown() {
        for line in [
            "",
            " ",
            "GET / HTTP/1.1",
            "Host: x",
            "EHLO x",
            "a1 LOGIN",
            "XSENDER",
            "User-Agent: x",
            "NOOP\0",
            "\0",
        ] {
            assert_eq!(parsed(line), "Err(Unknown)", "{line}");
        }
    }

    #[test]
    fn numbers_of_lines_saturate() {
        assert_eq!(
            parsed("TOP 1 99999999999999999999999"),
            format!(
                "Ok(Transaction(Top {{ message: MsgNum(1), lines: {} }}))",
                u64::MAX
            )
        );
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_fail(line in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(command(&line));
        }

        #[test]
        fn any_arguments_parse_or_fail(
            keyword in prop::sample::select(vec!["LIST", "TOP", "AUTH", "LANG", "USER", "PASS"]),
            arguments in "[ -~]{0,40}",
        ) {
            drop(command(format!("{keyword}{arguments}").as_bytes()));
        }
    }
}
