//! JWK sets (RFC 7517): the keys that an issuer signs its tokens with.

use std::fmt;
use std::io;
use std::path::PathBuf;

use aws_lc_rs::signature as lc;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

use super::jwt::Algorithm;

/// The keys of an issuer that can prove a signature.
///
/// Keys of kinds that we do not know, for other uses, or too weak are left out (RFC 7517 §5); so
/// are all symmetric ones: whoever could check with such a key could also sign with it.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
}

/// Why a key set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    /// It is not JSON, or has no list `keys`.
    #[error("it is not a JWK set (RFC 7517): an object with a list \"keys\"")]
    Malformed,
    /// More keys than any issuer has.
    #[error("it has more than {MAX_KEYS} keys")]
    TooMany,
    /// All keys were left out.
    #[error(
        "it has no key that can be used: RSA of 2048 bits or more, EC on P-256, P-384 or P-521, \
         or Ed25519, for signatures"
    )]
    NoKey,
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file can be read, but not used.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<Self>,
    },
    /// There is no issuer that could be asked for its keys.
    #[error("no issuer is set that could be asked for its keys")]
    NoIssuer,
}

impl KeySet {
    /// Reads a key set.
    ///
    /// # Errors
    /// If it is malformed, or has no key that could be used.
    pub fn parse(text: &[u8]) -> Result<Self, KeySetError> {
        let raw: RawSet = serde_json::from_slice(text).map_err(|_| KeySetError::Malformed)?;
        if raw.keys.len() > MAX_KEYS {
            return Err(KeySetError::TooMany);
        }
        let keys: Vec<Key> = raw.keys.into_iter().filter_map(Key::read).collect();
        if keys.is_empty() {
            return Err(KeySetError::NoKey);
        }
        Ok(Self { keys })
    }

    /// Reads the key set in a file.
    ///
    /// # Errors
    /// If it cannot be read or used.
    pub fn load(path: &std::path::Path) -> Result<Self, KeySetError> {
        let text = std::fs::read(path).map_err(|source| KeySetError::Io {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text).map_err(|source| KeySetError::File {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    /// How many keys can be used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that may have signed a token with this header.
    pub(super) fn fitting<'k>(
        &'k self,
        algorithm: Algorithm,
        id: Option<&'k str>,
    ) -> impl Iterator<Item = &'k Key> {
        self.keys.iter().filter(move |key| key.fits(algorithm, id))
    }
}

/// A public key.
#[derive(Clone)]
pub(super) struct Key {
    id: Option<String>,
    /// The only algorithm that it is for, if it says.
    algorithm: Option<Algorithm>,
    material: Material,
}

/// What a key is made of.
#[derive(Clone)]
enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// A point, uncompressed, on the curve of this algorithm.
    Ec(Algorithm, Vec<u8>),
    Ed25519(Vec<u8>),
}

impl Key {
    /// Reads a key; `None` if it is none that we could use.
    fn read(value: Value) -> Option<Self> {
        let raw: RawKey = serde_json::from_value(value).ok()?;
        let is_for_signing = raw.usage.is_none_or(|usage| usage == "sig");
        let may_verify = |names: Vec<String>| names.iter().any(|name| name == "verify");
        if !is_for_signing || !raw.key_ops.is_none_or(may_verify) {
            return None;
        }
        let algorithm = match raw.alg {
            Some(name) => Some(Algorithm::from_name(&name)?),
            None => None,
        };
        let material = match (raw.kty.as_str(), raw.crv.as_deref()) {
            ("RSA", _) => rsa(&raw.n?, &raw.e?)?,
            ("EC", Some("P-256")) => ec(Algorithm::Es256, 32, &raw.x?, &raw.y?)?,
            ("EC", Some("P-384")) => ec(Algorithm::Es384, 48, &raw.x?, &raw.y?)?,
            ("EC", Some("P-521")) => ec(Algorithm::Es512, 66, &raw.x?, &raw.y?)?,
            ("OKP", Some("Ed25519")) => Material::Ed25519(octets(&raw.x?, 32)?),
            (_, _) => return None,
        };
        Some(Self {
            id: raw.kid,
            algorithm,
            material,
        })
    }

    /// Whether it may have signed a token with this header. What names no key may be of any.
    fn fits(&self, algorithm: Algorithm, id: Option<&str>) -> bool {
        let is_named = match (&self.id, id) {
            (Some(own), Some(id)) => own == id,
            (None, _) | (_, None) => true,
        };
        is_named
            && self.algorithm.is_none_or(|only| only == algorithm)
            && match &self.material {
                Material::Rsa { .. } => algorithm.rsa().is_some(),
                Material::Ec(curve, _) => *curve == algorithm,
                Material::Ed25519(_) => algorithm == Algorithm::EdDsa,
            }
    }

    /// Whether `signature` over `message` was made with this key.
    pub(super) fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let ecdsa = |verification: &'static lc::EcdsaVerificationAlgorithm, point: &[u8]| {
            lc::UnparsedPublicKey::new(verification, point).verify(message, signature)
        };
        let proved = match (&self.material, algorithm) {
            (Material::Rsa { n, e }, _) => match algorithm.rsa() {
                Some(verification) => {
                    lc::RsaPublicKeyComponents { n, e }.verify(verification, message, signature)
                }
                None => return false,
            },
            (Material::Ec(Algorithm::Es256, point), Algorithm::Es256) => {
                ecdsa(&lc::ECDSA_P256_SHA256_FIXED, point)
            }
            (Material::Ec(Algorithm::Es384, point), Algorithm::Es384) => {
                ecdsa(&lc::ECDSA_P384_SHA384_FIXED, point)
            }
            (Material::Ec(Algorithm::Es512, point), Algorithm::Es512) => {
                ecdsa(&lc::ECDSA_P521_SHA512_FIXED, point)
            }
            (Material::Ed25519(point), Algorithm::EdDsa) => {
                lc::UnparsedPublicKey::new(&lc::ED25519, point).verify(message, signature)
            }
            (Material::Ec(..) | Material::Ed25519(_), _) => return false,
        };
        proved.is_ok()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// An RSA key (RFC 7518 §6.3.1) of 2048 to 8192 bits (§3.3 forbids less).
fn rsa(n: &str, e: &str) -> Option<Material> {
    let strip = |octets: Vec<u8>| -> Vec<u8> {
        octets.into_iter().skip_while(|&octet| octet == 0).collect()
    };
    let n = strip(URL_SAFE_NO_PAD.decode(n).ok()?);
    let e = strip(URL_SAFE_NO_PAD.decode(e).ok()?);
    let sound = (2048 / 8..=8192 / 8).contains(&n.len()) && (1..=8).contains(&e.len());
    sound.then_some(Material::Rsa { n, e })
}

/// A point on a curve; each coordinate has its full length (RFC 7518 §6.2.1).
fn ec(curve: Algorithm, length: usize, x: &str, y: &str) -> Option<Material> {
    let mut point = vec![UNCOMPRESSED];
    point.extend(octets(x, length)?);
    point.extend(octets(y, length)?);
    Some(Material::Ec(curve, point))
}

/// So many octets, and no other number of them.
fn octets(text: &str, length: usize) -> Option<Vec<u8>> {
    let octets = URL_SAFE_NO_PAD.decode(text).ok()?;
    (octets.len() == length).then_some(octets)
}

/// A set as it is written.
#[derive(Deserialize)]
struct RawSet {
    keys: Vec<Value>,
}

/// A key as it is written.
#[derive(Deserialize)]
struct RawKey {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// Says that both coordinates of a point follow (SEC 1 §2.3.3).
const UNCOMPRESSED: u8 = 4;

/// The most keys that a set may have. Issuers have two or three.
const MAX_KEYS: usize = 100;
