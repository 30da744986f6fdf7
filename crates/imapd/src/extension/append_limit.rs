//! APPENDLIMIT (RFC 7889): how large a message may be that is appended.
//!
//! The limit is the same for all mailboxes, so it stands with the capability (§2), and STATUS tells
//! it for each (§3.1).

use super::{Capability, Extension, Shown};
use crate::settings::Limits;

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::AppendLimit,
    capability: "APPENDLIMIT",
    rfc: 7889,
    shown: Shown::Always,
    enables: None,
};

/// `capability =/ "APPENDLIMIT" ["=" number]` (RFC 7889 §5)
pub(super) fn capability(limits: &Limits) -> String {
    format!("{}={}", ROW.capability, advertised(limits.message))
}

/// The limit as it is told: a `number` has 32 bits.
pub(crate) fn advertised(octets: u64) -> u32 {
    u32::try_from(octets).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_a_number_of_32_bits() {
        for (message, expected) in [
            (257_890, "APPENDLIMIT=257890"),
            (4 << 30, "APPENDLIMIT=4294967295"),
        ] {
            let limits = Limits {
                message,
                ..Limits::default()
            };
            assert_eq!(capability(&limits), expected);
        }
    }
}
