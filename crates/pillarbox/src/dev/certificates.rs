//! A certificate authority for local tests, and the certificate of `localhost`.
//!
//! The authority signs one certificate, and its key is then forgotten: nobody who gets at the
//! directory can make a certificate that a machine trusting the authority would accept. It is
//! also constrained to `localhost` and the loopback addresses (RFC 5280 §4.2.1.10).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CidrSubnet, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose, NameConstraints,
};

use crate::tls;

/// The files in a certificate directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The authority's certificate, for clients to trust.
    pub authority: PathBuf,
    /// The server's certificate.
    pub certificate: PathBuf,
    /// The server's key.
    pub key: PathBuf,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory or a file in it cannot be made.
    #[error("certificates in {}: {source}", directory.display())]
    Io {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The certificate cannot be made.
    #[error("certificates: {0}")]
    Generate(#[from] rcgen::Error),
}

/// The certificate in `directory`: the one that is there, as long as it is valid for another week,
/// or a new one.
///
/// # Errors
/// If it cannot be made or written.
pub fn obtain(directory: &Path, now: SystemTime) -> Result<Files, Error> {
    let io = |source| Error::Io {
        directory: directory.to_owned(),
        source,
    };
    fs::create_dir_all(directory).map_err(io)?;
    // Two servers that start at once must not mix their files.
    let lock = File::open(directory).map_err(io)?;
    lock.lock().map_err(io)?;
    let files = Files {
        authority: directory.join("ca.pem"),
        certificate: directory.join("localhost.pem"),
        key: directory.join("localhost-key.pem"),
    };
    let Files {
        authority,
        certificate,
        key,
    } = &files;
    if tls::is_valid(authority, certificate, key, &NAMES, now + WEEK) {
        return Ok(files);
    }
    let made = generate(now)?;
    write(authority, &made.authority, 0o644).map_err(io)?;
    write(certificate, &made.certificate, 0o644).map_err(io)?;
    write(key, &made.key, 0o600).map_err(io)?;
    Ok(files)
}

/// Certificates and a key as PEM.
struct Made {
    authority: String,
    certificate: String,
    key: String,
}

/// Makes an authority and a certificate signed by it.
fn generate(now: SystemTime) -> Result<Made, rcgen::Error> {
    let mut authority = params(&[], "Pillarbox local test authority", now)?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![
            GeneralSubtree::DnsName("localhost".to_owned()),
            GeneralSubtree::IpAddress(CidrSubnet::V4([127, 0, 0, 0], [255, 0, 0, 0])),
            GeneralSubtree::IpAddress(CidrSubnet::V6(LOOPBACK6, [255; 16])),
        ],
        excluded_subtrees: Vec::new(),
    });
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

    let mut server = params(&NAMES, "localhost", now)?;
    server.is_ca = IsCa::ExplicitNoCa;
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let server = server.signed_by(&key, &authority)?;
    Ok(Made {
        authority: authority.pem(),
        certificate: server.pem(),
        key: key.serialize_pem(),
    })
}

/// What both certificates have in common.
fn params(
    names: &[&str],
    common_name: &str,
    now: SystemTime,
) -> Result<CertificateParams, rcgen::Error> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.not_before = (now - DAY).into();
    params.not_after = (now + LIFETIME).into();
    Ok(params)
}

/// Replaces a file in one step.
fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let temporary = path.with_extension("pem.tmp");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&temporary, path)
}

/// What the certificate is for.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// `::1`.
const LOOPBACK6: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Apple's systems accept no certificate that is valid for more than 825 days.
const LIFETIME: Duration = Duration::from_secs(800 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn read(files: &Files) -> Vec<String> {
        [&files.authority, &files.certificate, &files.key]
            .map(|path| fs::read_to_string(path).unwrap())
            .to_vec()
    }

    #[test]
    fn a_certificate_is_reused_while_it_is_valid() {
        let directory = tempfile::tempdir().unwrap();
        let certs = directory.path().join("certs");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_770_000_000);
        let files = obtain(&certs, now).unwrap();
        let first = read(&files);
        assert_eq!(read(&obtain(&certs, now + DAY).unwrap()), first);
        assert_ne!(read(&obtain(&certs, now + LIFETIME).unwrap()), first);
        assert_eq!(
            fs::read_dir(&certs).unwrap().count(),
            3,
            "no temporary files"
        );
    }

    #[test]
    fn a_damaged_certificate_is_made_again() {
        let directory = tempfile::tempdir().unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_770_000_000);
        let files = obtain(directory.path(), now).unwrap();
        let first = read(&files);
        for damage in [&files.authority, &files.certificate, &files.key] {
            fs::write(damage, "damaged").unwrap();
            let files = obtain(directory.path(), now).unwrap();
            assert!(tls::is_valid(
                &files.authority,
                &files.certificate,
                &files.key,
                &NAMES,
                now
            ));
            assert_ne!(read(&files), first);
        }
    }

    #[test]
    fn the_key_is_ours_alone_and_the_authority_is_for_loopback_only() {
        let directory = tempfile::tempdir().unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_770_000_000);
        let files = obtain(directory.path(), now).unwrap();
        let mode = fs::metadata(&files.key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let valid_for = |names: &[&str]| {
            tls::is_valid(&files.authority, &files.certificate, &files.key, names, now)
        };
        assert!(valid_for(&["localhost", "127.0.0.1", "::1"]));
        assert!(!valid_for(&["mail.example.org"]));
        assert!(!valid_for(&["127.0.0.2"]));
    }
}
