//! Address lists (RFC 5322 §3.4, and the obsolete forms of §4.4) as ENVELOPE shows them.
//!
//! Every list gives a sensible result:
//! - `user@host (Name)` has the comment as its name; `Name user@host` the words before;
//! - an address without angle brackets may be its own display name (`a@b <a@b>`);
//! - a semicolon outside of a group separates like a comma; a group that is not closed is closed;
//! - a word alone is a mailbox without a host, several words are a name without an address.
//!   What is missing is said with the names that Dovecot uses, because NIL would say "group"
//!   (RFC 3501 §7.4.2).

use super::Budget;
use super::header::is_space;
use super::steps;
use super::token::Lexer;

/// An address structure (RFC 3501 §7.4.2). Without a host it begins a group, and without a mailbox
/// besides it ends one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// The display name, without quoting.
    pub name: Option<Vec<u8>>,
    /// The source route (at-domain-list).
    pub route: Option<Vec<u8>>,
    /// The local part, without quoting; the group's name.
    pub mailbox: Option<Vec<u8>>,
    /// The domain.
    pub host: Option<Vec<u8>>,
}

/// Appends the addresses of a field value.
pub(super) fn parse(value: &[u8], budget: &mut Budget, out: &mut Vec<Address>) {
    Parser {
        lexer: Lexer::new(value),
        last_quote: memchr::memrchr(b'"', value).map(|at| value.len() - at),
        item: Item::default(),
        group: Group::Outside,
        budget,
        out,
    }
    .run();
}

/// Whether the parser is in a group.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Outside,
    Inside,
}

/// The pass over one value.
struct Parser<'a, 'o> {
    lexer: Lexer<'a>,
    /// What is left of the value at its last `"`.
    last_quote: Option<usize>,
    item: Item,
    group: Group,
    budget: &'o mut Budget,
    out: &'o mut Vec<Address>,
}

impl Parser<'_, '_> {
    fn run(&mut self) {
        while let Some(octet) = self.lexer.peek() {
            match octet {
                b' ' | b'\t' | b'\r' | b'\n' => {
                    self.item.space = true;
                    self.lexer.bump();
                }
                b'(' => {
                    self.lexer.bump();
                    let comment = self.lexer.comment();
                    self.item.comment.get_or_insert(comment);
                    self.item.space = true;
                }
                b',' | b';' | b':' | b'>' => {
                    self.lexer.bump();
                    if !self.separator(octet) {
                        return self.close_group();
                    }
                }
                b'<' => {
                    self.lexer.bump();
                    if self.item.angle.is_some() && !self.flush() {
                        return self.close_group();
                    }
                    self.item.angle = Some(angle(&mut self.lexer));
                }
                b'@' => {
                    self.lexer.bump();
                    if let Some(complete) = self.item.at()
                        && !self.emit(complete)
                    {
                        return self.close_group();
                    }
                }
                b'.' => {
                    self.lexer.bump();
                    self.item.dot();
                }
                _ => self.word(octet),
            }
        }
        self.flush();
        self.close_group();
    }

    /// Takes `,`, `;`, `:` or a stray `>`; `false` if the budget is spent.
    fn separator(&mut self, octet: u8) -> bool {
        match octet {
            b',' => self.flush(),
            b';' => {
                let more = self.flush();
                self.close_group();
                more
            }
            b':' if self.item.names_group() => {
                self.close_group();
                let name = std::mem::take(&mut self.item).phrase;
                if !self.budget.take() {
                    return false;
                }
                self.group = Group::Inside;
                self.out.push(Address {
                    mailbox: Some(name),
                    ..Address::default()
                });
                true
            }
            _ => true,
        }
    }

    /// Takes a word: an atom, a quoted string or a domain literal.
    fn word(&mut self, first: u8) {
        if first == b'"' {
            // A quote that nothing closes is no quote.
            let closed = self
                .last_quote
                .is_some_and(|last| last < self.lexer.rest().len());
            self.lexer.bump();
            if closed {
                let text = self.lexer.quoted();
                self.item.word(&text);
            }
        } else if first == b'[' {
            let text = self
                .lexer
                .take_while(|octet| !is_space(octet) && !matches!(octet, b']' | b',' | b'>'));
            self.item.word(text);
            if self.lexer.eat(b']') {
                self.item.word(b"]");
            }
        } else {
            let text = self.lexer.take_while(is_word_char);
            self.item.word(text);
        }
    }

    /// Ends an item; `false` if the budget is spent.
    fn flush(&mut self) -> bool {
        match std::mem::take(&mut self.item).finish() {
            Some(address) => self.emit(address),
            None => true,
        }
    }

    fn emit(&mut self, address: Address) -> bool {
        let more = self.budget.take();
        if more {
            steps::add(1);
            self.out.push(address);
        }
        more
    }

    fn close_group(&mut self) {
        if self.group == Group::Inside {
            self.group = Group::Outside;
            self.out.push(Address::default());
        }
    }
}

/// What is known of an address before its separator.
#[derive(Default)]
struct Item {
    /// Everything outside of angle brackets and comments, words one space apart.
    phrase: Vec<u8>,
    /// The number of words in `phrase`, counting those joined by dots once.
    words: usize,
    /// The last of those words, and where in `phrase` it begins.
    run: Vec<u8>,
    run_start: usize,
    /// White space or a comment came last, or a dot.
    space: bool,
    dotted: bool,
    /// An address without angle brackets.
    bare: Option<Bare>,
    angle: Option<Address>,
    comment: Option<Vec<u8>>,
}

/// An address without angle brackets.
struct Bare {
    local: Vec<u8>,
    domain: Vec<u8>,
    /// Where in `phrase` the name before it ends.
    name_end: usize,
    /// Where in `phrase` the text after it begins, once the domain has ended.
    tail: Option<usize>,
}

impl Item {
    /// Adds a word.
    fn word(&mut self, text: &[u8]) {
        let joined = self.dotted || !self.space;
        if self.space && !self.phrase.is_empty() {
            self.phrase.push(b' ');
        }
        let start = self.phrase.len();
        self.phrase.extend_from_slice(text);
        let space = std::mem::take(&mut self.space);
        self.dotted = false;
        if let Some(bare) = &mut self.bare
            && bare.tail.is_none()
        {
            if joined || bare.domain.is_empty() {
                bare.domain.extend_from_slice(text);
                return;
            }
            bare.tail = Some(start);
        }
        if !joined || self.words == 0 || (space && self.run.is_empty()) {
            self.words += 1;
            self.run.clear();
            self.run_start = start;
        }
        self.run.extend_from_slice(text);
    }

    /// Adds a dot, which joins what is around it.
    fn dot(&mut self) {
        self.phrase.push(b'.');
        match &mut self.bare {
            Some(bare) if bare.tail.is_none() => bare.domain.push(b'.'),
            _ => self.run.push(b'.'),
        }
        self.words = self.words.max(1);
        self.space = false;
        self.dotted = true;
    }

    /// Takes an `@`: what is before it is a local part. Returns the address before, if there was
    /// one without a separator.
    fn at(&mut self) -> Option<Address> {
        let mut complete = None;
        match &mut self.bare {
            Some(bare) if bare.tail.is_none() => {
                // `a@b@c`: only the last one can begin the domain.
                bare.local.push(b'@');
                bare.local.append(&mut bare.domain);
            }
            Some(bare) => {
                let name = self.phrase.get(..bare.name_end).unwrap_or_default();
                complete = Some(Address {
                    name: non_empty(name.trim_ascii()),
                    route: None,
                    mailbox: Some(or_missing(std::mem::take(&mut bare.local), MISSING_MAILBOX)),
                    host: Some(or_missing(std::mem::take(&mut bare.domain), MISSING_DOMAIN)),
                });
                let local = std::mem::take(&mut self.run);
                *self = Self {
                    phrase: local.clone(),
                    words: 1,
                    bare: Some(Bare::new(local, 0)),
                    ..Self::default()
                };
            }
            None => {
                let name_end = self.run_start;
                self.bare = Some(Bare::new(std::mem::take(&mut self.run), name_end));
            }
        }
        self.phrase.push(b'@');
        self.space = false;
        self.dotted = false;
        complete
    }

    /// Whether a colon here ends a group's name.
    fn names_group(&self) -> bool {
        !self.phrase.is_empty() && self.angle.is_none() && self.bare.is_none()
    }

    /// The address, if there is any.
    fn finish(self) -> Option<Address> {
        let comment = self.comment.as_deref().and_then(non_empty);
        if let Some(address) = self.angle {
            return Some(Address {
                name: non_empty(self.phrase.trim_ascii()).or(comment),
                ..address
            });
        }
        if let Some(bare) = self.bare {
            let before = self.phrase.get(..bare.name_end).unwrap_or_default();
            let after = bare.tail.and_then(|tail| self.phrase.get(tail..));
            return Some(Address {
                name: non_empty(before.trim_ascii())
                    .or(after.and_then(non_empty))
                    .or(comment),
                route: None,
                mailbox: Some(or_missing(bare.local, MISSING_MAILBOX)),
                host: Some(or_missing(bare.domain, MISSING_DOMAIN)),
            });
        }
        if self.phrase.is_empty() {
            return None;
        }
        let host = Some(MISSING_DOMAIN.to_vec());
        Some(if self.words > 1 {
            Address {
                name: Some(self.phrase),
                route: None,
                mailbox: Some(MISSING_MAILBOX.to_vec()),
                host,
            }
        } else {
            Address {
                name: comment,
                route: None,
                mailbox: Some(self.phrase),
                host,
            }
        })
    }
}

impl Bare {
    fn new(local: Vec<u8>, name_end: usize) -> Self {
        Self {
            local,
            domain: Vec::new(),
            name_end,
            tail: None,
        }
    }
}

/// Reads `angle-addr` after its `<`: route, local part, domain. Without its `>` it ends at a
/// comma.
fn angle(lexer: &mut Lexer<'_>) -> Address {
    lexer.skip_cfws();
    let mut route = None;
    if lexer.peek() == Some(b'@') {
        let text = lexer.take_while(|octet| !matches!(octet, b':' | b'>' | b'<' | b'"' | b'('));
        let text: Vec<u8> = text.iter().copied().filter(|&o| !is_space(o)).collect();
        if lexer.eat(b':') {
            route = Some(text);
        } else {
            // `<@host>`, or worse: there is a domain, but no local part.
            let host = text.strip_prefix(b"@").unwrap_or(&text).to_vec();
            lexer.take_while(|octet| octet != b'>' && octet != b',');
            lexer.eat(b'>');
            return Address {
                name: None,
                route,
                mailbox: Some(MISSING_MAILBOX.to_vec()),
                host: Some(or_missing(host, MISSING_DOMAIN)),
            };
        }
    }
    let mut local = Vec::new();
    let mut domain: Option<Vec<u8>> = None;
    while let Some(octet) = lexer.peek() {
        if octet == b',' {
            break;
        }
        if lexer.skip_cfws() {
            continue;
        }
        if octet == b'@' {
            lexer.bump();
            // `a@b@c`: only the last one can begin the domain.
            if let Some(mut before) = domain.replace(Vec::new()) {
                local.push(b'@');
                local.append(&mut before);
            }
            continue;
        }
        let into = domain.as_mut().unwrap_or(&mut local);
        match octet {
            b'>' => {
                lexer.bump();
                break;
            }
            b'"' => {
                lexer.bump();
                into.extend_from_slice(&lexer.quoted());
            }
            b'<' => lexer.bump(),
            _ => into.extend_from_slice(lexer.take_while(is_angle_char)),
        }
    }
    Address {
        name: None,
        route,
        mailbox: Some(or_missing(local, MISSING_MAILBOX)),
        host: Some(or_missing(domain.unwrap_or_default(), MISSING_DOMAIN)),
    }
}

fn non_empty(text: &[u8]) -> Option<Vec<u8>> {
    (!text.is_empty()).then(|| text.to_vec())
}

fn or_missing(text: Vec<u8>, missing: &[u8]) -> Vec<u8> {
    if text.is_empty() {
        missing.to_vec()
    } else {
        text
    }
}

/// Whether an octet belongs to a word outside of angle brackets.
fn is_word_char(octet: u8) -> bool {
    !is_space(octet)
        && !matches!(
            octet,
            b'(' | b',' | b';' | b':' | b'<' | b'>' | b'"' | b'@' | b'.' | b'['
        )
}

/// Whether an octet belongs to a local part or domain in angle brackets.
fn is_angle_char(octet: u8) -> bool {
    !is_space(octet) && !matches!(octet, b'(' | b',' | b'<' | b'>' | b'"' | b'@')
}

/// Stands for a local part that is not there.
const MISSING_MAILBOX: &[u8] = b"MISSING_MAILBOX";

/// Stands for a domain that is not there.
const MISSING_DOMAIN: &[u8] = b"MISSING_DOMAIN";

#[cfg(test)]
mod tests {
    use super::*;

    /// `name|route|mailbox|host`, `-` for NIL, one address per line.
    fn shown(value: &[u8]) -> String {
        let mut out = Vec::new();
        parse(value, &mut Budget::new(), &mut out);
        let text = |part: &Option<Vec<u8>>| {
            part.as_ref().map_or("-".to_owned(), |part| {
                String::from_utf8_lossy(part).into_owned()
            })
        };
        let lines: Vec<_> = out
            .iter()
            .map(|a| {
                let parts = [&a.name, &a.route, &a.mailbox, &a.host].map(text);
                parts.join("|")
            })
            .collect();
        lines.join("\n")
    }

    #[test]
    fn proper_addresses() {
        for (value, expected) in [
            ("a@b", "-|-|a|b"),
            ("<a@b>", "-|-|a|b"),
            ("John Doe <j@d.org>", "John Doe|-|j|d.org"),
            ("\"Doe, John\" <j@d>", "Doe, John|-|j|d"),
            ("\"a \\\"b\\\"\" <j@d>", "a \"b\"|-|j|d"),
            ("Joe Q. Public <j.q@d>", "Joe Q. Public|-|j.q|d"),
            ("j@d (John Doe)", "John Doe|-|j|d"),
            ("\"john doe\"@d", "-|-|john doe|d"),
            ("<\"john doe\"@d>", "-|-|john doe|d"),
            ("a@[192.0.2.1]", "-|-|a|[192.0.2.1]"),
            ("A <a@[192.0.2.1]>", "A|-|a|[192.0.2.1]"),
            ("a@b, c@d", "-|-|a|b\n-|-|c|d"),
            (
                "=?utf-8?q?J?=\r\n =?utf-8?q?D?= <j@d>",
                "=?utf-8?q?J?= =?utf-8?q?D?=|-|j|d",
            ),
            (
                "Mary <@m.tld,@n.tld:mary@e.net>",
                "Mary|@m.tld,@n.tld|mary|e.net",
            ),
            ("", ""),
            (" , ,", ""),
        ] {
            assert_eq!(shown(value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn groups() {
        for (value, expected) in [
            (
                "undisclosed-recipients:;",
                "-|-|undisclosed-recipients|-\n-|-|-|-",
            ),
            (
                "A Group:Ed <e@x>,joe@y;, z@z",
                "-|-|A Group|-\nEd|-|e|x\n-|-|joe|y\n-|-|-|-\n-|-|z|z",
            ),
            ("g: a@b", "-|-|g|-\n-|-|a|b\n-|-|-|-"),
            (
                "g: a@b, h: c@d;",
                "-|-|g|-\n-|-|a|b\n-|-|-|-\n-|-|h|-\n-|-|c|d\n-|-|-|-",
            ),
            ("a@b; c@d", "-|-|a|b\n-|-|c|d"),
            (":;", ""),
        ] {
            assert_eq!(shown(value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn obsolete_addresses() {
        for (value, expected) in [
            ("jdoe@test   . example", "-|-|jdoe|test.example"),
            ("a . b@c", "-|-|a.b|c"),
            (
                "pete(his account)@silly.test(his host)",
                "his account|-|pete|silly.test",
            ),
            (
                "Mary Smith <@m.tld:mary @ e . net>",
                "Mary Smith|@m.tld|mary|e.net",
            ),
        ] {
            assert_eq!(shown(value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn broken_addresses() {
        for (value, expected) in [
            ("root", "-|-|root|MISSING_DOMAIN"),
            ("John Doe", "John Doe|-|MISSING_MAILBOX|MISSING_DOMAIN"),
            ("<>", "-|-|MISSING_MAILBOX|MISSING_DOMAIN"),
            ("a@", "-|-|a|MISSING_DOMAIN"),
            ("@b", "-|-|MISSING_MAILBOX|b"),
            ("<@b>", "-|-|MISSING_MAILBOX|b"),
            ("a@b <a@b>", "a@b|-|a|b"),
            ("John Doe j@d", "John Doe|-|j|d"),
            ("j@d John Doe", "John Doe|-|j|d"),
            ("a@b c@d", "-|-|a|b\n-|-|c|d"),
            ("a@b@c", "-|-|a@b|c"),
            ("<a@b@c>", "-|-|a@b|c"),
            ("<a@b", "-|-|a|b"),
            ("<a@b, c@d", "-|-|a|b\n-|-|c|d"),
            ("<<a@b>>", "-|-|a|b"),
            ("<a@b> <c@d>", "-|-|a|b\n-|-|c|d"),
            ("\"John <j@d>", "John|-|j|d"),
            ("a@b (never", "never|-|a|b"),
            ("(only a comment)", ""),
            ("J\u{f6}rg <j@d>", "J\u{f6}rg|-|j|d"),
            ("x)y@z", "-|-|x)y|z"),
        ] {
            assert_eq!(shown(value.as_bytes()), expected, "{value}");
        }
    }
}
