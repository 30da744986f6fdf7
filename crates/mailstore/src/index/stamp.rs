//! What the last look at `new/` and `cur/` is worth.
//!
//! A directory's mtime tells of changes, but clocks are coarse: a change in the same tick as the
//! last look leaves the mtime as it was. So an unchanged mtime is believed only if it was older
//! than the look by a guard. Our own changes move the mtime too; they are noted under the lock, and
//! do not ask for a new look, except for one that confirms them when things have calmed down: a
//! stranger may have changed the directory in the very tick of our own change.

use std::time::Duration;

use super::codec::FileTime;

/// How far an unchanged mtime can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Trust {
    /// Fully: the directory was read long enough after it.
    Settled = 0,
    /// The last change was ours; to be confirmed once.
    Own = 1,
    /// Not at all: the directory was read too soon after a stranger's change.
    Fresh = 2,
    /// Not at all, but the last change was ours.
    FreshThenOwn = 3,
}

impl Trust {
    pub(super) const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Settled),
            1 => Some(Self::Own),
            2 => Some(Self::Fresh),
            3 => Some(Self::FreshThenOwn),
            _ => None,
        }
    }
}

/// The last look at one directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The directory's mtime.
    pub(crate) mtime: FileTime,
    /// What it is worth.
    pub(crate) trust: Trust,
    /// The first change of ours since the directory was settled.
    pub(crate) own_since: FileTime,
}

/// The last look at both directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamps {
    pub(crate) new: Stamp,
    pub(crate) cur: Stamp,
}

impl Stamps {
    /// Nothing has been looked at yet.
    pub(crate) const NEVER: Self = Self {
        new: Stamp::NEVER,
        cur: Stamp::NEVER,
    };

    /// Whether unchanged times can be believed fully.
    pub(crate) fn are_settled(&self) -> bool {
        self.new.trust == Trust::Settled && self.cur.trust == Trust::Settled
    }
}

impl Stamp {
    /// Not looked at yet.
    pub(crate) const NEVER: Self = Self {
        mtime: FileTime::NEVER,
        trust: Trust::Fresh,
        own_since: FileTime::NEVER,
    };

    /// Whether the directory must be read, its mtime being `mtime` now. `now` is asked only if it
    /// matters, and gives the file system's clock.
    pub(crate) fn is_stale(
        &self,
        mtime: FileTime,
        guard: Duration,
        now: impl FnOnce() -> FileTime,
    ) -> bool {
        if mtime != self.mtime {
            return true;
        }
        match self.trust {
            Trust::Settled => false,
            Trust::Fresh | Trust::FreshThenOwn => true,
            Trust::Own => {
                let now = now();
                now.since(mtime) > guard || now.since(self.own_since) > guard + OWN_AT_MOST
            }
        }
    }

    /// After reading the directory, which began at `start` and saw `mtime` before and after.
    pub(crate) fn after_reading(&self, mtime: FileTime, start: FileTime, guard: Duration) -> Self {
        let ours = matches!(self.trust, Trust::Own | Trust::FreshThenOwn) && self.mtime == mtime;
        let trust = if start.since(mtime) > guard {
            Trust::Settled
        } else if ours {
            Trust::Own
        } else {
            Trust::Fresh
        };
        Self {
            mtime,
            trust,
            own_since: start,
        }
    }

    /// After a change of our own under the lock: the mtime was `before` and is `after`.
    pub(crate) fn after_own_change(&self, before: FileTime, after: FileTime) -> Self {
        if before != self.mtime {
            return *self;
        }
        let (trust, own_since) = match self.trust {
            Trust::Settled => (Trust::Own, after),
            Trust::Own => (Trust::Own, self.own_since),
            Trust::Fresh | Trust::FreshThenOwn => (Trust::FreshThenOwn, after),
        };
        Self {
            mtime: after,
            trust,
            own_since,
        }
    }
}

/// How long changes of our own, one after the other, can put off the look that confirms them.
const OWN_AT_MOST: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    const GUARD: Duration = Duration::from_secs(1);

    fn at(seconds: i64, nanoseconds: u32) -> FileTime {
        FileTime {
            seconds,
            nanoseconds,
        }
    }

    fn settled(seconds: i64) -> Stamp {
        Stamp::NEVER.after_reading(at(seconds, 0), at(seconds + 10, 0), GUARD)
    }

    #[test]
    fn only_an_old_mtime_settles() {
        assert_eq!(settled(100).trust, Trust::Settled);
        let soon = Stamp::NEVER.after_reading(at(100, 0), at(100, 900_000_000), GUARD);
        assert!(soon.is_stale(at(100, 0), GUARD, || at(100, 0)));
    }

    #[test]
    fn own_changes_ask_for_one_look_when_calm() {
        let own = settled(100).after_own_change(at(100, 0), at(200, 0));
        assert!(!own.is_stale(at(200, 0), GUARD, || at(200, 5)));
        assert!(own.is_stale(at(200, 0), GUARD, || at(202, 0)));
        assert!(own.is_stale(at(200, 1), GUARD, || at(200, 1)));
        let looked = own.after_reading(at(200, 0), at(202, 0), GUARD);
        assert_eq!(looked.trust, Trust::Settled);
    }

    #[test]
    fn a_strangers_change_before_ours_is_not_hidden() {
        let own = settled(100).after_own_change(at(150, 0), at(200, 0));
        assert!(own.is_stale(at(200, 0), GUARD, || at(200, 0)));
        let fresh = Stamp::NEVER.after_reading(at(100, 0), at(100, 1), GUARD);
        let mixed = fresh.after_own_change(at(100, 0), at(100, 5));
        assert!(mixed.is_stale(at(100, 5), GUARD, || at(100, 5)));
        let looked = mixed.after_reading(at(100, 5), at(100, 6), GUARD);
        assert!(!looked.is_stale(at(100, 5), GUARD, || at(100, 7)));
    }

    #[test]
    fn a_long_row_of_own_changes_is_confirmed_in_time() {
        let mut stamp = settled(100);
        for tick in 0..50u32 {
            let now = at(200 + i64::from(tick / 10), tick % 10 * 100_000_000);
            if stamp.is_stale(stamp.mtime, GUARD, || now) && tick > 0 {
                return;
            }
            stamp = stamp.after_own_change(stamp.mtime, now);
        }
        panic!("never confirmed");
    }
}
