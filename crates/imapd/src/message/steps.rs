//! Counts work in tests, so that linear time is proved without a clock.

/// Counts `n` steps: octets looked at, or items made. Does nothing outside of tests.
#[cfg(not(test))]
pub(super) fn add(_n: usize) {}

#[cfg(test)]
pub(super) use counter::{add, measure};

#[cfg(test)]
mod counter {
    use std::cell::Cell;

    thread_local! {
        static STEPS: Cell<usize> = const { Cell::new(0) };
    }

    /// Counts `n` steps.
    pub(in crate::message) fn add(n: usize) {
        STEPS.with(|steps| steps.set(steps.get() + n));
    }

    /// The steps that `work` takes.
    pub(in crate::message) fn measure(work: impl FnOnce()) -> usize {
        STEPS.with(|steps| steps.set(0));
        work();
        STEPS.with(Cell::get)
    }
}
