//! An issuer of tokens (OAuth 2.0) that a test runs on loopback, over HTTP or HTTPS, and that
//! behaves as it should or as badly as it is told.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio_rustls::rustls::crypto::aws_lc_rs as provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::server::identity_files;

/// A running issuer; it stops when it is dropped.
pub struct Issuer {
    scheme: &'static str,
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What an issuer does when it is asked.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It answers with this JSON.
    Json(Value),
    /// It says of these tokens what it knows, and of others that they are not active (RFC 7662).
    Tokens(Vec<(String, Value)>),
    /// It answers with this status.
    Status(u16),
    /// It sends whoever asks elsewhere.
    Redirect(String),
    /// It begins an answer that never ends.
    Endless,
    /// It says that its answer has so many octets, and sends one.
    Short(u64),
    /// It never answers.
    Silence,
    /// It says something that is not HTTP.
    Garbage,
}

/// What an issuer was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Where.
    pub path: String,
    /// The field `Authorization`.
    pub authorization: Option<String>,
    /// The body.
    pub body: String,
}

struct Shared {
    answers: Mutex<HashMap<String, Answer>>,
    asked: Mutex<Vec<Asked>>,
    stops: AtomicBool,
    tls: Option<Arc<ServerConfig>>,
}

impl Issuer {
    /// Starts one that speaks HTTP in the clear.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn http() -> Result<Self> {
        Self::start("http", None)
    }

    /// Starts one that speaks HTTPS as `localhost`, and writes its certificate to a file.
    ///
    /// # Errors
    /// If it cannot listen, or the file cannot be written.
    pub fn https(certificate: &Path) -> Result<Self> {
        let key = certificate.with_extension("key");
        identity_files(certificate, &key)?;
        let chain = vec![CertificateDer::from_pem_file(certificate)?];
        let key = PrivateKeyDer::from_pem_file(key)?;
        let provider = Arc::new(provider::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Self::start("https", Some(Arc::new(tls)))
    }

    fn start(scheme: &'static str, tls: Option<Arc<ServerConfig>>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("an issuer")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            answers: Mutex::default(),
            asked: Mutex::default(),
            stops: AtomicBool::new(false),
            tls,
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepting.stops.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                // A client that goes away in the middle is not this thread's concern.
                std::thread::spawn(move || shared.serve(stream).unwrap_or_default());
            }
        });
        Ok(Self {
            scheme,
            address,
            shared,
        })
    }

    /// The URL of a path, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}://localhost:{}{path}", self.scheme, self.address.port())
    }

    /// Lets it answer so at a path from now on.
    pub fn answer(&self, path: &str, answer: Answer) {
        let mut answers = lock(&self.shared.answers);
        answers.insert(path.to_owned(), answer);
    }

    /// Publishes keys, and a configuration that says where they are.
    pub fn publish(&self, keys: &[&SigningKey]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.public()).collect();
        self.answer("/keys", Answer::Json(json!({ "keys": keys })));
        let configuration = json!({"issuer": self.url(""), "jwks_uri": self.url("/keys")});
        self.answer(
            "/.well-known/openid-configuration",
            Answer::Json(configuration),
        );
    }

    /// What it was asked so far at a path.
    pub fn asked(&self, path: &str) -> Vec<Asked> {
        let asked = lock(&self.shared.asked);
        let here = asked.iter().filter(|asked| asked.path == path);
        here.cloned().collect()
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.shared.stops.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts; if that fails, it has ended.
        drop(TcpStream::connect(self.address));
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("url", &self.url(""))
            .finish_non_exhaustive()
    }
}

/// A stream of either kind.
trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

impl Shared {
    /// Serves one connection until its client closes it.
    fn serve(&self, stream: TcpStream) -> Result<()> {
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(stream),
            Some(tls) => {
                let connection = ServerConnection::new(Arc::clone(tls))?;
                Box::new(StreamOwned::new(connection, stream))
            }
        };
        let mut stream = BufReader::new(stream);
        while let Some(asked) = request(&mut stream)? {
            let answer = lock(&self.answers).get(&asked.path).cloned();
            let body = asked.body.clone();
            lock(&self.asked).push(asked);
            if !reply(&mut stream, answer.unwrap_or(Answer::Status(404)), &body)? {
                break;
            }
        }
        Ok(())
    }
}

/// Reads one request; `None` at the end.
fn request(stream: &mut impl BufRead) -> Result<Option<Asked>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).context("no path")?.to_owned();
    let (mut authorization, mut length) = (None, 0);
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => authorization = Some(value.to_owned()),
            "content-length" => length = value.parse()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Some(Asked {
        path,
        authorization,
        body: String::from_utf8(body)?,
    }))
}

/// Answers; says whether the connection goes on.
fn reply(stream: &mut BufReader<Box<dyn Stream>>, answer: Answer, body: &str) -> Result<bool> {
    let mut json = |text: &Value| -> Result<bool> {
        let text = text.to_string();
        let length = text.len();
        let head = "Content-Type: application/json\r\nContent-Length";
        say(
            stream,
            &format!("HTTP/1.1 200 OK\r\n{head}: {length}\r\n\r\n{text}"),
        )?;
        Ok(true)
    };
    match answer {
        Answer::Json(value) => return json(&value),
        Answer::Tokens(known) => return json(&introspect(&known, body)),
        Answer::Status(status) => {
            let head = "Content-Length: 0\r\n\r\n";
            say(stream, &format!("HTTP/1.1 {status} No\r\n{head}"))?;
            return Ok(true);
        }
        Answer::Redirect(to) => {
            let head = format!("Location: {to}\r\nContent-Length: 0\r\n\r\n");
            say(stream, &format!("HTTP/1.1 302 Found\r\n{head}"))?;
        }
        Answer::Endless => {
            say(
                stream,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            )?;
            // Ends with an error when the client has had enough.
            loop {
                say(stream, &format!("1000\r\n{:4096}\r\n", " "))?;
            }
        }
        Answer::Short(length) => {
            let head = format!("Content-Length: {length}\r\n\r\n{{");
            say(stream, &format!("HTTP/1.1 200 OK\r\n{head}"))?;
        }
        Answer::Silence => {
            // Until the client has had enough.
            io::copy(stream, &mut io::sink())?;
        }
        Answer::Garbage => say(stream, "* OK IMAP4rev1 ready\r\n")?,
    }
    Ok(false)
}

fn say(stream: &mut BufReader<Box<dyn Stream>>, text: &str) -> Result<()> {
    stream.get_mut().write_all(text.as_bytes())?;
    stream.get_mut().flush()?;
    Ok(())
}

/// What is known of the token in the body of a question (RFC 7662 §2.1).
pub fn introspect(known: &[(String, Value)], body: &str) -> Value {
    let field = body.split('&').find_map(|it| it.strip_prefix("token="));
    let token = field.map(decode).unwrap_or_default();
    let said = known.iter().find(|(known, _)| *known == token);
    said.map_or_else(|| json!({"active": false}), |(_, said)| said.clone())
}

/// A value of a form, decoded.
fn decode(text: &str) -> String {
    let mut octets = Vec::new();
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        let digit = |octet: Option<u8>| char::from(octet?).to_digit(16);
        match octet {
            b'%' => {
                let value = digit(rest.next()).zip(digit(rest.next()));
                let value = value.map_or(u32::from(b'?'), |(high, low)| high * 16 + low);
                octets.push(u8::try_from(value).unwrap_or(b'?'));
            }
            b'+' => octets.push(b' '),
            octet => octets.push(octet),
        }
    }
    String::from_utf8_lossy(&octets).into_owned()
}

/// A key that tokens are signed with.
pub struct SigningKey {
    id: String,
    pair: Pair,
}

enum Pair {
    Rs256(RsaKeyPair),
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

impl SigningKey {
    /// A new key for `RS256`, `ES256` or `EdDSA`.
    ///
    /// # Errors
    /// If it cannot be made, or the algorithm is another.
    pub fn new(algorithm: &str, id: &str) -> Result<Self> {
        let pair = match algorithm {
            "RS256" => RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).map(Pair::Rs256),
            "ES256" => {
                EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).map(Pair::Es256)
            }
            "EdDSA" => Ed25519KeyPair::generate().map(Pair::EdDsa),
            other => anyhow::bail!("no algorithm {other}"),
        };
        Ok(Self {
            id: id.to_owned(),
            pair: pair.ok().context("no key")?,
        })
    }

    fn algorithm(&self) -> &'static str {
        match &self.pair {
            Pair::Rs256(_) => "RS256",
            Pair::Es256(_) => "ES256",
            Pair::EdDsa(_) => "EdDSA",
        }
    }

    /// Its public half, as a JWK (RFC 7517).
    pub fn public(&self) -> Value {
        let encode = |octets: Option<&[u8]>| URL_SAFE_NO_PAD.encode(octets.unwrap_or_default());
        let mut key = match &self.pair {
            Pair::Rs256(pair) => {
                // RSAPublicKey in DER (RFC 8017 appendix A.1.1), of 2048 bits.
                let public = pair.public_key().as_ref();
                json!({"kty": "RSA", "n": encode(public.get(9..265)), "e": encode(public.get(267..))})
            }
            Pair::Es256(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (encode(point.get(1..33)), encode(point.get(33..)));
                json!({"kty": "EC", "crv": "P-256", "x": x, "y": y})
            }
            Pair::EdDsa(pair) => {
                let x = encode(Some(pair.public_key().as_ref()));
                json!({"kty": "OKP", "crv": "Ed25519", "x": x})
            }
        };
        if let Some(fields) = key.as_object_mut() {
            fields.insert("kid".to_owned(), json!(self.id));
            fields.insert("use".to_owned(), json!("sig"));
        }
        key
    }

    /// A token with these claims (RFC 7519).
    ///
    /// # Errors
    /// If it cannot be signed.
    pub fn token(&self, claims: &Value) -> Result<String> {
        let header = json!({"alg": self.algorithm(), "kid": self.id, "typ": "at+jwt"});
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&header), encode(claims));
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Rs256(pair) => {
                let mut made = vec![0; pair.public_modulus_len()];
                let how = &signature::RSA_PKCS1_SHA256;
                pair.sign(how, &random, signed.as_bytes(), &mut made)
                    .ok()
                    .context("no signature")?;
                made
            }
            Pair::Es256(pair) => {
                let made = pair.sign(&random, signed.as_bytes()).ok();
                made.context("no signature")?.as_ref().to_vec()
            }
            Pair::EdDsa(pair) => pair.sign(signed.as_bytes()).as_ref().to_vec(),
        };
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({} {})", self.algorithm(), self.id)
    }
}

/// A panic elsewhere cannot leave what is shared half-written.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
