//! Tests of the grammar: rules against examples, and any bytes at all.

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
fn names_are_kept_as_sent() {
    check(&[
        ("SELECT iNbOx", "Select iNbOx"),
        ("select \"a \\\"b\\\" \\\\\"", r#"Select "a \\"b\\" \\\\""#),
        ("SELECT {3}\r\na\r\n", r"Select {3}\r\na\r\n"),
        ("SELECT a]b", "Select a]b"),
        ("SELECT &AOk-", "Select &AOk-"),
        ("LIST \"\" a]%*", "List \"\" \"a]%*\""),
        ("LIST \"\" {1}\r\n%", "List \"\" \"%\""),
        ("LIST INBOX %", "List INBOX \"%\""),
        ("SELECT \"caf\u{e9}\"", r"Select {5}\r\ncaf\xc3\xa9"),
    ]);
    check_refused(&[
        ("SELECT", "a space at octet 8"),
        ("SELECT ", "a mailbox name at octet 9"),
        ("SELECT a b", "the end of the command at octet 10"),
        ("SELECT a*", "the end of the command at octet 10"),
        ("SELECT  a", "a mailbox name at octet 9"),
        ("SELECT\ta", "a space at octet 8"),
        ("SELECT caf\u{e9}", "the end of the command at octet 12"),
        ("SELECT \"a", "a quote at octet 11"),
        ("SELECT \"a\\b\"", "a quote or a backslash at octet 12"),
        ("RENAME a", "a space at octet 10"),
        ("LIST \"\"", "a space at octet 9"),
        ("STATUS a ()", "a STATUS item at octet 12"),
        ("STATUS a MESSAGES", "an opening parenthesis at octet 11"),
        ("STATUS a (MESSAGES", "a closing parenthesis at octet 20"),
        ("STATUS a (MESSAGES SIZES)", "a STATUS item at octet 21"),
    ]);
    assert_eq!(
        parsed("a STATUS x (unseen RECENT UIDVALIDITY UNSEEN)").unwrap(),
        format!(
            "Status x {:?}",
            [
                StatusItem::Unseen,
                StatusItem::Recent,
                StatusItem::UidValidity
            ]
        ),
        "each item once"
    );
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
fn fetch_items_are_parsed() {
    check(&[
        ("FETCH 1 FAST", "Fetch 1 Flags InternalDate Rfc822Size"),
        (
            "FETCH 1 all",
            "Fetch 1 Flags InternalDate Rfc822Size Envelope",
        ),
        (
            "FETCH 1 FULL",
            "Fetch 1 Flags InternalDate Rfc822Size Envelope Body",
        ),
        (
            "UID FETCH 1:*,*:4 (uid BODYSTRUCTURE BODY)",
            "Fetch uid 1:*,*:4 Uid BodyStructure Body",
        ),
        (
            "FETCH 1 (RFC822 RFC822.HEADER RFC822.SIZE RFC822.TEXT)",
            "Fetch 1 RFC822 peek:RFC822.HEADER Rfc822Size RFC822.TEXT",
        ),
        (
            "FETCH 1 (RFC822.PEEK rfc822.text.peek)",
            "Fetch 1 peek:RFC822 peek:RFC822.TEXT",
        ),
        (
            "FETCH 1 (BODY[] BODY.PEEK[] body[text])",
            "Fetch 1 BODY[] peek:BODY[] BODY[TEXT]",
        ),
        (
            "FETCH 1 (BODY[1] BODY[1.2.3] BODY[4.2.HEADER] BODY[1.MIME])",
            "Fetch 1 BODY[1] BODY[1.2.3] BODY[4.2.HEADER] BODY[1.MIME]",
        ),
        (
            "FETCH 1 BODY[HEADER.FIELDS (\"From\" {2}\r\nTo)]<0.5>",
            "Fetch 1 BODY[HEADER.FIELDS (From To)]<0>{5}",
        ),
        (
            "FETCH 1 BODY.PEEK[1.HEADER.FIELDS.NOT (x-y)]",
            "Fetch 1 peek:BODY[1.HEADER.FIELDS.NOT (x-y)]",
        ),
        (
            "FETCH 1 BODY[]<4294967295.4294967295>",
            "Fetch 1 BODY[]<4294967295>{4294967295}",
        ),
        (
            "FETCH 1 (FLAGS UID FLAGS BODY[1] BODY[1] BODY[1]<0.1>)",
            "Fetch 1 Flags Uid BODY[1] BODY[1]<0>{1}",
        ),
    ]);
}

#[test]
fn fetch_items_that_are_none_are_refused() {
    check_refused(&[
        ("FETCH 1", "a space at octet 9"),
        ("FETCH 0 FLAGS", "a number from 1 to 2^32-1 or * at octet 8"),
        ("FETCH 1,0 FLAGS", "a space at octet 9"),
        (
            "FETCH 4294967296 FLAGS",
            "a number from 1 to 2^32-1 or * at octet 8",
        ),
        ("FETCH a FLAGS", "a number from 1 to 2^32-1 or * at octet 8"),
        ("FETCH 1 ()", "a FETCH item at octet 11"),
        ("FETCH 1 (ALL)", "a FETCH item at octet 11"),
        ("FETCH 1 (FLAGS FAST)", "a FETCH item at octet 17"),
        ("FETCH 1 FLAGS UID", "the end of the command at octet 15"),
        ("FETCH 1 (FLAGS", "a closing parenthesis at octet 16"),
        ("FETCH 1 (FLAGS  UID)", "a FETCH item at octet 17"),
        ("FETCH 1 (FLAGS )", "a FETCH item at octet 17"),
        ("FETCH 1 BODY[MIME]", "a section at octet 15"),
        ("FETCH 1 BODY[0]", "a number from 1 to 2^32-1 at octet 15"),
        ("FETCH 1 BODY[1.0]", "a section at octet 17"),
        ("FETCH 1 BODY[1", "a closing bracket at octet 16"),
        ("FETCH 1 BODY.PEEK", "an opening bracket at octet 19"),
        ("FETCH 1 BODY[HEADER.FIELDS]", "a space at octet 28"),
        (
            "FETCH 1 BODY[HEADER.FIELDS ()]",
            "a header field name at octet 30",
        ),
        (
            "FETCH 1 BODY[]<0.0>",
            "a number from 1 to 2^32-1 at octet 19",
        ),
        (
            "FETCH 1 BODY[]<0>",
            "a range of octets such as <0.2048> at octet 18",
        ),
        ("FETCH 1 BODY[]<-1.5>", "a number below 2^32 at octet 17"),
        ("FETCH 1 RFC822.PEEKS", "a FETCH item at octet 10"),
        ("FETCH 1 RFC822.HEADER.LINES", "a FETCH item at octet 10"),
    ]);
}

#[test]
fn flags_are_parsed() {
    check(&[
        ("STORE 1 FLAGS ()", "Store 1 =() Flags"),
        (
            "STORE 1 flags \\seen \\DELETED $Junk",
            "Store 1 =(\\Deleted \\Seen $Junk) Flags",
        ),
        (
            "UID STORE 1 -FLAGS.SILENT (\\Answered a b)",
            "Store uid 1 -(\\Answered a b) Silent",
        ),
        ("STORE 1 +FLAGS.silent \\Draft", "Store 1 +(\\Draft) Silent"),
        (
            "STORE 1 +FLAGS (\\Recent \\Flagged \\XFoo)",
            "Store 1 +(\\Flagged) Flags",
        ),
        ("STORE 1 +FLAGS (a A b a)", "Store 1 +(a b) Flags"),
    ]);
    check_refused(&[
        ("STORE 1 FLAGS", "a space at octet 15"),
        (
            "STORE 1 FLAG (\\Seen)",
            "FLAGS, +FLAGS or -FLAGS at octet 10",
        ),
        ("STORE 1 FLAGS.LOUD ()", "a space at octet 15"),
        ("STORE 1 FLAGS (\\*)", "an atom at octet 18"),
        ("STORE 1 FLAGS (a]b)", "a closing parenthesis at octet 18"),
        ("STORE 1 FLAGS (\\Seen", "a closing parenthesis at octet 22"),
        ("STORE 1 FLAGS (\"a\")", "a flag at octet 17"),
    ]);
    let many = |count: usize| {
        let names: Vec<String> = (0..count).map(|number| format!("k{number}")).collect();
        format!("a STORE 1 +FLAGS ({})", names.join(" "))
    };
    assert!(parsed(many(1000)).is_ok());
    assert!(parsed(many(1001)).is_err());
    let long = |octets| format!("a STORE 1 +FLAGS ({})", "k".repeat(octets));
    assert!(parsed(long(255)).is_ok());
    assert!(parsed(long(256)).is_err());
}

#[test]
fn search_keys_are_parsed() {
    check(&[
        ("SEARCH ALL", "Search No all"),
        ("UID SEARCH 1:3,* UID 5", "Search Yes 1:3,* uid 5"),
        (
            "SEARCH ANSWERED DELETED DRAFT FLAGGED SEEN RECENT",
            "Search No \\Answered \\Deleted \\Draft \\Flagged \\Seen \\Recent",
        ),
        (
            "SEARCH UNANSWERED UNDELETED UNDRAFT UNFLAGGED UNSEEN OLD NEW",
            "Search No !\\Answered !\\Deleted !\\Draft !\\Flagged !\\Seen !\\Recent (\\Recent !\\Seen)",
        ),
        (
            "SEARCH BCC a CC b FROM c SUBJECT d TO e",
            "Search No BCC:\"a\" CC:\"b\" FROM:\"c\" SUBJECT:\"d\" TO:\"e\"",
        ),
        (
            "SEARCH BODY \"x y\" TEXT {1}\r\nz HEADER x-y \"\"",
            "Search No body:\"x y\" text:\"z\" x-y:\"\"",
        ),
        (
            "SEARCH BEFORE 1-Jan-1970 ON \"2-Jan-1970\" SINCE 03-jan-1970",
            "Search No Before:0 On:1 Since:2",
        ),
        (
            "SEARCH SENTBEFORE 1-Jan-1970 SENTON 2-Jan-1970 SENTSINCE 3-Jan-1970",
            "Search No SentBefore:0 SentOn:1 SentSince:2",
        ),
        (
            "SEARCH LARGER 0 SMALLER 4294967295",
            "Search No >0 <4294967295",
        ),
        ("SEARCH KEYWORD $Junk UNKEYWORD x", "Search No $Junk !x"),
        (
            "SEARCH OR SEEN NOT (FLAGGED (DELETED) 5) NOT NOT ALL",
            "Search No [\\Seen | !(\\Flagged (\\Deleted) 5)] !!all",
        ),
    ]);
    check_refused(&[
        ("SEARCH", "a space at octet 8"),
        ("SEARCH ()", "a search key at octet 10"),
        ("SEARCH (ALL", "a closing parenthesis at octet 13"),
        ("SEARCH ALL)", "the end of the command at octet 12"),
        ("SEARCH (ALL )", "a search key at octet 14"),
        ("SEARCH ALL FOO", "a search key at octet 13"),
        ("SEARCH ALLFOO", "a search key at octet 9"),
        ("SEARCH OR ALL", "a space at octet 15"),
        ("SEARCH NOT", "a space at octet 12"),
        ("SEARCH FROM", "a space at octet 13"),
        ("SEARCH 0", "a number from 1 to 2^32-1 or * at octet 9"),
        ("SEARCH LARGER -1", "a number below 2^64 at octet 16"),
        (
            "SEARCH LARGER 18446744073709551616",
            "a number below 2^64 at octet 16",
        ),
        (
            "SEARCH SINCE yesterday",
            "a date such as 1-Feb-1994 at octet 15",
        ),
        ("SEARCH KEYWORD \\Seen", "a keyword at octet 17"),
        ("SEARCH CHARSET UTF-8", "a space at octet 22"),
        ("SEARCH CHARSET", "a search key at octet 9"),
    ]);
    let long = "k".repeat(256);
    assert_eq!(
        parsed(format!("a SEARCH KEYWORD {long}")).as_deref(),
        Ok("Search No never")
    );
}

#[test]
fn result_options_are_parsed() {
    check(&[
        (
            "SEARCH RETURN (MIN COUNT) FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\"",
            "Search No => Min Count \\Flagged Since:8797 !FROM:\"Smith\"",
        ),
        ("SEARCH RETURN () 1:3", "Search No => 1:3"),
        (
            "SEARCH RETURN (SAVE) KEYWORD $Junk OR $ UID $",
            "Search No => Save $Junk [$ | uid $]",
        ),
        (
            "UID SEARCH return (all max All) CHARSET UTF-8 SEEN",
            "Search Yes => Max All \\Seen",
        ),
    ]);
    check_refused(&[
        ("SEARCH RETURN ALL", "an opening parenthesis at octet 16"),
        ("SEARCH RETURN (ALL)", "a space at octet 21"),
        ("SEARCH RETURN (ALL )", "a result option at octet 21"),
        ("SEARCH RETURN (FOO) ALL", "a result option at octet 17"),
        (
            "SEARCH CHARSET UTF-8 RETURN () ALL",
            "a search key at octet 23",
        ),
    ]);
}

#[test]
fn search_strings_are_decoded() {
    let table: [(&[u8], Result<&str, &str>); 14] = [
        (b"TEXT \"caf\xc3\xa9\"", Ok("text:\"caf\u{e9}\"")),
        (b"TEXT {5}\r\ncaf\xc3\xa9", Ok("text:\"caf\u{e9}\"")),
        (
            b"CHARSET utf-8 SUBJECT {5}\r\ncaf\xc3\xa9",
            Ok("SUBJECT:\"caf\u{e9}\""),
        ),
        (b"CHARSET UTF8 TEXT {2}\r\n\xc3\xa9", Ok("text:\"\u{e9}\"")),
        (b"CHARSET \"US-ASCII\" TEXT cafe", Ok("text:\"cafe\"")),
        (
            b"CHARSET ISO-8859-1 TEXT {4}\r\ncaf\xe9",
            Ok("text:\"caf\u{e9}\""),
        ),
        (
            b"CHARSET koi8-r TEXT {2}\r\n\xc4\xc1",
            Ok("text:\"\u{434}\u{430}\""),
        ),
        (
            b"CHARSET windows-1251 BODY {1}\r\n\xc4",
            Ok("body:\"\u{414}\""),
        ),
        (
            b"CHARSET x-klingon TEXT {2}\r\n\xff\xfe",
            Ok("unknown charset"),
        ),
        (b"CHARSET iso-2022-kr TEXT abc", Ok("unknown charset")),
        (b"CHARSET x-klingon FOO", Err("a search key at octet 27")),
        (b"TEXT \"caf\xe9\"", Err("UTF-8 in quotes at octet 18")),
        (
            b"CHARSET UTF-8 TEXT {1}\r\n\xff",
            Err("a string in the charset of the search at octet 28"),
        ),
        (
            b"CHARSET US-ASCII TEXT {2}\r\n\xc3\xa9",
            Err("a string in the charset of the search at octet 31"),
        ),
    ];
    for (arguments, expected) in table {
        let found = parsed([b"a SEARCH ", arguments].concat());
        let expected = expected
            .map(|keys| format!("Search No {keys}"))
            .map_err(|expected| format!("expected {expected}"));
        assert_eq!(found, expected, "{}", arguments.escape_ascii());
    }
}

#[test]
fn nesting_is_counted() {
    let nested =
        |levels: usize| format!("a SEARCH {}ALL{}", "(".repeat(levels), ")".repeat(levels));
    assert!(parsed(nested(99)).is_ok());
    assert_eq!(
        parsed(nested(100)),
        Err("expected fewer levels of search keys at octet 109".to_owned())
    );
    assert!(parsed(format!("a SEARCH {}ALL", "NOT ".repeat(99))).is_ok());
    assert!(parsed(format!("a SEARCH {}ALL", "NOT ".repeat(100))).is_err());
    assert!(
        parsed(format!(
            "a SEARCH {}{}",
            "OR ".repeat(99),
            "ALL ".repeat(100)
        ))
        .is_ok()
    );
    assert!(
        parsed(format!(
            "a SEARCH {}{}",
            "OR ".repeat(100),
            "ALL ".repeat(101)
        ))
        .is_err()
    );
    // Costs as little as a short one: it ends at the same place.
    assert_eq!(
        parsed(format!("a SEARCH {}", "(".repeat(2_000_000))),
        Err("expected fewer levels of search keys at octet 109".to_owned())
    );
    for command in ["FETCH 1 ", "STORE 1 FLAGS ", "STATUS x ", "ID "] {
        assert!(parsed(format!("a {command}{}", "(".repeat(2_000_000))).is_err());
    }
}

#[test]
fn the_tree_of_search_keys_is_bounded() {
    let keys = |count: usize| format!("a SEARCH{}", " 1".repeat(count));
    let most = Limits::default().arguments / size_of::<SearchKey>();
    assert!(parsed(keys(most)).is_ok());
    assert_eq!(
        parsed(keys(most + 1)),
        Err(format!(
            "expected fewer search keys at octet {}",
            9 + 2 * most
        ))
    );
}

#[test]
fn a_long_fetch_stays_small() {
    let sections: Vec<String> = (1..5000).map(|part| format!("BODY[{part}]")).collect();
    let line = format!("a FETCH 1 ({} {})", sections.join(" "), sections.join(" "));
    let Ok(found) = parsed(line) else {
        panic!("refused");
    };
    assert_eq!(found.matches("BODY[").count(), 4999, "each section once");
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
fn append_is_parsed_up_to_its_message() {
    let table = [
        (
            "A003 APPEND saved-messages (\\Seen) {310}\r\n",
            Ok("A003 Append saved-messages =(\\Seen) None 310"),
        ),
        ("a append x {310}\r\n", Ok("a Append x =() None 310")),
        ("a APPEND x () {310+}\r\n", Ok("a Append x =() None 310")),
        (
            "a APPEND \"x y\" (a \\Draft \\Recent) \" 1-Jan-1970 00:00:09 +0000\" {310}\r\n",
            Ok("a Append \"x y\" =(\\Draft a) Some(9) 310"),
        ),
        (
            "a APPEND x \"01-Jan-1970 00:00:09 +0000\" {310}\n",
            Ok("a Append x =() Some(9) 310"),
        ),
        ("a APPEND {310}\r\n", Ok("mailbox")),
        (
            "a APPEND {3}\r\nx y {310}\r\n",
            Ok("a Append \"x y\" =() None 310"),
        ),
        ("a LOGIN {310}\r\n", Ok("argument")),
        (
            "a APPENDX {310}\r\n",
            Err("a expected a command at octet 2"),
        ),
        (
            "APPEND x {310}\r\n",
            Err("APPEND expected a command at octet 7"),
        ),
        (
            "a APPEND x y {310}\r\n",
            Err("a expected the message as a literal at octet 11"),
        ),
        (
            "a APPEND x (\\Seen {310}\r\n",
            Err("a expected a flag at octet 18"),
        ),
        (
            "a APPEND x \"yesterday\" {310}\r\n",
            Err("a expected a date and time such as \"17-Jul-1996 02:44:25 -0700\" at octet 12"),
        ),
        ("a APPEND x ~{310+}\r\n", Ok("a Append x =() None ~310")),
        (
            "a APPEND {3}\r\nx y{310}\r\n",
            Err("a expected a space at octet 17"),
        ),
    ];
    for (line, expected) in table {
        let found = announced(line);
        assert_eq!(
            found.as_ref().map(String::as_str).map_err(String::as_str),
            expected,
            "{line:?}"
        );
    }
    check_refused(&[
        ("APPEND", "a space at octet 8"),
        ("APPEND x", "a space at octet 10"),
        (
            "APPEND x \"text\"",
            "a date and time such as \"17-Jul-1996 02:44:25 -0700\" at octet 12",
        ),
    ]);
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

#[test]
fn options_of_list_are_parsed() {
    check(&[
        ("LIST () \"\" %", "List [] \"\" (\"%\") []"),
        (
            "LIST (SUBSCRIBED) \"\" \"*\"",
            "List [Subscribed] \"\" (\"*\") []",
        ),
        (
            "list (remote Subscribed RECURSIVEMATCH remote) a/ *",
            "List [Remote, Subscribed, RecursiveMatch] a/ (\"*\") []",
        ),
        (
            "LIST \"\" (INBOX \"Drafts\" Sent/% \"\" {1}\r\n*)",
            "List [] \"\" (INBOX Drafts \"Sent/%\" \"\" \"*\") []",
        ),
        ("LIST \"\" * RETURN ()", "List [] \"\" (\"*\") []"),
        (
            "LIST \"\" % return (CHILDREN Subscribed CHILDREN)",
            "List [] \"\" (\"%\") [Children, Subscribed]",
        ),
        (
            "LIST \"\" % RETURN (STATUS (MESSAGES unseen) CHILDREN STATUS (UIDNEXT UNSEEN))",
            "List [] \"\" (\"%\") [Children, Status([Messages, Unseen, UidNext])]",
        ),
        // As it was, also with spaces at the end.
        ("LIST \"\" \"*\"  ", "List \"\" \"*\""),
        ("LIST \"\" RETURN", "List \"\" RETURN"),
    ]);
    let both = "SUBSCRIBED beside RECURSIVEMATCH at octet 7";
    check_refused(&[
        ("LIST (RECURSIVEMATCH) \"\" *", both),
        ("LIST (REMOTE RECURSIVEMATCH) \"\" *", both),
        ("LIST (SPECIAL) \"\" *", "a selection option at octet 8"),
        ("LIST (STATUS) \"\" *", "a selection option at octet 8"),
        ("LIST (SUBSCRIBED)\"\" *", "a space at octet 19"),
        ("LIST (SUBSCRIBED \"\" *", "a selection option at octet 19"),
        (
            "LIST \"\" ()",
            "a mailbox name with possible wildcards at octet 11",
        ),
        ("LIST \"\" (a", "a closing parenthesis at octet 12"),
        ("LIST \"\" * CHILDREN", "RETURN at octet 12"),
        ("LIST \"\" * RETURN", "a space at octet 18"),
        (
            "LIST \"\" * RETURN CHILDREN",
            "an opening parenthesis at octet 19",
        ),
        ("LIST \"\" * RETURN (REMOTE)", "a return option at octet 20"),
        ("LIST \"\" * RETURN (STATUS)", "a space at octet 26"),
        (
            "LIST \"\" * RETURN (STATUS ())",
            "a STATUS item at octet 28",
        ),
    ]);
}

#[test]
fn patterns_of_list_are_bounded() {
    let list = |count: usize| format!("a LIST \"\" ({})", vec!["%"; count].join(" "));
    assert!(parsed(list(1000)).is_ok());
    let refused = parsed(list(1001)).unwrap_err();
    assert!(
        refused.starts_with("expected at most 1000 patterns"),
        "{refused}"
    );
}
