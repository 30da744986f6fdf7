//! Memory for password checks: whoever wants more than is free waits (S25).

use std::sync::{Condvar, Mutex, PoisonError};

/// Memory that may be in use at once, in KiB.
#[derive(Debug)]
pub(crate) struct Budget {
    whole: u64,
    free: Mutex<u64>,
    returned: Condvar,
}

/// A part of the memory; given back on drop.
#[derive(Debug)]
pub(crate) struct Share<'b> {
    budget: &'b Budget,
    size: u64,
}

impl Budget {
    /// A budget of so many KiB.
    pub(crate) fn new(whole: u64) -> Self {
        Self {
            whole,
            free: Mutex::new(whole),
            returned: Condvar::new(),
        }
    }

    /// Waits until `size` KiB are free, and takes them. Who wants more than there is takes it all,
    /// and so is alone.
    pub(crate) fn take(&self, size: u64) -> Share<'_> {
        let size = size.min(self.whole);
        // A panic elsewhere cannot leave the number half-written.
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self
            .returned
            .wait_while(free, |free| *free < size)
            .unwrap_or_else(PoisonError::into_inner);
        *free -= size;
        Share { budget: self, size }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let budget = self.budget;
        *budget.free.lock().unwrap_or_else(PoisonError::into_inner) += self.size;
        // All, because the next one in line may want more than is free and another one less.
        budget.returned.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn never_more_than_the_whole_is_taken() {
        let budget = Budget::new(100);
        let (taken, most) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (budget, taken, most) = (&budget, &taken, &most);
                scope.spawn(move || {
                    for round in 0..200 {
                        // From nothing to more than there is.
                        let size = (thread * 7 + round * 13) % 120;
                        let share = budget.take(size);
                        let size = size.min(100);
                        let now = taken.fetch_add(size, Ordering::SeqCst) + size;
                        most.fetch_max(now, Ordering::SeqCst);
                        std::thread::yield_now();
                        taken.fetch_sub(size, Ordering::SeqCst);
                        drop(share);
                    }
                });
            }
        });
        assert!(most.into_inner() <= 100);
        assert_eq!(*budget.free.lock().unwrap(), 100, "all came back");
    }
}
