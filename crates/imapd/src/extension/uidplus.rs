//! UIDPLUS (RFC 4315): UID EXPUNGE, and the UIDs of what APPEND and COPY made.
//!
//! UID EXPUNGE (§2.1) is EXPUNGE with a set, see [`expunge`](crate::handler::expunge).

use mailstore::{Appended, Copied};

use super::{Capabilities, Capability, Extension, Shown};
use crate::response::Code;
use crate::types::Ranges;

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::UidPlus,
    capability: "UIDPLUS",
    rfc: 4315,
    shown: Shown::Always,
    enables: None,
};

/// `APPENDUID` (RFC 4315 §3), if UIDPLUS is offered.
pub(crate) fn append_uid(appended: &Appended, offered: Capabilities) -> Option<Code> {
    let uids = appended.uids.iter().copied();
    let code = Code::AppendUid(appended.uid_validity, Ranges::of_uids(uids));
    offered.has(Capability::UidPlus).then_some(code)
}

/// `COPYUID` (RFC 4315 §3); none if nothing was copied, or UIDPLUS is not offered. Both sets have
/// the same order.
pub(crate) fn copy_uid(copied: &Copied, offered: Capabilities) -> Option<Code> {
    if copied.uids.is_empty() || !offered.has(Capability::UidPlus) {
        return None;
    }
    let from = Ranges::of_uids(copied.uids.iter().map(|(from, _)| *from));
    let to = Ranges::of_uids(copied.uids.iter().map(|(_, to)| *to));
    Some(Code::CopyUid(copied.uid_validity, from, to))
}
