//! Tests of the encoder against the responses printed in the RFCs.

mod fetch;

use mailstore::{ModSeq, Uid, UidValidity};
use proptest::prelude::*;

use crate::command::{FetchSection, Partial, Section, SectionName, SectionText, Seen, StatusItem};
use crate::extension::{InProgress, InProgressState};
use crate::response::{
    Code, Completion, ExtendedSearch, FetchData, ListEntry, PlainCode, Response, Status, Untagged,
};
use crate::types::{ByUid, Ranges, SeqNum, Tag};

use super::*;

/// A response as it is written, without its line end.
fn written(response: &Response) -> String {
    let mut out = Vec::new();
    encode(response, &mut out);
    let text = String::from_utf8(out).unwrap();
    text.strip_suffix("\r\n").unwrap().to_owned()
}

fn untagged(response: Untagged) -> String {
    written(&Response::Untagged(response))
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn seq(number: u32) -> SeqNum {
    SeqNum::new(number).unwrap()
}

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

#[test]
fn progress_is_written_as_rfc_9585_prints_it() {
    use InProgressState::{Counting, KnownGoal, Unknown};
    let known = KnownGoal(175, 1000.try_into().unwrap());
    let table = [
        (None, Unknown, "INPROGRESS"),
        (Some("tag"), Unknown, "INPROGRESS (\"tag\" NIL NIL)"),
        (Some("tag"), Counting(175), "INPROGRESS (\"tag\" 175 NIL)"),
        (Some("tag"), known, "INPROGRESS (\"tag\" 175 1000)"),
        (None, Counting(0), "INPROGRESS (NIL 0 NIL)"),
    ];
    for (tag, state, expected) in table {
        let tag = tag.map(|tag| Tag(tag.to_owned()));
        let code = Code::InProgress(InProgress { tag, state });
        let text = "Hang in there...".to_owned();
        let response = untagged(Untagged::Status(Status::Ok, Some(code), text));
        assert_eq!(response, format!("* OK [{expected}] Hang in there..."));
    }
}

#[test]
fn status_responses_of_rfc_3501_are_written_as_printed() {
    let ok = |code, text: &str| untagged(Untagged::Status(Status::Ok, Some(code), text.to_owned()));
    let table = [
        (
            ok(Code::Alert, "System shutdown in 10 minutes"),
            "* OK [ALERT] System shutdown in 10 minutes",
        ),
        (
            ok(
                Code::PermanentFlags(Vec::new()),
                "No permanent flags permitted",
            ),
            "* OK [PERMANENTFLAGS ()] No permanent flags permitted",
        ),
        (
            ok(
                Code::PermanentFlags(names(&["\\Deleted", "\\Seen", "\\*"])),
                "Limited",
            ),
            "* OK [PERMANENTFLAGS (\\Deleted \\Seen \\*)] Limited",
        ),
        (
            ok(Code::UidNext(uid(4392)), "Predicted next UID"),
            "* OK [UIDNEXT 4392] Predicted next UID",
        ),
        (
            ok(
                Code::UidValidity(UidValidity::new(3_857_529_045).unwrap()),
                "UIDs valid",
            ),
            "* OK [UIDVALIDITY 3857529045] UIDs valid",
        ),
        (
            ok(Code::Unseen(seq(12)), "Message 12 is first unseen"),
            "* OK [UNSEEN 12] Message 12 is first unseen",
        ),
        (
            untagged(Untagged::Status(
                Status::No,
                None,
                "Disk is 98% full, please delete unnecessary data".to_owned(),
            )),
            "* NO Disk is 98% full, please delete unnecessary data",
        ),
        (
            untagged(Untagged::Status(
                Status::Bad,
                None,
                "Command line too long".to_owned(),
            )),
            "* BAD Command line too long",
        ),
        (
            untagged(Untagged::Bye(
                None,
                "Autologout; idle for too long".to_owned(),
            )),
            "* BYE Autologout; idle for too long",
        ),
        (
            written(&Response::Continue(
                "Ready for additional command text".to_owned(),
            )),
            "+ Ready for additional command text",
        ),
        (written(&Response::Continue(String::new())), "+ "),
    ];
    for (found, expected) in table {
        assert_eq!(found, expected);
    }
}

#[test]
fn completions_are_written_with_their_tag() {
    let tagged = |tag: &str, completion| {
        written(&Response::Completion(Some(Tag(tag.to_owned())), completion))
    };
    let validity = UidValidity::new(38_505).unwrap();
    let table = [
        (
            tagged(
                "A142",
                Completion::ok("SELECT completed").with(Code::ReadWrite),
            ),
            "A142 OK [READ-WRITE] SELECT completed",
        ),
        (
            tagged(
                "A932",
                Completion::ok("EXAMINE completed").with(Code::ReadOnly),
            ),
            "A932 OK [READ-ONLY] EXAMINE completed",
        ),
        (
            tagged("A223", Completion::no("COPY failed: disk is full")),
            "A223 NO COPY failed: disk is full",
        ),
        // RFC 4315 §3
        (
            tagged(
                "A003",
                Completion::ok("APPEND completed")
                    .with(Code::AppendUid(validity, Ranges::collect([3955]))),
            ),
            "A003 OK [APPENDUID 38505 3955] APPEND completed",
        ),
        (
            tagged(
                "A004",
                Completion::ok("Done").with(Code::CopyUid(
                    validity,
                    Ranges::collect([304, 319, 320]),
                    Ranges::collect([3956, 3957, 3958]),
                )),
            ),
            "A004 OK [COPYUID 38505 304,319:320 3956:3958] Done",
        ),
    ];
    for (found, expected) in table {
        assert_eq!(found, expected);
    }
}

#[test]
fn plain_conditions_of_rfc_3501_are_written_as_printed() {
    for line in [
        "* OK IMAP4rev1 server ready",
        "* OK Salvage successful, no data lost",
        "* NO Disk is 99% full, please delete unnecessary data",
        "* BAD Empty command line",
        "* BAD Disk crash, attempting salvage to a new disk!",
        "a441 OK CAPABILITY completed",
        "a002 OK NOOP completed",
        "A023 OK LOGOUT completed",
        "a002 OK Begin TLS negotiation now",
        "A001 OK GSSAPI authentication successful",
        "a001 OK LOGIN completed",
        "A003 OK CREATE completed",
        "A684 NO Name \"foo\" has inferior hierarchical names",
        "Z433 OK RENAME completed",
        "A002 OK SUBSCRIBE completed",
        "A101 OK LIST Completed",
        "A042 OK STATUS completed",
        "A003 OK APPEND completed",
        "FXXZ OK CHECK Completed",
        "A341 OK CLOSE completed",
        "A202 OK EXPUNGE completed",
        "A282 OK SEARCH completed",
        "A654 OK FETCH completed",
        "A003 OK STORE completed",
        "A999 OK UID FETCH completed",
        "A044 BAD No such command as \"BLURDYBLOOP\"",
    ] {
        let mut words = line.splitn(3, ' ');
        let (tag, condition, text) = (
            words.next().unwrap(),
            words.next().unwrap(),
            words.next().unwrap(),
        );
        let completion = match condition {
            "OK" => Completion::ok(text),
            "NO" => Completion::no(text),
            _ => Completion::bad(text),
        };
        let tag = (tag != "*").then(|| Tag(tag.to_owned()));
        assert_eq!(written(&Response::Completion(tag, completion)), line);
    }
}

#[test]
fn codes_are_written_with_their_arguments() {
    let tagged = |tag: &str, completion| {
        written(&Response::Completion(Some(Tag(tag.to_owned())), completion))
    };
    let table = [
        (
            tagged(
                "a",
                Completion::no("unknown charset")
                    .with(Code::BadCharset(names(&["US-ASCII", "UTF-8"]))),
            ),
            "a NO [BADCHARSET (US-ASCII UTF-8)] unknown charset",
        ),
        (
            tagged("a", Completion::no("x").with(Code::BadCharset(Vec::new()))),
            "a NO [BADCHARSET] x",
        ),
        (
            tagged("a", Completion::no("x").with(Code::TryCreate)),
            "a NO [TRYCREATE] x",
        ),
        (
            tagged(
                "a",
                Completion::ok("x").with(Code::Capability(names(&["IMAP4rev1", "IDLE"]))),
            ),
            "a OK [CAPABILITY IMAP4rev1 IDLE] x",
        ),
        // RFC 5530 §3
        (
            tagged(
                "b",
                Completion::no("Authentication failed.")
                    .with(Code::Plain(PlainCode::AuthenticationFailed)),
            ),
            "b NO [AUTHENTICATIONFAILED] Authentication failed.",
        ),
        (
            written(&Response::Completion(None, Completion::bad("no tag"))),
            "* BAD no tag",
        ),
    ];
    for (found, expected) in table {
        assert_eq!(found, expected);
    }
}

#[test]
fn esearch_is_written_with_the_tag_in_quotes() {
    let table = [
        (
            Untagged::ExtendedSearch(ExtendedSearch {
                tag: Some(Tag("a567".to_owned())),
                by_uid: ByUid::Yes,
                min: None,
                max: Some(28),
                count: Some(5),
                all: Some(Ranges(vec![(4, 19), (21, 21), (28, 28)])),
                mod_seq: None,
            }),
            "* ESEARCH (TAG \"a567\") UID MAX 28 COUNT 5 ALL 4:19,21,28",
        ),
        (
            Untagged::ExtendedSearch(ExtendedSearch {
                tag: None,
                by_uid: ByUid::No,
                min: Some(1),
                max: None,
                count: Some(0),
                all: None,
                mod_seq: ModSeq::new(1236),
            }),
            "* ESEARCH MIN 1 COUNT 0 MODSEQ 1236",
        ),
    ];
    for (response, expected) in table {
        assert_eq!(untagged(response), expected);
    }
}

#[test]
fn data_of_rfc_7162_is_written_as_printed() {
    let mod_seq = |value| ModSeq::new(value).unwrap();
    let ok = |code, text: &str| Untagged::Status(Status::Ok, Some(code), text.to_owned());
    let uids = |ranges: &[(u32, u32)]| Ranges(ranges.to_vec());
    let uid = FetchData::Uid(Uid::new(4).unwrap());
    let table = [
        (
            Untagged::Search(vec![2, 5, 6], ModSeq::new(917_162_500)),
            "* SEARCH 2 5 6 (MODSEQ 917162500)",
        ),
        (
            Untagged::Fetch(
                seq(1),
                vec![uid, FetchData::ModSeq(mod_seq(i64::MAX as u64))],
            ),
            "* 1 FETCH (UID 4 MODSEQ (9223372036854775807))",
        ),
        (
            ok(Code::HighestModSeq(mod_seq(715_194_045_007)), "Highest"),
            "* OK [HIGHESTMODSEQ 715194045007] Highest",
        ),
        (ok(Code::NoModSeq, "Sorry"), "* OK [NOMODSEQ] Sorry"),
        (ok(Code::Closed, "Closed"), "* OK [CLOSED] Closed"),
        (
            ok(Code::Modified(uids(&[(7, 7), (9, 9)])), "Failed"),
            "* OK [MODIFIED 7,9] Failed",
        ),
        (
            Untagged::Vanished(uids(&[(405, 405), (407, 410)])),
            "* VANISHED 405,407:410",
        ),
        (
            Untagged::VanishedEarlier(uids(&[(300, 310), (405, 405)])),
            "* VANISHED (EARLIER) 300:310,405",
        ),
        (
            Untagged::counts(
                "blurdybloop".to_owned(),
                vec![(StatusItem::HighestModSeq, 7_011_231_777)],
            ),
            "* STATUS blurdybloop (HIGHESTMODSEQ 7011231777)",
        ),
    ];
    for (response, expected) in table {
        assert_eq!(untagged(response), expected);
    }
}

#[test]
fn data_of_rfc_3501_is_written_as_printed() {
    let list = |attributes: &[&'static str], separator, name: &str| ListEntry {
        attributes: attributes.to_vec(),
        separator: Some(separator),
        name: name.to_owned(),
    };
    let table = [
        (
            Untagged::Capability(names(&["IMAP4rev1", "STARTTLS", "AUTH=GSSAPI"])),
            "* CAPABILITY IMAP4rev1 STARTTLS AUTH=GSSAPI",
        ),
        (
            Untagged::List(list(&["\\Noselect"], '/', "")),
            "* LIST (\\Noselect) \"/\" \"\"",
        ),
        (
            Untagged::List(list(&["\\Noselect"], '/', "~/Mail/foo")),
            "* LIST (\\Noselect) \"/\" ~/Mail/foo",
        ),
        (
            Untagged::List(list(&[], '.', "INBOX.bar")),
            "* LIST () \".\" INBOX.bar",
        ),
        (
            Untagged::List(list(&["\\Noselect", "\\HasChildren"], '\\', "a b")),
            "* LIST (\\Noselect \\HasChildren) \"\\\\\" \"a b\"",
        ),
        (
            Untagged::List(ListEntry {
                attributes: Vec::new(),
                separator: None,
                name: "flat".to_owned(),
            }),
            "* LIST () NIL flat",
        ),
        (
            Untagged::Lsub(list(&[], '.', "#news.comp.mail.mime")),
            "* LSUB () \".\" #news.comp.mail.mime",
        ),
        (
            Untagged::counts(
                "blurdybloop".to_owned(),
                vec![(StatusItem::Messages, 231), (StatusItem::UidNext, 44_292)],
            ),
            "* STATUS blurdybloop (MESSAGES 231 UIDNEXT 44292)",
        ),
        (
            Untagged::Search(vec![2, 84, 882], None),
            "* SEARCH 2 84 882",
        ),
        (Untagged::Search(Vec::new(), None), "* SEARCH"),
        (
            Untagged::Flags(names(&["\\Answered", "\\Flagged", "$Junk"])),
            "* FLAGS (\\Answered \\Flagged $Junk)",
        ),
        (Untagged::Exists(23), "* 23 EXISTS"),
        (Untagged::Recent(5), "* 5 RECENT"),
        (Untagged::Expunge(seq(44)), "* 44 EXPUNGE"),
        // RFC 2342 §5, RFC 2971 §3.2
        (
            Untagged::Namespace {
                personal: (String::new(), '/'),
                others: None,
            },
            "* NAMESPACE ((\"\" \"/\")) NIL NIL",
        ),
        // RFC 5258 §5, example 8
        (
            Untagged::ListWithChildInfo(list(&["\\Subscribed"], '/', "Foo"), vec!["SUBSCRIBED"]),
            "* LIST (\\Subscribed) \"/\" Foo (\"CHILDINFO\" (\"SUBSCRIBED\"))",
        ),
        (Untagged::Id(Vec::new()), "* ID NIL"),
        (
            Untagged::Id(vec![("name".to_owned(), "Pillarbox".to_owned())]),
            "* ID (\"name\" \"Pillarbox\")",
        ),
    ];
    for (response, expected) in table {
        assert_eq!(untagged(response), expected);
    }
}

#[test]
fn text_never_breaks_the_line() {
    let text = "a\r\nb OK\0 caf\u{e9}\t\u{7f}";
    let expected = "a??b OK? caf???";
    assert_eq!(
        written(&Response::Completion(None, Completion::no(text))),
        format!("* NO {expected}")
    );
    assert_eq!(
        written(&Response::Continue(text.to_owned())),
        format!("+ {expected}")
    );
    assert_eq!(
        untagged(Untagged::Bye(None, text.to_owned())),
        format!("* BYE {expected}")
    );
    // Neither empty nor a code that is none.
    assert_eq!(
        written(&Response::Completion(None, Completion::ok(""))),
        "* OK -"
    );
    assert_eq!(
        written(&Response::Completion(None, Completion::ok("[ALERT] x"))),
        "* OK ALERT] x"
    );
}

#[test]
fn names_never_break_the_line() {
    assert_eq!(
        untagged(Untagged::Flags(names(&["a\r\nb", "c)d", "e\"f", "g\0h"]))),
        "* FLAGS (ab cd ef gh)"
    );
    assert_eq!(
        untagged(Untagged::StatusData("a\r\nb".to_owned(), Vec::new())),
        "* STATUS {4}\r\na\r\nb ()"
    );
}

#[test]
fn numbers_have_all_their_digits_and_no_more() {
    let powers = (0..20).map(|power| 10_u64.pow(power));
    let around = powers.flat_map(|it| [it - 1, it, it + 1]);
    for value in around.chain([u64::MAX]) {
        let mut out = b"* ".to_vec();
        number(&mut out, value);
        assert_eq!(String::from_utf8(out), Ok(format!("* {value}")));
    }
}

proptest! {
    #[test]
    fn a_status_response_is_one_line(text in any::<String>(), flags in prop::collection::vec(any::<String>(), 0..3)) {
        let completion = Completion::ok(text).with(Code::PermanentFlags(flags));
        let line = written(&Response::Completion(None, completion));
        prop_assert!(line.bytes().all(|octet| (b' '..=b'~').contains(&octet)));
        let code = line.strip_prefix("* OK [PERMANENTFLAGS (");
        prop_assert!(code.is_some_and(|rest| rest.find(")] ") == rest.find(']').map(|at| at - 1)));
    }
}
