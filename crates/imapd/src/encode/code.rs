//! Response codes (RFC 3501 §7.1, RFC 4315 §3, RFC 5530 §3).

use crate::extension::{InProgress, InProgressState, notify};
use crate::response::{Code, MetadataCode, PlainCode};
use crate::types::Tag;

use super::fetch::object_id;
use super::{name, name_list, number, spaced, string};

/// Writes `resp-text-code` (RFC 3501 §9).
pub(super) fn resp_text_code(out: &mut Vec<u8>, code: &Code) {
    match code {
        Code::Alert => out.extend_from_slice(b"ALERT"),
        Code::BadCharset(charsets) => bad_charset(out, charsets),
        Code::Capability(names) => capability_data(out, names),
        Code::Parse => out.extend_from_slice(b"PARSE"),
        Code::PermanentFlags(flags) => {
            out.extend_from_slice(b"PERMANENTFLAGS ");
            name_list(out, flags);
        }
        Code::ReadOnly => out.extend_from_slice(b"READ-ONLY"),
        Code::ReadWrite => out.extend_from_slice(b"READ-WRITE"),
        Code::TryCreate => out.extend_from_slice(b"TRYCREATE"),
        Code::UidNext(uid) => numbered(out, "UIDNEXT", uid.get()),
        Code::UidValidity(validity) => numbered(out, "UIDVALIDITY", validity.get()),
        Code::Unseen(seq) => numbered(out, "UNSEEN", seq.get()),
        Code::AppendUid(validity, uids) => {
            out.extend_from_slice(format!("APPENDUID {validity} {uids}").as_bytes());
        }
        Code::CopyUid(validity, from, to) => {
            out.extend_from_slice(format!("COPYUID {validity} {from} {to}").as_bytes());
        }
        Code::NotSaved => out.extend_from_slice(b"NOTSAVED"),
        Code::HighestModSeq(mod_seq) => {
            out.extend_from_slice(b"HIGHESTMODSEQ ");
            number(out, mod_seq.get());
        }
        Code::MailboxId(id) => {
            out.extend_from_slice(b"MAILBOXID");
            object_id(out, *id);
        }
        Code::NoModSeq => out.extend_from_slice(b"NOMODSEQ"),
        Code::Modified(messages) => {
            out.extend_from_slice(format!("MODIFIED {messages}").as_bytes());
        }
        Code::Closed => out.extend_from_slice(b"CLOSED"),
        Code::BadEvent => {
            out.extend_from_slice(b"BADEVENT ");
            name_list(out, &notify::SUPPORTED);
        }
        Code::NotificationOverflow => out.extend_from_slice(b"NOTIFICATIONOVERFLOW"),
        Code::UidRequired => out.extend_from_slice(b"UIDREQUIRED"),
        Code::UidNotSticky => out.extend_from_slice(b"UIDNOTSTICKY"),
        Code::CompressionActive => out.extend_from_slice(b"COMPRESSIONACTIVE"),
        Code::InProgress(progress) => in_progress(out, progress),
        Code::TooBig => out.extend_from_slice(b"TOOBIG"),
        Code::BadUrl(url) => bad_url(out, url),
        Code::UnknownCte => out.extend_from_slice(b"UNKNOWN-CTE"),
        Code::Metadata(code) => metadata(out, *code),
        Code::UseAttr => out.extend_from_slice(b"USEATTR"),
        Code::Plain(code) => out.extend_from_slice(plain_code(*code).as_bytes()),
    }
}

/// Writes `capability-data = "CAPABILITY" *(SP capability) SP "IMAP4rev1" *(SP capability)`
/// (RFC 3501 §9).
pub(super) fn capability_data(out: &mut Vec<u8>, names: &[String]) {
    out.extend_from_slice(b"CAPABILITY ");
    spaced(out, names, |out, item| name(out, item));
}

/// Writes `"BADCHARSET" [SP "(" astring *(SP astring) ")" ]` (RFC 3501 §9).
fn bad_charset(out: &mut Vec<u8>, charsets: &[String]) {
    out.extend_from_slice(b"BADCHARSET");
    if !charsets.is_empty() {
        out.extend_from_slice(b" (");
        spaced(out, charsets, |out, charset| {
            string::astring(out, charset.as_bytes());
        });
        out.push(b')');
    }
}

/// Writes `"INPROGRESS" [ SP "(" inprogress-tag SP inprogress-state ")" ]`, without the list if it
/// tells nothing (RFC 9585 §5).
fn in_progress(out: &mut Vec<u8>, progress: &InProgress) {
    let InProgress { tag, state } = progress;
    out.extend_from_slice(b"INPROGRESS");
    if tag.is_none() && *state == InProgressState::Unknown {
        return;
    }
    out.extend_from_slice(b" (");
    match tag.as_ref().map(Tag::as_str) {
        Some(tag) => string::quoted(out, tag.as_bytes()),
        None => out.extend_from_slice(b"NIL"),
    }
    let state = match state {
        InProgressState::Unknown => " NIL NIL)".to_owned(),
        InProgressState::Counting(done) => format!(" {done} NIL)"),
        InProgressState::KnownGoal(done, goal) => format!(" {done} {goal})"),
    };
    out.extend_from_slice(state.as_bytes());
}

/// Writes `badurl-response-code = "BADURL" SP url-resp-text` (RFC 4469 §5); what cannot stand there
/// is percent-encoded, as in any URL.
fn bad_url(out: &mut Vec<u8>, url: &[u8]) {
    out.extend_from_slice(b"BADURL ");
    for &octet in url {
        if octet.is_ascii_graphic() && octet != b']' {
            out.push(octet);
        } else {
            out.extend_from_slice(format!("%{octet:02X}").as_bytes());
        }
    }
}

/// Writes `"METADATA" SP ("LONGENTRIES" SP number / "MAXSIZE" SP number / "TOOMANY")`
/// (RFC 5464 §5).
fn metadata(out: &mut Vec<u8>, code: MetadataCode) {
    out.extend_from_slice(b"METADATA ");
    match code {
        MetadataCode::LongEntries(octets) => numbered(out, "LONGENTRIES", octets),
        MetadataCode::MaxSize(octets) => numbered(out, "MAXSIZE", octets),
        MetadataCode::TooMany => out.extend_from_slice(b"TOOMANY"),
    }
}

/// Writes a code with a number, such as `"UIDNEXT" SP nz-number` (RFC 3501 §9).
fn numbered(out: &mut Vec<u8>, code: &str, value: u32) {
    out.extend_from_slice(code.as_bytes());
    out.push(b' ');
    number(out, value);
}

/// The name of a code without arguments (RFC 5530 §3).
const fn plain_code(code: PlainCode) -> &'static str {
    match code {
        PlainCode::Unavailable => "UNAVAILABLE",
        PlainCode::AuthenticationFailed => "AUTHENTICATIONFAILED",
        PlainCode::AuthorizationFailed => "AUTHORIZATIONFAILED",
        PlainCode::PrivacyRequired => "PRIVACYREQUIRED",
        PlainCode::NoPerm => "NOPERM",
        PlainCode::InUse => "INUSE",
        PlainCode::ExpungeIssued => "EXPUNGEISSUED",
        PlainCode::ContactAdmin => "CONTACTADMIN",
        PlainCode::ServerBug => "SERVERBUG",
        PlainCode::ClientBug => "CLIENTBUG",
        PlainCode::Cannot => "CANNOT",
        PlainCode::Limit => "LIMIT",
        PlainCode::OverQuota => "OVERQUOTA",
        PlainCode::AlreadyExists => "ALREADYEXISTS",
        PlainCode::NonExistent => "NONEXISTENT",
        PlainCode::HasChildren => "HASCHILDREN",
    }
}
