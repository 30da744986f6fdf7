//! The keys of SCRAM (RFC 5802 §3): what a server keeps in the place of a password, and what it
//! computes with them.
//!
//! Whoever has these keys can neither log in with them nor get at the password but by guessing; yet
//! each guess costs far less than with argon2, so they are as secret as any hash. They are written
//! as Dovecot writes them: `iterations,salt,StoredKey,ServerKey`, the last three in base64.
//!
//! HMAC, PBKDF2 and the digests are those of aws-lc-rs, which TLS brings along; comparisons take the
//! same time whether they succeed or not.

use std::fmt;
use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::Secret;

/// The hash function of a SCRAM mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hash {
    /// SHA-256 (RFC 7677).
    Sha256,
    /// SHA-1 (RFC 5802), for old clients.
    Sha1,
}

impl Hash {
    /// All of them, the best first.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha1];

    /// The scheme of its keys, as Dovecot calls it.
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha1 => "SCRAM-SHA-1",
        }
    }

    /// Octets of a digest.
    pub(crate) const fn length(self) -> usize {
        match self {
            Self::Sha256 => digest::SHA256_OUTPUT_LEN,
            Self::Sha1 => digest::SHA1_OUTPUT_LEN,
        }
    }

    /// `HMAC(key, str)` (RFC 5802 §2.2)
    pub(crate) fn hmac(self, key: &[u8], text: &[u8]) -> Zeroizing<Vec<u8>> {
        let algorithm = match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        };
        let tag = hmac::sign(&hmac::Key::new(algorithm, key), text);
        Zeroizing::new(tag.as_ref().to_vec())
    }

    /// `H(str)` (RFC 5802 §2.2)
    fn digest(self, text: &[u8]) -> Zeroizing<Vec<u8>> {
        let algorithm = match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        };
        Zeroizing::new(digest::digest(algorithm, text).as_ref().to_vec())
    }

    /// `Hi(str, salt, i)` (RFC 5802 §2.2)
    fn hi(self, password: &[u8], salt: &[u8], iterations: NonZeroU32) -> Zeroizing<Vec<u8>> {
        let algorithm = match self {
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
        };
        let mut salted = Zeroizing::new(vec![0; self.length()]);
        pbkdf2::derive(algorithm, iterations, salt, password, &mut salted);
        salted
    }
}

/// How often a new password is hashed for SCRAM: as often as each guess at it, and each login of a
/// client, will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Iterations(NonZeroU32);

impl Iterations {
    /// The fewest: what RFC 5802 §5.1 and RFC 7677 §4 ask of servers.
    pub const MIN: u32 = 4_096;

    /// The most: a client waits for them at every login, and some refuse more.
    pub const MAX: u32 = 10_000_000;

    /// [`MIN`](Self::MIN) of them.
    pub(crate) const FEWEST: Self = match NonZeroU32::new(Self::MIN) {
        Some(fewest) => Self(fewest),
        None => Self(NonZeroU32::MAX),
    };

    /// Checks a number of iterations; `None` if it is out of bounds.
    pub fn new(iterations: u32) -> Option<Self> {
        let iterations = NonZeroU32::new(iterations)?;
        (Self::MIN..=Self::MAX)
            .contains(&iterations.get())
            .then_some(Self(iterations))
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl Default for Iterations {
    /// 600,000: what OWASP's Password Storage Cheat Sheet asks of PBKDF2 with SHA-256, and about the
    /// tenth of a second of a modern machine that RFC 7677 §4 speaks of.
    fn default() -> Self {
        Self(NonZeroU32::new(600_000).unwrap_or(NonZeroU32::MAX))
    }
}

/// Which keys are made of a new password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKeys {
    /// For which hash functions; the mechanisms of others are not offered.
    pub hashes: Vec<Hash>,
    /// How costly.
    pub iterations: Iterations,
}

impl NewKeys {
    /// Makes the keys of a password that SASLprep has been applied to.
    ///
    /// # Errors
    /// As `salt`, which gives a salt for each.
    pub fn derive<E>(
        &self,
        password: &Secret,
        mut salt: impl FnMut() -> Result<[u8; 16], E>,
    ) -> Result<Vec<Keys>, E> {
        let derive = |&hash| Ok(Keys::derive(hash, password, &salt()?, self.iterations));
        self.hashes.iter().map(derive).collect()
    }
}

impl Default for NewKeys {
    /// For SHA-256.
    fn default() -> Self {
        Self {
            hashes: vec![Hash::Sha256],
            iterations: Iterations::default(),
        }
    }
}

/// The keys of one account for one hash function.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    hash: Hash,
    iterations: NonZeroU32,
    salt: Vec<u8>,
    stored: Zeroizing<Vec<u8>>,
    server: Zeroizing<Vec<u8>>,
}

/// Why keys were refused. Never shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} keys are malformed or cut off", .0.scheme())]
pub struct KeysError(Hash);

impl Keys {
    /// Makes the keys of a password that SASLprep has been applied to.
    pub fn derive(hash: Hash, password: &Secret, salt: &[u8], iterations: Iterations) -> Self {
        let salted = hash.hi(password.expose(), salt, iterations.0);
        let client = hash.hmac(&salted, b"Client Key");
        Self {
            hash,
            iterations: iterations.0,
            salt: salt.to_vec(),
            stored: hash.digest(&client),
            server: hash.hmac(&salted, b"Server Key"),
        }
    }

    /// Reads keys as they are written in a users file, behind the scheme.
    ///
    /// # Errors
    /// If they are not keys of this hash function.
    pub fn parse(hash: Hash, text: &str) -> Result<Self, KeysError> {
        let read = || {
            let mut fields = text.split(',');
            let number = fields.next()?;
            let iterations: NonZeroU32 = number.parse().ok()?;
            let salt = STANDARD.decode(fields.next()?).ok()?;
            let stored = Zeroizing::new(STANDARD.decode(fields.next()?).ok()?);
            let server = Zeroizing::new(STANDARD.decode(fields.next()?).ok()?);
            let sound = number.bytes().all(|digit| digit.is_ascii_digit())
                && iterations.get() <= Iterations::MAX
                && !salt.is_empty()
                && stored.len() == hash.length()
                && server.len() == hash.length()
                && fields.next().is_none();
            sound.then_some(Self {
                hash,
                iterations,
                salt,
                stored,
                server,
            })
        };
        read().ok_or(KeysError(hash))
    }

    /// Keys that no password is known for: what an unknown user is asked to prove.
    pub(crate) fn decoy(hash: Hash, seed: &[u8], like: (u32, usize)) -> Self {
        let (iterations, salt_length) = like;
        let mut salt = hash.hmac(seed, b"salt").to_vec();
        // A longer one goes on with what cannot be foreseen either, or its end would tell.
        while salt.len() < salt_length {
            let more = hash.hmac(seed, &salt);
            salt.extend_from_slice(&more);
        }
        salt.truncate(salt_length);
        Self {
            hash,
            iterations: NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN),
            salt,
            stored: hash.hmac(seed, b"StoredKey"),
            server: hash.hmac(seed, b"ServerKey"),
        }
    }

    /// The hash function that they are for.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// How often the password was hashed.
    pub fn iterations(&self) -> u32 {
        self.iterations.get()
    }

    /// The salt.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// As they stand in a users file, behind the scheme.
    pub fn text(&self) -> String {
        let encode = |bytes: &[u8]| STANDARD.encode(bytes);
        format!(
            "{},{},{},{}",
            self.iterations,
            encode(&self.salt),
            encode(&self.stored),
            encode(&self.server)
        )
    }

    /// Whether they are of this password, which SASLprep has been applied to.
    pub(crate) fn are_of(&self, password: &[u8]) -> bool {
        let salted = self.hash.hi(password, &self.salt, self.iterations);
        let client = self.hash.hmac(&salted, b"Client Key");
        self.hash.digest(&client).ct_eq(&self.stored).into()
    }

    /// Whether a `ClientProof` shows that the client knows the password (RFC 5802 §3).
    pub(crate) fn prove(&self, auth_message: &[u8], proof: &[u8]) -> bool {
        let signature = self.hash.hmac(&self.stored, auth_message);
        // A proof of another length fails, after the same work.
        let client: Zeroizing<Vec<u8>> = Zeroizing::new(
            signature
                .iter()
                .zip(proof.iter().chain(std::iter::repeat(&0)))
                .map(|(one, other)| one ^ other)
                .collect(),
        );
        let right: bool = self.hash.digest(&client).ct_eq(&self.stored).into();
        right && proof.len() == self.hash.length()
    }

    /// The `ClientProof` of a client that knows the password.
    #[cfg(test)]
    pub(crate) fn proof(&self, password: &[u8], auth_message: &[u8]) -> String {
        let salted = self.hash.hi(password, &self.salt, self.iterations);
        let client = self.hash.hmac(&salted, b"Client Key");
        let signature = self.hash.hmac(&self.stored, auth_message);
        let pairs = client.iter().zip(signature.iter());
        STANDARD.encode(pairs.map(|(one, other)| one ^ other).collect::<Vec<u8>>())
    }

    /// The `ServerSignature`, which shows that the server knows the keys (RFC 5802 §3).
    pub(crate) fn server_signature(&self, auth_message: &[u8]) -> String {
        STANDARD.encode(self.hash.hmac(&self.server, auth_message).as_slice())
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("hash", &self.hash)
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As `doveadm pw -s SCRAM-SHA-256 -p pencil` and `-s SCRAM-SHA-1` print them.
    const DOVECOT: [(Hash, &str); 2] = [
        (
            Hash::Sha256,
            "4096,dTuKTS8yk6hTxKvbt4tGhw==,Knis89ylaI2h11hbvOlRIO8CrvN1vgyWOmwdmRH/a0Y=,rj11ZP1G0LMHvkpZ3vOBleh+VrAPvdIa1nheBdVwyvQ=",
        ),
        (
            Hash::Sha1,
            "4096,/dwRvk2tdZMvftAeTFpl9A==,TRKppvlzHGJinJPQdPcBO1s5mLI=,XTGKPSw1zrtjSpbpUBS+4RBCEnY=",
        ),
    ];

    #[test]
    fn keys_are_those_that_dovecot_makes() {
        let iterations = Iterations::new(4_096).unwrap();
        for (hash, text) in DOVECOT {
            let keys = Keys::parse(hash, text).unwrap();
            assert_eq!(keys.text(), text);
            assert_eq!((keys.hash(), keys.iterations()), (hash, 4_096));
            let made = Keys::derive(hash, &Secret::new("pencil"), keys.salt(), iterations);
            assert_eq!(made, keys);
            assert!(keys.are_of(b"pencil") && !keys.are_of(b"Pencil"));
        }
    }

    #[test]
    fn malformed_keys_are_refused() {
        let (hash, good) = DOVECOT[0];
        let (_, sha_1) = DOVECOT[1];
        for bad in [
            "",
            "4096",
            sha_1,
            good.strip_suffix("yvQ=").unwrap(),
            &good.replace("4096,", "0,"),
            &good.replace("4096,", "+4096,"),
            &good.replace("4096,", "99999999999,"),
            &good.replace("4096,", "10000001,"),
            &good.replace("dTuKTS8yk6hTxKvbt4tGhw==", ""),
            &good.replace("==", ""),
            &format!("{good},x"),
            &format!("{good} "),
        ] {
            let error = Keys::parse(hash, bad).unwrap_err();
            assert_eq!(error, KeysError(hash), "{bad:?}");
        }
        assert_eq!(
            KeysError(hash).to_string(),
            "SCRAM-SHA-256 keys are malformed or cut off"
        );
    }

    #[test]
    fn iterations_have_bounds() {
        assert_eq!(Iterations::default().get(), 600_000);
        for (number, good) in [
            (0, false),
            (4_095, false),
            (4_096, true),
            (10_000_000, true),
            (10_000_001, false),
        ] {
            assert_eq!(Iterations::new(number).is_some(), good, "{number}");
        }
    }

    #[test]
    fn decoys_are_steady_and_differ() {
        let decoy = |seed: &[u8]| Keys::decoy(Hash::Sha256, seed, (4_096, 16));
        assert_eq!(decoy(b"a"), decoy(b"a"));
        assert_ne!(decoy(b"a").salt(), decoy(b"b").salt());
        assert_eq!(
            (decoy(b"a").salt().len(), decoy(b"a").iterations()),
            (16, 4_096)
        );
        // Longer than a digest, and no end of it tells that nobody has this salt.
        let long = |seed: &[u8]| Keys::decoy(Hash::Sha1, seed, (4_096, 24)).salt().to_vec();
        assert_eq!((long(b"a"), long(b"a").len()), (long(b"a"), 24));
        assert_ne!(long(b"a").last_chunk::<4>(), Some(&[0; 4]));
        assert_ne!(long(b"a").last_chunk::<4>(), long(b"b").last_chunk::<4>());
    }

    #[test]
    fn debug_shows_no_key() {
        let keys = Keys::parse(DOVECOT[0].0, DOVECOT[0].1).unwrap();
        assert_eq!(
            format!("{keys:?}"),
            "Keys { hash: Sha256, iterations: 4096, .. }"
        );
    }

    proptest! {
        #[test]
        fn any_text_never_panics(text in "[0-9]{0,11}(,[A-Za-z0-9+/=]{0,50}){0,4}") {
            if let Ok(keys) = Keys::parse(Hash::Sha256, &text) {
                prop_assert!(!keys.prove(b"message", b"proof"));
            }
        }
    }
}
