//! Signed tokens: JWT (RFC 7519) as JWS in its compact form (RFC 7515 §7.1).

use aws_lc_rs::signature as lc;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::Refusal;
use super::claims::{Claims, Reason};
use super::jwks::KeySet;

/// How a token may be signed (RFC 7518 §3.1, RFC 8037 §3.1).
///
/// `none` is not among them, and nothing with a shared secret: there is no code here that could
/// take a public key for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
}

impl Algorithm {
    /// Finds an algorithm by its registered name.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "ES512" => Self::Es512,
            // The second name is of RFC 9864 §2.2.
            "EdDSA" | "Ed25519" => Self::EdDsa,
            _ => return None,
        })
    }

    /// How it is verified, if it is one of RSA.
    pub(super) fn rsa(self) -> Option<&'static lc::RsaParameters> {
        match self {
            Self::Rs256 => Some(&lc::RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => Some(&lc::RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => Some(&lc::RSA_PKCS1_2048_8192_SHA512),
            Self::Ps256 => Some(&lc::RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => Some(&lc::RSA_PSS_2048_8192_SHA384),
            Self::Ps512 => Some(&lc::RSA_PSS_2048_8192_SHA512),
            Self::Es256 | Self::Es384 | Self::Es512 | Self::EdDsa => None,
        }
    }
}

/// A token that was taken apart. Nothing in it is believed yet.
pub(super) struct Jwt<'t> {
    /// How it says to be signed.
    pub(super) algorithm: Algorithm,
    /// The key that it says to be signed with.
    pub(super) key: Option<String>,
    /// What is signed: the header, a dot and the payload, as they stand.
    signed: &'t [u8],
    payload: Zeroizing<Vec<u8>>,
    signature: Zeroizing<Vec<u8>>,
}

/// What of a header matters (RFC 7515 §4.1). One that has a field twice is refused (§4).
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

impl<'t> Jwt<'t> {
    /// Takes a token apart.
    pub(super) fn parse(token: &'t [u8]) -> Result<Self, Refusal> {
        let parts = || {
            let mut dots = (0..).zip(token).filter(|(_, octet)| **octet == b'.');
            let (first, last) = (dots.next()?.0, dots.next()?.0);
            if dots.next().is_some() {
                return None;
            }
            let header: &[u8] = token.get(..first)?;
            let payload: &[u8] = token.get(first + 1..last)?;
            Some((header, payload, token.get(..last)?, token.get(last + 1..)?))
        };
        let no_jwt = Refusal::Invalid(Reason::NoJwt);
        let (header, payload, signed, signature) = parts().ok_or(no_jwt)?;
        let decode = |part: &[u8]| -> Result<Zeroizing<Vec<u8>>, Refusal> {
            let mut octets = Zeroizing::new(Vec::with_capacity(part.len()));
            URL_SAFE_NO_PAD
                .decode_vec(part, &mut octets)
                .map_err(|_| no_jwt)?;
            Ok(octets)
        };
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| no_jwt)?;
        if header.crit.is_some() {
            return Err(Refusal::Invalid(Reason::Critical));
        }
        let algorithm = Algorithm::from_name(&header.alg);
        Ok(Self {
            algorithm: algorithm.ok_or(Refusal::Invalid(Reason::Algorithm))?,
            key: header.kid,
            signed,
            payload: decode(payload)?,
            signature: decode(signature)?,
        })
    }

    /// The claims, if one of `keys` has signed them; `None` if none of them could have.
    pub(super) fn claims(&self, keys: &KeySet) -> Option<Result<Claims, Refusal>> {
        let mut fitting = keys.fitting(self.algorithm, self.key.as_deref()).peekable();
        fitting.peek()?;
        let verified = fitting.any(|key| key.verify(self.algorithm, self.signed, &self.signature));
        if !verified {
            return Some(Err(Refusal::Invalid(Reason::Signature)));
        }
        let claims = serde_json::from_slice(&self.payload);
        Some(claims.map_err(|_| Refusal::Invalid(Reason::NoJwt)))
    }
}
