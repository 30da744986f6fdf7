//! SASL mechanisms (RFC 4422) as small state machines: SCRAM (RFC 5802), PLAIN (RFC 4616), LOGIN,
//! OAUTHBEARER (RFC 7628) and XOAUTH2.
//!
//! Both protocols drive an [`Exchange`] with the lines as they stood on the wire, still in base64;
//! it says whether to challenge again, to verify a credential, or how it ended. Whether an
//! authorization identity is allowed is decided by [`Authenticator`](crate::Authenticator).

mod mechanism;
pub mod scram;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::credential::Then;
use crate::oauth::message::Dialect;
use crate::scram::Hash;
use crate::{Credential, Identity, Secret, UserPassword, Verdict};

pub use mechanism::{Channel, Mechanism, Mechanisms, Offer};
use scram::{Binding, Final, First, Message};

/// What to do after a step of an [`Exchange`].
#[derive(Debug)]
pub enum Step {
    /// Send this challenge, already in base64 (may be empty), and read a line.
    Challenge(String),
    /// Have this verified, and tell the verdict with [`Exchange::verified`].
    Verify(Credential),
    /// The user is logged in.
    Granted(Identity),
    /// The user is not logged in.
    Refused(Refusal),
    /// The exchange is over by a fault of the client.
    Failed(Failure),
}

/// Why a user was not logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// As [`Verdict::Denied`].
    Denied,
    /// As [`Verdict::Unavailable`].
    Unavailable,
    /// As [`Verdict::TooManySessions`].
    TooManySessions,
}

/// Why an exchange ended before there was anything to verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The client sent `*` (RFC 3501 §6.2.2, RFC 5034 §4).
    Cancelled,
    /// Not base64 (RFC 4648 §4, with its padding).
    NotBase64,
    /// Base64 of something the mechanism does not allow, or longer than [`MAX_LINE`].
    Malformed,
}

/// One login: a run of a mechanism, or a plain password of USER/PASS and LOGIN.
///
/// It holds what the client has said so far and nothing about accounts; what it holds is wiped or
/// dropped when it ends, however it ends.
#[derive(Debug)]
pub struct Exchange(State);

impl Exchange {
    /// Starts `mechanism`, with the initial response as it stood on the command line: base64, or
    /// `=` for an empty one (RFC 4959 §3, RFC 5034 §4). `offered` are the mechanisms that the
    /// client could have chosen on this `channel`.
    pub fn start(
        mechanism: Mechanism,
        initial: Option<&[u8]>,
        channel: &Channel<'_>,
        offered: Mechanisms,
    ) -> (Self, Step) {
        let scram = |hash, plus| {
            let binding = if mechanism == plus {
                Binding::Bound
            } else if offered.has(plus) {
                Binding::Possible
            } else {
                Binding::Impossible
            };
            let channel = OwnChannel::of(channel);
            State::ClientFirst {
                hash,
                binding,
                channel,
            }
        };
        let (state, challenge) = match mechanism {
            Mechanism::ScramSha256Plus | Mechanism::ScramSha256 => {
                (scram(Hash::Sha256, Mechanism::ScramSha256Plus), "")
            }
            Mechanism::ScramSha1Plus | Mechanism::ScramSha1 => {
                (scram(Hash::Sha1, Mechanism::ScramSha1Plus), "")
            }
            Mechanism::Plain => (State::Message, ""),
            Mechanism::Login => (State::User, USER_CHALLENGE),
            Mechanism::OAuthBearer => (State::Token(Dialect::OAuthBearer), ""),
            Mechanism::XOAuth2 => (State::Token(Dialect::XOAuth2), ""),
        };
        let mut exchange = Self(state);
        let step = match (mechanism, initial) {
            (_, None) => Step::Challenge(challenge.to_owned()),
            // Interop: the server speaks first in LOGIN, so an empty response says nothing yet.
            (Mechanism::Login, Some(b"=")) => Step::Challenge(challenge.to_owned()),
            (_, Some(b"=")) => exchange.respond(b""),
            // Interop: Outlook and Microsoft 365 send the user name of LOGIN at once.
            (_, Some(line)) => exchange.respond(line),
        };
        (exchange, step)
    }

    /// Starts a login by a command that gives a password: USER/PASS and LOGIN.
    pub fn password(user: impl Into<String>, password: Secret) -> (Self, Step) {
        let credential = Credential::new(user, password);
        (Self(State::Verifying), Step::Verify(credential))
    }

    /// Takes the client's next line, without its line end.
    ///
    /// An exchange that has ended stays ended: a further line is [`Failure::Malformed`].
    pub fn respond(&mut self, line: &[u8]) -> Step {
        let state = std::mem::replace(&mut self.0, State::Ended);
        match decode(line).and_then(|message| self.take(state, &message)) {
            Ok(step) => step,
            Err(failure) => Step::Failed(failure),
        }
    }

    /// Takes the verdict on the credential that was to be verified.
    pub fn verified(&mut self, verdict: Verdict) -> Step {
        self.0 = State::Ended;
        match verdict {
            Verdict::Granted(identity) => Step::Granted(identity),
            Verdict::Denied => Step::Refused(Refusal::Denied),
            Verdict::Unavailable => Step::Refused(Refusal::Unavailable),
            Verdict::TooManySessions => Step::Refused(Refusal::TooManySessions),
            Verdict::Continue(challenge) => {
                self.0 = State::Told(challenge.then);
                Step::Challenge(STANDARD.encode(challenge.data))
            }
        }
    }

    /// Takes one decoded message in `state`.
    fn take(&mut self, state: State, message: &[u8]) -> Result<Step, Failure> {
        match state {
            State::Message => plain(message).map(|claim| self.verify(Credential::Password(claim))),
            State::User => {
                let user = safe(message)?.to_owned();
                self.0 = State::Password { user };
                Ok(Step::Challenge(PASSWORD_CHALLENGE.to_owned()))
            }
            State::Password { user } => {
                let password = Secret::new(safe(message)?);
                Ok(self.verify(Credential::new(user, password)))
            }
            State::Token(dialect) => {
                let message = dialect.parse(message).map_err(|_| Failure::Malformed)?;
                Ok(self.verify(Credential::Token(dialect, message)))
            }
            State::ClientFirst {
                hash,
                binding,
                channel,
            } => match First::parse(hash, binding, message, &channel.borrowed()) {
                Ok(first) => Ok(self.verify(Credential::Scram(Message::First(Box::new(first))))),
                Err(unfit) => unfit.into(),
            },
            State::Told(Then::Scram(pending)) => {
                let last = Final::parse(pending, message).ok_or(Failure::Malformed)?;
                Ok(self.verify(Credential::Scram(Message::Final(Box::new(last)))))
            }
            State::Told(Then::Granted(identity)) if message.is_empty() => {
                Ok(Step::Granted(identity))
            }
            State::Told(Then::Denied) => Ok(Step::Refused(Refusal::Denied)),
            State::Told(Then::Granted(_)) | State::Verifying | State::Ended => {
                Err(Failure::Malformed)
            }
        }
    }

    /// Waits for the verdict on this.
    fn verify(&mut self, credential: Credential) -> Step {
        self.0 = State::Verifying;
        Step::Verify(credential)
    }
}

/// What the next line of an exchange is.
enum State {
    /// The one message of PLAIN.
    Message,
    /// The user name of LOGIN.
    User,
    /// The password of LOGIN.
    Password {
        /// The user name that came before.
        user: String,
    },
    /// The one message that has a token.
    Token(Dialect),
    /// The first message of SCRAM.
    ClientFirst {
        /// Its hash function.
        hash: Hash,
        /// Whether it is bound to the channel.
        binding: Binding,
        /// What it can be bound to.
        channel: OwnChannel,
    },
    /// Nothing: a verdict is awaited.
    Verifying,
    /// The answer to what the verifier had to say.
    Told(Then),
    /// Nothing: all is said.
    Ended,
}

impl fmt::Debug for State {
    /// Shows no user name: people type passwords at the wrong prompt.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Message => "Message",
            Self::User => "User",
            Self::Password { .. } => "Password",
            Self::Token(_) => "Token",
            Self::ClientFirst { .. } => "ClientFirst",
            Self::Verifying => "Verifying",
            Self::Told(_) => "Told",
            Self::Ended => "Ended",
        })
    }
}

/// A [`Channel`] that an exchange keeps.
struct OwnChannel {
    exporter: Option<Vec<u8>>,
    server_end_point: Option<Vec<u8>>,
}

impl OwnChannel {
    /// A copy.
    fn of(channel: &Channel<'_>) -> Self {
        Self {
            exporter: channel.exporter.map(<[u8]>::to_vec),
            server_end_point: channel.server_end_point.map(<[u8]>::to_vec),
        }
    }

    /// As it was given.
    fn borrowed(&self) -> Channel<'_> {
        Channel {
            exporter: self.exporter.as_deref(),
            server_end_point: self.server_end_point.as_deref(),
        }
    }
}

/// Decodes one line: `*` cancels, all else is strict base64 without white space.
fn decode(line: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if line == b"*" {
        return Err(Failure::Cancelled);
    }
    if line.len() > MAX_LINE {
        return Err(Failure::Malformed);
    }
    // Sized beforehand, so that no copy of the secret is left behind by growth.
    let mut message = Zeroizing::new(Vec::with_capacity(line.len()));
    STANDARD
        .decode_vec(line, &mut message)
        .map_err(|_| Failure::NotBase64)?;
    Ok(message)
}

/// `message = [authzid] UTF8NUL authcid UTF8NUL passwd` (RFC 4616 §2)
fn plain(message: &[u8]) -> Result<UserPassword, Failure> {
    let mut fields = message.splitn(3, |&octet| octet == 0);
    let (Some(authzid), Some(authcid), Some(passwd)) =
        (fields.next(), fields.next(), fields.next())
    else {
        return Err(Failure::Malformed);
    };
    let acting_as = if authzid.is_empty() {
        None
    } else {
        Some(safe(authzid)?.to_owned())
    };
    Ok(UserPassword {
        user: safe(authcid)?.to_owned(),
        acting_as,
        password: Secret::new(safe(passwd)?),
    })
}

/// `1*SAFE`: UTF-8 without NUL, and not empty (RFC 4616 §2).
fn safe(field: &[u8]) -> Result<&str, Failure> {
    match std::str::from_utf8(field) {
        Ok(text) if !text.is_empty() && !text.contains('\0') => Ok(text),
        Ok(_) | Err(_) => Err(Failure::Malformed),
    }
}

/// The longest line that is looked at, in octets (RFC 5034 §4, RFC 4954 §4.3).
pub const MAX_LINE: usize = 12_288;

/// `Username:` in base64, in the letters that old clients look for.
const USER_CHALLENGE: &str = "VXNlcm5hbWU6";

/// `Password:` in base64, in the letters that old clients look for.
const PASSWORD_CHALLENGE: &str = "UGFzc3dvcmQ6";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Challenge;

    /// Runs `mechanism` with an initial response and lines, and tells the last step in short.
    fn run(mechanism: Mechanism, initial: Option<&str>, lines: &[&str]) -> String {
        let (mut exchange, mut step) = begin(mechanism, initial.map(str::as_bytes));
        for line in lines {
            assert!(
                matches!(step, Step::Challenge(_)),
                "{line:?} was not asked for"
            );
            step = exchange.respond(line.as_bytes());
        }
        tell(&step)
    }

    /// A step in short.
    fn tell(step: &Step) -> String {
        match step {
            Step::Challenge(challenge) => format!("challenge {challenge}"),
            Step::Failed(failure) => format!("{failure:?}"),
            Step::Verify(Credential::Password(claim)) => format!(
                "{}/{}/{}",
                claim.acting_as.as_deref().unwrap_or("-"),
                claim.user,
                String::from_utf8_lossy(claim.password.expose())
            ),
            Step::Verify(Credential::Token(dialect, message)) => format!(
                "{dialect:?} {} {}",
                message.user.as_deref().unwrap_or("-"),
                String::from_utf8_lossy(message.token.expose())
            ),
            Step::Verify(Credential::Scram(message)) => format!("{message:?}"),
            Step::Granted(identity) => format!("granted {}", identity.name),
            Step::Refused(refusal) => format!("{refusal:?}"),
        }
    }

    /// Starts a mechanism in the clear.
    fn begin(mechanism: Mechanism, initial: Option<&[u8]>) -> (Exchange, Step) {
        let offered = Mechanisms::WITH_PASSWORD;
        Exchange::start(mechanism, initial, &Channel::default(), offered)
    }

    fn b64(message: &[u8]) -> String {
        STANDARD.encode(message)
    }

    #[test]
    fn plain_follows_rfc_4616() {
        // The examples of RFC 4616 §4.
        let tim = b64(b"\0tim\0tanstaaftanstaaf");
        assert_eq!(run(Mechanism::Plain, None, &[]), "challenge ");
        assert_eq!(
            run(Mechanism::Plain, None, &[&tim]),
            "-/tim/tanstaaftanstaaf"
        );
        assert_eq!(
            run(Mechanism::Plain, Some(&tim), &[]),
            "-/tim/tanstaaftanstaaf"
        );
        let kurt = b64(b"Ursel\0Kurt\0xipj3plmq");
        assert_eq!(
            run(Mechanism::Plain, Some(&kurt), &[]),
            "Ursel/Kurt/xipj3plmq"
        );
        // The example of RFC 5034 §4 and RFC 4959 §5.
        assert_eq!(
            run(Mechanism::Plain, Some("dGVzdAB0ZXN0AHRlc3Q="), &[]),
            "test/test/test"
        );
    }

    #[test]
    fn plain_refuses_what_its_grammar_does_not_allow() {
        let long = "a".repeat(300);
        let accepted = b64(format!("{long}\0{long}\0{long}").as_bytes());
        assert_eq!(
            run(Mechanism::Plain, Some(&accepted), &[]),
            format!("{long}/{long}/{long}"),
            "fields of 255 octets must be accepted"
        );
        for message in [
            &b""[..],
            b"tim",
            b"\0tim",
            b"\0\0",
            b"\0\0password",
            b"\0tim\0",
            b"\0tim\0pass\0word",
            b"\0tim\0password\0",
            b"\0t\xffm\0password",
            b"\xff\0tim\0password",
            b"\0tim\0pass\xe4word",
            b"\0tim\0\xed\xa0\x80",
        ] {
            assert_eq!(
                run(Mechanism::Plain, None, &[&b64(message)]),
                "Malformed",
                "{message:?}"
            );
        }
        assert_eq!(run(Mechanism::Plain, Some("="), &[]), "Malformed");
    }

    #[test]
    fn a_token_is_one_message() {
        let bearer = b64(b"n,a=ann,\x01auth=Bearer abc\x01\x01");
        let mechanism = Mechanism::OAuthBearer;
        assert_eq!(run(mechanism, None, &[]), "challenge ");
        assert_eq!(run(mechanism, None, &[&bearer]), "OAuthBearer ann abc");
        assert_eq!(run(mechanism, Some(&bearer), &[]), "OAuthBearer ann abc");
        assert_eq!(run(mechanism, Some("="), &[]), "Malformed");
        assert_eq!(run(mechanism, None, &["AQ=="]), "Malformed");
        assert_eq!(run(mechanism, None, &["*"]), "Cancelled");
        let token = b64(b"user=ann\x01auth=Bearer abc\x01\x01");
        let mechanism = Mechanism::XOAuth2;
        assert_eq!(run(mechanism, None, &[]), "challenge ");
        assert_eq!(run(mechanism, None, &[&token]), "XOAuth2 ann abc");
        assert_eq!(run(mechanism, Some(&token), &[]), "XOAuth2 ann abc");
        assert_eq!(run(mechanism, Some(&bearer), &[]), "Malformed");
        assert_eq!(run(mechanism, Some("="), &[]), "Malformed");
    }

    #[test]
    fn login_asks_for_user_and_password() {
        assert_eq!(run(Mechanism::Login, None, &[]), "challenge VXNlcm5hbWU6");
        assert_eq!(
            run(Mechanism::Login, None, &["dGlt"]),
            "challenge UGFzc3dvcmQ6"
        );
        assert_eq!(
            run(Mechanism::Login, None, &["dGlt", "c2VjcmV0"]),
            "-/tim/secret"
        );
        assert_eq!(
            run(Mechanism::Login, Some("dGlt"), &[]),
            "challenge UGFzc3dvcmQ6"
        );
        assert_eq!(
            run(Mechanism::Login, Some("dGlt"), &["c2VjcmV0"]),
            "-/tim/secret"
        );
        assert_eq!(
            run(Mechanism::Login, Some("="), &["dGlt", "c2VjcmV0"]),
            "-/tim/secret"
        );
        assert_eq!(run(Mechanism::Login, None, &[""]), "Malformed");
        assert_eq!(run(Mechanism::Login, None, &["dGlt", ""]), "Malformed");
        assert_eq!(run(Mechanism::Login, None, &[&b64(b"t\0m")]), "Malformed");
    }

    #[test]
    fn a_star_cancels_anywhere() {
        assert_eq!(run(Mechanism::Plain, None, &["*"]), "Cancelled");
        assert_eq!(run(Mechanism::Plain, Some("*"), &[]), "Cancelled");
        assert_eq!(run(Mechanism::Login, None, &["*"]), "Cancelled");
        assert_eq!(run(Mechanism::Login, None, &["dGlt", "*"]), "Cancelled");
    }

    #[test]
    fn base64_is_strict() {
        for line in [
            "=",
            "dGl",        // padding missing or wrong
            "dGltMQ",     //
            "dGltMQ=",    //
            "dGltMQ===",  //
            "dGltMR==",   // bits left over
            " dGlt",      // white space
            "dGlt ",      //
            "dGlt\r",     //
            "dG\tlt",     //
            "dGl-",       // the URL alphabet
            "dGlt!",      //
            "**",         // not a cancellation
            "dGlt\u{e9}", //
        ] {
            assert_eq!(
                run(Mechanism::Login, None, &[line]),
                "NotBase64",
                "{line:?}"
            );
        }
    }

    #[test]
    fn oversized_lines_are_refused() {
        let fits = b64(&vec![b'a'; MAX_LINE / 4 * 3]);
        assert_eq!(fits.len(), MAX_LINE);
        assert_eq!(
            run(Mechanism::Login, None, &[&fits]),
            "challenge UGFzc3dvcmQ6"
        );
        assert_eq!(
            run(Mechanism::Login, None, &[&format!("{fits}YWFh")]),
            "Malformed"
        );
    }

    #[test]
    fn an_ended_exchange_stays_ended() {
        let (mut exchange, step) = begin(Mechanism::Login, Some(b"!"));
        assert_eq!(tell(&step), "NotBase64");
        assert_eq!(tell(&exchange.respond(b"dGlt")), "Malformed");
    }

    #[test]
    fn debug_shows_no_secret() {
        let (exchange, _) = begin(Mechanism::Login, Some(b"aHVudGVyMg=="));
        assert!(!format!("{exchange:?}").contains("hunter2"));
        let (_, step) = begin(Mechanism::Plain, Some(b64(b"\0tim\0hunter2").as_bytes()));
        let shown = format!("{step:?}");
        assert!(
            shown.contains("tim") && !shown.contains("hunter2"),
            "{shown}"
        );
        assert!(!shown.contains("104, 117"), "{shown}");
    }

    /// An exchange of PLAIN whose credential waits for its verdict.
    fn verifying() -> Exchange {
        let (exchange, step) = begin(Mechanism::Plain, Some(b"AHRpbQBzZWNyZXQ="));
        assert_eq!(tell(&step), "-/tim/secret");
        exchange
    }

    fn tim() -> Identity {
        Identity {
            name: "tim".to_owned(),
            mail: "/srv/tim".into(),
        }
    }

    #[test]
    fn a_verdict_ends_an_exchange() {
        for (verdict, expected) in [
            (Verdict::Granted(tim()), "granted tim"),
            (Verdict::Denied, "Denied"),
            (Verdict::Unavailable, "Unavailable"),
            (Verdict::TooManySessions, "TooManySessions"),
        ] {
            let mut exchange = verifying();
            assert_eq!(tell(&exchange.verified(verdict)), expected);
            assert_eq!(tell(&exchange.respond(b"")), "Malformed");
        }
        let (mut exchange, step) = Exchange::password("tim", Secret::new("secret"));
        assert_eq!(tell(&step), "-/tim/secret");
        assert_eq!(tell(&exchange.verified(Verdict::Denied)), "Denied");
    }

    #[test]
    fn the_last_word_before_success_wants_an_empty_response() {
        for (line, expected) in [
            ("", "granted tim"),
            ("*", "Cancelled"),
            ("AAAA", "Malformed"),
        ] {
            let mut exchange = verifying();
            let verdict = Verdict::Continue(Challenge::before_success("v=proof", tim()));
            assert_eq!(verdict.identity(), Some(&tim()));
            assert_eq!(tell(&exchange.verified(verdict)), "challenge dj1wcm9vZg==");
            assert_eq!(tell(&exchange.respond(line.as_bytes())), expected);
        }
    }

    #[test]
    fn the_last_word_before_failure_wants_any_response() {
        for (line, expected) in [("", "Denied"), ("AQ==", "Denied"), ("*", "Cancelled")] {
            let mut exchange = verifying();
            let verdict = Verdict::Continue(Challenge::before_failure("{}"));
            assert_eq!(verdict.identity(), None);
            assert_eq!(tell(&exchange.verified(verdict)), "challenge e30=");
            assert_eq!(tell(&exchange.respond(line.as_bytes())), expected);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(
            login in any::<bool>(),
            initial in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..80)),
            lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..4),
        ) {
            let mechanism = if login { Mechanism::Login } else { Mechanism::Plain };
            let (mut exchange, _) = begin(mechanism, initial.as_deref());
            for line in lines {
                let _step = exchange.respond(&line);
            }
        }

        #[test]
        fn any_decoded_message_is_split_or_refused(message in proptest::collection::vec(any::<u8>(), 0..60)) {
            let (_, step) = begin(Mechanism::Plain, Some(b64(&message).as_bytes()));
            if let Step::Verify(Credential::Password(claim)) = step {
                let mut again = claim.acting_as.unwrap_or_default().into_bytes();
                again.push(0);
                again.extend(claim.user.into_bytes());
                again.push(0);
                again.extend(claim.password.expose());
                prop_assert_eq!(again, message);
            }
        }
    }
}
