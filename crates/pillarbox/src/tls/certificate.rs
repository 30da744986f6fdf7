//! What we read of a certificate ourselves (RFC 5280 §4.1): the little that rustls does not tell.

use aws_lc_rs::digest::{self, Algorithm, digest};

/// The channel binding `tls-server-end-point` of a server with this certificate: its hash, by the
/// hash function of its signature, with SHA-256 in the place of MD5 and SHA-1; `None` where the
/// signature has no hash function of its own, or one that is not known here (RFC 5929 §4.1).
pub(super) fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let algorithm = signature_hash(certificate)?;
    Some(digest(algorithm, certificate).as_ref().to_vec())
}

/// `Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue }`
fn signature_hash(certificate: &[u8]) -> Option<&'static Algorithm> {
    let (fields, _) = value(SEQUENCE, certificate)?;
    let (_, fields) = value(SEQUENCE, fields)?;
    let (identifier, parameters) = algorithm_identifier(fields)?;
    if identifier == RSASSA_PSS {
        return pss_hash(parameters);
    }
    let known = SIGNATURES.iter().find(|(known, _)| *known == identifier);
    known.map(|(_, hash)| *hash)
}

/// `RSASSA-PSS-params ::= SEQUENCE { hashAlgorithm [0] HashAlgorithm DEFAULT sha1, … }`
/// (RFC 4055 §3.1)
fn pss_hash(parameters: &[u8]) -> Option<&'static Algorithm> {
    let (fields, _) = value(SEQUENCE, parameters)?;
    let Some((hash, _)) = value(CONTEXT_0, fields) else {
        // SHA-1.
        return Some(&digest::SHA256);
    };
    let (identifier, _) = algorithm_identifier(hash)?;
    let known = HASHES.iter().find(|(known, _)| *known == identifier);
    known.map(|(_, hash)| *hash)
}

/// `AlgorithmIdentifier ::= SEQUENCE { algorithm OBJECT IDENTIFIER, parameters ANY OPTIONAL }`
fn algorithm_identifier(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (fields, _) = value(SEQUENCE, input)?;
    value(OBJECT_IDENTIFIER, fields)
}

/// The contents of the value with this tag that `input` begins with, and what follows it.
fn value(tag: u8, input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&found, input) = input.split_first()?;
    let (&length, input) = input.split_first()?;
    let (length, input) = if length < 0x80 {
        (usize::from(length), input)
    } else {
        // More than four octets of length are more than a certificate can have.
        let octets = usize::from(length & 0x7f);
        let (octets, input) = input
            .split_at_checked(octets)
            .filter(|(it, _)| it.len() <= 4)?;
        let length = octets
            .iter()
            .fold(0_u32, |all, &it| all << 8 | u32::from(it));
        (usize::try_from(length).ok()?, input)
    };
    (found == tag).then(|| input.split_at_checked(length))?
}

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
const CONTEXT_0: u8 = 0xa0;

/// id-RSASSA-PSS
const RSASSA_PSS: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a";

/// The signature algorithms with a hash function of their own (RFC 3279 §2.2, RFC 4055 §5,
/// RFC 5758 §3.2).
const SIGNATURES: [(&[u8], &Algorithm); 9] = [
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04", &digest::SHA256),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05", &digest::SHA256),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", &digest::SHA256),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c", &digest::SHA384),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d", &digest::SHA512),
    (b"\x2a\x86\x48\xce\x3d\x04\x01", &digest::SHA256),
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x02", &digest::SHA256),
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x03", &digest::SHA384),
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x04", &digest::SHA512),
];

/// Hash functions by their own names (RFC 4055 §2.1).
const HASHES: [(&[u8], &Algorithm); 4] = [
    (b"\x2b\x0e\x03\x02\x1a", &digest::SHA256),
    (b"\x60\x86\x48\x01\x65\x03\x04\x02\x01", &digest::SHA256),
    (b"\x60\x86\x48\x01\x65\x03\x04\x02\x02", &digest::SHA384),
    (b"\x60\x86\x48\x01\x65\x03\x04\x02\x03", &digest::SHA512),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// `SEQUENCE { SEQUENCE {}, SEQUENCE { OBJECT IDENTIFIER, parameters } }`
    fn signed_with(identifier: &[u8], parameters: &[u8]) -> Vec<u8> {
        let wrap = |tag: u8, contents: &[u8]| {
            let length = u8::try_from(contents.len()).unwrap();
            [&[tag, length], contents].concat()
        };
        let algorithm = [&wrap(OBJECT_IDENTIFIER, identifier), parameters].concat();
        let fields = [wrap(SEQUENCE, b""), wrap(SEQUENCE, &algorithm)].concat();
        wrap(SEQUENCE, &fields)
    }

    fn bits(certificate: &[u8]) -> Option<usize> {
        signature_hash(certificate).map(|hash| hash.output_len() * 8)
    }

    #[test]
    fn the_hash_function_is_that_of_the_signature() {
        for (identifier, hash) in SIGNATURES {
            let certificate = signed_with(identifier, b"\x05\x00");
            assert_eq!(signature_hash(&certificate), Some(hash));
            let hashed = end_point(&certificate).unwrap();
            assert_eq!(hashed, digest(hash, &certificate).as_ref());
        }
        let sha_384 = b"\x30\x0f\xa0\x0d\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02";
        assert_eq!(bits(&signed_with(RSASSA_PSS, sha_384)), Some(384));
        assert_eq!(
            bits(&signed_with(RSASSA_PSS, b"\x30\x00")),
            Some(256),
            "SHA-1 by default"
        );
        let ed25519 = b"\x2b\x65\x70";
        assert_eq!(bits(&signed_with(ed25519, b"")), None, "has none");
    }

    #[test]
    fn what_is_cut_off_or_damaged_has_no_end_point() {
        let whole = signed_with(SIGNATURES[2].0, b"\x05\x00");
        for length in 0..whole.len() {
            assert_eq!(signature_hash(&whole[..length]), None);
        }
        for bad in [
            &b"\x30\x80"[..],
            b"\x30\x84\xff\xff\xff\xff\x30\x00",
            b"\x30\x85\x00\x00\x00\x00\x00",
            b"\x31\x00",
        ] {
            assert_eq!(signature_hash(bad), None);
        }
    }
}
