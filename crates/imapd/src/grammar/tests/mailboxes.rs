//! Commands that name mailboxes.

use super::*;

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
fn create_takes_special_uses() {
    check(&[
        ("CREATE a", "Create a"),
        ("CREATE a (USE ())", "Create a"),
        (
            "create \"a b\" (use (\\Drafts \\x-Other))",
            r#"Create "a b" "\\\\Drafts" "\\\\x-Other""#,
        ),
        (
            "CREATE a (USE (\\Sent) USE (\\Junk))",
            r#"Create a "\\\\Sent" "\\\\Junk""#,
        ),
        ("XLIST \"\" *", "Xlist \"\" \"*\""),
    ]);
    check_refused(&[
        ("CREATE a ()", "USE at octet 12"),
        ("CREATE a (USED (\\Sent))", "USE at octet 12"),
        ("CREATE a (USE)", "a space at octet 15"),
        (
            "CREATE a (USE \\Sent)",
            "an opening parenthesis at octet 16",
        ),
        (
            "CREATE a (USE (Sent))",
            "a special-use attribute at octet 17",
        ),
        ("CREATE a (USE (\\)) ", "an atom at octet 18"),
        ("CREATE a b", "the end of the command at octet 10"),
    ]);
}

#[test]
fn replace_is_parsed_up_to_its_message() {
    let table = [
        (
            "A003 REPLACE 4 Drafts (\\Seen \\Draft) {312}\r\n",
            Ok("A003 Replace 4 with Append Drafts =(\\Seen \\Draft) None 312"),
        ),
        (
            "a uid replace * x ~{1+}\r\n",
            Ok("a Replace uid * with Append x =() None ~1"),
        ),
        ("a REPLACE 4 {310}\r\n", Ok("mailbox")),
        ("a UID REPLACE 4 {310}\r\n", Ok("mailbox")),
        (
            "a REPLACE 4 x CATENATE (URL /a) {310}\r\n",
            Err("a expected one message at octet 39"),
        ),
        (
            "a REPLACE 4:5 x {310}\r\n",
            Err("a expected a space at octet 11"),
        ),
        (
            "a REPLACE {1}\r\n",
            Err("a expected a number from 1 to 2^32-1 or * at octet 10"),
        ),
        ("a UID APPEND x {310}\r\n", Ok("argument")),
    ];
    for (line, expected) in table {
        let found = announced(line);
        let found = found.as_ref().map(String::as_str);
        assert_eq!(found.map_err(String::as_str), expected, "{line:?}");
    }
    check_refused(&[
        ("REPLACE 1 x", "a space at octet 13"),
        (
            "UID REPLACE 1 x {3}\r\na:b",
            "nothing but the message at octet 23",
        ),
    ]);
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
