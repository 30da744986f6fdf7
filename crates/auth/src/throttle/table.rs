//! A bounded table that forgets what was seen longest ago.

use std::collections::HashMap;
use std::time::Instant;

use super::id::Id;

/// Something that was seen at some time.
pub(super) trait Aged {
    /// When it was seen last.
    fn seen(&self) -> Instant;
}

/// What is known of each [`Id`].
#[derive(Debug)]
pub(super) struct Table<T> {
    entries: HashMap<Id, T>,
    capacity: usize,
}

impl<T: Aged> Table<T> {
    /// An empty table for so many entries, and one at least.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            entries: HashMap::new(),
            capacity: capacity.max(1),
        }
    }

    /// The entry of `id`.
    pub(super) fn get(&self, id: Id) -> Option<&T> {
        self.entries.get(&id)
    }

    /// The entry of `id`, to be changed.
    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        self.entries.get_mut(&id)
    }

    /// The entry of `id`, made if there is none.
    pub(super) fn entry(&mut self, id: Id, now: Instant, make: fn(Instant) -> T) -> &mut T {
        if !self.entries.contains_key(&id) {
            self.make_room();
        }
        self.entries.entry(id).or_insert_with(|| make(now))
    }

    /// Forgets the entry of `id`, and gives it.
    pub(super) fn remove(&mut self, id: Id) -> Option<T> {
        self.entries.remove(&id)
    }

    /// Puts an entry in.
    pub(super) fn insert(&mut self, id: Id, entry: T) {
        if !self.entries.contains_key(&id) {
            self.make_room();
        }
        self.entries.insert(id, entry);
    }

    /// All entries.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (Id, &T)> {
        self.entries.iter().map(|(&id, entry)| (id, entry))
    }

    /// Makes sure that one more entry fits: forgets the half that was seen longest ago, so that the
    /// price is paid seldom.
    fn make_room(&mut self) {
        if self.entries.len() < self.capacity {
            return;
        }
        let mut seen: Vec<Instant> = self.entries.values().map(Aged::seen).collect();
        let half = seen.len() / 2;
        let (_, &mut middle, _) = seen.select_nth_unstable(half);
        self.entries.retain(|_, entry| entry.seen() > middle);
    }
}
