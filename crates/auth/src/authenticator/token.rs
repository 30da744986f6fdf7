//! Tokens: whether one of OAuth stands for an account.

use std::time::Instant;

use super::{Authenticator, Cause, Unable};
use crate::oauth::message::{Dialect, Message, Status};
use crate::oauth::{Admitted, Issuer, Reason, Refusal};
use crate::{Challenge, Identity, Name, Verdict};

impl Authenticator {
    /// Whether a token stands for an account, and for the one that the client claims.
    ///
    /// A token of somebody else, an unknown user and a name that can never exist get the same
    /// answer as a token that is not good; only the log tells them apart.
    pub(super) fn judge_token(
        &self,
        dialect: Dialect,
        message: &Message,
        now: Instant,
        cause: &mut Cause,
    ) -> Result<Verdict, Unable> {
        let Some(issuer) = &self.issuer else {
            return Ok(Verdict::Denied);
        };
        let fault = match self.holder_of(message, issuer, now)? {
            Ok(identity) => return Ok(Verdict::Granted(identity)),
            Err(Fault::Unavailable) => return Ok(Verdict::Unavailable),
            Err(fault) => fault,
        };
        *cause = Cause::Token(fault);
        let status = match fault {
            Fault::Scope => Status::InsufficientScope,
            Fault::Token(_)
            | Fault::Unavailable
            | Fault::AnotherHost
            | Fault::NoName
            | Fault::SomebodyElse
            | Fault::NoAccount => Status::InvalidToken,
        };
        let told = dialect.error(status, issuer.options());
        Ok(Verdict::Continue(Challenge::before_failure(told)))
    }

    /// The account of the user that a token stands for, if the client claims no other.
    fn holder_of(
        &self,
        message: &Message,
        issuer: &Issuer,
        now: Instant,
    ) -> Result<Result<Identity, Fault>, Unable> {
        if !names_us(message, issuer) {
            return Ok(Err(Fault::AnotherHost));
        }
        let domain = self.default_domain.as_deref();
        let user = match issuer.check(&message.token, now) {
            Ok(user) => user,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        let Ok(name) = Name::parse(&user, domain) else {
            return Ok(Err(Fault::NoName));
        };
        let themselves = |other: &String| Name::parse(other, domain).is_ok_and(|it| it == name);
        if !message.user.as_ref().is_none_or(themselves) {
            return Ok(Err(Fault::SomebodyElse));
        }
        let admitted = issuer.options().accounts;
        let account = self.directory.lookup(&name)?;
        if admitted == Admitted::Listed && account.is_none() {
            return Ok(Err(Fault::NoAccount));
        }
        let Some(mail) = self.place(&name, account.as_deref()) else {
            return Ok(Err(Fault::NoAccount));
        };
        Ok(Ok(Identity {
            name: name.as_str().to_owned(),
            mail,
        }))
    }
}

/// Why the holder of a token is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// The token is not good.
    #[error(transparent)]
    Token(Reason),
    /// The token is not for mail.
    #[error("token does not have the scope that is wanted")]
    Scope,
    /// The token could not be checked.
    #[error("token could not be checked")]
    Unavailable,
    /// The client says to have connected to another host.
    #[error("token was meant for another host")]
    AnotherHost,
    /// The user of the token has a name that no account can have.
    #[error("user of the token can have no account")]
    NoName,
    /// The client claims to be another user.
    #[error("token is of another user")]
    SomebodyElse,
    /// The user of the token has no account.
    #[error("user of the token has no account")]
    NoAccount,
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid(reason) => Self::Token(reason),
            Refusal::InsufficientScope => Self::Scope,
            Refusal::Unavailable => Self::Unavailable,
        }
    }
}

/// Whether the client meant this server, as far as it says so and we know our names (RFC 7628
/// §3.2).
fn names_us(message: &Message, issuer: &Issuer) -> bool {
    let hosts = &issuer.options().hosts;
    let Some(host) = message.host.as_ref().filter(|_| !hosts.is_empty()) else {
        return true;
    };
    hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::{IpAddr, Ipv4Addr};
    use std::path::PathBuf;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::authenticator::{Accounts, Options, Outcome};
    use crate::oauth::{self, FetchError, Introspection, Proof, Request, Wanted};
    use crate::password::Cost;
    use crate::sasl::{Mechanism, Mechanisms};
    use crate::throttle::Delays;
    use crate::{Credential, MailTemplate, Origin, Secret};

    /// An issuer that is asked of tokens: each stands for the user that it names, but for some.
    fn answer(request: &Request<'_>) -> Result<Vec<u8>, FetchError> {
        let form = request.form.as_ref().unwrap();
        let body = std::str::from_utf8(form.body.expose()).unwrap();
        let token = body.strip_prefix("token=").unwrap().split('&').next();
        Ok(match token.unwrap() {
            "away" => return Err(FetchError::Status(503)),
            "inactive" => r#"{"active":false}"#.to_owned(),
            user => format!(r#"{{"active":true,"scope":"mail","username":"{user}"}}"#),
        }
        .into_bytes())
    }

    /// An authenticator that takes passwords and tokens; `ann@example.org` has an account.
    fn authenticator(change: impl FnOnce(&mut oauth::Options)) -> Authenticator {
        let dir = tempfile::tempdir().unwrap();
        let users = dir.path().join("users");
        fs::write(&users, "ann@example.org:{PLAIN}secret\n").unwrap();
        let options = Options {
            accounts: Accounts::File(users),
            default_domain: Some("example.org".to_owned()),
            mail: MailTemplate::parse("/srv/mail/{domain}/{local}").unwrap(),
            cost: Cost::new(64, 1, 1).unwrap(),
            memory: 1 << 20,
            delays: Delays {
                jitter: Duration::ZERO,
                ..Delays::default()
            },
            cache: Duration::ZERO,
            upgrade_hashes: false,
            new_keys: crate::scram::NewKeys::default(),
            log_unknown_users: false,
        };
        let mut tokens = oauth::Options {
            proof: Proof::Introspection(Introspection {
                url: "https://issuer.example/".to_owned(),
                client: None,
                cache: Duration::ZERO,
            }),
            wanted: Wanted {
                issuer: None,
                audience: Vec::new(),
                scope: vec!["mail".to_owned()],
                user_claim: "username".to_owned(),
                leeway: Duration::ZERO,
            },
            accounts: Admitted::Listed,
            openid_configuration: None,
            hosts: Vec::new(),
        };
        change(&mut tokens);
        let clock = || SystemTime::UNIX_EPOCH;
        let authenticator = Authenticator::new(options, || 7).unwrap();
        authenticator
            .with_tokens(tokens, Box::new(answer), Box::new(clock))
            .unwrap()
    }

    fn now() -> Instant {
        #[expect(
            clippy::disallowed_methods,
            reason = "any instant will do, and std has no other"
        )]
        Instant::now()
    }

    /// What comes of a token, with the user that the client claims to be.
    fn login(authenticator: &Authenticator, user: Option<&str>, token: &str) -> Outcome {
        let message = Message {
            user: user.map(str::to_owned),
            token: Secret::new(token),
            host: Some("mail.example.org".to_owned()),
        };
        let credential = Credential::Token(Dialect::OAuthBearer, message);
        let origin = Origin {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        authenticator.verify(&credential, origin, now())
    }

    fn granted(name: &str, mail: &str) -> Verdict {
        Verdict::Granted(Identity {
            name: name.to_owned(),
            mail: PathBuf::from(mail),
        })
    }

    fn refused(status: &str) -> Verdict {
        let told = format!(r#"{{"status":"{status}","scope":"mail"}}"#);
        Verdict::Continue(Challenge::before_failure(told))
    }

    #[test]
    fn a_token_stands_for_its_user_and_for_nobody_else() {
        let ann = || granted("ann@example.org", "/srv/mail/example.org/ann");
        let listed = authenticator(|_| {});
        for (user, token, expected) in [
            (None, "ann", ann()),
            (Some("ANN@example.org"), "ann", ann()),
            (Some("ann"), "Ann%40Example.org", refused("invalid_token")),
            (Some("ann@example.org"), "bob", refused("invalid_token")),
            (Some("bob@example.org"), "ann", refused("invalid_token")),
            (Some(".."), "ann", refused("invalid_token")),
            (Some("bob@example.org"), "bob", refused("invalid_token")),
            (None, "..", refused("invalid_token")),
            (None, "inactive", refused("invalid_token")),
            (None, "", refused("invalid_token")),
            (Some("ann"), "away", Verdict::Unavailable),
        ] {
            let verdict = login(&listed, user, token).verdict;
            assert_eq!(verdict, expected, "{user:?} {token}");
        }
    }

    #[test]
    fn the_issuer_alone_decides_if_it_is_to() {
        let any = authenticator(|options| options.accounts = Admitted::Any);
        let bob = granted("bob@example.org", "/srv/mail/example.org/bob");
        assert_eq!(login(&any, Some("bob"), "bob").verdict, bob);
        assert_eq!(login(&any, None, "..").verdict, refused("invalid_token"));
        // Nobody has a password by that.
        let password = Credential::new("bob", Secret::new("x"));
        let origin = Origin {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        let verdict = any.verify(&password, origin, now()).verdict;
        assert_eq!(verdict, Verdict::Denied);
    }

    #[test]
    fn scope_and_host_are_told_apart() {
        let mut wanted = vec!["mail".to_owned(), "other".to_owned()];
        let narrow = authenticator(|options| options.wanted.scope.append(&mut wanted));
        let Verdict::Continue(challenge) = login(&narrow, None, "ann").verdict else {
            panic!("not refused");
        };
        let told = Challenge::before_failure(
            r#"{"status":"insufficient_scope","scope":"mail mail other"}"#,
        );
        assert_eq!(challenge, told);
        for (hosts, fits) in [
            (vec!["imap.example.org", "MAIL.example.org"], true),
            (vec!["imap.example.org"], false),
        ] {
            let hosts = hosts.into_iter().map(str::to_owned).collect();
            let strict = authenticator(|options| options.hosts = hosts);
            let verdict = login(&strict, None, "ann").verdict;
            assert_eq!(verdict.identity().is_some(), fits);
        }
    }

    #[test]
    fn a_refused_token_is_delayed_as_a_wrong_password() {
        let password = |authenticator: &Authenticator, user| {
            let credential = Credential::new(user, Secret::new("wrong"));
            let origin = Origin {
                address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            };
            authenticator.verify(&credential, origin, now()).delay
        };
        let (one, other) = (authenticator(|_| {}), authenticator(|_| {}));
        for _ in 0..3 {
            let delay = login(&one, Some("ann"), "inactive").delay;
            assert!(delay >= Duration::from_secs(1), "{delay:?}");
            assert_eq!(delay, password(&other, "ann"));
        }
        // Nobody else is slowed down by tokens that name nobody.
        let fresh = authenticator(|_| {});
        for _ in 0..50 {
            login(&fresh, None, "inactive");
        }
        let elsewhere = Origin {
            address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        };
        let message = Message {
            user: None,
            token: Secret::new("ann"),
            host: None,
        };
        let good = Credential::Token(Dialect::XOAuth2, message);
        let outcome = fresh.verify(&good, elsewhere, now());
        assert_eq!(outcome.delay, Duration::ZERO);
        assert!(outcome.verdict.identity().is_some());
    }

    #[test]
    fn tokens_are_offered_where_there_is_an_issuer() {
        let offered = authenticator(|_| {}).offer().now();
        assert_eq!(
            offered,
            Mechanisms::WITH_PASSWORD.union(Mechanisms::WITH_TOKEN)
        );
        assert!(offered.has(Mechanism::XOAuth2));
    }
}
