//! The certificate and its key: readable, usable, belonging together, the key for few eyes, and
//! nothing that clients will object to.

use std::io;
use std::time::SystemTime;

use super::{Check, is_world_readable};
use crate::config::Finding;
use crate::tls::{self, Certificates, Objection};

/// Checks certificate and key, as of `now`.
pub(super) fn check(check: &mut Check<'_>, now: SystemTime) {
    let (certificate, key) = (&check.settings.tls.certificate, &check.settings.tls.key);
    match Certificates::load(certificate, key) {
        Ok(certificates) => {
            for objection in certificates.objections(&check.settings.hostname, now) {
                warn(check, &objection);
            }
        }
        Err(error) => {
            refuse(check, &error);
            // Loading stops at the first file that is bad; the other one is looked at here.
            let of_certificate = match &error {
                tls::Error::Read { path, .. } => path == certificate,
                tls::Error::NoCertificate { .. } => true,
                tls::Error::NoKey { .. }
                | tls::Error::Mismatch { .. }
                | tls::Error::Unusable { .. } => false,
            };
            if of_certificate && let Err(error) = tls::look_at_key(key) {
                refuse(check, &error);
            }
        }
    }
    // What holds no key, such as a certificate in its place, may be read by everybody.
    if is_world_readable(key) && tls::look_at_key(key).is_ok() {
        let problem = "other users of this machine can read the private key";
        let fix = format!("chmod o-rwx {}", key.display());
        check.push("key", Finding::warning(key, None, problem, fix));
    }
}

/// Tells what makes a certificate unusable, and its fix.
fn refuse(check: &mut Check<'_>, error: &tls::Error) {
    let (certificate, key) = (&check.settings.tls.certificate, &check.settings.tls.key);
    let (setting, problem, fix) = match error {
        tls::Error::Read { path, source } => {
            let (setting, correct) = if path == certificate {
                (
                    "certificate",
                    "correct `certificate`, or give every listener tls = \"none\"",
                )
            } else {
                (
                    "key",
                    "correct `key`, or give every listener tls = \"none\"",
                )
            };
            let fix = if source.kind() == io::ErrorKind::NotFound {
                correct
            } else {
                "make it readable for the user that Pillarbox runs as"
            };
            (setting, format!("cannot be read: {source}"), fix)
        }
        tls::Error::NoCertificate { .. } => (
            "certificate",
            "holds no certificate in PEM".to_owned(),
            "let `certificate` name the file with the certificate and its chain",
        ),
        tls::Error::NoKey { .. } => (
            "key",
            "holds no unencrypted private key in PEM".to_owned(),
            "let `key` name the file with the private key, without a passphrase",
        ),
        tls::Error::Mismatch { .. } => (
            "key",
            format!(
                "does not belong to the certificate in {}",
                certificate.display()
            ),
            "let `certificate` and `key` name files that were made together",
        ),
        tls::Error::Unusable { source, .. } => (
            "certificate",
            format!("cannot be used: {source}"),
            "use an RSA key of at least 2048 bits, or an ECDSA or Ed25519 key, with its certificate",
        ),
    };
    let file = if setting == "key" { key } else { certificate };
    check.push(setting, Finding::error(file, None, problem, fix));
}

/// Tells what clients will object to, and its fix.
fn warn(check: &mut Check<'_>, objection: &Objection) {
    let hostname = &check.settings.hostname;
    let renew = "renew it, and send SIGHUP to the server";
    let (problem, fix) = match objection {
        Objection::Early => (
            "is not valid yet".to_owned(),
            "set the clock of this machine, or wait".to_owned(),
        ),
        Objection::Expired(days) => (
            format!("expired {} ago", show_days(*days)),
            renew.to_owned(),
        ),
        Objection::Expiring(days) => (format!("expires in {}", show_days(*days)), renew.to_owned()),
        Objection::Purpose => (
            "is not meant for servers".to_owned(),
            "get one for server authentication".to_owned(),
        ),
        Objection::Name(names) => {
            let covered = match names.as_slice() {
                [] => "any name".to_owned(),
                names => format!("{hostname}, only {}", names.join(", ")),
            };
            (
                format!("does not cover {covered}"),
                format!(
                    "get one for {hostname}, or let `hostname` be the name that clients connect to"
                ),
            )
        }
    };
    let file = &check.settings.tls.certificate;
    check.push("certificate", Finding::warning(file, None, problem, fix));
}

/// A number of days in words.
fn show_days(days: u64) -> String {
    match days {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}
