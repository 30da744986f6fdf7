//! Messages made to hurt (S32, S33).

use std::time::Duration;

use pillarbox_tests::binary::deliver_files;
use pillarbox_tests::client::{Client, serve, timed};

/// Checks that a response is well-formed down to its octets (RFC 3501 §9): literals as long as
/// they say, nothing in quoted strings that may not be there, parentheses in pairs.
fn assert_well_formed(response: &[u8], about: &str) {
    let shown = || String::from_utf8_lossy(&response[..response.len().min(400)]).into_owned();
    let mut rest = response.strip_suffix(b"\r\n").expect("a line end");
    let mut depth = 0_i32;
    while let Some((&octet, behind)) = rest.split_first() {
        rest = behind;
        match octet {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b'"' => loop {
                let (&octet, behind) = rest.split_first().expect("an open quoted string");
                rest = behind;
                match octet {
                    b'"' => break,
                    b'\\' => {
                        let (&quoted, behind) = rest.split_first().expect("an octet");
                        assert!(matches!(quoted, b'"' | b'\\'), "{about}: {}", shown());
                        rest = behind;
                    }
                    1..=9 | 11 | 12 | 14..=0x7f => {}
                    _ => panic!("{about}: octet {octet} in a quoted string: {}", shown()),
                }
            },
            b'{' => {
                let end = rest.iter().position(|&octet| octet == b'}').expect("a }");
                let octets: usize = std::str::from_utf8(&rest[..end]).unwrap().parse().unwrap();
                assert!(rest[end + 1..].starts_with(b"\r\n"), "{about}: {}", shown());
                rest = &rest[end + 3 + octets..];
            }
            b' '..0x7f => {}
            _ => panic!("{about}: octet {octet} in a response: {}", shown()),
        }
        assert!(depth >= 0, "{about}: {}", shown());
    }
    assert_eq!(depth, 0, "{about}: {}", shown());
}

/// A name, and a message that costs a careless parser time or memory.
type Bomb = (&'static str, String);

/// Bombs in the structure and the bodies of messages.
fn structure_bombs() -> Vec<Bomb> {
    let mut nested = String::new();
    for level in 0..10_000 {
        nested.push_str(&format!(
            "Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n"
        ));
    }
    let parts = "\n--b\n\nx".repeat(60_000);
    let parameters: String = (0..20_000).map(|at| format!("; name*{at}*=%41")).collect();
    let mixed = "Content-Type: multipart/mixed; boundary=b\n";
    let prefixes = "--bb\n--b-\n--b \n -- b\n--\n".repeat(20_000);
    vec![
        ("nested multiparts", nested),
        ("many parts", format!("{mixed}{parts}")),
        ("no end of parts", format!("{mixed}{prefixes}")),
        (
            "nested messages",
            "Content-Type: message/rfc822\n\n".repeat(10_000),
        ),
        (
            "parameters",
            format!("Content-Type: text/plain{parameters}\n\nx"),
        ),
        ("no colon", "y".repeat(3_000_000)),
        (
            "boundary",
            format!(
                "Content-Type: multipart/mixed; boundary=\"{}\"\n\nx",
                "-".repeat(500_000)
            ),
        ),
        (
            "types",
            format!("Content-Type: {}\n\nx", "a/".repeat(300_000)),
        ),
        (
            "languages",
            format!("Content-Language: {}\n\nx", "en,".repeat(200_000)),
        ),
        (
            "base64",
            format!(
                "Content-Transfer-Encoding: base64\n\n{}",
                "=\n".repeat(500_000)
            ),
        ),
        (
            "quoted-printable",
            format!(
                "Content-Transfer-Encoding: quoted-printable\n\n{}",
                "=\n=4".repeat(200_000)
            ),
        ),
        (
            "line feeds",
            format!("Subject: x\n\n{}", "\n".repeat(3_000_000)),
        ),
    ]
}

/// Bombs in header fields.
fn header_bombs() -> Vec<Bomb> {
    let references: String = (0..30_000).map(|at| format!(" <{at}@x>\n")).collect();
    vec![
        (
            "addresses",
            format!("To: {}\n\nx", "a@b,\n ".repeat(100_000)),
        ),
        ("groups", format!("To: {}\n\nx", "g:".repeat(100_000))),
        ("comments", format!("From: {}\n\nx", "(".repeat(500_000))),
        (
            "routes",
            format!("From: <{}a@b>\n\nx", "@a,".repeat(100_000)),
        ),
        (
            "open quote",
            format!("From: \"{}\n\nx", "\\".repeat(500_000)),
        ),
        ("angles", format!("From: {}\n\nx", "<".repeat(500_000))),
        (
            "encoded words",
            format!("Subject: {}\n\nx", "=?utf-8?q?=41?= ".repeat(50_000)),
        ),
        (
            "half words",
            format!("Subject: {}\n\nx", "=?utf-8?q?".repeat(80_000)),
        ),
        (
            "references",
            format!("References:{references}In-Reply-To:{references}\nx"),
        ),
        ("many fields", "X: y\n".repeat(200_000) + "\nx"),
        ("same fields", "To: a@b\n".repeat(50_000) + "\nx"),
        (
            "folded",
            format!("Subject: a{}\n\nx", "\n ".repeat(300_000)),
        ),
        (
            "a long field",
            format!("Subject: {}\n\nx", "y".repeat(3_000_000)),
        ),
    ]
}

#[test]
fn s32_s33_message_bombs_are_answered_soon_and_well() {
    let server = serve("[storage]\nfsync = \"never\"\n");
    let (names, texts): (Vec<_>, Vec<_>) = structure_bombs()
        .into_iter()
        .chain(header_bombs())
        .map(|(name, text)| (name, text.into_bytes()))
        .unzip();
    deliver_files(&server.maildir("ann"), texts).unwrap();
    let mut client = Client::selected(&server, "ann");
    let deep = "1.".repeat(90) + "1";
    for (number, name) in (1..).zip(names) {
        let before = server.forget_peak().unwrap();
        for command in [
            format!("FETCH {number} (ENVELOPE BODYSTRUCTURE RFC822.SIZE)"),
            format!("FETCH {number} BODY.PEEK[1.MIME]"),
            format!("FETCH {number} BODY.PEEK[{deep}]"),
            format!("FETCH {number} BODY.PEEK[HEADER.FIELDS (SUBJECT TO)]<0.100>"),
            format!("SEARCH {number} OR FROM nobody SUBJECT nothing"),
            format!("SEARCH CHARSET UTF-8 {number} TEXT nothing"),
            format!("SEARCH {number} HEADER References nothing"),
        ] {
            let (responses, time) = timed(|| client.command(&command));
            println!("{name}: {time:?} for {command:.60}");
            for response in responses {
                assert_well_formed(&response, name);
            }
            assert!(
                time < Duration::from_secs(15),
                "{name}: {time:?} for {command}"
            );
        }
        let grown = server.peak().unwrap().saturating_sub(before);
        println!("{name}: {grown} KiB");
        assert!(grown < 64 * 1024, "{name}: {grown} KiB more at the peak");
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

#[test]
fn s33_hostile_headers_make_well_formed_responses() {
    let server = serve("[storage]\nfsync = \"never\"\n");
    let hostile: [&[u8]; 8] = [
        b"\"\\\r\n * 1 EXISTS\r\n\0\xff",
        b"a\r\r\nb",
        b"a\0b\x7f\x01\x1b[31m",
        b"\xe2\x82\xac \xff\xfe",
        b"{5}\r\n {5+}",
        b"=?utf-8?b?DQphIE9LDQo=?=",
        b"\"a\\\"b\\\\\" <x\"y@z>",
        b")(*%]\"",
    ];
    let fields = [
        "Subject",
        "From",
        "To",
        "Sender",
        "Date",
        "Message-ID",
        "In-Reply-To",
        "Content-Type",
        "Content-ID",
        "Content-Description",
        "Content-Transfer-Encoding",
        "Content-Disposition",
        "Content-Language",
        "Content-Location",
        "Content-MD5",
    ];
    let messages = hostile.map(|value| {
        let mut message = Vec::new();
        for field in fields {
            message.extend_from_slice(format!("{field}: ").as_bytes());
            message.extend_from_slice(value);
            message.extend_from_slice(b"\n");
        }
        for (media, name) in [("text/plain", "name"), ("multipart/mixed", "boundary")] {
            message.extend_from_slice(format!("Content-Type: {media}; {name}=\"").as_bytes());
            message.extend_from_slice(value);
            message.extend_from_slice(b"\"\n");
        }
        message.extend_from_slice(b"\nbody\n");
        message
    });
    deliver_files(&server.maildir("ann"), messages).unwrap();
    let mut client = Client::selected(&server, "ann");
    for command in [
        "FETCH 1:* (ENVELOPE BODYSTRUCTURE BODY FLAGS UID INTERNALDATE)",
        "FETCH 1:* (BODY.PEEK[HEADER.FIELDS (Subject X)] BODY.PEEK[1.MIME])",
        "FETCH 1:* BODY.PEEK[HEADER.FIELDS (\"a b\" {3+}\r\nx\"y \"(\")]",
        "STORE 1:* +FLAGS ($Label1 NonJunk)",
        "SEARCH SUBJECT {2+}\r\n\"\\",
        "SELECT \"no \\\"such\\\" {5}\"",
        "SELECT {6+}\r\nx\r\n* y",
        "CREATE {4+}\r\na\0bc",
        "CREATE \"a\\\\b\"",
        "CREATE \"a{5}\"",
        "CREATE {3+}\r\na\"b",
        "LIST \"\" *",
        "SUBSCRIBE {3+}\r\na\"b",
        "LSUB \"\" *",
        "STATUS {3+}\r\na\"b (MESSAGES)",
        "APPEND {5+}\r\nx\r\n)( {3+}\r\nabc",
        "SEARCH CHARSET \"a\\\"b\" TEXT x",
        "ID (\"a\" \"\\\"\")",
        "FOO\u{1b}",
    ] {
        for response in client.command(command) {
            // Only the text of a completion may hold quotes and braces as it likes.
            if response.starts_with(b"*") {
                assert_well_formed(&response, command);
            } else {
                let line = response.strip_suffix(b"\r\n").unwrap();
                assert!(
                    line.iter().all(|octet| (b' '..0x7f).contains(octet)),
                    "{command}: {:?}",
                    String::from_utf8_lossy(line)
                );
            }
        }
    }
    assert!(client.completion("NOOP").starts_with("OK"));
}
