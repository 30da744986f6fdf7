//! IMAP URLs of messages and message parts (RFC 5092 §6, §11).
//!
//! `imapurl = "imap://" iserver "/" imessagepart`, `inetwork-path = "//" iserver "/" imessagepart`
//! and `iabsolute-path = "/" imessagepart`. A relative path is refused, as RFC 5092 §7.2 has it, and
//! so is everything that is no message: lists, searches, and URLs with URLAUTH.

use mailstore::{Uid, UidValidity};

use crate::command::Section;
use crate::grammar;

/// A message, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MessageUrl {
    /// The server, if it is named.
    server: Option<Server>,
    /// The mailbox, in UTF-8 (RFC 5092 §8).
    pub(crate) mailbox: Vec<u8>,
    pub(crate) uid_validity: Option<UidValidity>,
    pub(crate) uid: Uid,
    /// All of the message, if there is none.
    pub(crate) section: Section,
    /// The first octet, and the most octets.
    pub(crate) partial: Option<(u64, u64)>,
}

/// `iserver = [iuserinfo "@"] host [ ":" port ]` (RFC 5092 §11)
#[derive(Clone, Debug, PartialEq, Eq)]
struct Server {
    user: Option<Vec<u8>>,
    host: Vec<u8>,
}

impl MessageUrl {
    /// Reads a URL; `None` if it does not name a message.
    pub(crate) fn parse(url: &[u8]) -> Option<Self> {
        let (server, path) = split_server(url)?;
        let server = match server {
            Some(server) => Some(Server::parse(server)?),
            None => None,
        };
        // `enc-mailbox` has no semicolon, so the first one after a slash begins the UID.
        let (mailbox, rest) = split_once(path, b"/;")?;
        let mut parameters = split_all(rest, b"/;").into_iter().peekable();
        let (mailbox, uid_validity) = imailbox_ref(mailbox)?;
        let uid = parameter(parameters.next()?, b"UID")?;
        let uid = nz_number(uid).and_then(Uid::new)?;
        let section = parameters.next_if(|it| parameter(it, b"SECTION").is_some());
        let section = match section.and_then(|it| parameter(it, b"SECTION")) {
            Some(section) => grammar::section_spec(&decoded(section, is_bchar)?)?,
            None => Section::default(),
        };
        let partial = parameters.next_if(|it| parameter(it, b"PARTIAL").is_some());
        let partial = match partial.and_then(|it| parameter(it, b"PARTIAL")) {
            Some(range) => Some(partial_range(range)?),
            None => None,
        };
        parameters.next().is_none().then_some(Self {
            server,
            mailbox,
            uid_validity,
            uid,
            section,
            partial,
        })
    }

    /// Whether it is about mailboxes of this user at this server: it does not say otherwise.
    pub(crate) fn is_of(&self, hostname: &str, user: &str) -> bool {
        self.server.as_ref().is_none_or(|server| {
            let own = |named: &Vec<u8>| named == user.as_bytes();
            let here = server.host.eq_ignore_ascii_case(hostname.as_bytes());
            here && server.user.as_ref().is_none_or(own)
        })
    }
}

impl Server {
    fn parse(server: &[u8]) -> Option<Self> {
        let (user, host) = match split_once(server, b"@") {
            Some((userinfo, host)) => (iuserinfo(userinfo)?, host),
            None => (None, server),
        };
        let (host, port) = split_once(host, b":").unwrap_or((host, b""));
        let host = decoded(host, is_achar)?;
        let valid = !host.is_empty() && port.iter().all(u8::is_ascii_digit);
        valid.then_some(Self { user, host })
    }
}

/// The server, if the URL names one, and the path behind its slash.
fn split_server(url: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let scheme = url.get(..5).filter(|it| it.eq_ignore_ascii_case(b"imap:"));
    let behind = scheme.map_or(url, |_| url.get(5..).unwrap_or_default());
    match (scheme, behind) {
        (_, [b'/', b'/', rest @ ..]) => {
            let (server, path) = split_once(rest, b"/")?;
            Some((Some(server), path))
        }
        (None, [b'/', path @ ..]) => Some((None, path)),
        _ => None,
    }
}

/// `iuserinfo = enc-user [iauth] / [enc-user] iauth` (RFC 5092 §11): the user. How to log in is of
/// no interest to somebody who has.
fn iuserinfo(userinfo: &[u8]) -> Option<Option<Vec<u8>>> {
    let (user, auth) = match split_once(userinfo, b";") {
        Some((user, auth)) => (user, Some(auth)),
        None => (userinfo, None),
    };
    if let Some(auth) = auth {
        decoded(parameter(auth, b"AUTH")?, is_achar)?;
    } else if user.is_empty() {
        return None;
    }
    let named = !user.is_empty();
    let user = decoded(user, is_achar)?;
    Some(named.then_some(user))
}

/// `imailbox-ref = enc-mailbox [uidvalidity]`, with `uidvalidity = ";UIDVALIDITY=" nz-number`
/// (RFC 5092 §11)
fn imailbox_ref(text: &[u8]) -> Option<(Vec<u8>, Option<UidValidity>)> {
    let (mailbox, uid_validity) = match split_once(text, b";") {
        Some((mailbox, rest)) => {
            let number = nz_number(parameter(rest, b"UIDVALIDITY")?)?;
            (mailbox, Some(UidValidity::new(number)?))
        }
        None => (text, None),
    };
    // They would change the path (RFC 5092 §7); in a name they are written with percent signs.
    let is_dots = |level: &[u8]| matches!(level, b"." | b"..");
    if mailbox.is_empty() || mailbox.starts_with(b"/") {
        return None;
    }
    if mailbox.split(|octet| *octet == b'/').any(is_dots) {
        return None;
    }
    Some((decoded(mailbox, is_bchar)?, uid_validity))
}

/// `partial-range = number ["." nz-number]` (RFC 5092 §11)
fn partial_range(text: &[u8]) -> Option<(u64, u64)> {
    match split_once(text, b".") {
        Some((first, most)) => Some((number(first)?.into(), nz_number(most)?.into())),
        None => Some((number(text)?.into(), u64::MAX)),
    }
}

/// The value of `NAME=value`, in any letter case.
fn parameter<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (found, value) = split_once(text, b"=")?;
    found.eq_ignore_ascii_case(name).then_some(value)
}

/// `number` (RFC 3501 §9)
fn number(text: &[u8]) -> Option<u32> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(text).ok()?.parse().ok()
}

/// `nz-number` (RFC 3501 §9)
fn nz_number(text: &[u8]) -> Option<u32> {
    number(text).filter(|_| !text.starts_with(b"0"))
}

/// Undoes percent-encoding; `None` if there is an octet that may not stand for itself.
fn decoded(text: &[u8], allowed: fn(u8) -> bool) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return Some(octets),
            [b'%', first, second, rest @ ..] => {
                let digit = |octet: u8| char::from(octet).to_digit(16);
                let value = digit(*first)? * 16 + digit(*second)?;
                octets.push(u8::try_from(value).ok()?);
                rest
            }
            [octet, rest @ ..] if allowed(*octet) => {
                octets.push(*octet);
                rest
            }
            _ => return None,
        }
    }
}

/// `achar = unreserved / sub-delims-sh / "&" / "="` (RFC 5092 §11)
fn is_achar(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"-._~!$'()*+,&=".contains(&octet)
}

/// `bchar = achar / ":" / "@" / "/"` (RFC 5092 §11)
fn is_bchar(octet: u8) -> bool {
    is_achar(octet) || b":@/".contains(&octet)
}

/// What is before and behind the first `separator`.
fn split_once<'a>(text: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = memchr::memmem::find(text, separator)?;
    Some((text.get(..at)?, text.get(at + separator.len()..)?))
}

/// What is between the separators.
fn split_all<'a>(text: &'a [u8], separator: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((part, behind)) = split_once(rest, separator) {
        parts.push(part);
        rest = behind;
    }
    parts.push(rest);
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A URL in short.
    fn tell(url: &str) -> Option<String> {
        let url = MessageUrl::parse(url.as_bytes())?;
        let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
        let server = url.server.map_or("-".to_owned(), |it| {
            let user = it.user.map_or("-".to_owned(), |user| text(&user));
            format!("{user}@{}", text(&it.host))
        });
        let validity = url.uid_validity.map_or(0, UidValidity::get);
        let section = match (&url.section.part[..], &url.section.text) {
            ([], None) => "all".to_owned(),
            (part, text) => format!("{part:?} {text:?}"),
        };
        Some(format!(
            "{server} {} {validity} {} {section} {:?}",
            text(&url.mailbox),
            url.uid.get(),
            url.partial
        ))
    }

    #[test]
    fn messages_and_parts_are_read() {
        let rows = [
            // RFC 4469, appendix A, and RFC 8508 §4.2.
            (
                "/Drafts;UIDVALIDITY=385759045/;UID=20/;section=HEADER",
                "- Drafts 385759045 20 [] Some(Header) None",
            ),
            (
                "/Drafts;UIDVALIDITY=385759045/;UID=20/;section=1.MIME",
                "- Drafts 385759045 20 [1] Some(Mime) None",
            ),
            (
                "/INBOX;UIDVALIDITY=785799047/;UID=113330/;section=1.5.9",
                "- INBOX 785799047 113330 [1, 5, 9] None None",
            ),
            ("/Drafts/;UID=3002", "- Drafts 0 3002 all None"),
            // RFC 5092 §9.
            (
                "imap://minbari.example.org/gray-council;UIDVALIDITY=385759045/;UID=20/;PARTIAL=0.1024",
                "-@minbari.example.org gray-council 385759045 20 all Some((0, 1024))",
            ),
            (
                "imap://;AUTH=GSSAPI@minbari.example.org/gray-council/;uid=20/;section=1.2",
                "-@minbari.example.org gray-council 0 20 [1, 2] None None",
            ),
            (
                "//john;AUTH=*@host:993/~peter/%E6%97%A5/%E5%8F%B0/;UID=1/;PARTIAL=7",
                "john@host ~peter/\u{65e5}/\u{53f0} 0 1 all Some((7, 18446744073709551615))",
            ),
            (
                "IMAP://a%40b@HOST/x/;UID=1/;SECTION=HEADER.FIELDS%20(TO)/;PARTIAL=0.1",
                "a@b@HOST x 0 1 [] Some(HeaderFields([[84, 79]])) Some((0, 1))",
            ),
            ("/a%3Bb%2Fc%20d/;UID=1", "- a;b/c d 0 1 all None"),
            ("/..x/y./;UID=1", "- ..x/y. 0 1 all None"),
            ("/%2E%2E/;UID=1", "- .. 0 1 all None"),
        ];
        for (url, expected) in rows {
            assert_eq!(tell(url).as_deref(), Some(expected), "{url}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for url in [
            "",
            "/",
            "/foo",
            "/foo/",
            "imap://host",
            "imap://host/",
            "imap://host/foo?SUBJECT%20x",
            "imap:/foo/;UID=1",
            "http://host/foo/;UID=1",
            // Relative paths (RFC 5092 §7.2).
            ";UID=20",
            "foo/;UID=20",
            "..;UIDVALIDITY=385759045/;UID=20",
            // RFC 5092 §9.1: the mailbox.
            "/foo/;UID=20/..",
            "/foo/../bar/;UID=20",
            "/./;UID=20",
            "///;UID=20",
            "/foo/;UID=0",
            "/foo/;UID=020",
            "/foo/;UID=4294967296",
            "/foo/;UID=-1",
            "/foo/;UID=",
            "/foo/;UID=1;SECTION=1",
            "/foo/;UID=1/;SECTION=",
            "/foo/;UID=1/;SECTION=0",
            "/foo/;UID=1/;SECTION=1]",
            "/foo/;UID=1/;SECTION=BODY",
            "/foo/;UID=1/;PARTIAL=1.0",
            "/foo/;UID=1/;PARTIAL=.1",
            "/foo/;UID=1/;PARTIAL=0.1/;SECTION=1",
            "/foo/;UID=1/;SECTION=1/;SECTION=2",
            "/foo/;UID=1/;URLAUTH=anonymous:INTERNAL:00000000000000000000000000000000",
            "/foo;UIDVALIDITY=0/;UID=1",
            "/foo;X=1/;UID=1",
            "/;UID=1",
            "//host/;UID=1",
            "/fo o/;UID=1",
            "/f\u{e9}/;UID=1",
            "/f%e/;UID=1",
            "/f%zz/;UID=1",
            "/f\"o/;UID=1",
            "imap://@host/foo/;UID=1",
            "imap:///foo/;UID=1",
            "imap://host:x/foo/;UID=1",
        ] {
            assert_eq!(tell(url), None, "{url}");
        }
    }

    #[test]
    fn a_url_of_another_user_or_server_is_not_ours() {
        let rows = [
            ("/x/;UID=1", true),
            ("imap://host/x/;UID=1", true),
            ("imap://HOST:143/x/;UID=1", true),
            ("imap://ann@host/x/;UID=1", true),
            ("imap://bob@host/x/;UID=1", false),
            ("imap://other/x/;UID=1", false),
            ("//ann@other/x/;UID=1", false),
        ];
        for (url, expected) in rows {
            let parsed = MessageUrl::parse(url.as_bytes()).unwrap();
            assert_eq!(parsed.is_of("host", "ann"), expected, "{url}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(url in prop::collection::vec(any::<u8>(), 0..60)) {
            MessageUrl::parse(&url);
        }

        #[test]
        fn any_name_can_be_written(name in prop::collection::vec(any::<u8>(), 1..20), uid in 1u32..) {
            let encoded: String = name.iter().map(|octet| format!("%{octet:02x}")).collect();
            let url = MessageUrl::parse(format!("/{encoded}/;UID={uid}").as_bytes()).unwrap();
            prop_assert_eq!((url.mailbox, url.uid.get()), (name, uid));
        }
    }
}
