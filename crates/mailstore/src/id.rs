//! Numbers with a meaning: UIDs, UIDVALIDITY and mod-sequences.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};

/// The unique identifier of a message in its mailbox (RFC 3501 §2.3.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(NonZeroU32);

impl Uid {
    /// The smallest unique identifier.
    pub const MIN: Self = Self(NonZeroU32::MIN);
    /// The largest that can be written, `nz-number` (RFC 3501 §9).
    pub const MAX: Self = Self(NonZeroU32::MAX);

    /// Accepts `1..=2^32-1` (RFC 3501 §9, `uniqueid = nz-number`).
    pub const fn new(value: u32) -> Option<Self> {
        match NonZeroU32::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// The following unique identifier, if there is one.
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The unique identifier validity value of a mailbox (RFC 3501 §2.3.1.1).
///
/// Values that we make stay below 2^31, because many clients hold them in a signed integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UidValidity(NonZeroU32);

impl UidValidity {
    /// The smallest value.
    pub const MIN: Self = Self(NonZeroU32::MIN);

    /// Accepts `1..=2^32-1` (RFC 3501 §9, `nz-number`).
    pub const fn new(value: u32) -> Option<Self> {
        match NonZeroU32::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for UidValidity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A mod-sequence (RFC 7162 §3.1): grows with every change of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModSeq(NonZeroU64);

impl ModSeq {
    /// The smallest mod-sequence.
    pub const MIN: Self = Self(NonZeroU64::MIN);

    /// Accepts `1..=2^63-1` (RFC 7162 §7, `mod-sequence-value`); anything else is not one.
    pub const fn new(value: u64) -> Option<Self> {
        if value > i64::MAX as u64 {
            return None;
        }
        match NonZeroU64::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for ModSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::{ModSeq, Uid, UidValidity};

    #[test]
    fn zero_is_no_identifier() {
        assert_eq!(Uid::new(0), None);
        assert_eq!(UidValidity::new(0), None);
        assert_eq!(ModSeq::new(0), None);
    }

    #[test]
    fn uids_end_at_32_bits() {
        assert_eq!(Uid::new(1), Some(Uid::MIN));
        assert_eq!(Uid::MIN.next(), Uid::new(2));
        assert_eq!(Uid::new(u32::MAX), Some(Uid::MAX));
        assert_eq!(Uid::MAX.next(), None);
        assert_eq!(Uid::MAX.to_string(), "4294967295");
    }

    #[test]
    fn uid_validities_have_32_bits() {
        let largest = UidValidity::new(u32::MAX);
        assert_eq!(largest.map(UidValidity::get), Some(u32::MAX));
    }

    #[test]
    fn mod_sequences_have_63_bits() {
        assert_eq!(ModSeq::new(1), Some(ModSeq::MIN));
        let largest = (1 << 63) - 1;
        assert_eq!(ModSeq::new(largest).map(ModSeq::get), Some(largest));
        assert_eq!(ModSeq::new(1 << 63), None);
        assert_eq!(ModSeq::new(u64::MAX), None);
    }
}
