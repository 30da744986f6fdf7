//! An issuer that is a table of answers, with keys of its own, and somebody who checks its tokens.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::signature::{self as lc, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::Secret;
use crate::oauth::*;

pub(super) const ISSUER: &str = "https://issuer.example/realm";
pub(super) const KEYS: &str = "https://issuer.example/keys";
pub(super) const ASK: &str = "https://issuer.example/introspect";
pub(super) const MINUTE: Duration = Duration::from_mins(1);

/// What stands in the wanted claims of these tests.
pub(super) fn wanted() -> Wanted {
    Wanted {
        issuer: Some(ISSUER.to_owned()),
        audience: vec!["mail".to_owned(), "imap".to_owned()],
        scope: Vec::new(),
        user_claim: "email".to_owned(),
        leeway: Duration::from_secs(30),
    }
}

/// Settings by which tokens are checked with the keys at a URL.
pub(crate) fn options() -> Options {
    Options {
        proof: signature(KeySource::Url(KEYS.to_owned())),
        wanted: wanted(),
        accounts: Admitted::Listed,
        openid_configuration: None,
        hosts: Vec::new(),
    }
}

pub(super) fn signature(keys: KeySource) -> Proof {
    Proof::Signature(Signature {
        keys,
        refresh: 60 * MINUTE,
    })
}

pub(super) fn introspection() -> Proof {
    Proof::Introspection(Introspection {
        url: ASK.to_owned(),
        client: Some(("mail server".to_owned(), Secret::new("s:cret"))),
        cache: MINUTE,
    })
}

/// Claims that are good until a minute after [`World`] begins.
pub(super) fn claims() -> Value {
    json!({
        "iss": ISSUER,
        "aud": "mail",
        "exp": START + 60,
        "email": "ann@example.org",
    })
}

/// `claims()`, changed.
pub(super) fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

/// When [`World`] begins, in seconds since 1970.
pub(super) const START: u64 = 1_800_000_000;

/// Something that signs.
pub(super) enum Signer {
    Rsa(lc::RsaKeyPair),
    Ec(lc::EcdsaKeyPair),
    Ed(lc::Ed25519KeyPair),
}

/// A key of an issuer.
pub(super) struct TestKey {
    pub(super) algorithm: &'static str,
    id: &'static str,
    signer: Signer,
}

impl TestKey {
    pub(super) fn rsa(id: &'static str, algorithm: &'static str) -> Self {
        let size = aws_lc_rs::rsa::KeySize::Rsa2048;
        let signer = Signer::Rsa(lc::RsaKeyPair::generate(size).unwrap());
        Self {
            algorithm,
            id,
            signer,
        }
    }

    pub(super) fn ec(id: &'static str, algorithm: &'static str) -> Self {
        let how = match algorithm {
            "ES256" => &lc::ECDSA_P256_SHA256_FIXED_SIGNING,
            "ES384" => &lc::ECDSA_P384_SHA384_FIXED_SIGNING,
            _ => &lc::ECDSA_P521_SHA512_FIXED_SIGNING,
        };
        let signer = Signer::Ec(lc::EcdsaKeyPair::generate(how).unwrap());
        Self {
            algorithm,
            id,
            signer,
        }
    }

    pub(super) fn ed(id: &'static str) -> Self {
        Self {
            algorithm: "EdDSA",
            id,
            signer: Signer::Ed(lc::Ed25519KeyPair::generate().unwrap()),
        }
    }

    /// The public half, as a JWK.
    pub(super) fn public(&self) -> Value {
        let encode = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
        match &self.signer {
            Signer::Rsa(pair) => {
                // RSAPublicKey in DER (RFC 8017 appendix A.1.1), of 2048 bits: the headers of the
                // sequence and of the modulus, that, and three octets of the exponent.
                let public = pair.public_key().as_ref();
                let (n, e) = (encode(&public[9..265]), encode(&public[267..]));
                json!({"kty": "RSA", "kid": self.id, "n": n, "e": e})
            }
            Signer::Ec(pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = match self.algorithm {
                    "ES256" => "P-256",
                    "ES384" => "P-384",
                    _ => "P-521",
                };
                json!({"kty": "EC", "crv": curve, "kid": self.id, "x": encode(x), "y": encode(y)})
            }
            Signer::Ed(pair) => {
                let x = encode(pair.public_key().as_ref());
                json!({"kty": "OKP", "crv": "Ed25519", "kid": self.id, "x": x})
            }
        }
    }

    pub(super) fn header(&self) -> Value {
        json!({"alg": self.algorithm, "kid": self.id, "typ": "at+jwt"})
    }

    /// A token with these claims.
    pub(super) fn token(&self, claims: &Value) -> String {
        self.token_with(&self.header().to_string(), &claims.to_string())
    }

    /// A token with this header and payload, whatever they are.
    pub(super) fn token_with(&self, header: &str, payload: &str) -> String {
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(payload)
        );
        let signature = self.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = aws_lc_rs::rand::SystemRandom::new();
        match &self.signer {
            Signer::Rsa(pair) => {
                let how: &dyn lc::RsaEncoding = match self.algorithm {
                    "RS256" => &lc::RSA_PKCS1_SHA256,
                    "RS384" => &lc::RSA_PKCS1_SHA384,
                    "RS512" => &lc::RSA_PKCS1_SHA512,
                    "PS256" => &lc::RSA_PSS_SHA256,
                    "PS384" => &lc::RSA_PSS_SHA384,
                    _ => &lc::RSA_PSS_SHA512,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(how, &random, message, &mut signature).unwrap();
                signature
            }
            Signer::Ec(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Signer::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

/// The keys' public halves, as a JWK set.
pub(super) fn set(keys: &[&TestKey]) -> String {
    let keys: Vec<Value> = keys.iter().map(|key| key.public()).collect();
    json!({ "keys": keys }).to_string()
}

/// An issuer, as far as it is asked.
#[derive(Default)]
pub(super) struct Answers {
    /// What each URL answers; what is not here is away.
    bodies: HashMap<String, String>,
    /// What was asked: the URL, the body and the authorization.
    pub(super) asked: Vec<(String, String, String)>,
}

/// An issuer, and somebody who checks its tokens.
pub(super) struct World {
    pub(super) answers: Arc<Mutex<Answers>>,
    pub(super) issuer: Issuer,
    start: Instant,
    wall: Arc<Mutex<SystemTime>>,
}

impl World {
    pub(super) fn new(proof: Proof) -> Self {
        Self::with(proof, wanted()).unwrap()
    }

    pub(super) fn with(proof: Proof, wanted: Wanted) -> Result<Self, KeySetError> {
        let answers = Arc::new(Mutex::new(Answers::default()));
        let begin = SystemTime::UNIX_EPOCH + Duration::from_secs(START);
        let wall = Arc::new(Mutex::new(begin));
        let (asked, clock) = (Arc::clone(&answers), Arc::clone(&wall));
        let fetch = move |request: &Request<'_>| {
            let mut answers = asked.lock().unwrap();
            let (body, authorization) =
                request.form.as_ref().map_or_else(Default::default, |form| {
                    let text =
                        |secret: &Secret| String::from_utf8(secret.expose().to_vec()).unwrap();
                    let authorization = form.authorization.as_ref().map(text);
                    (text(&form.body), authorization.unwrap_or_default())
                });
            let url = request.url.to_owned();
            let answer = answers.bodies.get(&url).cloned();
            answers.asked.push((url, body, authorization));
            let answer = answer.ok_or_else(|| {
                FetchError::Away(io::Error::from(io::ErrorKind::ConnectionRefused))
            })?;
            if let Some(status) = answer.strip_prefix("status ") {
                return Err(FetchError::Status(status.parse().unwrap()));
            }
            assert!(answer.len() as u64 <= request.limit);
            Ok(answer.into_bytes())
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "any instant will do, and std has no other"
        )]
        let start = Instant::now();
        Ok(Self {
            answers,
            issuer: Issuer::new(
                Options {
                    proof,
                    wanted,
                    ..options()
                },
                Box::new(fetch),
                Box::new(move || *clock.lock().unwrap()),
                &|| 7,
            )?,
            start,
            wall,
        })
    }

    pub(super) fn answer(&self, url: &str, body: impl ToString) {
        let mut answers = self.answers.lock().unwrap();
        answers.bodies.insert(url.to_owned(), body.to_string());
    }

    pub(super) fn is_away(&self) {
        self.answers.lock().unwrap().bodies.clear();
    }

    /// Lets the clock on the wall go on.
    pub(super) fn later(&self, by: Duration) {
        *self.wall.lock().unwrap() += by;
    }

    /// How often anything was asked.
    pub(super) fn asked(&self) -> usize {
        self.answers.lock().unwrap().asked.len()
    }

    /// What comes of a token, so long after the start.
    pub(super) fn check_at(&self, token: &str, after: Duration) -> Result<String, Refusal> {
        self.issuer.check(&Secret::new(token), self.start + after)
    }

    pub(super) fn check(&self, token: &str) -> Result<String, Refusal> {
        self.check_at(token, Duration::ZERO)
    }
}

pub(super) fn invalid(reason: Reason) -> Result<String, Refusal> {
    Err(Refusal::Invalid(reason))
}

pub(super) fn ann() -> Result<String, Refusal> {
    Ok("ann@example.org".to_owned())
}
