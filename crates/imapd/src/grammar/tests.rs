//! Tests of the grammar: rules against examples, and any bytes at all.

mod mailboxes;
mod messages;
mod searches;
mod tell;

use proptest::prelude::*;

use crate::command::{SearchKey, StatusItem};
use crate::types::{Bound, SequenceSet};

use self::tell::tell;
use super::*;

/// What a command line is parsed into.
fn parsed(line: impl AsRef<[u8]>) -> Result<String, String> {
    match command(line.as_ref(), &Limits::default()) {
        Ok(tagged) => Ok(tell(&tagged.command)),
        Err((_, error)) => Err(error.to_string()),
    }
}

/// Checks what the command lines of a table, without their tags, are parsed into.
fn check(table: &[(&str, &str)]) {
    for (line, expected) in table {
        let found = parsed(format!("a {line}"));
        assert_eq!(found.as_deref(), Ok(*expected), "{line:?}");
    }
}

/// Checks that the command lines of a table, without their tags, fail as they should.
fn check_refused(table: &[(&str, &str)]) {
    for (line, expected) in table {
        let found = parsed(format!("a {line}"));
        let expected = format!("expected {expected}");
        assert_eq!(found.as_deref(), Err(&expected), "{line:?}");
    }
}

#[test]
fn examples_of_rfc_3501_are_parsed() {
    check(&[
        ("CAPABILITY", "Capability"),
        ("NOOP", "Noop"),
        ("LOGOUT", "Logout"),
        ("STARTTLS", "StartTls"),
        ("AUTHENTICATE GSSAPI", "Authenticate None None"),
        ("LOGIN SMITH SESAME", "Login SMITH SESAME"),
        ("LOGIN fred blurdybloop", "Login fred blurdybloop"),
        (
            "LOGIN {11}\r\nFRED FOOBAR {7}\r\nfat man",
            "Login \"FRED FOOBAR\" \"fat man\"",
        ),
        ("SELECT INBOX", "Select INBOX"),
        ("EXAMINE blurdybloop", "Examine blurdybloop"),
        ("CREATE owatagusiam/", "Create owatagusiam/"),
        (
            "CREATE owatagusiam/blurdybloop",
            "Create owatagusiam/blurdybloop",
        ),
        ("DELETE foo/bar", "Delete foo/bar"),
        ("RENAME INBOX old-mail", "Rename INBOX old-mail"),
        (
            "SUBSCRIBE #news.comp.mail.mime",
            "Subscribe #news.comp.mail.mime",
        ),
        (
            "UNSUBSCRIBE #news.comp.mail.mime",
            "Unsubscribe #news.comp.mail.mime",
        ),
        ("LIST \"\" *", "List \"\" \"*\""),
        ("LIST \"\" \"\"", "List \"\" \"\""),
        (
            "LIST #news.comp.mail.misc \"\"",
            "List #news.comp.mail.misc \"\"",
        ),
        ("LIST /usr/staff/jones \"\"", "List /usr/staff/jones \"\""),
        ("LIST ~/Mail/ %", "List ~/Mail/ \"%\""),
        (
            "LSUB \"#news.\" \"comp.mail.*\"",
            "Lsub #news. \"comp.mail.*\"",
        ),
        ("LSUB \"#news.\" \"comp.%\"", "Lsub #news. \"comp.%\""),
        (
            "STATUS blurdybloop (UIDNEXT MESSAGES)",
            "Status blurdybloop [UidNext, Messages]",
        ),
        ("CHECK", "Check"),
        ("CLOSE", "Close"),
        ("EXPUNGE", "Expunge(None)"),
        (
            "SEARCH FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\"",
            "Search No \\Flagged Since:8797 !FROM:\"Smith\"",
        ),
        (
            "SEARCH TEXT \"string not in mailbox\"",
            "Search No text:\"string not in mailbox\"",
        ),
        (
            "SEARCH CHARSET UTF-8 TEXT {6}\r\nXXXXXX",
            "Search No text:\"XXXXXX\"",
        ),
        (
            "FETCH 2:4 (FLAGS BODY[HEADER.FIELDS (DATE FROM)])",
            "Fetch 2:4 Flags BODY[HEADER.FIELDS (DATE FROM)]",
        ),
        (
            "STORE 2:4 +FLAGS (\\Deleted)",
            "Store 2:4 +(\\Deleted) Flags",
        ),
        ("COPY 2:4 MEETING", "Copy 2:4 MEETING"),
        (
            "UID FETCH 4827313:4828442 FLAGS",
            "Fetch uid 4827313:4828442 Flags",
        ),
    ]);
    check_refused(&[
        ("BLURDYBLOOP {102856}", "a command at octet 2"),
        ("XPIG-LATIN", "a command at octet 2"),
    ]);
}

#[test]
fn examples_of_the_extensions_are_parsed() {
    check(&[
        // RFC 2177 §3, RFC 2342 §5, RFC 3691 §2
        ("IDLE", "Idle"),
        ("NAMESPACE", "Namespace"),
        (
            "enable CONDSTORE x-good-idea",
            "Enable CONDSTORE x-good-idea",
        ),
        // RFC 4978 §3
        ("compress deflate", "Compress"),
        ("UNSELECT", "Unselect"),
        ("unauthenticate", "Unauthenticate"),
        // RFC 2971 §3.1
        (
            "ID (\"name\" \"sodr\" \"version\" \"19.34\" \"vendor\" NIL)",
            "ID name=sodr version=19.34 vendor=NIL",
        ),
        ("ID NIL", "ID"),
        ("ID ()", "ID"),
        // RFC 4315 §2.1
        ("UID EXPUNGE 3000:3002", "Expunge uid 3000:3002"),
        // RFC 4959 §5
        (
            "AUTHENTICATE PLAIN dGVzdAB0ZXN0AHRlc3Q=",
            "Authenticate Some(Plain) Some(\"dGVzdAB0ZXN0AHRlc3Q=\")",
        ),
        ("AUTHENTICATE EXTERNAL =", "Authenticate None Some(\"=\")"),
        ("authenticate login", "Authenticate Some(Login) None"),
        // RFC 7888 §3
        (
            "LOGIN {11+}\r\nFRED FOOBAR {7+}\r\nfat man",
            "Login \"FRED FOOBAR\" \"fat man\"",
        ),
    ]);
    check_refused(&[
        ("ID (\"name\")", "a space at octet 12"),
        (
            "ID (name \"x\")",
            "a string in quotes or a literal at octet 6",
        ),
        ("ID", "a space at octet 4"),
        ("COMPRESS", "a space at octet 10"),
        ("COMPRESS ZSTD", "DEFLATE at octet 11"),
        ("COMPRESS DEFLATE64", "the end of the command at octet 18"),
        ("ID x", "a list in parentheses or NIL at octet 5"),
        (
            "AUTHENTICATE PLAIN ==",
            "the end of the command at octet 22",
        ),
        ("AUTHENTICATE PLAIN YQ", "base64 at octet 21"),
        ("UID NOOP", "a command that has a UID form at octet 6"),
        ("UID", "a space at octet 5"),
        ("UID EXPUNGE", "a space at octet 13"),
    ]);
}

#[test]
fn logins_take_any_string() {
    check(&[
        (
            "LOGIN \"a b\" \"p(){%*]\\\"\\\\ \"",
            r#"Login "a b" "p(){%*]\\"\\\\ ""#,
        ),
        (
            "LOGIN {2}\r\n\"\\ {3}\r\n\r\n ",
            r#"Login "\\"\\\\" {3}\r\n\r\n "#,
        ),
        ("LOGIN user \"\"", "Login user \"\""),
        ("LOGIN user p]w", "Login user p]w"),
    ]);
    let latin1 = parsed(b"a LOGIN {1}\r\n\xe9 {1}\r\n\xff");
    assert_eq!(latin1.as_deref(), Ok(r"Login {1}\r\n\xe9 {1}\r\n\xff"));
    let latin1 = parsed(b"a LOGIN \"\xe9\" \"\xff\"");
    let expected = Err("expected UTF-8 in quotes at octet 9");
    assert_eq!(latin1.as_deref().map_err(String::as_str), expected);
    check_refused(&[
        ("LOGIN user", "a space at octet 12"),
        ("LOGIN user p(w", "the end of the command at octet 14"),
        (
            "LOGIN user {3}\r\na\0b",
            "a literal without NUL at octet 18",
        ),
        ("LOGIN user {4}\r\nabc", "a literal without NUL at octet 18"),
        ("LOGIN user {x}\r\nabc", "a number below 2^64 at octet 14"),
    ]);
}

#[test]
fn trailing_spaces_are_forgiven() {
    check(&[
        ("NOOP ", "Noop"),
        ("SELECT x   ", "Select x"),
        ("SEARCH ALL ", "Search No all"),
        ("FETCH 1 FLAGS ", "Fetch 1 Flags"),
        ("STORE 1 FLAGS \\Seen ", "Store 1 =(\\Seen) Flags"),
        ("AUTHENTICATE PLAIN ", "Authenticate Some(Plain) None"),
        ("LOGIN a {2}\r\nb ", "Login a \"b \""),
    ]);
    check_refused(&[
        ("NOOP x", "the end of the command at octet 6"),
        ("NOOP\t", "the end of the command at octet 6"),
        ("SEARCH ALL  ALL", "a search key at octet 13"),
    ]);
}

#[test]
fn tags_come_back_with_errors() {
    let tag_of = |line: &[u8]| {
        let (tag, error) = command(line, &Limits::default()).unwrap_err();
        (tag.map(|tag| tag.to_string()), error.to_string())
    };
    let table: [(&[u8], Option<&str>, &str); 8] = [
        (b"a1 FOO", Some("a1"), "expected a command at octet 3"),
        (b"a1", Some("a1"), "expected a space at octet 2"),
        (b"a1 ", Some("a1"), "expected a command at octet 3"),
        (b"", None, "expected a tag at octet 0"),
        (b" NOOP", None, "expected a tag at octet 0"),
        (b"+ NOOP", None, "expected a tag at octet 0"),
        (b"a+b NOOP", None, "expected a space at octet 1"),
        (b"\x16\x03\x01", None, "expected a tag at octet 0"),
    ];
    for (line, expected_tag, expected_error) in table {
        let (tag, error) = tag_of(line);
        assert_eq!(tag.as_deref(), expected_tag, "{line:?}");
        assert_eq!(error, expected_error, "{line:?}");
    }
}

/// What an unfinished command announces, in short.
fn announced(line: &str) -> Result<String, String> {
    match announces(line.as_bytes(), &Limits::default()) {
        Ok(Announces::Octets(tagged, _)) => Ok(format!("{} {}", tagged.tag, tell(&tagged.command))),
        Ok(Announces::ArgumentOfAppend) => Ok("mailbox".to_owned()),
        Ok(Announces::Argument) => Ok("argument".to_owned()),
        Err((tag, error)) => Err(format!("{} {error}", tag.unwrap())),
    }
}

#[test]
fn catenate_is_parsed_up_to_its_text() {
    let table = [
        (
            "a APPEND x (\\Seen) CATENATE (URL \"/a b\" text {310}\r\n",
            Ok("a Append x =(\\Seen) None /a b text 310"),
        ),
        (
            "a APPEND x catenate (Url /a) () CATENATE (TEXT {310+}\r\n",
            Ok("a Append x =() None /a whole =() None text 310"),
        ),
        ("a APPEND x CATENATE (URL {310}\r\n", Ok("mailbox")),
        (
            "a APPEND x CATENATE (TEXT ~{310}\r\n",
            Err("a expected a literal at octet 26"),
        ),
    ];
    for (line, expected) in table {
        let found = announced(line);
        let found = found.as_ref().map(String::as_str);
        assert_eq!(found.map_err(String::as_str), expected, "{line:?}");
    }
}

#[test]
fn expunge_is_held_for_sequence_numbers() {
    use crate::command::ExpungeRule::{Allowed, Held};
    for (line, expected) in [
        ("FETCH 1 FLAGS", Held),
        ("STORE 1 FLAGS ()", Held),
        ("SEARCH ALL", Held),
        ("COPY 1 x", Held),
        ("UID FETCH 1 FLAGS", Allowed),
        ("UID STORE 1 FLAGS ()", Allowed),
        ("UID SEARCH ALL", Allowed),
        ("UID COPY 1 x", Allowed),
        ("MOVE 1 x", Allowed),
        ("UID MOVE 1 x", Allowed),
        ("NOOP", Allowed),
        ("CHECK", Allowed),
        ("IDLE", Allowed),
        ("EXPUNGE", Allowed),
        ("UID EXPUNGE 1", Allowed),
        ("STATUS x (UNSEEN)", Allowed),
    ] {
        let tagged = command(format!("a {line}").as_bytes(), &Limits::default()).unwrap();
        assert_eq!(tagged.command.expunge_rule(), expected, "{line}");
    }
}

#[test]
fn errors_and_debug_show_no_input() {
    for line in [
        "a LOGIN tim hunter2 x",
        "a LOGIN tim \"hunter2",
        "a HUNTER2 hunter2",
    ] {
        let (_, error) = command(line.as_bytes(), &Limits::default()).unwrap_err();
        let shown = format!("{error} {error:?}").to_ascii_lowercase();
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let login = command(b"a LOGIN tim hunter2", &Limits::default()).unwrap();
    assert!(!format!("{login:?}").contains("104, 117"));
}

/// A string in one of its three forms.
fn astring() -> impl Strategy<Value = String> {
    ("[ -~]{0,6}", 0..3u8).prop_map(|(text, form)| match form {
        0 => format!("{{{}}}\r\n{text}", text.len()),
        1 => format!("{{{}+}}\r\n{text}", text.len()),
        _ => {
            let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
            format!("\"{escaped}\"")
        }
    })
}

fn set() -> impl Strategy<Value = String> {
    let number = prop_oneof![Just("*".to_owned()), (1u32..).prop_map(|n| n.to_string())];
    let range = prop_oneof![
        number.clone(),
        (number.clone(), number).prop_map(|(a, b)| format!("{a}:{b}"))
    ];
    prop::collection::vec(range, 1..4).prop_map(|ranges| ranges.join(","))
}

fn search_key() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["ALL", "UNSEEN", "new", "SINCE 1-Feb-1994", "LARGER 7"])
            .prop_map(str::to_owned),
        astring().prop_map(|text| format!("SUBJECT {text}")),
        (astring(), astring()).prop_map(|(name, text)| format!("HEADER {name} {text}")),
        set(),
        set().prop_map(|set| format!("UID {set}")),
    ];
    leaf.prop_recursive(6, 30, 4, |key| {
        prop_oneof![
            key.clone().prop_map(|key| format!("NOT {key}")),
            (key.clone(), key.clone()).prop_map(|(a, b)| format!("OR {a} {b}")),
            prop::collection::vec(key, 1..4).prop_map(|keys| format!("({})", keys.join(" "))),
        ]
    })
}

fn section() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        Just("HEADER".to_owned()),
        Just("text".to_owned()),
        prop::collection::vec(astring(), 1..3)
            .prop_map(|names| format!("HEADER.FIELDS ({})", names.join(" "))),
    ];
    let part = prop::collection::vec(1u32.., 1..4).prop_map(|part| {
        let part: Vec<String> = part.iter().map(u32::to_string).collect();
        part.join(".")
    });
    let spec = prop_oneof![
        Just(String::new()),
        text.clone(),
        part.clone(),
        part.clone().prop_map(|part| format!("{part}.MIME")),
        (part, text).prop_map(|(part, text)| format!("{part}.{text}")),
    ];
    let partial = prop::option::of((any::<u32>(), 1u32..)).prop_map(|partial| {
        partial.map_or(String::new(), |(origin, octets)| {
            format!("<{origin}.{octets}>")
        })
    });
    ("BODY(\\.PEEK)?", spec, partial)
        .prop_map(|(name, spec, partial)| format!("{name}[{spec}]{partial}"))
}

/// A command line that the grammar allows.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        (astring(), astring()).prop_map(|(a, b)| format!("LOGIN {a} {b}")),
        (astring(), astring()).prop_map(|(a, b)| format!("LIST {a} {b}")),
        (astring(), astring()).prop_map(|(a, b)| format!(
            "LIST (REMOTE SUBSCRIBED) {a} ({b} %) RETURN (STATUS (UNSEEN) CHILDREN)"
        )),
        (astring(), astring()).prop_map(|(a, b)| format!("RENAME {a} {b}")),
        astring().prop_map(|name| format!("SELECT {name}")),
        astring().prop_map(|name| format!("STATUS {name} (UNSEEN MESSAGES)")),
        (set(), prop::collection::vec(section(), 1..4))
            .prop_map(|(set, items)| format!("FETCH {set} ({})", items.join(" "))),
        (set(), section()).prop_map(|(set, item)| format!("UID FETCH {set} {item}")),
        (set(), "[+-]?FLAGS(\\.SILENT)?", "\\((\\\\Seen)?( kw)?\\)").prop_map(
            |(set, name, flags)| { format!("STORE {set} {name} {}", flags.replace("( ", "(")) }
        ),
        (set(), astring()).prop_map(|(set, name)| format!("UID COPY {set} {name}")),
        (set(), astring()).prop_map(|(set, name)| format!("MOVE {set} {name}")),
        prop::collection::vec(search_key(), 1..4)
            .prop_map(|keys| format!("SEARCH {}", keys.join(" "))),
        search_key().prop_map(|key| format!("uid search charset utf-8 {key}")),
    ]
}

proptest! {
    #[test]
    fn generated_commands_are_parsed(line in line()) {
        let found = parsed(format!("tag-1 {line}"));
        prop_assert!(found.is_ok(), "{:?} {:?}", line, found);
    }

    #[test]
    fn broken_commands_are_refused_in_place(line in line(), at in any::<prop::sample::Index>(), octet in any::<u8>()) {
        let mut line = format!("tag-1 {line}").into_bytes();
        let at = at.index(line.len());
        line[at] = octet;
        if let Err((_, error)) = command(&line, &Limits::default()) {
            prop_assert!(error.at() <= line.len());
            prop_assert!(error.to_string().is_ascii());
        }
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let parsed = command(&bytes, &Limits::default());
        prop_assert!(parsed.is_ok() || !bytes.starts_with(b"a NOOP\r"));
    }

    #[test]
    fn any_search_charset_never_panics(
        charset in prop::sample::select(vec!["utf-7", "utf-16", "iso-2022-jp", "shift_jis", "gb18030", "big5", "euc-kr", "macintosh", "x"]),
        octets in prop::collection::vec(1u8.., 0..40),
    ) {
        let mut line = format!("a SEARCH CHARSET {charset} TEXT {{{}}}\r\n", octets.len()).into_bytes();
        line.extend(&octets);
        prop_assert!(parsed(line).is_ok());
    }

    #[test]
    fn sequence_sets_resolve_to_what_they_name(
        bounds in prop::collection::vec((prop::option::of(1u32..30), prop::option::of(1u32..30)), 1..6),
        largest in 1u32..30,
    ) {
        let bound = |number: Option<u32>| number.and_then(std::num::NonZeroU32::new).map_or(Bound::Largest, Bound::Number);
        let set = SequenceSet(bounds.iter().map(|&(a, b)| (bound(a), bound(b))).collect());
        let ranges = set.resolve(largest);
        let named = |number: u32| bounds.iter().any(|&(a, b)| {
            let (a, b) = (a.unwrap_or(largest), b.unwrap_or(largest));
            (a.min(b)..=a.max(b)).contains(&number)
        });
        for number in 1..40 {
            prop_assert_eq!(ranges.contains(number), named(number), "{} in {:?}", number, ranges);
        }
        let listed: Vec<u32> = ranges.numbers().collect();
        prop_assert!(listed.is_sorted());
        prop_assert_eq!(listed, (1..40).filter(|&number| named(number)).collect::<Vec<_>>());
        prop_assert!(ranges.0.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
    }
}

#[test]
fn moves_are_parsed() {
    check(&[
        ("MOVE 2:4 MEETING", "Move 2:4 MEETING"),
        ("uid move 42:69 foo", "Move uid 42:69 foo"),
        ("MOVE * {3}\r\nfoo", "Move * foo"),
    ]);
    check_refused(&[
        ("MOVE", "a space at octet 6"),
        ("MOVE 1", "a space at octet 8"),
        ("MOVE x foo", "a number from 1 to 2^32-1 or * at octet 7"),
        ("UID MOVE 1:* ", "a mailbox name at octet 15"),
    ]);
}
