//! SEARCH.

use super::*;

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
            "SEARCH SAVEDBEFORE 1-Jan-1970 savedon 2-Jan-1970 SAVEDSINCE 3-Jan-1970 \
             NOT SAVEDATESUPPORTED",
            "Search No SavedBefore:0 SavedOn:1 SavedSince:2 !saved?",
        ),
        (
            "SEARCH OR EMAILID M6d99ac3275bb4e threadid T_64-a",
            "Search No [email:M6d99ac3275bb4e | thread:T_64-a]",
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
