//! SCRAM (RFC 5802): the user's salt for the client's first message, and the judgement on the proof
//! in its second.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Authenticator, Cause, Unable};
use crate::sasl::scram::{First, Message, Wrong};
use crate::scram::{Hash, Keys};
use crate::{Challenge, Identity, Name, Secrets, Verdict};

impl Authenticator {
    /// Answers the client's first message, or judges its second.
    pub(super) fn judge_scram(
        &self,
        message: &Message,
        cause: &mut Cause,
    ) -> Result<Verdict, Unable> {
        match message {
            Message::First(first) => self.challenge(first),
            Message::Final(last) => Ok(match last.verify() {
                Ok((identity, verifier)) => {
                    Verdict::Continue(Challenge::before_success(verifier, identity))
                }
                Err(wrong) => {
                    *cause = wrong.into();
                    Verdict::Denied
                }
            }),
        }
    }

    /// Asks for a proof, whether there is such a user or not, or may be what they ask to be (S24).
    fn challenge(&self, first: &First) -> Result<Verdict, Unable> {
        let domain = self.default_domain.as_deref();
        let name = Name::parse(first.user(), domain).ok();
        let account = match &name {
            // Whoever is away is judged as unknown, and told nothing of it before the proof.
            Some(name) => self.directory.lookup(name).unwrap_or_else(|away| {
                tracing::debug!("credential not checked: {away}");
                None
            }),
            None => None,
        };
        let id = name.as_ref().map_or(first.user(), Name::as_str);
        let decoy = self.decoy_keys(first.hash(), id);
        let identity = match (&account, name) {
            (Some(account), Some(name)) => self.identity(account, &name, first),
            _ => Err(Wrong::UnknownUser),
        };
        let keys = account.and_then(|account| account.keys(first.hash()).cloned());
        let nonce = self.nonce();
        let challenge = first
            .clone()
            .challenge(keys.unwrap_or(decoy), &nonce, identity);
        Ok(Verdict::Continue(Challenge::scram(challenge)))
    }

    /// Who is let in with the proof of this account, or why nobody is.
    fn identity(&self, account: &Secrets, name: &Name, first: &First) -> Result<Identity, Wrong> {
        if account.keys(first.hash()).is_none() {
            return Err(Wrong::NoKeys);
        }
        if !self.is_themselves(name, first.acting_as()) {
            return Err(Wrong::ActingAsAnother);
        }
        let mail = self.place(name, Some(account));
        let mail = mail.ok_or(Wrong::UnknownUser)?;
        let name = name.as_str().to_owned();
        Ok(Identity { name, mail })
    }

    /// Keys for a user without any: always the same salt for the same name, and as many iterations
    /// as some account's.
    fn decoy_keys(&self, hash: Hash, id: &str) -> Keys {
        let seed = hash.hmac(&self.decoy_key, id.as_bytes());
        let mut number = [0; 8];
        for (to, from) in number.iter_mut().zip(seed.iter()) {
            *to = *from;
        }
        let account = self.directory.decoy(u64::from_le_bytes(number));
        let like = account.as_ref().and_then(|account| account.keys(hash));
        let like = like.map_or((self.new_keys.iterations.get(), SALT), |keys| {
            (keys.iterations(), keys.salt().len())
        });
        Keys::decoy(hash, &seed, like)
    }

    /// The server's part of a nonce: 192 bits.
    fn nonce(&self) -> String {
        let mut bytes = Vec::with_capacity(24);
        for _ in 0..3 {
            bytes.extend((self.random)().to_le_bytes());
        }
        STANDARD.encode(bytes)
    }
}

impl From<Wrong> for Cause {
    fn from(wrong: Wrong) -> Self {
        match wrong {
            Wrong::UnknownUser => Self::UnknownUser,
            Wrong::NoKeys => Self::NoKeys,
            Wrong::ActingAsAnother => Self::ActingAsAnother,
            Wrong::Proof => Self::WrongPassword,
            Wrong::AnotherChannel => Self::AnotherChannel,
        }
    }
}

/// Octets of a new salt.
const SALT: usize = 16;
