//! What clients and servers say in OAUTHBEARER (RFC 7628) and in XOAUTH2, its predecessor.

use serde::Serialize;

use super::Options;
use crate::Secret;

/// A client's message, taken apart.
#[derive(Debug)]
pub struct Message {
    /// Whom the client says to be, or to act as.
    pub user: Option<String>,
    /// The token; empty if there is none, or one of another kind than Bearer.
    pub token: Secret,
    /// The host that the client says to have connected to.
    pub host: Option<String>,
}

/// A message that the mechanism does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("message is not as the mechanism has it")]
pub struct Malformed;

/// The mechanisms, where they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// OAUTHBEARER (RFC 7628).
    OAuthBearer,
    /// XOAUTH2, of Google and Microsoft.
    XOAuth2,
}

/// What a client is told whose token was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The token is not good.
    InvalidToken,
    /// The token is good, but not for mail.
    InsufficientScope,
}

impl Dialect {
    /// Takes a client's message apart.
    ///
    /// # Errors
    /// If it is not as the mechanism has it.
    pub fn parse(self, message: &[u8]) -> Result<Message, Malformed> {
        match self {
            Self::OAuthBearer => oauthbearer(message),
            Self::XOAuth2 => xoauth2(message),
        }
    }

    /// What a client is told whose token was refused, in JSON (RFC 7628 §3.2.2).
    pub fn error(self, status: Status, options: &Options) -> String {
        let scope = options.wanted.scope.join(" ");
        let (status, schemes) = match (self, status) {
            (Self::OAuthBearer, Status::InvalidToken) => ("invalid_token", None),
            (Self::OAuthBearer, Status::InsufficientScope) => ("insufficient_scope", None),
            (Self::XOAuth2, Status::InvalidToken) => ("401", Some("bearer")),
            (Self::XOAuth2, Status::InsufficientScope) => ("403", Some("bearer")),
        };
        let result = ErrorResult {
            status,
            schemes,
            scope: (!scope.is_empty()).then_some(scope),
            openid_configuration: options.openid_configuration.as_deref(),
        };
        // Text alone never fails to become JSON.
        serde_json::to_string(&result).unwrap_or_default()
    }
}

/// `error result` (RFC 7628 §3.2.2)
#[derive(Serialize)]
struct ErrorResult<'r> {
    status: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    schemes: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(rename = "openid-configuration")]
    #[serde(skip_serializing_if = "Option::is_none")]
    openid_configuration: Option<&'r str>,
}

/// `client-resp = gs2-header kvsep *kvpair kvsep` (RFC 7628 §3.1)
///
/// The other form, a single `kvsep`, only acknowledges errors.
fn oauthbearer(message: &[u8]) -> Result<Message, Malformed> {
    let (header, pairs) = split_once(message, KVSEP).ok_or(Malformed)?;
    let user = gs2_header(header)?;
    let pairs = pairs.strip_suffix(&[KVSEP]).ok_or(Malformed)?;
    let (mut auth, mut host) = (None, None);
    for pair in kvpairs(pairs)? {
        let (key, value) = kvpair(pair)?;
        let field = match key {
            b"auth" => &mut auth,
            b"host" => &mut host,
            _ => continue,
        };
        if field.replace(value).is_some() {
            return Err(Malformed);
        }
    }
    Ok(Message {
        user,
        token: bearer(auth.ok_or(Malformed)?),
        host: host.map(str::to_owned),
    })
}

/// `"user=" user kvsep "auth=Bearer " token kvsep kvsep`
fn xoauth2(message: &[u8]) -> Result<Message, Malformed> {
    let message = message.strip_prefix(b"user=").ok_or(Malformed)?;
    let (user, rest) = split_once(message, KVSEP).ok_or(Malformed)?;
    let auth = rest.strip_prefix(b"auth=").ok_or(Malformed)?;
    let auth = auth.strip_suffix(&[KVSEP, KVSEP]).ok_or(Malformed)?;
    let user = std::str::from_utf8(user).map_err(|_| Malformed)?;
    if user.is_empty() || user.contains('\0') {
        return Err(Malformed);
    }
    Ok(Message {
        user: Some(user.to_owned()),
        token: bearer(value(auth)?),
        host: None,
    })
}

/// `gs2-header = [gs2-nonstd-flag ","] gs2-cb-flag "," [gs2-authzid] ","` (RFC 5801 §4)
///
/// A message that wants channel binding (`p=`), which a bearer token cannot have, is refused; and
/// so is one of a mechanism that is not of GSS-API (`F`).
fn gs2_header(header: &[u8]) -> Result<Option<String>, Malformed> {
    let header = std::str::from_utf8(header).map_err(|_| Malformed)?;
    let rest = header.strip_prefix(['n', 'y']).ok_or(Malformed)?;
    let authzid = rest.strip_prefix(',').ok_or(Malformed)?;
    let authzid = authzid.strip_suffix(',').ok_or(Malformed)?;
    if authzid.is_empty() {
        return Ok(None);
    }
    saslname(authzid.strip_prefix("a=").ok_or(Malformed)?).map(Some)
}

/// `saslname = 1*(UTF8-1-safe / UTF8-2 / UTF8-3 / UTF8-4 / "=2C" / "=3D")` (RFC 5801 §4)
fn saslname(text: &str) -> Result<String, Malformed> {
    let mut name = String::with_capacity(text.len());
    let mut parts = text.split('=');
    name.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (letter, rest) = if let Some(rest) = part.strip_prefix("2C") {
            (',', rest)
        } else {
            ('=', part.strip_prefix("3D").ok_or(Malformed)?)
        };
        name.push(letter);
        name.push_str(rest);
    }
    if name.is_empty() || text.contains([',', '\0']) {
        return Err(Malformed);
    }
    Ok(name)
}

/// `*kvpair`, each of which ends with `kvsep` (RFC 7628 §3.1)
fn kvpairs(pairs: &[u8]) -> Result<impl Iterator<Item = &[u8]>, Malformed> {
    let ended = pairs.strip_suffix(&[KVSEP]);
    if ended.is_none() && !pairs.is_empty() {
        return Err(Malformed);
    }
    Ok(ended
        .into_iter()
        .flat_map(|pairs| pairs.split(|&octet| octet == KVSEP)))
}

/// `kvpair = key "=" value kvsep` (RFC 7628 §3.1), without its end
fn kvpair(pair: &[u8]) -> Result<(&[u8], &str), Malformed> {
    let (key, text) = split_once(pair, b'=').ok_or(Malformed)?;
    if key.is_empty() || !key.iter().all(u8::is_ascii_alphabetic) {
        return Err(Malformed);
    }
    Ok((key, value(text)?))
}

/// `value = *(VCHAR / SP / HTAB / CR / LF )` (RFC 7628 §3.1)
fn value(text: &[u8]) -> Result<&str, Malformed> {
    let fits = |octet: &u8| octet.is_ascii_graphic() || b" \t\r\n".contains(octet);
    if !text.iter().all(fits) {
        return Err(Malformed);
    }
    std::str::from_utf8(text).map_err(|_| Malformed)
}

/// `credentials = "Bearer" 1*SP b64token` (RFC 6750 §2.1); the word in any case (RFC 7628 §4).
///
/// Nothing, as of a client that asks for the scope (RFC 7628 §4.3), is an empty token; so is
/// a token of another scheme.
fn bearer(auth: &str) -> Secret {
    let token = match auth.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("Bearer") => token.trim_matches(' '),
        Some(_) | None => "",
    };
    Secret::new(token)
}

/// What is before and what is after the first `at`.
fn split_once(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = text.iter().position(|&octet| octet == at)?;
    Some((text.get(..place)?, text.get(place + 1..)?))
}

/// `kvsep = %x01` (RFC 7628 §3.1)
const KVSEP: u8 = 1;

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;
    use crate::oauth::tests::world::options;

    /// The message as far as it was understood, or "malformed".
    fn told(dialect: Dialect, message: &[u8]) -> String {
        match dialect.parse(message) {
            Ok(message) => format!(
                "{} {} {}",
                message.user.as_deref().unwrap_or("-"),
                String::from_utf8_lossy(message.token.expose()),
                message.host.as_deref().unwrap_or("-")
            ),
            Err(Malformed) => "malformed".to_owned(),
        }
    }

    #[test]
    fn the_examples_of_the_rfc_are_understood() {
        for (example, expected) in [
            (
                "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB",
                "user@example.com vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg== server.example.com",
            ),
            (
                "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9AQE=",
                "user@example.com  server.example.com",
            ),
        ] {
            let message = STANDARD.decode(example).unwrap();
            assert_eq!(told(Dialect::OAuthBearer, &message), expected);
        }
    }

    #[test]
    fn oauthbearer_is_read_as_the_grammar_has_it() {
        for (message, expected) in [
            ("n,,\x01auth=Bearer abc\x01\x01", "- abc -"),
            ("y,,\x01auth=bEARER  abc \x01\x01", "- abc -"),
            ("n,a=b=2Cc=3Dd,\x01auth=Bearer abc\x01\x01", "b,c=d abc -"),
            (
                "n,,\x01new=thing\x01auth=Bearer abc\x01qs=\x01\x01",
                "- abc -",
            ),
            ("n,,\x01auth=OAuth realm=\"x\"\x01\x01", "-  -"),
            ("n,,\x01auth=Bearer\x01\x01", "-  -"),
            ("n,a=\u{e9},\x01host=h\x01auth=\x01\x01", "\u{e9}  h"),
            ("\x01", "malformed"),
            ("", "malformed"),
            ("n,,", "malformed"),
            ("n,,\x01", "malformed"),
            ("n,,\x01\x01", "malformed"),
            ("n,,\x01auth=Bearer abc\x01", "malformed"),
            ("n,,\x01auth=Bearer abc\x01\x01\x01", "malformed"),
            ("n,,\x01auth=Bearer a\x01auth=Bearer b\x01\x01", "malformed"),
            (
                "n,,\x01host=a\x01host=b\x01auth=Bearer b\x01\x01",
                "malformed",
            ),
            ("n,,\x01host=a\x01\x01", "malformed"),
            ("n,,\x01=Bearer abc\x01\x01", "malformed"),
            ("n,,\x01a1=x\x01auth=Bearer abc\x01\x01", "malformed"),
            ("n,,\x01auth=Bearer \u{e9}\x01\x01", "malformed"),
            ("n,,\x01auth=Bearer a\0\x01\x01", "malformed"),
            ("p=tls-exporter,,\x01auth=Bearer abc\x01\x01", "malformed"),
            ("F,n,,\x01auth=Bearer abc\x01\x01", "malformed"),
            ("n,\x01auth=Bearer abc\x01\x01", "malformed"),
            ("n,a=,\x01auth=Bearer abc\x01\x01", "malformed"),
            ("n,a=b=2cc,\x01auth=Bearer abc\x01\x01", "malformed"),
            ("n,a=b,c,\x01auth=Bearer abc\x01\x01", "malformed"),
            ("n,a=b\0,\x01auth=Bearer abc\x01\x01", "malformed"),
            ("n,b,\x01auth=Bearer abc\x01\x01", "malformed"),
            ("user=ann\x01auth=Bearer abc\x01\x01", "malformed"),
        ] {
            let told = told(Dialect::OAuthBearer, message.as_bytes());
            assert_eq!(told, expected, "{message:?}");
        }
    }

    #[test]
    fn xoauth2_is_read_as_its_makers_have_it() {
        for (message, expected) in [
            (
                "user=ann@example.org\x01auth=Bearer abc\x01\x01",
                "ann@example.org abc -",
            ),
            ("user=ann\x01auth=bearer abc\x01\x01", "ann abc -"),
            ("user=ann\x01auth=Bearer \x01\x01", "ann  -"),
            ("user=\x01auth=Bearer abc\x01\x01", "malformed"),
            ("user=ann\x01auth=Bearer abc\x01", "malformed"),
            ("user=ann\x01Bearer abc\x01\x01", "malformed"),
            ("user=ann\x01auth=Bearer a\x01b\x01\x01", "malformed"),
            ("auth=Bearer abc\x01\x01", "malformed"),
            ("n,,\x01auth=Bearer abc\x01\x01", "malformed"),
            ("", "malformed"),
        ] {
            let told = told(Dialect::XOAuth2, message.as_bytes());
            assert_eq!(told, expected, "{message:?}");
        }
    }

    #[test]
    fn an_error_is_told_as_in_the_example() {
        let mut options = options();
        options.wanted.scope = vec!["example_scope".to_owned()];
        let url = "https://example.com/.well-known/openid-configuration";
        options.openid_configuration = Some(url.to_owned());
        let told = Dialect::OAuthBearer.error(Status::InvalidToken, &options);
        // RFC 7628 §4.3, as it stands there in base64.
        assert_eq!(
            STANDARD.encode(told),
            "eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NvcGUiOiJleGFtcGxlX3Njb3BlIiwib3BlbmlkLWNvbmZpZ3VyYXRpb24iOiJodHRwczovL2V4YW1wbGUuY29tLy53ZWxsLWtub3duL29wZW5pZC1jb25maWd1cmF0aW9uIn0="
        );
        assert_eq!(
            Dialect::OAuthBearer.error(Status::InsufficientScope, &options),
            format!(
                r#"{{"status":"insufficient_scope","scope":"example_scope","openid-configuration":"{url}"}}"#
            )
        );
        options.openid_configuration = None;
        assert_eq!(
            Dialect::XOAuth2.error(Status::InvalidToken, &options),
            r#"{"status":"401","schemes":"bearer","scope":"example_scope"}"#
        );
        options.wanted.scope.clear();
        assert_eq!(
            Dialect::XOAuth2.error(Status::InsufficientScope, &options),
            r#"{"status":"403","schemes":"bearer"}"#
        );
    }

    #[test]
    fn a_token_is_not_shown() {
        let message = Dialect::XOAuth2.parse(b"user=ann\x01auth=Bearer hunter2\x01\x01");
        assert!(!format!("{message:?}").contains("hunter2"));
    }

    proptest! {
        #[test]
        fn any_octets_never_panic(message in proptest::collection::vec(any::<u8>(), 0..80)) {
            for dialect in [Dialect::OAuthBearer, Dialect::XOAuth2] {
                let _told = dialect.parse(&message);
            }
        }

        #[test]
        fn whatever_is_nearly_a_message_never_panics(message in "(n|y|p=x|user=)?,?(a=)?[a=,\\x01]{0,4}\\x01(auth|host)?=?(Bearer )?[a\\x01=]{0,6}") {
            for dialect in [Dialect::OAuthBearer, Dialect::XOAuth2] {
                let _told = dialect.parse(message.as_bytes());
            }
        }
    }
}
