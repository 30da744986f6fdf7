//! The AUTHORIZATION state (RFC 1939 §4): who is it?

use auth::sasl::{Exchange, Failure, Refusal, Step};
use auth::{Credential, Identity, Verdict};
use machine::Security;

use super::context::{Context, Utf8Mode};
use super::{Pace, Want};
use crate::command::{self, Auth, UserName};
use crate::error::Refused;
use crate::framer::Expect;

/// Nobody has logged in yet.
pub(super) struct Authorization {
    phase: Phase,
}

/// How far a login has come.
enum Phase {
    /// A command is next.
    Command,
    /// USER was accepted and PASS is next.
    Password(String),
    /// A SASL response is next.
    Sasl(Exchange),
    /// This is to be verified.
    Verify(Exchange, Credential),
    /// The verdict is awaited.
    Verifying(Exchange),
    /// TLS is to be started, after the answer to STLS.
    StartTls,
    /// The handshake is awaited.
    StartingTls,
    /// The maildrop of this user is to be opened.
    Open(Identity),
}

impl Authorization {
    /// A fresh start.
    pub(super) const fn new() -> Self {
        Self {
            phase: Phase::Command,
        }
    }

    /// Runs a command. A login that it does not continue is forgotten.
    pub(super) fn run(
        &mut self,
        command: command::Authorization,
        context: &mut Context,
    ) -> Result<(), Refused> {
        let phase = std::mem::replace(&mut self.phase, Phase::Command);
        match command {
            command::Authorization::User(name) => self.user(name, context),
            command::Authorization::Pass(password) => {
                if !context.link.allows_passwords() {
                    return Err(Refused::PlaintextRefused);
                }
                let Phase::Password(user) = phase else {
                    return Err(Refused::NoUser);
                };
                let (exchange, step) = Exchange::password(user, password);
                self.take_step(exchange, step, context)
            }
            command::Authorization::Apop => Err(Refused::ApopNotOffered),
            command::Authorization::Auth(auth) => self.auth(auth, context),
            command::Authorization::Stls => self.stls(context),
            command::Authorization::Utf8 => {
                context.utf8 = Utf8Mode::On;
                context.responses.ok("UTF-8 mode");
                Ok(())
            }
        }
    }

    /// Takes a line of a SASL exchange (RFC 5034 §4).
    pub(super) fn sasl_response(
        &mut self,
        line: &[u8],
        context: &mut Context,
    ) -> Result<(), Refused> {
        let phase = std::mem::replace(&mut self.phase, Phase::Command);
        let Phase::Sasl(mut exchange) = phase else {
            self.phase = phase;
            return Ok(());
        };
        let step = exchange.respond(line);
        self.take_step(exchange, step, context)
    }

    /// Takes the verdict on the credential.
    pub(super) fn verified(
        &mut self,
        verdict: Verdict,
        context: &mut Context,
    ) -> Result<(), Refused> {
        let phase = std::mem::replace(&mut self.phase, Phase::Command);
        let Phase::Verifying(mut exchange) = phase else {
            self.phase = phase;
            return Ok(());
        };
        let step = exchange.verified(verdict);
        self.take_step(exchange, step, context)
    }

    /// Takes the credential that is to be verified.
    pub(super) fn take_credential(&mut self) -> Option<Credential> {
        let phase = std::mem::replace(&mut self.phase, Phase::Command);
        let Phase::Verify(exchange, credential) = phase else {
            self.phase = phase;
            return None;
        };
        self.phase = Phase::Verifying(exchange);
        Some(credential)
    }

    /// Takes the user whose maildrop is to be opened.
    pub(super) fn take_identity(&mut self) -> Option<Identity> {
        let phase = std::mem::replace(&mut self.phase, Phase::Command);
        let Phase::Open(identity) = phase else {
            self.phase = phase;
            return None;
        };
        Some(identity)
    }

    /// The answer to STLS is out: the handshake begins.
    pub(super) fn starting_tls(&mut self) {
        self.phase = Phase::StartingTls;
    }

    /// What stops the session now.
    pub(super) const fn want(&self) -> Want {
        match self.phase {
            Phase::Command | Phase::Password(_) | Phase::Sasl(_) => Want::Command,
            Phase::Verify(..) => Want::Verify,
            Phase::Verifying(_) | Phase::StartingTls => Want::Event,
            Phase::StartTls => Want::StartTls,
            Phase::Open(_) => Want::Work(Pace::Slow),
        }
    }

    /// What the next line is for.
    pub(super) const fn expects(&self) -> Expect {
        if let Phase::Sasl(_) = self.phase {
            Expect::Sasl
        } else {
            Expect::Command
        }
    }

    /// Whether a login is waiting for its verdict.
    pub(super) const fn is_verifying(&self) -> bool {
        matches!(self.phase, Phase::Verifying(_))
    }

    /// USER. Every name is accepted, so that nobody learns which ones exist (RFC 1939 §13).
    fn user(&mut self, name: UserName, context: &mut Context) -> Result<(), Refused> {
        if !context.link.allows_passwords() {
            return Err(Refused::PlaintextRefused);
        }
        self.phase = Phase::Password(name.into_string());
        context.responses.ok("send PASS");
        Ok(())
    }

    /// AUTH (RFC 5034 §4).
    fn auth(&mut self, auth: Auth, context: &mut Context) -> Result<(), Refused> {
        match auth {
            Auth::List => {
                context.responses.ok("mechanisms follow");
                if context.link.allows_passwords() {
                    for mechanism in context.mechanisms().iter() {
                        context.responses.item(mechanism.name());
                    }
                }
                context.responses.end();
                Ok(())
            }
            // Also those that do not send the password: whoever listens could try passwords on what
            // was said, and take the session over afterwards (RFC 5802 §9).
            Auth::Start { .. } if !context.link.allows_passwords() => {
                Err(Refused::PlaintextRefused)
            }
            Auth::Start { mechanism, .. } if !context.mechanisms().has(mechanism) => {
                Err(Refused::UnknownMechanism)
            }
            Auth::Start { mechanism, initial } => {
                let initial = initial.as_ref().map(auth::Secret::expose);
                let (channel, offered) = (context.channel(), context.mechanisms());
                let (exchange, step) = Exchange::start(mechanism, initial, &channel, offered);
                self.take_step(exchange, step, context)
            }
            Auth::Unsupported => Err(Refused::UnknownMechanism),
        }
    }

    /// Does what a login asks for.
    fn take_step(
        &mut self,
        exchange: Exchange,
        step: Step,
        context: &mut Context,
    ) -> Result<(), Refused> {
        match step {
            Step::Challenge(base64) => {
                context.responses.challenge(&base64);
                self.phase = Phase::Sasl(exchange);
                Ok(())
            }
            Step::Verify(credential) => {
                self.phase = Phase::Verify(exchange, credential);
                Ok(())
            }
            Step::Granted(identity) => {
                self.phase = Phase::Open(identity);
                Ok(())
            }
            Step::Refused(Refusal::Denied) => Err(Refused::Denied),
            Step::Refused(Refusal::Unavailable) => Err(Refused::AuthUnavailable),
            Step::Refused(Refusal::TooManySessions) => Err(Refused::TooManySessions),
            Step::Failed(Failure::Cancelled) => Err(Refused::AuthCancelled),
            Step::Failed(Failure::NotBase64) => Err(Refused::NotBase64),
            Step::Failed(Failure::Malformed) => Err(Refused::MalformedResponse),
        }
    }

    /// STLS (RFC 2595 §4).
    fn stls(&mut self, context: &mut Context) -> Result<(), Refused> {
        match context.link.security {
            Security::Tls => Err(Refused::TlsActive),
            Security::Clear => Err(Refused::TlsNotOffered),
            Security::StartTlsOffered if context.utf8 == Utf8Mode::On => {
                Err(Refused::StlsAfterUtf8)
            }
            Security::StartTlsOffered => {
                self.phase = Phase::StartTls;
                context.responses.ok("begin TLS negotiation");
                Ok(())
            }
        }
    }
}
