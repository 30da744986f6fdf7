//! SCRAM (RFC 5802, RFC 7677): what the two sides say, and the server's half of the proof.
//!
//! The client's first message becomes a [`First`], which is verified by looking its user up and
//! answering with the user's salt; what is needed for the rest waits in a `Pending`, and comes
//! back with the client's second message as a [`Final`]. An unknown user is asked for a proof like
//! any other (S24), and nothing that is wrong shows before the end.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;

use super::{Channel, Failure, Refusal};
use crate::Identity;
use crate::scram::{Hash, Keys};

/// Whether the client binds the login to the channel that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// It does: `-PLUS`.
    Bound,
    /// It does not, though the server could.
    Possible,
    /// It does not, and the server could not.
    Impossible,
}

/// The first message of a client.
#[derive(Clone, PartialEq, Eq)]
pub struct First {
    hash: Hash,
    /// The authentication identity.
    user: String,
    /// The authorization identity, if one was given.
    acting_as: Option<String>,
    /// `client-first-message-bare`
    bare: String,
    /// The client's part of the nonce.
    nonce: String,
    /// What `c=` must be in the second message: the base64 of the GS2 header and the binding.
    cbind_input: String,
}

/// Why a first message does not lead to a second one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It does not follow the grammar.
    Malformed,
    /// It does, but it asks for what we have not, or somebody has tampered with what we offered.
    Refused,
}

impl From<Unfit> for Result<super::Step, Failure> {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Malformed => Err(Failure::Malformed),
            Unfit::Refused => Ok(super::Step::Refused(Refusal::Denied)),
        }
    }
}

impl First {
    /// `client-first-message = gs2-header client-first-message-bare` (RFC 5802 §7)
    pub(super) fn parse(
        hash: Hash,
        binding: Binding,
        message: &[u8],
        channel: &Channel<'_>,
    ) -> Result<Self, Unfit> {
        let text = std::str::from_utf8(message).map_err(|_| Unfit::Malformed)?;
        if text.contains('\0') {
            return Err(Unfit::Malformed);
        }
        let (flag, rest) = text.split_once(',').ok_or(Unfit::Malformed)?;
        let (authzid, bare) = rest.split_once(',').ok_or(Unfit::Malformed)?;
        let mut cbind = format!("{flag},{authzid},").into_bytes();
        cbind.extend_from_slice(cbind_data(flag, binding, channel)?);
        let acting_as = match authzid.strip_prefix("a=") {
            Some(name) => Some(saslname(name).ok_or(Unfit::Malformed)?),
            None if authzid.is_empty() => None,
            None => return Err(Unfit::Malformed),
        };
        let mut attributes = bare.split(',');
        let user = attributes.next().unwrap_or_default();
        if user.starts_with("m=") {
            // A mandatory extension, and we know none.
            return Err(Unfit::Refused);
        }
        let user = user.strip_prefix("n=").and_then(saslname);
        let nonce = attributes.next().and_then(|it| it.strip_prefix("r="));
        let nonce = nonce.filter(|nonce| is_nonce(nonce));
        if !attributes.all(is_attribute) {
            return Err(Unfit::Malformed);
        }
        Ok(Self {
            hash,
            user: user.ok_or(Unfit::Malformed)?,
            acting_as,
            nonce: nonce.ok_or(Unfit::Malformed)?.to_owned(),
            bare: bare.to_owned(),
            cbind_input: STANDARD.encode(cbind),
        })
    }

    /// Whose password is to be proved, as the client sent the name.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The authorization identity, if one was given.
    pub fn acting_as(&self) -> Option<&str> {
        self.acting_as.as_deref()
    }

    /// The hash function.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// The server's first message, and what waits for the client's answer. `identity` is who is let
    /// in if the proof is right, or why nobody is.
    pub(crate) fn challenge(
        self,
        keys: Keys,
        nonce: &str,
        identity: Result<Identity, Wrong>,
    ) -> (Vec<u8>, Pending) {
        let nonce = format!("{}{nonce}", self.nonce);
        let salt = STANDARD.encode(keys.salt());
        let message = format!("r={nonce},s={salt},i={}", keys.iterations());
        let pending = Pending {
            first: self,
            message: message.clone(),
            nonce,
            keys,
            identity,
        };
        (message.into_bytes(), pending)
    }
}

/// Why a proof lets nobody in. For the log alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// There is no such account.
    UnknownUser,
    /// The account has no keys for the hash function.
    NoKeys,
    /// The user wanted to act as another.
    ActingAsAnother,
    /// It is the proof of another password, or of another exchange.
    Proof,
    /// The proof is right, but bound to another channel: somebody is in between.
    AnotherChannel,
}

/// An exchange between the two messages of the client.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Pending {
    first: First,
    /// `server-first-message`
    message: String,
    /// Both parts of the nonce.
    nonce: String,
    keys: Keys,
    identity: Result<Identity, Wrong>,
}

/// The second message of a client, with what came before it.
pub struct Final {
    pending: Box<Pending>,
    cbind_input: String,
    nonce: String,
    without_proof: String,
    proof: Vec<u8>,
}

impl Final {
    /// `client-final-message = client-final-message-without-proof "," proof` (RFC 5802 §7); `None`
    /// if it does not follow that grammar.
    pub(super) fn parse(pending: Box<Pending>, message: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(message).ok()?;
        let (without_proof, proof) = text.rsplit_once(",p=")?;
        let proof = STANDARD.decode(proof).ok()?;
        let mut attributes = without_proof.split(',');
        let cbind_input = attributes.next()?.strip_prefix("c=")?.to_owned();
        let nonce = attributes.next()?.strip_prefix("r=")?.to_owned();
        attributes.all(is_attribute).then(|| Self {
            pending,
            cbind_input,
            nonce,
            without_proof: without_proof.to_owned(),
            proof,
        })
    }

    /// Whose password is proved, as the client sent the name.
    pub fn user(&self) -> &str {
        self.pending.first.user()
    }

    /// Who is let in with which last message of the server, if the proof is right. All is looked at
    /// in any case.
    pub(crate) fn verify(&self) -> Result<(Identity, String), Wrong> {
        let Pending {
            first,
            message,
            nonce,
            keys,
            identity,
        } = self.pending.as_ref();
        let auth_message = format!("{},{message},{}", first.bare, self.without_proof);
        let proved = keys.prove(auth_message.as_bytes(), &self.proof);
        let same_nonce = bool::from(self.nonce.as_bytes().ct_eq(nonce.as_bytes()));
        let expected = first.cbind_input.as_bytes();
        let same_channel = bool::from(self.cbind_input.as_bytes().ct_eq(expected));
        let verifier = format!("v={}", keys.server_signature(auth_message.as_bytes()));
        let proved = proved && same_nonce;
        let identity = identity.clone()?;
        match (proved, same_channel) {
            (true, true) => Ok((identity, verifier)),
            (true, false) => Err(Wrong::AnotherChannel),
            (false, _) => Err(Wrong::Proof),
        }
    }
}

/// What a client says in SCRAM, as it is verified.
pub enum Message {
    /// Its first message.
    First(Box<First>),
    /// Its second message.
    Final(Box<Final>),
}

impl Message {
    /// Whose password is to be proved, as the client sent the name.
    pub fn user(&self) -> &str {
        match self {
            Self::First(first) => first.user(),
            Self::Final(last) => last.user(),
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First(first) => first.fmt(f),
            Self::Final(last) => last.fmt(f),
        }
    }
}

impl fmt::Debug for First {
    /// Shows the user.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("First").field(&self.user()).finish()
    }
}

impl fmt::Debug for Final {
    /// Shows the user.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Final").field(&self.user()).finish()
    }
}

/// The data that the channel binding flag stands for (RFC 5802 §6).
///
/// `y` says that the client could bind the channel but has not seen that we can. Where we have
/// offered it, somebody has taken it out of the offer, and the login fails.
fn cbind_data<'c>(flag: &str, binding: Binding, channel: &Channel<'c>) -> Result<&'c [u8], Unfit> {
    match (flag, binding) {
        ("n", Binding::Possible | Binding::Impossible) | ("y", Binding::Impossible) => Ok(&[]),
        ("y", Binding::Possible) => Err(Unfit::Refused),
        (_, Binding::Bound) => {
            let name = flag.strip_prefix("p=").ok_or(Unfit::Malformed)?;
            let data = match name {
                "tls-exporter" => channel.exporter,
                "tls-server-end-point" => channel.server_end_point,
                _ => None,
            };
            data.ok_or(Unfit::Refused)
        }
        (_, Binding::Possible | Binding::Impossible) => Err(Unfit::Malformed),
    }
}

/// `saslname = 1*(value-safe-char / "=2C" / "=3D")` (RFC 5802 §7), without its escapes; not empty.
fn saslname(text: &str) -> Option<String> {
    let mut name = String::with_capacity(text.len());
    let mut parts = text.split('=');
    name.push_str(parts.next()?);
    for part in parts {
        let (escaped, rest) = match part.strip_prefix("2C") {
            Some(rest) => (',', rest),
            None => ('=', part.strip_prefix("3D")?),
        };
        name.push(escaped);
        name.push_str(rest);
    }
    (!name.is_empty()).then_some(name)
}

/// `c-nonce = printable` (RFC 5802 §7), and not so long that we would keep much of it.
fn is_nonce(text: &str) -> bool {
    (1..=MAX_NONCE).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_graphic())
}

/// `attr-val = ALPHA "=" value` (RFC 5802 §7): an extension, which is ignored.
fn is_attribute(text: &str) -> bool {
    let mut octets = text.bytes();
    octets
        .next()
        .is_some_and(|name| name.is_ascii_alphabetic() && name != b'm')
        && octets.next() == Some(b'=')
        && octets.next().is_some()
}

/// The longest nonce of a client, in octets.
const MAX_NONCE: usize = 512;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Secret;
    use crate::scram::Iterations;

    const UNBOUND: Channel<'_> = Channel {
        exporter: None,
        server_end_point: None,
    };

    const TLS: Channel<'_> = Channel {
        exporter: Some(b"exported"),
        server_end_point: Some(b"end point"),
    };

    fn user() -> Identity {
        Identity {
            name: "user".to_owned(),
            mail: "/srv/user".into(),
        }
    }

    /// Goes through an exchange with the server's nonce and salt, and gives both of its messages.
    fn exchange(hash: Hash, salt: &str, messages: [&str; 2], nonce: &str) -> [String; 2] {
        let salt = STANDARD.decode(salt).unwrap();
        let iterations = Iterations::new(4_096).unwrap();
        let keys = Keys::derive(hash, &Secret::new("pencil"), &salt, iterations);
        let first = First::parse(hash, Binding::Impossible, messages[0].as_bytes(), &UNBOUND);
        let first = first.unwrap();
        assert_eq!((first.user(), first.acting_as()), ("user", None));
        let (challenge, pending) = first.challenge(keys, nonce, Ok(user()));
        let last = Final::parse(Box::new(pending), messages[1].as_bytes()).unwrap();
        let (identity, verifier) = last.verify().unwrap();
        assert_eq!(identity, user());
        [String::from_utf8(challenge).unwrap(), verifier]
    }

    #[test]
    fn sha_1_follows_rfc_5802() {
        // The example of RFC 5802 §5.
        let said = exchange(
            Hash::Sha1,
            "QSXCR+Q6sek8bf92",
            [
                "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
                "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            ],
            "3rfcNHYJY1ZVvWVs7j",
        );
        assert_eq!(
            said,
            [
                "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
                "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
            ]
        );
    }

    #[test]
    fn sha_256_follows_rfc_7677() {
        // The example of RFC 7677 §3.
        let said = exchange(
            Hash::Sha256,
            "W22ZaJ0SNY7soEsUEjb6gQ==",
            [
                "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
                "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            ],
            "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        );
        assert_eq!(
            said,
            [
                "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
                "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
            ]
        );
    }

    /// What comes of a first message: the `c=` that is expected, or why it is unfit.
    fn first(binding: Binding, message: &str) -> Result<String, Unfit> {
        let channel = if binding == Binding::Impossible {
            &UNBOUND
        } else {
            &TLS
        };
        let first = First::parse(Hash::Sha256, binding, message.as_bytes(), channel)?;
        let cbind = STANDARD.decode(first.cbind_input).unwrap();
        Ok(String::from_utf8(cbind).unwrap())
    }

    #[test]
    fn the_channel_binding_flag_is_what_was_offered() {
        use Binding::{Bound, Impossible, Possible};
        use Unfit::{Malformed, Refused};
        for (binding, flag, expected) in [
            (Impossible, "n", Ok("n,,")),
            (Impossible, "y", Ok("y,,")),
            (Impossible, "p=tls-exporter", Err(Malformed)),
            (Possible, "n", Ok("n,,")),
            // Somebody has taken the -PLUS out of our offer.
            (Possible, "y", Err(Refused)),
            (Possible, "p=tls-exporter", Err(Malformed)),
            (Bound, "p=tls-exporter", Ok("p=tls-exporter,,exported")),
            (
                Bound,
                "p=tls-server-end-point",
                Ok("p=tls-server-end-point,,end point"),
            ),
            (Bound, "p=tls-unique", Err(Refused)),
            (Bound, "p=", Err(Refused)),
            (Bound, "n", Err(Malformed)),
            (Bound, "y", Err(Malformed)),
            (Impossible, "", Err(Malformed)),
            (Impossible, "N", Err(Malformed)),
        ] {
            let found = first(binding, &format!("{flag},,n=user,r=nonce"));
            assert_eq!(found, expected.map(str::to_owned), "{binding:?} {flag}");
        }
        let tls_1_2 = Channel {
            exporter: None,
            ..TLS
        };
        let message = b"p=tls-exporter,,n=user,r=nonce";
        let found = First::parse(Hash::Sha256, Bound, message, &tls_1_2);
        assert_eq!(found, Err(Refused));
    }

    #[test]
    fn first_messages_follow_the_grammar() {
        let parse = |message: &str| {
            First::parse(
                Hash::Sha256,
                Binding::Impossible,
                message.as_bytes(),
                &UNBOUND,
            )
        };
        let good = parse("n,a=o=2Cne,n=us=3Der=2C,r=+nonce+,x=y,z=a=b").unwrap();
        assert_eq!(good.user(), "us=er,");
        assert_eq!(good.acting_as(), Some("o,ne"));
        assert_eq!(good.bare, "n=us=3Der=2C,r=+nonce+,x=y,z=a=b");
        assert_eq!(parse("n,,m=x,n=user,r=nonce"), Err(Unfit::Refused));
        for message in [
            "",
            "n",
            "n,",
            "n,,",
            "n,,n=user",
            "n,,n=user,r=",
            "n,,n=,r=nonce",
            "n,,r=nonce,n=user",
            "n,,n=us=er,r=nonce",
            "n,,n=us=2cer,r=nonce",
            "n,a=,n=user,r=nonce",
            "n,b=x,n=user,r=nonce",
            "n,,n=user,r=non ce",
            "n,,n=user,r=non\u{e9}ce",
            "n,,n=user,r=nonce,",
            "n,,n=user,r=nonce,x",
            "n,,n=user,r=nonce,x=",
            "n,,n=user,r=nonce,m=x",
            "n,,n=us\0er,r=nonce",
            &format!("n,,n=user,r={}", "x".repeat(MAX_NONCE + 1)),
        ] {
            assert_eq!(parse(message), Err(Unfit::Malformed), "{message}");
        }
        let latin = First::parse(
            Hash::Sha256,
            Binding::Impossible,
            b"n,,n=\xe9,r=x",
            &UNBOUND,
        );
        assert_eq!(latin, Err(Unfit::Malformed));
    }

    #[test]
    fn whatever_is_wrong_in_the_second_message_is_refused() {
        let keys = Keys::derive(
            Hash::Sha256,
            &Secret::new("pencil"),
            b"salt",
            Iterations::FEWEST,
        );
        let pending = |identity| {
            let message = b"p=tls-exporter,,n=user,r=client";
            let first = First::parse(Hash::Sha256, Binding::Bound, message, &TLS).unwrap();
            let (_, pending) = first.challenge(keys.clone(), "server", identity);
            Box::new(pending)
        };
        // What a client that knows the password says.
        let said = |cbind: &str, nonce: &str| {
            let without = format!("c={},r={nonce}", STANDARD.encode(cbind));
            let first = pending(Err(Wrong::UnknownUser)).message;
            let auth_message = format!("n=user,r=client,{first},{without}");
            let proof = keys.proof(b"pencil", auth_message.as_bytes());
            format!("{without},p={proof}")
        };
        let right = said("p=tls-exporter,,exported", "clientserver");
        let verify = |identity, message: &str| {
            Final::parse(pending(identity), message.as_bytes())
                .unwrap()
                .verify()
        };
        assert!(verify(Ok(user()), &right).is_ok());
        assert_eq!(
            verify(Err(Wrong::NoKeys), &right),
            Err(Wrong::NoKeys),
            "nobody is let in as nobody"
        );
        for between in [
            said("p=tls-exporter,,exporteD", "clientserver"),
            said("p=tls-server-end-point,,end point", "clientserver"),
            said("n,,", "clientserver"),
        ] {
            assert_eq!(verify(Ok(user()), &between), Err(Wrong::AnotherChannel));
            let told = verify(Err(Wrong::UnknownUser), &between);
            assert_eq!(told, Err(Wrong::UnknownUser));
        }
        for wrong in [
            said("p=tls-exporter,,exported", "client"),
            said("p=tls-exporter,,exported", "clientserver2"),
            right.replace("p=", "p=AAAA"),
            format!("{},p=", right.split_once(",p=").unwrap().0),
        ] {
            assert_eq!(verify(Ok(user()), &wrong), Err(Wrong::Proof), "{wrong}");
        }
        for malformed in [
            "",
            "c=biws",
            "c=biws,r=x",
            "r=x,c=biws,p=AAAA",
            "c=biws,r=x,p=A",
        ] {
            assert!(Final::parse(pending(Err(Wrong::UnknownUser)), malformed.as_bytes()).is_none());
        }
    }

    #[test]
    fn debug_shows_the_user_and_no_more() {
        let first = First::parse(
            Hash::Sha1,
            Binding::Impossible,
            b"n,,n=tim,r=nonce",
            &UNBOUND,
        );
        let message = Message::First(Box::new(first.unwrap()));
        assert_eq!(format!("{message:?}"), "First(\"tim\")");
    }

    proptest! {
        #[test]
        fn any_message_is_understood_or_refused(first in "[nyp]?(=[a-z-]{0,22})?,(a=)?[a-z=2C3D]{0,6},n=[a-z=2C3D]{0,8},r=[ -~]{0,20}", last in "[cr=,p A-Za-z0-9+/]{0,60}") {
            if let Ok(first) = First::parse(Hash::Sha256, Binding::Possible, first.as_bytes(), &TLS) {
                let keys = Keys::decoy(Hash::Sha256, b"", (4_096, 16));
                let (_, pending) = first.challenge(keys, "nonce", Err(Wrong::UnknownUser));
                if let Some(last) = Final::parse(Box::new(pending), last.as_bytes()) {
                    prop_assert!(last.verify().is_err());
                }
            }
        }
    }
}
