//! Untagged responses (RFC 3501 §7.2 to §7.4).

use mailstore::ModSeq;

use crate::command::StatusItem;
use crate::response::{ExtendedSearch, ListEntry, StatusValue, Untagged};
use crate::types::ByUid;

use super::code::capability_data;
use super::fetch::{fetch_open, object_id, uid_fetch_open};
use super::status::{resp_cond_state, resp_text};
use super::{name, name_list, number, spaced, string};

/// Writes `response-data = "*" SP (…) CRLF` (RFC 3501 §9).
pub(super) fn untagged(out: &mut Vec<u8>, response: &Untagged) {
    let open = if let Untagged::Fetch(seq, items) = response {
        Some((fetch_open(out, *seq), items))
    } else if let Untagged::UidFetch(uid, items) = response {
        Some((uid_fetch_open(out, *uid), items))
    } else {
        None
    };
    if let Some((mut fetch, items)) = open {
        for item in items {
            fetch.item(out, item);
        }
        fetch.close(out);
        return;
    }
    out.extend_from_slice(b"* ");
    response_data(out, response);
    out.extend_from_slice(b"\r\n");
}

/// Writes what stands between `* ` and the line end.
fn response_data(out: &mut Vec<u8>, response: &Untagged) {
    match response {
        Untagged::Status(status, code, text) => resp_cond_state(out, *status, code.as_ref(), text),
        Untagged::Bye(code, text) => {
            out.extend_from_slice(b"BYE ");
            resp_text(out, code.as_ref(), text);
        }
        Untagged::Capability(names) => capability_data(out, names),
        Untagged::Enabled(names) => {
            out.extend_from_slice(b"ENABLED");
            for enabled in names {
                out.push(b' ');
                name(out, enabled);
            }
        }
        Untagged::List(entry) => mailbox_list(out, "LIST", entry),
        Untagged::ListWithChildInfo(entry, criteria) => {
            mailbox_list(out, "LIST", entry);
            child_info(out, criteria);
        }
        Untagged::ListWithOldName(entry, old) => {
            mailbox_list(out, "LIST", entry);
            old_name(out, old);
        }
        Untagged::Lsub(entry) => mailbox_list(out, "LSUB", entry),
        Untagged::Xlist(entry) => mailbox_list(out, "XLIST", entry),
        Untagged::Metadata(mailbox, values) => metadata_values(out, mailbox, values),
        Untagged::MetadataChanged(mailbox, entries) => metadata_entries(out, mailbox, entries),
        Untagged::StatusData(mailbox, items) => status_data(out, mailbox, items),
        Untagged::Search(numbers, mod_seq) => search(out, numbers, *mod_seq),
        Untagged::ExtendedSearch(found) => esearch_response(out, found),
        Untagged::Flags(flags) => {
            out.extend_from_slice(b"FLAGS ");
            name_list(out, flags);
        }
        Untagged::Exists(count) => counted(out, *count, "EXISTS"),
        Untagged::Recent(count) => counted(out, *count, "RECENT"),
        Untagged::Expunge(seq) => counted(out, seq.get(), "EXPUNGE"),
        Untagged::Vanished(uids) => {
            out.extend_from_slice(format!("VANISHED {uids}").as_bytes());
        }
        Untagged::VanishedEarlier(uids) => {
            out.extend_from_slice(format!("VANISHED (EARLIER) {uids}").as_bytes());
        }
        // Written in pieces by `untagged`.
        Untagged::Fetch(..) | Untagged::UidFetch(..) => {}
        Untagged::Namespace { personal, others } => namespace(out, personal, others.as_ref()),
        Untagged::Acl(mailbox, entries) => acl_data(out, mailbox, entries),
        Untagged::ListRights {
            mailbox,
            identifier,
            required,
            optional,
        } => listrights_data(out, mailbox, identifier, (required, optional)),
        Untagged::MyRights(mailbox, rights) => {
            out.extend_from_slice(b"MYRIGHTS ");
            string::mailbox(out, mailbox);
            out.push(b' ');
            string::astring(out, rights.as_bytes());
        }
        Untagged::Id(fields) => id(out, fields),
        Untagged::Quota(root, resources) => quota_response(out, root, resources),
        Untagged::QuotaRoot(mailbox, roots) => quotaroot_response(out, mailbox, roots),
    }
}

/// Writes `"ACL" SP mailbox *(SP identifier SP rights)` (RFC 4314 §7).
fn acl_data(out: &mut Vec<u8>, mailbox: &str, entries: &[(String, String)]) {
    out.extend_from_slice(b"ACL ");
    string::mailbox(out, mailbox);
    for (identifier, rights) in entries {
        for value in [identifier, rights] {
            out.push(b' ');
            string::astring(out, value.as_bytes());
        }
    }
}

/// Writes `"LISTRIGHTS" SP mailbox SP identifier SP rights *(SP rights)` (RFC 4314 §7).
fn listrights_data(
    out: &mut Vec<u8>,
    mailbox: &str,
    identifier: &[u8],
    (required, optional): (&str, &[String]),
) {
    out.extend_from_slice(b"LISTRIGHTS ");
    string::mailbox(out, mailbox);
    out.push(b' ');
    string::astring(out, identifier);
    out.push(b' ');
    string::astring(out, required.as_bytes());
    for rights in optional {
        out.push(b' ');
        string::astring(out, rights.as_bytes());
    }
}

/// Writes `"SEARCH" [1*(SP nz-number) SP search-sort-mod-seq]` (RFC 7162 §7).
fn search(out: &mut Vec<u8>, numbers: &[u32], mod_seq: Option<ModSeq>) {
    out.extend_from_slice(b"SEARCH");
    for &found in numbers {
        out.push(b' ');
        number(out, found);
    }
    if let Some(mod_seq) = mod_seq {
        out.extend_from_slice(b" (MODSEQ ");
        number(out, mod_seq.get());
        out.push(b')');
    }
}

/// Writes `"ESEARCH" [search-correlator] [SP "UID"] *(SP search-return-data)` (RFC 4466 §3).
///
/// Interop: the tag of the correlator is always in quotes, as the grammar wants; the new Outlook
/// takes no other form.
fn esearch_response(out: &mut Vec<u8>, found: &ExtendedSearch) {
    out.extend_from_slice(b"ESEARCH");
    if let Some(tag) = &found.tag {
        out.extend_from_slice(b" (TAG ");
        string::string(out, tag.as_str().as_bytes());
        out.push(b')');
    }
    if found.by_uid == ByUid::Yes {
        out.extend_from_slice(b" UID");
    }
    let numbers = [
        (" MIN ", found.min),
        (" MAX ", found.max),
        (" COUNT ", found.count),
    ];
    for (name, value) in numbers {
        if let Some(value) = value {
            out.extend_from_slice(name.as_bytes());
            number(out, value);
        }
    }
    if let Some(all) = &found.all {
        out.extend_from_slice(format!(" ALL {all}").as_bytes());
    }
    if let Some(mod_seq) = found.mod_seq {
        out.extend_from_slice(b" MODSEQ ");
        number(out, mod_seq.get());
    }
}

/// Writes `number SP "EXISTS"` and its like (RFC 3501 §9).
fn counted(out: &mut Vec<u8>, count: u32, what: &str) {
    number(out, count);
    out.push(b' ');
    out.extend_from_slice(what.as_bytes());
}

/// Writes `"(" [mbx-list-flags] ")" SP (DQUOTE QUOTED-CHAR DQUOTE / nil) SP mailbox`
/// (RFC 3501 §9, `mailbox-list`).
fn mailbox_list(out: &mut Vec<u8>, command: &str, entry: &ListEntry) {
    out.extend_from_slice(command.as_bytes());
    out.push(b' ');
    name_list(out, &entry.attributes);
    out.push(b' ');
    match entry.separator {
        Some(separator) => separator_string(out, separator),
        None => out.extend_from_slice(b"NIL"),
    }
    out.push(b' ');
    string::mailbox(out, &entry.name);
}

/// Writes `SP mbox-list-extended` with a `childinfo-extended-item` (RFC 5258 §6).
fn child_info(out: &mut Vec<u8>, criteria: &[&str]) {
    out.extend_from_slice(b" (\"CHILDINFO\" (");
    spaced(out, criteria, |out, option| {
        string::string(out, option.as_bytes());
    });
    out.extend_from_slice(b"))");
}

/// Writes `SP mbox-list-extended` with an `oldname-extended-item` (RFC 5465 §8, RFC 9051 §9).
fn old_name(out: &mut Vec<u8>, old: &str) {
    out.extend_from_slice(b" (\"OLDNAME\" (");
    string::mailbox(out, old);
    out.extend_from_slice(b"))");
}

/// Writes `"METADATA" SP mailbox SP entry-values` (RFC 5464 §5).
fn metadata_values(out: &mut Vec<u8>, mailbox: &str, values: &[(String, Option<Vec<u8>>)]) {
    out.extend_from_slice(b"METADATA ");
    string::mailbox(out, mailbox);
    out.extend_from_slice(b" (");
    spaced(out, values, |out, (entry, value)| {
        string::astring(out, entry.as_bytes());
        out.push(b' ');
        match value {
            Some(value) if value.contains(&0) => string::literal8(out, value),
            value => string::nstring(out, value.as_deref()),
        }
    });
    out.push(b')');
}

/// Writes `"METADATA" SP mailbox SP entry-list` (RFC 5464 §5).
fn metadata_entries(out: &mut Vec<u8>, mailbox: &str, entries: &[String]) {
    out.extend_from_slice(b"METADATA ");
    string::mailbox(out, mailbox);
    for entry in entries {
        out.push(b' ');
        string::astring(out, entry.as_bytes());
    }
}

/// Writes a hierarchy separator, always quoted (RFC 3501 §9, `mailbox-list`).
fn separator_string(out: &mut Vec<u8>, separator: char) {
    string::string(out, separator.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Writes `"STATUS" SP mailbox SP "(" [status-att-list] ")"` (RFC 3501 §9).
fn status_data(out: &mut Vec<u8>, mailbox: &str, items: &[(StatusItem, StatusValue)]) {
    out.extend_from_slice(b"STATUS ");
    string::mailbox(out, mailbox);
    out.extend_from_slice(b" (");
    spaced(out, items, |out, &(item, value)| {
        out.extend_from_slice(match item {
            StatusItem::Messages => b"MESSAGES" as &[u8],
            StatusItem::Recent => b"RECENT",
            StatusItem::UidNext => b"UIDNEXT",
            StatusItem::UidValidity => b"UIDVALIDITY",
            StatusItem::Unseen => b"UNSEEN",
            StatusItem::Size => b"SIZE",
            StatusItem::Deleted => b"DELETED",
            StatusItem::DeletedStorage => b"DELETED-STORAGE",
            StatusItem::AppendLimit => b"APPENDLIMIT",
            StatusItem::HighestModSeq => b"HIGHESTMODSEQ",
            StatusItem::MailboxId => b"MAILBOXID",
        });
        match value {
            StatusValue::Number(value) => {
                out.push(b' ');
                number(out, value);
            }
            StatusValue::Id(id) => object_id(out, id),
        }
    });
    out.push(b')');
}

/// Writes `"NAMESPACE" SP Namespace SP Namespace SP Namespace` without a shared one (RFC 2342 §6).
fn namespace(out: &mut Vec<u8>, personal: &(String, char), others: Option<&(String, char)>) {
    out.extend_from_slice(b"NAMESPACE ");
    for namespace in [Some(personal), others, None] {
        match namespace {
            Some((prefix, separator)) => {
                out.extend_from_slice(b"((");
                string::name_string(out, prefix);
                out.push(b' ');
                separator_string(out, *separator);
                out.extend_from_slice(b")) ");
            }
            None => out.extend_from_slice(b"NIL "),
        }
    }
    out.pop();
}

/// Writes `"QUOTA" SP quota-root-name SP quota-list` (RFC 9208 §7). The list is empty if nothing is
/// limited (§4.2.1).
fn quota_response(out: &mut Vec<u8>, root: &str, resources: &[(&str, u64, u64)]) {
    out.extend_from_slice(b"QUOTA ");
    quota_root_name(out, root);
    out.extend_from_slice(b" (");
    spaced(out, resources, |out, (resource, usage, limit)| {
        out.extend_from_slice(format!("{resource} {usage} {limit}").as_bytes());
    });
    out.push(b')');
}

/// Writes `"QUOTAROOT" SP mailbox *(SP quota-root-name)` (RFC 9208 §7).
fn quotaroot_response(out: &mut Vec<u8>, mailbox: &str, roots: &[String]) {
    out.extend_from_slice(b"QUOTAROOT ");
    string::mailbox(out, mailbox);
    for root in roots {
        out.push(b' ');
        quota_root_name(out, root);
    }
}

/// Writes `quota-root-name = astring` (RFC 9208 §7), always as a string, as the RFC's examples do.
fn quota_root_name(out: &mut Vec<u8>, root: &str) {
    string::string(out, root.as_bytes());
}

/// Writes `"ID" SPACE id_params_list` (RFC 2971 §4).
fn id(out: &mut Vec<u8>, fields: &[(String, String)]) {
    out.extend_from_slice(b"ID ");
    if fields.is_empty() {
        out.extend_from_slice(b"NIL");
        return;
    }
    out.push(b'(');
    spaced(out, fields, |out, (field, value)| {
        string::string(out, field.as_bytes());
        out.push(b' ');
        string::string(out, value.as_bytes());
    });
    out.push(b')');
}
