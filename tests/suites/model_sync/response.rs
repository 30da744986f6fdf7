//! Responses as a client reads them: a small parser of what a server may send (RFC 3501 §7), which
//! knows nothing of the server's own code.

use std::collections::BTreeSet;

/// A part of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// An atom, a number, or the content of a string.
    Word(String),
    /// What stands in parentheses.
    List(Vec<Self>),
}

/// One response.
#[derive(Clone, Debug)]
pub(crate) enum Response {
    /// `+`
    Continue,
    /// The end of a command.
    Tagged {
        tag: String,
        status: String,
        code: Vec<Item>,
    },
    /// `* OK`, `* NO`, `* BAD`, `* BYE`
    Status { status: String, code: Vec<Item> },
    /// What is said of a message, or how many there are: `* 5 EXPUNGE`, `* 23 EXISTS`
    Message {
        number: u32,
        what: String,
        data: Vec<Item>,
    },
    /// All others: `* SEARCH 2 3`
    Data { what: String, data: Vec<Item> },
}

impl Item {
    /// The word, or nothing for a list.
    pub(crate) fn word(&self) -> &str {
        match self {
            Self::Word(word) => word,
            Self::List(_) => "",
        }
    }

    /// The parts of a list.
    pub(crate) fn list(&self) -> &[Self] {
        match self {
            Self::Word(_) => &[],
            Self::List(items) => items,
        }
    }

    /// The number that a word is.
    pub(crate) fn number(&self) -> u64 {
        let word = self.word();
        word.parse()
            .unwrap_or_else(|_| panic!("{self:?} is not a number"))
    }

    /// The words of a list.
    pub(crate) fn words(&self) -> BTreeSet<String> {
        let words = self.list().iter().map(Self::word);
        words.map(str::to_owned).collect()
    }
}

/// What follows a name in a list of names and values.
pub(crate) fn value<'a>(items: &'a [Item], name: &str) -> Option<&'a Item> {
    items
        .chunks(2)
        .find(|pair| pair[0].word().eq_ignore_ascii_case(name))
        .map(|pair| &pair[1])
}

/// The names in a list of names and values.
pub(crate) fn names(items: &[Item]) -> BTreeSet<String> {
    let names = items.chunks(2).map(|pair| pair[0].word());
    names.map(str::to_ascii_uppercase).collect()
}

/// The numbers of a set, in the order in which they stand there.
pub(crate) fn numbers(set: &str) -> Vec<u32> {
    let number = |text: &str| -> u32 {
        text.parse()
            .unwrap_or_else(|_| panic!("{set} is not a set of numbers"))
    };
    let pieces = set.split(',').filter(|piece| !piece.is_empty());
    let pieces = pieces.map(|piece| match piece.split_once(':') {
        Some((first, last)) => number(first)..=number(last),
        None => number(piece)..=number(piece),
    });
    pieces.flatten().collect()
}

/// A set of these numbers.
pub(crate) fn set(numbers: &[u32]) -> String {
    let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
    numbers.join(",")
}

/// The items that a FETCH asks of messages, as their responses name them; nothing for another
/// command.
pub(crate) fn asked(command: &str) -> Option<BTreeSet<String>> {
    let (_, rest) = command.split_once("FETCH ")?;
    let (_, items) = rest.split_once(' ')?;
    let mut lexer = Lexer {
        bytes: items.as_bytes(),
        at: 0,
    };
    let names = lexer.items().first()?.words();
    let mut names: BTreeSet<String> = names.iter().map(|it| it.replace(".PEEK", "")).collect();
    // By UID FETCH (RFC 3501 §6.4.8), and by CHANGEDSINCE (RFC 7162 §3.1.4.1).
    for (reason, implied) in [("UID FETCH ", "UID"), ("CHANGEDSINCE", "MODSEQ")] {
        if command.contains(reason) {
            names.insert(implied.to_owned());
        }
    }
    Some(names)
}

/// All responses in what a server has sent; each of them is whole.
pub(crate) fn parse(bytes: &[u8]) -> Vec<Response> {
    let mut lexer = Lexer { bytes, at: 0 };
    let mut responses = Vec::new();
    while lexer.at < bytes.len() {
        responses.push(lexer.response());
    }
    responses
}

struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Lexer<'_> {
    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(b'\r')
    }

    fn response(&mut self) -> Response {
        let first = self.atom();
        let response = match first.as_str() {
            "+" => Response::Continue,
            "*" => self.untagged(),
            _ => {
                let status = self.next_atom();
                let code = self.code();
                Response::Tagged {
                    tag: first,
                    status,
                    code,
                }
            }
        };
        let line_end = self.bytes[self.at..]
            .windows(2)
            .position(|it| it == b"\r\n");
        self.at += line_end.unwrap_or_else(|| panic!("a line without an end")) + 2;
        response
    }

    fn untagged(&mut self) -> Response {
        let what = self.next_atom();
        if let Ok(number) = what.parse() {
            let what = self.next_atom();
            let data = self.items();
            return Response::Message { number, what, data };
        }
        if ["OK", "NO", "BAD", "BYE", "PREAUTH"].contains(&what.as_str()) {
            let code = self.code();
            return Response::Status { status: what, code };
        }
        let data = self.items();
        Response::Data { what, data }
    }

    /// The code of a status response, empty if there is none. The text is left.
    fn code(&mut self) -> Vec<Item> {
        self.skip_spaces();
        if self.peek() != b'[' {
            return Vec::new();
        }
        self.at += 1;
        let items = self.items();
        assert_eq!(self.peek(), b']', "a code without an end");
        items
    }

    fn items(&mut self) -> Vec<Item> {
        let mut items = Vec::new();
        loop {
            self.skip_spaces();
            match self.peek() {
                b')' | b']' | b'\r' => return items,
                b'(' => {
                    self.at += 1;
                    items.push(Item::List(self.items()));
                    assert_eq!(self.peek(), b')', "a list without an end");
                    self.at += 1;
                }
                b'"' => items.push(Item::Word(self.quoted())),
                b'{' => items.push(Item::Word(self.literal())),
                _ => items.push(Item::Word(self.atom())),
            }
        }
    }

    fn skip_spaces(&mut self) {
        while self.peek() == b' ' {
            self.at += 1;
        }
    }

    fn next_atom(&mut self) -> String {
        self.skip_spaces();
        self.atom()
    }

    /// An atom; a section in brackets is part of it.
    fn atom(&mut self) -> String {
        let begin = self.at;
        let mut section = 0;
        loop {
            match self.peek() {
                b'[' => section += 1,
                b']' if section > 0 => section -= 1,
                b' ' | b'(' | b')' | b']' if section == 0 => break,
                b'\r' => break,
                _ => {}
            }
            self.at += 1;
        }
        String::from_utf8_lossy(&self.bytes[begin..self.at]).into_owned()
    }

    fn quoted(&mut self) -> String {
        let mut text = Vec::new();
        loop {
            self.at += 1;
            match self.peek() {
                b'"' => break,
                b'\\' => self.at += 1,
                _ => {}
            }
            text.push(self.peek());
        }
        self.at += 1;
        String::from_utf8(text).unwrap()
    }

    fn literal(&mut self) -> String {
        self.at += 1;
        let begin = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        let digits = std::str::from_utf8(&self.bytes[begin..self.at]).unwrap();
        let length: usize = digits.parse().unwrap();
        let content = self.at + "}\r\n".len();
        self.at = content + length;
        String::from_utf8_lossy(&self.bytes[content..self.at]).into_owned()
    }
}
