//! What another server knew of a message and a Maildir does not hold.

/// Kept from the server that had the mailbox before; most messages have nothing of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The POP3 unique-id that clients know (RFC 1939 §7); never empty.
    pub uidl: Option<Box<[u8]>>,
    /// The place in the POP3 listing; messages without one come after those with one.
    pub order: Option<u32>,
    /// The globally unique id that the other server gave, as it wrote it.
    pub guid: Option<Box<[u8]>>,
}

impl Kept {
    /// The memory it takes.
    pub(super) fn bytes(&self) -> usize {
        let octets = |value: &Option<Box<[u8]>>| value.as_ref().map_or(0, |value| value.len());
        size_of::<Self>() + 8 + octets(&self.uidl) + octets(&self.guid)
    }
}
