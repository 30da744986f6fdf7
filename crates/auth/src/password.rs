//! Password hashes: making argon2id ones, and verifying all that a Dovecot setup may hold.

use std::borrow::Cow;
use std::fmt;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{Error as HashError, PasswordVerifier};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use bcrypt::HashParts;
use sha_crypt::{PasswordHashRef, ShaCrypt};
use subtle::ConstantTimeEq;

use crate::scram::{Hash, Keys, KeysError};
use crate::{Secret, prepare};

/// A hash as it stands in the users file: checked when it was read, so that verifying it can only
/// fail for want of memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    text: String,
    work: Work,
}

/// How a password was hashed, and what verifying it costs: equal values take equally long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Argon2 of this variant.
    Argon2 {
        /// `argon2id`, `argon2i` or `argon2d`.
        variant: String,
        /// Memory in KiB.
        memory: u32,
        /// Passes over the memory.
        passes: u32,
        /// Lanes.
        lanes: u32,
    },
    /// bcrypt with 2 to the power of this many rounds.
    Bcrypt(u32),
    /// SHA-crypt.
    ShaCrypt {
        /// `5` for SHA-256, `6` for SHA-512.
        id: String,
        /// Rounds.
        rounds: u32,
    },
    /// SCRAM: a password is right if it has these keys.
    Scram {
        /// The hash function.
        hash: Hash,
        /// Iterations.
        iterations: u32,
    },
    /// A comparison.
    Plain,
}

impl Work {
    /// The memory it takes, in KiB, as far as it matters.
    pub(crate) fn memory_kib(&self) -> u64 {
        match self {
            Self::Argon2 { memory, .. } => u64::from(*memory),
            Self::Bcrypt(_) | Self::ShaCrypt { .. } | Self::Scram { .. } | Self::Plain => 0,
        }
    }
}

/// Why a hash was refused. Never shows the hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoredError {
    /// Nothing there.
    #[error("password hash is empty")]
    Empty,
    /// A scheme that we do not know.
    #[error(
        "scheme {{{0}}} is not supported; use {{ARGON2ID}}, {{BLF-CRYPT}}, {{SHA512-CRYPT}} or {{SHA256-CRYPT}}"
    )]
    Scheme(String),
    /// No scheme, and nothing that looks like one of the hashes.
    #[error(
        "password is not a known hash; make one with `pillarbox user passwd` or `pillarbox user hash`"
    )]
    Unrecognized,
    /// The scheme in braces and the hash disagree.
    #[error("hash is not what its scheme {{{0}}} says")]
    Mismatch(String),
    /// Something is wrong inside the hash.
    #[error("{0} hash is malformed or cut off")]
    Malformed(&'static str),
    /// Something is wrong with keys of SCRAM.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// So costly that verifying it would starve the server.
    #[error("argon2 hash wants more than {} MiB of memory", MAX_MEMORY_KIB / 1024)]
    Memory,
}

/// Verifying could not be done: there was not enough memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("password could not be hashed")]
pub struct HashingFailed;

impl Stored {
    /// Reads a hash, with its scheme in braces as Dovecot writes it, or recognized by its `$id$`. A
    /// password in plain text is prepared for comparison (RFC 4013).
    ///
    /// # Errors
    /// Says why it can never verify a password.
    pub fn parse(field: &str) -> Result<Self, StoredError> {
        let (label, text) = match field
            .strip_prefix('{')
            .and_then(|rest| rest.split_once('}'))
        {
            Some((label, text)) => (Some(label.to_ascii_uppercase()), text),
            None => (None, field),
        };
        if text.is_empty() {
            return Err(StoredError::Empty);
        }
        let work = match label.as_deref() {
            Some("PLAIN" | "CLEAR" | "CLEARTEXT") => Work::Plain,
            None | Some("CRYPT") => recognize(text)?,
            Some("SCRAM-SHA-256") => scram_work(Hash::Sha256, text)?,
            Some("SCRAM-SHA-1") => scram_work(Hash::Sha1, text)?,
            Some(label) => {
                let expected: &[&str] = match label {
                    "ARGON2ID" => &["$argon2id$"],
                    "ARGON2I" => &["$argon2i$"],
                    "BLF-CRYPT" => &["$2a$", "$2b$", "$2y$"],
                    "SHA512-CRYPT" => &["$6$"],
                    "SHA256-CRYPT" => &["$5$"],
                    other => return Err(StoredError::Scheme(other.to_owned())),
                };
                if !expected.iter().any(|prefix| text.starts_with(prefix)) {
                    return Err(StoredError::Mismatch(label.to_owned()));
                }
                recognize(text)?
            }
        };
        let text = match work {
            Work::Plain => prepare::query(text).map_or_else(|_| text.to_owned(), Cow::into_owned),
            Work::Argon2 { .. } | Work::Bcrypt(_) | Work::ShaCrypt { .. } | Work::Scram { .. } => {
                text.to_owned()
            }
        };
        Ok(Self { text, work })
    }

    /// The password itself, kept as it is; `None` if it is not UTF-8.
    pub(crate) fn plain(password: &Secret) -> Option<Self> {
        let text = std::str::from_utf8(password.expose()).ok()?;
        Some(Self {
            text: text.to_owned(),
            work: Work::Plain,
        })
    }

    /// Whether `password` is the one, in constant time for this hash.
    ///
    /// # Errors
    /// If there is not enough memory to find out.
    pub fn verify(&self, password: &Secret) -> Result<bool, HashingFailed> {
        let password = password.expose();
        #[cfg(test)]
        tests::count(self.work.clone());
        let found = match &self.work {
            Work::Argon2 { .. } => return verify_argon2(&self.text, password),
            Work::ShaCrypt { .. } => {
                ShaCrypt::default().verify_password(password, self.text.as_str())
            }
            Work::Bcrypt(_) => {
                return bcrypt::verify(password, &self.text).map_err(|_| HashingFailed);
            }
            Work::Scram { .. } => {
                return Ok(self.keys().is_some_and(|keys| keys.are_of(password)));
            }
            Work::Plain => return Ok(self.text.as_bytes().ct_eq(password).into()),
        };
        match found {
            Ok(()) => Ok(true),
            Err(HashError::PasswordInvalid) => Ok(false),
            Err(_) => Err(HashingFailed),
        }
    }

    /// What verifying costs.
    pub fn work(&self) -> &Work {
        &self.work
    }

    /// Whether this is the password itself.
    pub fn is_plain(&self) -> bool {
        self.work == Work::Plain
    }

    /// The keys of SCRAM that it is, if it is that.
    pub(crate) fn keys(&self) -> Option<Keys> {
        match self.work {
            Work::Scram { hash, .. } => Keys::parse(hash, &self.text).ok(),
            Work::Argon2 { .. } | Work::Bcrypt(_) | Work::ShaCrypt { .. } | Work::Plain => None,
        }
    }

    /// As it stands in a users file: with its scheme in braces.
    pub fn field(&self) -> String {
        let scheme = match &self.work {
            Work::Argon2 { variant, .. } => variant.to_ascii_uppercase(),
            Work::Bcrypt(_) => "BLF-CRYPT".to_owned(),
            Work::ShaCrypt { id, .. } if id == "5" => "SHA256-CRYPT".to_owned(),
            Work::ShaCrypt { .. } => "SHA512-CRYPT".to_owned(),
            Work::Scram { hash, .. } => hash.scheme().to_owned(),
            Work::Plain => "PLAIN".to_owned(),
        };
        format!("{{{scheme}}}{}", self.text)
    }

    /// The hash without its scheme, to tell a changed one from the old.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stored").field(&self.work).finish()
    }
}

/// Finds the scheme by the `$id$` that begins a hash, and checks the rest.
fn recognize(text: &str) -> Result<Work, StoredError> {
    if text.starts_with("$argon2") {
        argon2_work(text)
    } else if ["$2a$", "$2b$", "$2y$"]
        .iter()
        .any(|prefix| text.starts_with(prefix))
    {
        let malformed = StoredError::Malformed("bcrypt");
        let parts: HashParts = text.parse().map_err(|_| malformed.clone())?;
        let cost = parts.get_cost();
        if !(4..=31).contains(&cost) {
            return Err(malformed);
        }
        Ok(Work::Bcrypt(cost))
    } else if text.starts_with("$5$") || text.starts_with("$6$") {
        sha_crypt_work(text).ok_or(StoredError::Malformed("SHA-crypt"))
    } else {
        Err(StoredError::Unrecognized)
    }
}

/// The cost of SCRAM keys, if they are sound.
fn scram_work(hash: Hash, text: &str) -> Result<Work, KeysError> {
    let iterations = Keys::parse(hash, text)?.iterations();
    Ok(Work::Scram { hash, iterations })
}

/// Whether `password` is the one of an argon2 hash, in constant time for this hash.
fn verify_argon2(text: &str, password: &[u8]) -> Result<bool, HashingFailed> {
    let hash = PasswordHash::new(text).map_err(|_| HashingFailed)?;
    let (Some(salt), Some(expected)) = (hash.salt, hash.hash) else {
        return Err(HashingFailed);
    };
    let variant = Algorithm::try_from(hash.algorithm.as_str()).map_err(|_| HashingFailed)?;
    let version = hash
        .version
        .map_or(Ok(Version::default()), Version::try_from)
        .map_err(|_| HashingFailed)?;
    let params = Params::try_from(&hash).map_err(|_| HashingFailed)?;
    let found = argon2_output(variant, version, params, password, &salt, expected.len())?;
    Ok(found.as_slice().ct_eq(expected.as_bytes()).into())
}

/// Computes an argon2 hash of `length` octets, in memory that goes back to the system at once.
fn argon2_output(
    variant: Algorithm,
    version: Version,
    params: Params,
    password: &[u8],
    salt: &[u8],
    length: usize,
) -> Result<Vec<u8>, HashingFailed> {
    let mut memory = argon2_memory(params.block_count())?;
    let mut output = vec![0; length];
    Argon2::new(variant, version, params)
        .hash_password_into_with_memory(password, salt, &mut output, &mut memory)
        .map_err(|_| HashingFailed)?;
    Ok(output)
}

/// The memory to compute an argon2 hash in.
///
/// It is allocated larger than glibc's `malloc` ever keeps (its threshold for memory mapped apart
/// grows to 32 MiB when such memory is freed): each thread would hold on to one piece otherwise,
/// 19 MiB for every verification that ever ran at the same time. What is not used of it costs
/// nothing, as it is never touched.
fn argon2_memory(blocks: usize) -> Result<Vec<Block>, HashingFailed> {
    let mut memory = Vec::new();
    memory
        .try_reserve_exact(blocks.max(UNKEPT_BLOCKS))
        .map_err(|_| HashingFailed)?;
    memory.resize(blocks, Block::new());
    Ok(memory)
}

/// The costs in an argon2 hash, if all of it is sound.
fn argon2_work(text: &str) -> Result<Work, StoredError> {
    const MALFORMED: StoredError = StoredError::Malformed("argon2");
    let hash = PasswordHash::new(text).map_err(|_| MALFORMED)?;
    let params = Params::try_from(&hash).map_err(|_| MALFORMED)?;
    let variant = Algorithm::try_from(hash.algorithm.as_str()).map_err(|_| MALFORMED)?;
    let version = hash
        .version
        .map_or(Ok(Version::default()), Version::try_from);
    let salted = hash
        .salt
        .is_some_and(|salt| salt.len() >= argon2::MIN_SALT_LEN);
    if version.is_err() || hash.hash.is_none() || !salted {
        return Err(MALFORMED);
    }
    if params.m_cost() > MAX_MEMORY_KIB {
        return Err(StoredError::Memory);
    }
    Ok(Work::Argon2 {
        variant: variant.as_str().to_owned(),
        memory: params.m_cost(),
        passes: params.t_cost(),
        lanes: params.p_cost(),
    })
}

/// The costs in `$5$[rounds=N$]salt$hash` or `$6$…`, if all of it is sound.
fn sha_crypt_work(text: &str) -> Option<Work> {
    PasswordHashRef::new(text).ok()?;
    let mut fields = text.split('$').skip(1);
    let id = fields.next()?;
    let mut salt = fields.next()?;
    let mut rounds = sha_crypt::Params::RECOMMENDED_ROUNDS;
    if let Some(value) = salt.strip_prefix("rounds=") {
        rounds = value.parse().ok()?;
        sha_crypt::Params::new(rounds).ok()?;
        salt = fields.next()?;
    }
    let hash = fields.next()?;
    // 32 or 64 octets in `crypt` base64: in the last digit, the bits beyond them are zero.
    let (length, last) = if id == "5" { (43, 16) } else { (86, 4) };
    let digits: Option<Vec<usize>> = hash
        .bytes()
        .map(|digit| CRYPT_DIGITS.iter().position(|&known| known == digit))
        .collect();
    let sound = digits.is_some_and(|digits| digits.len() == length && digits.last() < Some(&last));
    (sound && !salt.is_empty() && fields.next().is_none()).then(|| Work::ShaCrypt {
        id: id.to_owned(),
        rounds,
    })
}

/// The cost of a new argon2id hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost(Params);

/// Why costs were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("argon2 wants 1 to 255 lanes, at least 1 pass, and 8 KiB to 1 GiB of memory for each lane")]
pub struct CostError;

impl Cost {
    /// Checks costs: memory in KiB, passes, lanes (RFC 9106 §3.1).
    ///
    /// # Errors
    /// If argon2 does not allow them, or verifying would want more than 1 GiB.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, CostError> {
        if memory_kib > MAX_MEMORY_KIB || lanes > 255 {
            return Err(CostError);
        }
        Params::new(memory_kib, passes, lanes, None)
            .map(Self)
            .map_err(|_| CostError)
    }

    /// Hashes `password`.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn stored(&self, password: &Secret, salt: [u8; 16]) -> Result<Stored, HashingFailed> {
        Stored::parse(&self.hash(password, salt)?).map_err(|_| HashingFailed)
    }

    /// Hashes `password`, in the form for a users file: `{ARGON2ID}$argon2id$…`.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn hash(&self, password: &Secret, salt: [u8; 16]) -> Result<String, HashingFailed> {
        let (variant, version) = (Algorithm::Argon2id, Version::V0x13);
        let password = password.expose();
        let length = Params::DEFAULT_OUTPUT_LEN;
        let params = self.0.clone();
        let output = argon2_output(variant, version, params, password, &salt, length)?;
        Ok(format!("{{ARGON2ID}}{}", self.text(&salt, &output)))
    }

    /// The memory that a hash takes, in KiB.
    pub fn memory_kib(&self) -> u32 {
        self.0.m_cost()
    }

    /// Memory times passes, which is what guessing costs.
    pub(crate) fn area(&self) -> u64 {
        u64::from(self.0.m_cost()) * u64::from(self.0.t_cost())
    }

    /// A hash of these costs that no password is known for.
    pub(crate) fn decoy(&self, random: &dyn Fn() -> u64) -> Stored {
        let mut bytes = Vec::with_capacity(48);
        for _ in 0..6 {
            bytes.extend(random().to_le_bytes());
        }
        let (salt, output) = bytes.split_at(16);
        Stored {
            text: self.text(salt, output),
            work: Work::Argon2 {
                variant: "argon2id".to_owned(),
                memory: self.0.m_cost(),
                passes: self.0.t_cost(),
                lanes: self.0.p_cost(),
            },
        }
    }

    /// A hash of these costs, as it is written.
    fn text(&self, salt: &[u8], output: &[u8]) -> String {
        use base64::Engine as _;
        let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes);
        format!(
            "$argon2id$v=19$m={},t={},p={}${}${}",
            self.0.m_cost(),
            self.0.t_cost(),
            self.0.p_cost(),
            encode(salt),
            encode(output)
        )
    }
}

impl Default for Cost {
    /// 19 MiB, 2 passes, 1 lane.
    fn default() -> Self {
        Self(Params::DEFAULT)
    }
}

/// A salt from the operating system.
///
/// # Errors
/// If it has no randomness to give.
pub fn random_salt() -> Result<[u8; 16], HashingFailed> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|_| HashingFailed)?;
    Ok(salt)
}

/// The digits of base64 in `crypt(3)`.
const CRYPT_DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// More argon2 blocks, of 1 KiB each, than fit in memory that glibc's `malloc` would keep.
const UNKEPT_BLOCKS: usize = 33 * 1024;

/// The most memory of one verification, in KiB.
const MAX_MEMORY_KIB: u32 = 1 << 20;

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::RefCell;

    use proptest::prelude::*;

    use super::*;

    thread_local! {
        /// The verifications of this thread.
        static DONE: RefCell<Vec<Work>> = const { RefCell::new(Vec::new()) };
    }

    /// Notes a verification.
    pub(crate) fn count(work: Work) {
        DONE.with_borrow_mut(|done| done.push(work));
    }

    /// The verifications of this thread since the last call.
    pub(crate) fn work_done() -> Vec<Work> {
        DONE.take()
    }

    /// From the test suites of the reference implementations.
    const KNOWN: [(&str, &str); 9] = [
        // As `doveadm pw` prints them.
        (
            "pencil",
            "{SCRAM-SHA-256}4096,dTuKTS8yk6hTxKvbt4tGhw==,Knis89ylaI2h11hbvOlRIO8CrvN1vgyWOmwdmRH/a0Y=,rj11ZP1G0LMHvkpZ3vOBleh+VrAPvdIa1nheBdVwyvQ=",
        ),
        (
            "pencil",
            "{SCRAM-SHA-1}4096,/dwRvk2tdZMvftAeTFpl9A==,TRKppvlzHGJinJPQdPcBO1s5mLI=,XTGKPSw1zrtjSpbpUBS+4RBCEnY=",
        ),
        (
            "password",
            "{ARGON2ID}$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
        ),
        (
            "U*U",
            "{BLF-CRYPT}$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        ),
        (
            "U*U",
            "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        ),
        (
            "Hello world!",
            "{SHA256-CRYPT}$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
        ),
        (
            "Hello world!",
            "{sha512-crypt}$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
        ),
        (
            "Hello world!",
            "{CRYPT}$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.",
        ),
        ("demo", "{PLAIN}demo"),
    ];

    #[test]
    fn known_hashes_verify() {
        for (password, field) in KNOWN {
            let stored = Stored::parse(field).unwrap_or_else(|error| panic!("{field}: {error}"));
            assert_eq!(stored.verify(&Secret::new(password)), Ok(true), "{field}");
            assert_eq!(
                Stored::parse(&stored.field()).as_ref(),
                Ok(&stored),
                "{field}"
            );
            for wrong in ["", "x", "Password", "demo\0", "U*U "] {
                assert_eq!(stored.verify(&Secret::new(wrong)), Ok(false), "{field}");
            }
        }
    }

    #[test]
    fn malformed_hashes_are_refused() {
        for (field, expected) in [
            ("", StoredError::Empty),
            ("{PLAIN}", StoredError::Empty),
            ("{ARGON2ID}", StoredError::Empty),
            ("{MD5}abc", StoredError::Scheme("MD5".into())),
            ("secret", StoredError::Unrecognized),
            ("{PLAIN", StoredError::Unrecognized),
            ("$1$salt$hash", StoredError::Unrecognized),
            ("{CRYPT}ab01FAX.bQRSU", StoredError::Unrecognized),
            (
                "{BLF-CRYPT}$6$a$b",
                StoredError::Mismatch("BLF-CRYPT".into()),
            ),
            (
                "{ARGON2ID}$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8",
                StoredError::Mismatch("ARGON2ID".into()),
            ),
            (
                "{SCRAM-SHA-256}4096,AAAA",
                StoredError::Keys(Keys::parse(Hash::Sha256, "").unwrap_err()),
            ),
            ("$argon2id$", StoredError::Malformed("argon2")),
            (
                "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ",
                StoredError::Malformed("argon2"),
            ),
            (
                "$argon2id$v=19$m=1,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
                StoredError::Malformed("argon2"),
            ),
            (
                "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
                StoredError::Memory,
            ),
            (
                "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe",
                StoredError::Malformed("bcrypt"),
            ),
            (
                "$2y$99$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
                StoredError::Malformed("bcrypt"),
            ),
            (
                "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEl",
                StoredError::Malformed("SHA-crypt"),
            ),
            (
                "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEcz",
                StoredError::Malformed("SHA-crypt"),
            ),
            (
                "$5$saltstring$5B8vYYiY+CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
                StoredError::Malformed("SHA-crypt"),
            ),
            (
                "$5$rounds=10$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
                StoredError::Malformed("SHA-crypt"),
            ),
        ] {
            assert_eq!(Stored::parse(field), Err(expected), "{field:?}");
        }
    }

    #[test]
    fn new_hashes_are_argon2id_of_the_given_cost() {
        let cost = Cost::new(64, 3, 2).unwrap();
        let field = cost.hash(&Secret::new("s\u{e9}cret"), [7; 16]).unwrap();
        assert!(
            field.starts_with("{ARGON2ID}$argon2id$v=19$m=64,t=3,p=2$"),
            "{field}"
        );
        let stored = Stored::parse(&field).unwrap();
        assert_eq!(stored.verify(&Secret::new("s\u{e9}cret")), Ok(true));
        assert_eq!(stored.verify(&Secret::new("secret")), Ok(false));
        assert_ne!(
            field,
            cost.hash(&Secret::new("s\u{e9}cret"), [8; 16]).unwrap()
        );
    }

    #[test]
    fn default_costs_are_19_mib_and_2_passes() {
        assert_eq!(Cost::default(), Cost::new(19 * 1024, 2, 1).unwrap());
        for (memory, passes, lanes) in [
            (7, 1, 1),
            (64, 0, 1),
            (64, 1, 0),
            (64, 1, 9),
            (1 << 21, 1, 1),
        ] {
            assert_eq!(Cost::new(memory, passes, lanes), Err(CostError));
        }
    }

    #[test]
    fn a_decoy_costs_what_a_new_hash_costs() {
        let cost = Cost::new(32, 2, 1).unwrap();
        let real = Stored::parse(&cost.hash(&Secret::new("x"), [1; 16]).unwrap()).unwrap();
        let decoy = cost.decoy(&|| 0x0123_4567_89ab_cdef);
        assert_eq!(decoy.work(), real.work());
        assert_eq!(Stored::parse(&decoy.text), Ok(decoy.clone()));
        assert_eq!(decoy.verify(&Secret::new("x")), Ok(false));
    }

    #[test]
    fn debug_shows_no_hash() {
        let shown = format!("{:?}", Stored::parse("{PLAIN}hunter2").unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    proptest! {
        #[test]
        fn any_field_never_panics(field in ".{0,80}|\\{[A-Z0-9-]{0,12}\\}\\$(2a|2y|5|6|argon2id)\\$[a-zA-Z0-9$=,./+]{0,100}") {
            if let Ok(stored) = Stored::parse(&field) {
                let _work = stored.work();
            }
        }
    }
}
