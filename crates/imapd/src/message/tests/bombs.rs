//! Messages made to be expensive (S32): twice the message is at most twice the work, and limits
//! hold.

use super::wire::{check_body, check_envelope, read};
use super::*;

/// A kind of message bomb of about so many units.
type Bomb = fn(usize) -> Vec<u8>;

const BOMBS: &[(&str, Bomb)] = &[
    ("nested multiparts", nested_multiparts),
    ("nested messages", |n| {
        b"Content-Type: message/rfc822\r\n\r\n".repeat(n)
    }),
    ("nested global messages", |n| {
        b"Content-Type: message/global\r\n\r\n".repeat(n)
    }),
    ("encoded global messages", |n| {
        let part = b"Content-Type: message/global\r\nContent-Transfer-Encoding: base64\r\n\r\n";
        part.repeat(n)
    }),
    ("many parts", many_parts),
    ("parts under a long header", |n| {
        let mut message = b"X-Long: ".to_vec();
        message.resize(n * 10, b'x');
        message.extend_from_slice(b"\r\n");
        message.extend(many_parts(n));
        message
    }),
    ("delimiters of a hundred levels", |n| {
        let mut message = nested_multiparts(MAX_LEVELS - 1);
        message.extend(b"--level-none\r\n--level-50x--\r\n".repeat(n));
        message
    }),
    ("long boundaries", |n| {
        let boundary = "b".repeat(n);
        let line = format!("\r\n--{boundary}x");
        let header = format!("Content-Type: multipart/mixed; boundary={boundary}\r\n");
        [header, line.repeat(20)].concat().into_bytes()
    }),
    ("one long header field", |n| {
        [b"Subject: ", &b"x y\r\n "[..].repeat(n)[..]].concat()
    }),
    ("many header fields", |n| b"A:\r\n".repeat(n)),
    ("header without fields", |n| b"x\r\n".repeat(n)),
    ("addresses", |n| {
        [b"To: ", &b"A B <a@b>,"[..].repeat(n)[..]].concat()
    }),
    ("address fields", |n| b"To: a@b\r\n".repeat(n)),
    ("groups", |n| {
        [b"From: ", &b"a:;"[..].repeat(n)[..]].concat()
    }),
    ("words without an address", |n| {
        [b"From: ", &b"a "[..].repeat(n)[..]].concat()
    }),
    ("at signs", |n| {
        [b"From: ", &b"a@"[..].repeat(n)[..]].concat()
    }),
    ("spaced at signs", |n| {
        [b"From: ", &b"a@b c "[..].repeat(n)[..]].concat()
    }),
    ("dots", |n| [b"From: ", &b". "[..].repeat(n)[..]].concat()),
    ("comments", |n| {
        [b"From: ", &b"("[..].repeat(n)[..]].concat()
    }),
    ("closed comments", |n| {
        [b"From: ", &b"()"[..].repeat(n)[..]].concat()
    }),
    ("quotes", |n| {
        [b"From: ", &b"\"\\\""[..].repeat(n)[..]].concat()
    }),
    ("angles", |n| [b"From: ", &b"<"[..].repeat(n)[..]].concat()),
    ("routes", |n| {
        [b"From: ", &b"<@a,"[..].repeat(n)[..]].concat()
    }),
    ("literals", |n| {
        [b"From: ", &b"["[..].repeat(n)[..]].concat()
    }),
    ("parameters", |n| {
        [b"Content-Type: a/b", &b";c=d"[..].repeat(n)[..]].concat()
    }),
    ("empty parameters", |n| {
        [b"Content-Type: a/b", &b";"[..].repeat(n)[..]].concat()
    }),
    ("parameter words", |n| {
        [b"Content-Type: a/b;c=", &b"d "[..].repeat(n)[..]].concat()
    }),
    ("continuations", |n| {
        let parameters = (0..n).map(|at| format!(";\r\n x*{at}*=%41"));
        let header = "Content-Disposition: attachment".to_owned();
        header
            .into_bytes()
            .into_iter()
            .chain(parameters.flat_map(String::into_bytes))
            .collect()
    }),
    ("continuations from the last to the first", |n| {
        let parameters = (0..n).rev().map(|at| format!(";\r\n x*{at}=a"));
        let header = "Content-Type: a/b".to_owned();
        [header]
            .into_iter()
            .chain(parameters)
            .collect::<String>()
            .into_bytes()
    }),
    ("continuations of many names", |n| {
        let parameters = (0..n).map(|at| format!("; x{at}*0*=''%C3; x{at}*1*=%A9"));
        let header = "Content-Type: a/b".to_owned();
        [header]
            .into_iter()
            .chain(parameters)
            .collect::<String>()
            .into_bytes()
    }),
    ("the same continuation", |n| {
        [b"Content-Type: a/b", &b"; x*0=a"[..].repeat(n)[..]].concat()
    }),
    ("a continuation in long pieces", |n| {
        let piece = "%E2%82%AC".repeat(n);
        format!("Content-Type: a/b; x*0*=utf-8''{piece}; x*1=\"{piece}\"").into_bytes()
    }),
    ("languages", |n| {
        [b"Content-Language: ", &b"a,"[..].repeat(n)[..]].concat()
    }),
    ("encoded words", |n| {
        [b"Subject: ", &b"=?utf-8?q?a?= "[..].repeat(n)[..]].concat()
    }),
    ("beginnings of encoded words", |n| {
        [b"Subject: ", &b"=?"[..].repeat(n)[..]].concat()
    }),
    ("half encoded words", |n| {
        [b"Subject: ", &b"=?a?q?"[..].repeat(n)[..]].concat()
    }),
    ("charset without end", |n| {
        [b"Subject: =?", &b"a"[..].repeat(n)[..]].concat()
    }),
    ("quoted-printable", |n| {
        let header = b"Content-Transfer-Encoding: quoted-printable\r\n\r\n";
        [header, &b"= \t"[..].repeat(n)[..]].concat()
    }),
    ("base64 in one line", |n| {
        let header = b"Content-Transfer-Encoding: base64\r\n\r\n";
        [header, &b"YWFh"[..].repeat(n)[..]].concat()
    }),
    ("blank lines", |n| b"\r\n".repeat(n)),
    ("nothing but white space", |n| {
        [b"From: ", &b" \r\n\t"[..].repeat(n)[..]].concat()
    }),
    ("dashes", |n| {
        let header = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n";
        [header, &b"--\r\n"[..].repeat(n)[..]].concat()
    }),
];

fn nested_multiparts(n: usize) -> Vec<u8> {
    (0..n)
        .flat_map(|level| {
            format!(
                "Content-Type: multipart/mixed; boundary=level-{level}\r\n\r\n--level-{level}\r\n"
            )
            .into_bytes()
        })
        .collect()
}

fn many_parts(n: usize) -> Vec<u8> {
    let header = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n";
    [header, &b"--b\r\n\r\nx\r\n"[..].repeat(n)[..]].concat()
}

#[test]
fn work_is_linear_in_the_message() {
    for (name, bomb) in BOMBS {
        let work = |n| {
            let message = bomb(n);
            let steps = steps::measure(|| {
                everything(&message);
            });
            (steps, message.len())
        };
        let ((once, _), (twice, len)) = (work(5_000), work(10_000));
        assert!(
            twice <= once * 2 + once / 5 + 1_000,
            "{name}: {once}, then {twice}"
        );
        assert!(once >= len / 4, "{name}: {once} steps cannot be all");
        assert!(twice <= len * 40, "{name}: {twice} steps for {len} octets");
    }
}

#[test]
fn what_is_sent_of_a_bomb_is_well_formed() {
    for (name, bomb) in BOMBS {
        let message = bomb(30_000);
        let [envelope, body, body_structure] = everything(&message);
        check_envelope(&read(&envelope).unwrap_or_else(|error| panic!("{name}: {error}")));
        check_body(&read(&body).unwrap(), Form::Body);
        check_body(&read(&body_structure).unwrap(), Form::BodyStructure);
    }
}

#[test]
fn levels_and_parts_are_bounded() {
    for bomb in [nested_multiparts, |n| {
        b"Content-Type: message/rfc822\r\n\r\n".repeat(n)
    }] {
        let parsed = Parsed::new(&bomb(10_000));
        assert_eq!(parsed.parts().len(), MAX_LEVELS);
        assert_eq!(parsed.parts().last().unwrap().kind, Kind::Opaque);
    }
    let message = many_parts(2 * MAX_PARTS);
    let parsed = Parsed::new(&message);
    assert_eq!(parsed.parts().len(), MAX_PARTS);
    assert_eq!(parsed.parts().last().unwrap().end, message.len());
    let last = u32::try_from(MAX_PARTS - 1).unwrap();
    assert!(octets(&message, &[last], None).is_some());
    assert_eq!(octets(&message, &[last + 1], None), None);
}

#[test]
fn addresses_and_parameters_are_bounded() {
    let message = [b"From: ", &b"a@b,"[..].repeat(2 * MAX_ITEMS)[..]].concat();
    let envelope = Parsed::new(&message).envelope(&message);
    assert_eq!(envelope.from.len(), MAX_ITEMS);
    let message = [b"Content-Type: a/b", &b";c=d"[..].repeat(2 * MAX_ITEMS)[..]].concat();
    let BodyStructure::Single(single) =
        Parsed::new(&message).body_structure(&message, Revision::Rev1)
    else {
        panic!("a single part");
    };
    assert_eq!(single.parameters.len(), MAX_ITEMS);
}
