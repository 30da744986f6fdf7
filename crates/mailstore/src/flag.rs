//! Flags and keywords (RFC 3501 §2.3.2) as one machine word per message.

use std::fmt;
use std::sync::Arc;

/// A system flag that is stored (`\Recent` is not: it belongs to a session).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SystemFlag {
    /// `\Answered`, letter `R`.
    Answered,
    /// `\Flagged`, letter `F`.
    Flagged,
    /// `\Deleted`, letter `T`.
    Deleted,
    /// `\Seen`, letter `S`.
    Seen,
    /// `\Draft`, letter `D`.
    Draft,
}

impl SystemFlag {
    /// All of them, in the order of RFC 3501 §2.3.2's usual listing.
    pub const ALL: [Self; 5] = [
        Self::Answered,
        Self::Flagged,
        Self::Deleted,
        Self::Seen,
        Self::Draft,
    ];

    const fn bit(self) -> u64 {
        1 << (self as u8)
    }

    /// The letter in a Maildir file name.
    pub const fn letter(self) -> u8 {
        match self {
            Self::Answered => b'R',
            Self::Flagged => b'F',
            Self::Deleted => b'T',
            Self::Seen => b'S',
            Self::Draft => b'D',
        }
    }

    /// The flag of a letter in a Maildir file name.
    pub fn from_letter(letter: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|flag| flag.letter() == letter)
    }

    /// The IMAP name, with its backslash.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Answered => "\\Answered",
            Self::Flagged => "\\Flagged",
            Self::Deleted => "\\Deleted",
            Self::Seen => "\\Seen",
            Self::Draft => "\\Draft",
        }
    }
}

/// The flags of one message: bits 0 to 4 are system flags, bits 5 to 63 are the mailbox's keywords
/// by their position in [`Keywords`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlagSet(u64);

impl FlagSet {
    /// No flag at all.
    pub const EMPTY: Self = Self(0);

    /// From the stored word.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The stored word.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether a system flag is set.
    pub const fn has(self, flag: SystemFlag) -> bool {
        self.0 & flag.bit() != 0
    }

    /// With a system flag set.
    #[must_use]
    pub const fn with(self, flag: SystemFlag) -> Self {
        Self(self.0 | flag.bit())
    }

    /// Whether the keyword at `position` (below [`Keywords::MAX`]) is set.
    pub const fn has_keyword(self, position: u8) -> bool {
        (position as usize) < Keywords::MAX && self.0 & (1 << (position + 5)) != 0
    }

    /// With the keyword at `position` set. Positions from [`Keywords::MAX`] on are ignored.
    #[must_use]
    pub const fn with_keyword(self, position: u8) -> Self {
        if (position as usize) < Keywords::MAX {
            Self(self.0 | 1 << (position + 5))
        } else {
            self
        }
    }

    /// All flags of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The flags of `self` that `other` does not have.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The system flags that are set.
    pub fn system(self) -> impl Iterator<Item = SystemFlag> {
        SystemFlag::ALL
            .into_iter()
            .filter(move |flag| self.has(*flag))
    }

    /// The positions of the keywords that are set.
    pub fn keywords(self) -> impl Iterator<Item = u8> {
        (0..59).filter(move |position| self.has_keyword(*position))
    }
}

/// A keyword (RFC 3501 §9 `flag-keyword = atom`): kept as first written, compared without regard
/// to ASCII case.
#[derive(Clone, Debug, Eq)]
pub struct Keyword(Arc<str>);

impl Keyword {
    /// The longest keyword we keep, in octets.
    pub const MAX_LEN: usize = 255;

    /// Accepts an atom of at most [`Self::MAX_LEN`] octets (RFC 3501 §9).
    pub fn new(name: &str) -> Option<Self> {
        let is_atom_char = |byte: u8| byte.is_ascii_graphic() && !b"(){%*\"\\]".contains(&byte);
        let valid =
            !name.is_empty() && name.len() <= Self::MAX_LEN && name.bytes().all(is_atom_char);
        valid.then(|| Self(name.into()))
    }

    /// The keyword's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The keywords of one mailbox by position. Positions 0 to 25 have the letters `a` to `z` in file
/// names and are shared with other programs through `dovecot-keywords`; later ones are only in the
/// index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keywords(Vec<Option<Keyword>>);

impl Keywords {
    /// How many keywords a mailbox can have.
    pub const MAX: usize = 59;
    /// How many of them have a letter in file names.
    pub const LETTERS: usize = 26;

    /// The keyword at a position.
    pub fn get(&self, position: u8) -> Option<&Keyword> {
        self.0.get(usize::from(position))?.as_ref()
    }

    /// The position of a keyword.
    pub fn position(&self, keyword: &Keyword) -> Option<u8> {
        let position = self
            .0
            .iter()
            .position(|known| known.as_ref() == Some(keyword))?;
        u8::try_from(position).ok()
    }

    /// All keywords with their positions.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &Keyword)> {
        (0u8..)
            .zip(&self.0)
            .filter_map(|(position, keyword)| Some((position, keyword.as_ref()?)))
    }

    /// The position of `keyword`, which is added at the lowest free one if it is new; `None` if
    /// there is no room left.
    pub fn add(&mut self, keyword: &Keyword) -> Option<u8> {
        if let Some(position) = self.position(keyword) {
            return Some(position);
        }
        if let Some((position, slot)) = (0u8..).zip(&mut self.0).find(|(_, slot)| slot.is_none()) {
            *slot = Some(keyword.clone());
            return Some(position);
        }
        if self.0.len() >= Self::MAX {
            return None;
        }
        self.0.push(Some(keyword.clone()));
        u8::try_from(self.0.len() - 1).ok()
    }

    /// Puts `keyword` at `position`, as another program's file says. Positions from [`Self::MAX`]
    /// on are ignored.
    pub fn set(&mut self, position: u8, keyword: Keyword) {
        let position = usize::from(position);
        if position >= Self::MAX {
            return;
        }
        if self.0.len() <= position {
            self.0.resize(position + 1, None);
        }
        if let Some(slot) = self.0.get_mut(position) {
            *slot = Some(keyword);
        }
    }
}

/// How a [`FlagChange`] combines with the flags that are there (RFC 3501 §6.4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagOp {
    /// `+FLAGS`.
    Add,
    /// `-FLAGS`.
    Remove,
    /// `FLAGS`: every flag not named is removed.
    Replace,
    /// The same, of these flags; the others stay as they are.
    ReplaceOf(FlagMask),
}

impl FlagOp {
    /// What flags become, if these are named.
    pub const fn apply(self, old: FlagSet, named: FlagSet) -> FlagSet {
        match self {
            Self::Add => old.union(named),
            Self::Remove => old.without(named),
            Self::Replace => named,
            Self::ReplaceOf(mask) => FlagSet(old.0 & !mask.0 | named.0 & mask.0),
        }
    }
}

/// Which flags may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlagMask(u64);

impl FlagMask {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// All of them.
    pub const ALL: Self = Self(u64::MAX);
    /// `\Seen`.
    pub const SEEN: Self = Self(SystemFlag::Seen.bit());
    /// `\Deleted`.
    pub const DELETED: Self = Self(SystemFlag::Deleted.bit());
    /// All but these two, keywords among them.
    pub const OTHERS: Self = Self(!(Self::SEEN.0 | Self::DELETED.0));

    /// Those in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether a system flag is among them.
    pub const fn has(self, flag: SystemFlag) -> bool {
        self.0 & flag.bit() != 0
    }

    /// Whether keywords are among them.
    pub const fn has_keywords(self) -> bool {
        self.0 & Self::OTHERS.0 == Self::OTHERS.0
    }
}

/// A change of flags by name, as a client asks for it; also the flags of a new message
/// ([`FlagOp::Replace`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagChange {
    /// How to combine.
    pub op: FlagOp,
    /// The system flags named.
    pub system: FlagSet,
    /// The keywords named. New ones are added to the mailbox by `Add` and `Replace`.
    pub keywords: Vec<Keyword>,
}

impl FlagChange {
    /// The part of the change that is about these flags.
    #[must_use]
    pub fn only(mut self, mask: FlagMask) -> Self {
        if mask == FlagMask::ALL {
            return self;
        }
        self.system = FlagSet(self.system.0 & mask.0);
        if !mask.has_keywords() {
            self.keywords.clear();
        }
        self.op = match self.op {
            FlagOp::Replace => FlagOp::ReplaceOf(mask),
            FlagOp::ReplaceOf(before) => FlagOp::ReplaceOf(FlagMask(before.0 & mask.0)),
            op @ (FlagOp::Add | FlagOp::Remove) => op,
        };
        self
    }

    /// Whether it names any flag.
    pub fn is_empty(&self) -> bool {
        self.system == FlagSet::EMPTY && self.keywords.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{FlagChange, FlagMask, FlagOp, FlagSet, Keyword, Keywords, SystemFlag};

    fn keyword(name: &str) -> Keyword {
        Keyword::new(name).expect(name)
    }

    #[test]
    fn system_flags_have_their_own_bits_and_letters() {
        let mut all = FlagSet::EMPTY;
        for flag in SystemFlag::ALL {
            assert!(!all.has(flag), "{flag:?}");
            all = all.with(flag);
            assert_eq!(SystemFlag::from_letter(flag.letter()), Some(flag));
        }
        assert_eq!(all.bits(), 0b1_1111);
        assert_eq!(all.system().collect::<Vec<_>>(), SystemFlag::ALL);
        for letter in *b"PaAd\0" {
            assert_eq!(SystemFlag::from_letter(letter), None);
        }
    }

    #[test]
    fn keywords_do_not_touch_system_flags() {
        let mut flags = FlagSet::EMPTY;
        for position in 0..=u8::MAX {
            flags = flags.with_keyword(position);
        }
        assert_eq!(flags.bits(), !0b1_1111);
        assert!(flags.keywords().eq(0..59));
        assert_eq!(flags.system().count(), 0);
        assert!(!flags.has_keyword(59) && !flags.has_keyword(u8::MAX));
    }

    #[test]
    fn sets_combine() {
        let seen = FlagSet::EMPTY.with(SystemFlag::Seen);
        let draft = FlagSet::EMPTY.with(SystemFlag::Draft);
        assert_eq!(seen.union(draft).without(seen), draft);
        assert_eq!(seen.without(draft), seen);
    }

    #[test]
    fn keywords_are_atoms() {
        for name in ["$Forwarded", "NonJunk", "a", "a/b", "[x", "unknown-3?"] {
            assert!(Keyword::new(name).is_some(), "{name}");
        }
        for name in [
            "", "a b", "(", ")", "{", "%", "*", "\"", "\\Seen", "]", "ä", "a\0", "a\r\n",
        ] {
            assert!(Keyword::new(name).is_none(), "{name:?}");
        }
        assert!(Keyword::new(&"x".repeat(Keyword::MAX_LEN)).is_some());
        assert!(Keyword::new(&"x".repeat(Keyword::MAX_LEN + 1)).is_none());
    }

    #[test]
    fn keywords_compare_without_case_and_keep_their_first_form() {
        let mut keywords = Keywords::default();
        assert_eq!(keywords.add(&keyword("Junk")), Some(0));
        assert_eq!(keywords.add(&keyword("other")), Some(1));
        assert_eq!(keywords.add(&keyword("JUNK")), Some(0));
        assert_eq!(keywords.get(0).map(Keyword::as_str), Some("Junk"));
    }

    #[test]
    fn keywords_fill_gaps_up_to_the_limit() {
        let mut keywords = Keywords::default();
        keywords.set(3, keyword("d"));
        keywords.set(59, keyword("beyond"));
        assert_eq!(keywords.iter().count(), 1);
        for position in (0..3).chain(4..59) {
            assert_eq!(
                keywords.add(&keyword(&format!("k{position}"))),
                Some(position)
            );
        }
        assert_eq!(keywords.add(&keyword("one-more")), None);
        assert_eq!(keywords.position(&keyword("D")), Some(3));
        assert_eq!(keywords.iter().count(), Keywords::MAX);
    }

    #[test]
    fn a_part_of_a_change_leaves_the_other_flags_alone() {
        let seen = FlagSet::EMPTY.with(SystemFlag::Seen);
        let deleted = FlagSet::EMPTY.with(SystemFlag::Deleted);
        let old = deleted
            .with(SystemFlag::Flagged)
            .with_keyword(0)
            .with_keyword(58);
        let change = |op| FlagChange {
            op,
            system: seen.union(deleted).with(SystemFlag::Draft),
            keywords: vec![keyword("a")],
        };
        let apply = |change: FlagChange| {
            let keywords = change.keywords.iter().map(|_| 1);
            let named = keywords.fold(change.system, FlagSet::with_keyword);
            change.op.apply(old, named)
        };
        let whole = change(FlagOp::Replace).only(FlagMask::ALL);
        assert_eq!(
            apply(whole).bits(),
            change(FlagOp::Replace).system.with_keyword(1).bits()
        );
        let part = change(FlagOp::Replace).only(FlagMask::SEEN);
        assert_eq!(apply(part), old.union(seen));
        let part = change(FlagOp::Replace).only(FlagMask::OTHERS);
        let others = deleted.with(SystemFlag::Draft).with_keyword(1);
        assert_eq!(apply(part), others);
        let both = FlagMask::SEEN.union(FlagMask::DELETED);
        let part = change(FlagOp::Replace).only(both).only(FlagMask::DELETED);
        assert_eq!(apply(part), old);
        let part = change(FlagOp::Remove).only(FlagMask::DELETED);
        assert_eq!(apply(part), old.without(deleted));
        let none = change(FlagOp::Add).only(FlagMask::NONE);
        assert!(none.is_empty() && apply(none) == old);
    }
}
