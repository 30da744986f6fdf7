//! Sets of flags as they are written.

use mailstore::{FlagSet, Message};

use crate::encode::flag_list;
use crate::session::view::View;

/// Sets of flags as they are written, those that came up last: most messages have one of a few.
#[derive(Debug, Default)]
pub(super) struct Flags {
    written: Vec<Option<Written>>,
}

/// A set of flags as the item that tells it.
#[derive(Debug)]
struct Written {
    flags: FlagSet,
    recent: bool,
    wire: Vec<u8>,
}

impl Flags {
    /// Forgets what another snapshot may tell otherwise.
    pub(super) fn forget(&mut self) {
        self.written.clear();
    }

    /// The item that tells a message's flags, as it is written.
    pub(super) fn of(&mut self, message: Message<'_>, view: &View) -> &[u8] {
        let (flags, recent) = (message.flags(), view.is_recent(message.uid()));
        if self.written.is_empty() {
            self.written.resize_with(SETS, || None);
        }
        let mixed = (flags.bits() << 1 | u64::from(recent)).wrapping_mul(GOLDEN);
        let slot = usize::try_from(mixed >> (u64::BITS - SETS.trailing_zeros()));
        let Some(slot) = slot.ok().and_then(|it| self.written.get_mut(it)) else {
            return &[];
        };
        let right = |it: &Written| it.flags == flags && it.recent == recent;
        if !slot.as_ref().is_some_and(right) {
            *slot = None;
        }
        let written = slot.get_or_insert_with(|| Written {
            flags,
            recent,
            wire: [b"FLAGS ", &*flag_list(&view.flags_of(message))].concat(),
        });
        &written.wire
    }
}

/// What the bits of sets of flags are mixed with, the golden ratio: all have a say in where a set
/// is remembered.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// How many sets of flags are remembered; a power of two.
const SETS: usize = 64;
