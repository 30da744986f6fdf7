//! FETCH and STORE.

use super::*;

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
            "a range of octets such as <0.2048> at octet 19",
        ),
        (
            "FETCH 1 BODY[]<0>",
            "a range of octets such as <0.2048> at octet 18",
        ),
        ("FETCH 1 BODY[]<-1.5>", "a number below 2^64 at octet 17"),
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
fn a_long_fetch_stays_small() {
    let sections: Vec<String> = (1..5000).map(|part| format!("BODY[{part}]")).collect();
    let line = format!("a FETCH 1 ({} {})", sections.join(" "), sections.join(" "));
    let Ok(found) = parsed(line) else {
        panic!("refused");
    };
    assert_eq!(found.matches("BODY[").count(), 4999, "each section once");
}
