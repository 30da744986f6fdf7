//! What somebody may do with a mailbox (RFC 4314 §2.1).

use std::fmt;

/// A set of rights.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Rights(u16);

impl Rights {
    /// None.
    pub const NONE: Self = Self(0);
    /// `l`: see that the mailbox is there.
    pub const LOOKUP: Self = Self(1);
    /// `r`: read its messages.
    pub const READ: Self = Self(1 << 1);
    /// `s`: change `\Seen`.
    pub const SEEN: Self = Self(1 << 2);
    /// `w`: change all flags but `\Seen` and `\Deleted`.
    pub const WRITE: Self = Self(1 << 3);
    /// `i`: put messages into it.
    pub const INSERT: Self = Self(1 << 4);
    /// `p`: send mail to it.
    pub const POST: Self = Self(1 << 5);
    /// `k`: create mailboxes below it.
    pub const CREATE: Self = Self(1 << 6);
    /// `x`: delete the mailbox.
    pub const DELETE: Self = Self(1 << 7);
    /// `t`: change `\Deleted`.
    pub const DELETED: Self = Self(1 << 8);
    /// `e`: remove messages for good.
    pub const EXPUNGE: Self = Self(1 << 9);
    /// `a`: change who has which rights.
    pub const ADMINISTER: Self = Self(1 << 10);
    /// All of them.
    pub const ALL: Self = Self((1 << 11) - 1);

    /// Each of them alone, with its letter and its name in Dovecot's files, in the usual order.
    const EACH: [(Self, char, &'static str); 11] = [
        (Self::LOOKUP, 'l', "lookup"),
        (Self::READ, 'r', "read"),
        (Self::WRITE, 'w', "write"),
        (Self::SEEN, 's', "write-seen"),
        (Self::INSERT, 'i', "insert"),
        (Self::POST, 'p', "post"),
        (Self::CREATE, 'k', "create"),
        (Self::DELETE, 'x', "delete"),
        (Self::DELETED, 't', "write-deleted"),
        (Self::EXPUNGE, 'e', "expunge"),
        (Self::ADMINISTER, 'a', "admin"),
    ];

    /// The right of a letter.
    pub fn from_letter(letter: char) -> Option<Self> {
        let mut each = Self::EACH.iter();
        each.find(|(_, it, _)| *it == letter).map(|it| it.0)
    }

    /// The right of a name.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        let mut each = Self::EACH.iter();
        each.find(|(_, _, it)| *it == name).map(|it| it.0)
    }

    /// The letters, in the usual order.
    pub fn letters(self) -> impl Iterator<Item = char> {
        let each = Self::EACH.iter();
        each.filter(move |it| self.has(it.0)).map(|it| it.1)
    }

    /// Whether all of these are among them.
    pub const fn has(self, rights: Self) -> bool {
        self.0 & rights.0 == rights.0
    }

    /// Whether at least one of these is among them.
    pub const fn has_any(self, rights: Self) -> bool {
        self.0 & rights.0 != 0
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that `other` has not.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.letters().try_for_each(|letter| write!(f, "{letter}"))
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rights({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::Rights;

    #[test]
    fn letters_and_names_are_those_of_rights() {
        assert_eq!(Rights::ALL.to_string(), "lrwsipkxtea");
        for letter in Rights::ALL.letters() {
            let right = Rights::from_letter(letter).unwrap();
            assert_eq!(right.to_string(), letter.to_string());
        }
        assert_eq!(Rights::from_letter('c'), None);
        assert_eq!(Rights::from_name("write-deleted"), Some(Rights::DELETED));
        assert_eq!(Rights::from_name("t"), None);
    }

    #[test]
    fn sets_are_sets() {
        let both = Rights::READ.union(Rights::SEEN);
        assert!(both.has(Rights::READ) && !both.has(both.union(Rights::WRITE)));
        assert!(both.has_any(Rights::SEEN.union(Rights::WRITE)));
        assert!(!both.has_any(Rights::NONE) && both.has(Rights::NONE));
        assert_eq!(both.without(Rights::READ), Rights::SEEN);
        assert_eq!(both.intersection(Rights::READ), Rights::READ);
    }
}
