//! Previews of messages of all kinds.

use super::super::steps;
use super::*;

fn of(message: &str) -> String {
    let message = message.replace('\n', "\r\n");
    preview(message.as_bytes())
}

fn html(body: &str) -> String {
    of(&format!("Content-Type: text/html; charset=utf-8\n\n{body}"))
}

#[test]
fn plain_text_is_told_on_one_line() {
    for (text, expected) in [
        ("", ""),
        ("\n \n\t\n", ""),
        ("Hello,\n\n  how are\tyou?\n", "Hello, how are you?"),
        ("Yes.\n\nOn Monday, X wrote:\n> No?\n> Or?\n", "Yes."),
        (
            "Yes.\n\nOn Monday, 1 January, at 12:00,\nSomebody <a@b>\nwrote:\n\n> No?\n\nBut no.",
            "Yes. But no.",
        ),
        ("Am Montag schrieb X:\n> No?\n\nDoch.\n", "Doch."),
        ("I need:\n\n- milk\n- bread\n", "I need: milk bread"),
        ("> No?\n>> Or?\n", "No? Or?"),
        ("X wrote:\n> No?\n", "No?"),
        ("Text\n-- \nX, Inc.\n", "Text"),
        ("=====\nNews\n=====\nToday", "News Today"),
        ("a\u{200b}b\u{ad}c \u{202e}d\u{7}e\u{a0}f", "abc d e f"),
        ("-----BEGIN PGP MESSAGE-----\n\nabc\n", ""),
        (
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n- --- \nSigned.\n\
             -----BEGIN PGP SIGNATURE-----\nabc\n",
            "Signed.",
        ),
    ] {
        assert_eq!(of(&format!("Subject: s\n\n{text}")), expected, "{text:?}");
    }
}

#[test]
fn a_preview_has_200_characters_at_the_most() {
    let text = |word: &str| of(&format!("a: b\n\n{}", format!("{word}\n").repeat(500)));
    assert_eq!(text("x"), "x ".repeat(100).trim_end());
    assert_eq!(text("\u{1f600}"), "\u{1f600} ".repeat(100).trim_end());
    assert_eq!(text("abcd"), "abcd ".repeat(40).trim_end());
    assert_eq!(text("abc"), "abc ".repeat(50).trim_end());
    assert_eq!(text("ab"), "ab ".repeat(67).trim_end());
    let long = text(&"\u{e9}".repeat(900));
    assert_eq!(long, "\u{e9}".repeat(200));
}

#[test]
fn html_is_told_without_markup() {
    for (body, expected) in [
        (
            "<p>Hello, <b>w</b>orld!</p><p>More</p>",
            "Hello, world! More",
        ),
        ("a<br>b<td>c</td>d", "a b c d"),
        (
            "1 &lt; 2 &amp;&amp; &eacute;&#233;&#xE9; &nbsp;&unknown; & x",
            "1 < 2 && \u{e9}\u{e9}\u{e9} &unknown; & x",
        ),
        (
            "<style>p { color: red }</style><script>if (a < b) x('</p>')</script>Text",
            "Text",
        ),
        (
            "<head><title>T</title><meta name=x></head><body>Text",
            "Text",
        ),
        ("<!-- no <b> --><!doctype html><?xml?>Text", "Text"),
        (
            "<div style=\"display: none\">no <div>no</div> no</div>Text",
            "Text",
        ),
        (
            "<span style='font-size:0.9em'>Text</span><p hidden>no</p>",
            "Text",
        ),
        ("<span style='FONT-SIZE:0px'>no</span>Text", "Text"),
        ("<img alt=\"a > b\" src=x>Text", "Text"),
        (
            "Yes.<blockquote><p>No?</p><blockquote>x</blockquote></blockquote>But",
            "Yes. But",
        ),
        (
            "<div class=\"gmail_quote\">On Monday<div>No?</div></div>",
            "On Monday No?",
        ),
        (
            "Yes<div class=\"gmail_quote\">On Monday<div>No?</div></div>",
            "Yes",
        ),
        ("a < b <3 <", "a < b <3 <"),
        ("Text<a href=\"x", "Text"),
        ("<style>never closed", ""),
        ("Hi&zwnj;&#847;&shy;&nbsp;&nbsp;there", "Hi there"),
    ] {
        assert_eq!(html(body), expected, "{body}");
    }
}

#[test]
fn the_first_text_of_a_message_counts() {
    let multipart = |kind: &str, parts: &[&str]| {
        let parts: String = parts.iter().map(|part| format!("--b\n{part}\n")).collect();
        format!("Content-Type: multipart/{kind}; boundary=b\n\n{parts}--b--\n")
    };
    let (plain, rich) = ("\nplain", "Content-Type: text/html\n\n<i>rich</i>");
    let picture = "Content-Type: image/png\nContent-Transfer-Encoding: base64\n\nAAAA";
    let attached = "Content-Type: text/plain\nContent-Disposition: attachment\n\nattached";
    let message = "Content-Type: message/rfc822\n\nSubject: x\n\nforwarded";
    for (kind, parts, expected) in [
        ("alternative", &[plain, rich][..], "plain"),
        ("alternative", &["\n \n", rich], "rich"),
        ("mixed", &[picture, attached, rich, plain], "rich"),
        ("mixed", &[message, plain], "plain"),
        ("mixed", &[message], ""),
        (
            "signed",
            &[plain, "Content-Type: application/pgp-signature\n\nx"],
            "plain",
        ),
        (
            "encrypted",
            &[
                "Content-Type: application/pgp-encrypted\n\nVersion: 1",
                plain,
            ],
            "",
        ),
        ("mixed", &["Content-Type: application/pkcs7-mime\n\nx"], ""),
    ] {
        assert_eq!(of(&multipart(kind, parts)), expected, "{kind} {parts:?}");
    }
    assert_eq!(of("Content-Type: application/pkcs7-mime\n\nAAAA"), "");
    assert_eq!(of("Content-Type: text/calendar\n\nBEGIN:VCALENDAR"), "");
}

#[test]
fn encodings_and_charsets_are_undone() {
    let with = |fields: &str, body: &str| of(&format!("{fields}\n\n{body}"));
    let quoted = "Content-Transfer-Encoding: quoted-printable";
    let base64 = "Content-Transfer-Encoding: base64";
    let plain = |charset: &str| format!("Content-Type: text/plain; charset={charset}");
    assert_eq!(
        with(
            &format!("{quoted}\n{}", plain("iso-8859-1")),
            "caf=E9 =\nau lait"
        ),
        "caf\u{e9} au lait"
    );
    assert_eq!(
        with(&format!("{base64}\n{}", plain("koi8-r")), "8NLJ\n18XU"),
        "\u{41f}\u{440}\u{438}\u{432}\u{435}\u{442}"
    );
    assert_eq!(
        with(&format!("{base64}\n{}", plain("utf-16le")), "aABpAA=="),
        "hi"
    );
    assert_eq!(with(&plain("x-unknown"), "caf\u{e9}"), "caf\u{e9}");
    assert_eq!(
        with(
            &format!("{base64}\nContent-Type: text/html"),
            "PGI+aGk8L2I+"
        ),
        "hi"
    );
    assert_eq!(
        preview(b"Content-Type: text/plain; charset=utf-8\r\n\r\ncaf\xe9 \xff"),
        "caf\u{e9} \u{ff}"
    );
}

#[test]
fn only_the_beginning_of_a_large_message_is_looked_at() {
    let long = format!("a: b\r\n\r\n{}", "word ".repeat(FIRST));
    let first = long.as_bytes().get(..FIRST).unwrap();
    assert_eq!(preview_of_beginning(first), Some(preview(long.as_bytes())));
    let behind = |octets: usize| {
        let style = "x".repeat(octets);
        format!("Content-Type: text/html\r\n\r\n<style>{style}</style>Text")
    };
    let late = behind(FIRST);
    let first = late.as_bytes().get(..FIRST).unwrap();
    assert_eq!(preview_of_beginning(first), None);
    assert_eq!(preview(late.as_bytes()), "Text");
    assert_eq!(preview(behind(MOST).as_bytes()), "");
}

#[test]
fn hostile_text_takes_linear_time() {
    let pieces = [
        "<",
        "<a ",
        "<!--",
        "<style>",
        "</",
        "&",
        "&#",
        "<a href=\"",
        "<div hidden>",
        "<blockquote>",
        "</div>",
        "x:\n",
        ">\n",
        "--\n",
        "- \n",
        "\u{200b}",
        "-----BEGIN PGP SIGNED MESSAGE-----\n",
        "<style></x",
    ];
    for piece in pieces {
        for kind in ["html", "plain"] {
            let steps = |count: usize| {
                let message = format!("Content-Type: text/{kind}\r\n\r\n{}", piece.repeat(count));
                steps::measure(|| drop(preview(message.as_bytes())))
            };
            let (few, many) = (steps(300), steps(3_000));
            // Twice as much where the first octets do not suffice.
            assert!(many <= 24 * few + 1_000, "{piece:?} {kind}: {few} {many}");
        }
    }
}
