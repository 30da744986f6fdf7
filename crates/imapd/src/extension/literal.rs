//! LITERAL+ and LITERAL- (RFC 7888): literals that the client sends without waiting.
//!
//! LITERAL- is LITERAL+ for small literals. One of the two is advertised, never both (§5): LITERAL-
//! only where LITERAL+ is hidden. The framer reads them; see [`framer`](crate::framer).

use super::{Capabilities, Capability, Extension, Shown};
use crate::framer::{Announced, Literal};

/// The row of LITERAL+.
pub(super) const PLUS: Extension = Extension {
    is: Capability::LiteralPlus,
    capability: "LITERAL+",
    rfc: 7888,
    shown: Shown::Always,
    enables: None,
};

/// The row of LITERAL-.
pub(super) const MINUS: Extension = Extension {
    is: Capability::LiteralMinus,
    capability: "LITERAL-",
    rfc: 7888,
    shown: Shown::InPlaceOf(Capability::LiteralPlus),
    enables: None,
};

/// The most octets of a literal under LITERAL- (RFC 7888 §5).
const SMALL: u64 = 4096;

/// Which literals a client may send without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permitted {
    /// All (LITERAL+).
    Any,
    /// Small ones (LITERAL-).
    Small,
    /// None (RFC 3501 §4.3).
    None,
}

impl Permitted {
    /// With these capabilities.
    pub(crate) const fn of(offered: Capabilities) -> Self {
        if offered.has(Capability::LiteralPlus) {
            Self::Any
        } else if offered.has(Capability::LiteralMinus) {
            Self::Small
        } else {
            Self::None
        }
    }

    /// Whether a literal may be sent as it was announced; else what was expected.
    pub(crate) const fn check(self, announced: Announced) -> Result<(), &'static str> {
        match (self, announced.kind) {
            (Self::Any, _) | (_, Literal::Sync) => Ok(()),
            (Self::Small, Literal::NonSync) if announced.octets <= SMALL => Ok(()),
            (Self::Small, Literal::NonSync) => {
                Err("a synchronizing literal for more than 4096 octets")
            }
            (Self::None, Literal::NonSync) => Err("a synchronizing literal"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_literals_permitted_are_those_of_what_is_offered() {
        let plus = Capabilities::NONE.with(Capability::LiteralPlus);
        let minus = Capabilities::NONE.with(Capability::LiteralMinus);
        let rows = [
            (plus, u64::MAX, Literal::NonSync, true),
            (plus.union(minus), 4097, Literal::NonSync, true),
            (minus, 4096, Literal::NonSync, true),
            (minus, 4097, Literal::NonSync, false),
            (minus, 4097, Literal::Sync, true),
            (Capabilities::NONE, 0, Literal::NonSync, false),
            (Capabilities::NONE, 1, Literal::Sync, true),
        ];
        for (offered, octets, kind, expected) in rows {
            let announced = Announced { octets, kind };
            let permitted = Permitted::of(offered).check(announced).is_ok();
            assert_eq!(permitted, expected, "{offered:?} {announced:?}");
        }
    }
}
