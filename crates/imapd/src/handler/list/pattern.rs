//! Mailbox patterns (RFC 3501 §6.3.8): `*` stands for anything, `%` for anything within a level.

/// A pattern, matched against names as clients see them.
#[derive(Debug)]
pub(crate) struct Pattern {
    tokens: Vec<Token>,
    /// How many octets a name needs at least.
    octets: usize,
    separator: char,
}

/// A part of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    /// This octet.
    Octet(u8),
    /// `%`.
    Level,
    /// `*`.
    Any,
}

/// A wildcard that can be stretched: where the pattern goes on after it, and where in the name
/// that was tried.
#[derive(Clone, Copy)]
struct Retry {
    token: usize,
    at: usize,
}

impl Pattern {
    /// Reads a pattern. Wildcards in a row are one: `%*` is `*`.
    pub(crate) fn new(text: &[u8], separator: char) -> Self {
        let mut tokens: Vec<Token> = Vec::with_capacity(text.len());
        for &octet in text {
            let token = match octet {
                b'*' => Token::Any,
                b'%' => Token::Level,
                octet => Token::Octet(octet),
            };
            match (tokens.last_mut(), token) {
                (Some(last @ (Token::Any | Token::Level)), Token::Any) => *last = Token::Any,
                (Some(Token::Any | Token::Level), Token::Level) => {}
                _ => tokens.push(token),
            }
        }
        let is_octet = |token: &&Token| matches!(token, Token::Octet(_));
        Self {
            octets: tokens.iter().filter(is_octet).count(),
            tokens,
            separator,
        }
    }

    /// Whether `%` may hide names below those that match.
    pub(crate) fn has_level_wildcard(&self) -> bool {
        self.tokens.contains(&Token::Level)
    }

    /// Whether a name matches; INBOX as its first level does in any case (RFC 3501 §5.1).
    ///
    /// A mismatch stretches the last wildcard only: what an earlier one could take over from it,
    /// it can take itself. Time is at most the product of both lengths, and no stack is used. A
    /// pattern that no name is long enough for costs nothing.
    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        if self.octets > name.len() {
            return false;
        }
        let inbox = inbox_len(name, self.separator);
        let (mut token, mut at) = (0, 0);
        let (mut level, mut any): (Option<Retry>, Option<Retry>) = (None, None);
        loop {
            match (self.tokens.get(token), name.get(at)) {
                (None, None) => return true,
                (Some(Token::Any), _) => {
                    token += 1;
                    any = Some(Retry { token, at });
                    level = None;
                    continue;
                }
                (Some(Token::Level), _) => {
                    token += 1;
                    level = Some(Retry { token, at });
                    continue;
                }
                (Some(Token::Octet(wanted)), Some(octet))
                    if wanted == octet || (at < inbox && wanted.eq_ignore_ascii_case(octet)) =>
                {
                    token += 1;
                    at += 1;
                    continue;
                }
                _ => {}
            }
            let separator = |octet: &u8| char::from(*octet) == self.separator;
            let within = |retry: &Retry| name.get(retry.at).is_some_and(|it| !separator(it));
            level = level.filter(within);
            any = any.filter(|retry| retry.at < name.len());
            let Some(retry) = level.as_mut().or(any.as_mut()) else {
                return false;
            };
            retry.at += 1;
            (token, at) = (retry.token, retry.at);
        }
    }
}

/// How many octets of a name are INBOX as its first level.
fn inbox_len(name: &[u8], separator: char) -> usize {
    const INBOX: &[u8] = b"INBOX";
    match name.strip_prefix(INBOX) {
        Some([]) => INBOX.len(),
        Some([next, ..]) if char::from(*next) == separator => INBOX.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::new(pattern.as_bytes(), '/').matches(name.as_bytes())
    }

    #[test]
    fn wildcards_match_within_and_across_levels() {
        let rows: [(&str, &[&str], &[&str]); 9] = [
            ("*", &["INBOX", "a/b/c", ""], &[]),
            ("%", &["INBOX", "a"], &["a/b"]),
            ("a/%", &["a/b", "a/"], &["a", "a/b/c"]),
            ("a/*", &["a/b", "a/b/c"], &["a", "ab"]),
            ("%/%", &["a/b"], &["a", "a/b/c"]),
            ("*b%", &["a/b", "b", "a/bc"], &["b/c", "a"]),
            ("inbox", &["INBOX"], &["INBOXES", "inbo"]),
            ("inBOX/%", &["INBOX/a"], &["Inbox/a/b"]),
            ("Drafts", &["Drafts"], &["drafts", "Drafts/a"]),
        ];
        for (pattern, yes, no) in rows {
            for name in yes {
                assert!(matches(pattern, name), "{pattern} {name}");
            }
            for name in no {
                assert!(!matches(pattern, name), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn wildcards_take_linear_steps_on_the_worst_name() {
        let pattern = "*a%".repeat(2_000) + "b";
        let name = "a".repeat(1_000);
        assert!(!matches(&pattern, &name));
    }

    /// The definition, word for word.
    fn naive(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => (0..=name.len()).any(|end| naive(rest, &name[end..])),
            ([b'%', rest @ ..], _) => {
                let level = name.iter().position(|it| *it == b'/').unwrap_or(name.len());
                (0..=level).any(|end| naive(rest, &name[end..]))
            }
            ([first, rest @ ..], [octet, others @ ..]) => first == octet && naive(rest, others),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_definition(pattern in "[ab/%*]{0,8}", name in "[ab/]{0,10}") {
            let expected = naive(pattern.as_bytes(), name.as_bytes());
            prop_assert_eq!(matches(&pattern, &name), expected);
        }
    }
}
