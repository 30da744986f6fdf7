//! A progress bar on standard error, for whoever waits at a terminal.
//!
//! It appears after a second, so that short work shows none, and never when standard error is not
//! a terminal. Standard output is written to while the bar is away.

use std::fmt::Write;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// How far some work has come. The bar is gone when this is dropped.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    /// Dropped at the end, which ends the thread that waits to show the bar.
    _done: Sender<()>,
}

impl Progress {
    /// Begins work on so many `things`, such as `messages`.
    pub(super) fn new(total: u64, things: &str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        let template = format!(
            "{{bar:30}} {{human_pos}} of {{human_len}} {things}, {{rate}} a second, {{eta}} left"
        );
        if let Ok(style) = ProgressStyle::with_template(&template) {
            let rate = |state: &ProgressState, out: &mut dyn Write| {
                // The bar has nowhere to complain to.
                write!(out, "{:.0}", state.per_sec()).unwrap_or_default();
            };
            bar.set_style(style.with_key("rate", rate));
        }
        let (done, wait) = mpsc::channel();
        let shown = bar.clone();
        // Without this thread there is only no bar.
        drop(thread::Builder::new().spawn(move || {
            if wait.recv_timeout(SHORT) == Err(RecvTimeoutError::Timeout) {
                shown.set_draw_target(ProgressDrawTarget::stderr());
                shown.enable_steady_tick(TICK);
            }
        }));
        Self { bar, _done: done }
    }

    /// One more is done.
    pub(super) fn step(&self) {
        self.bar.inc(1);
    }

    /// So many more are done.
    pub(super) fn steps(&self, count: usize) {
        self.bar.inc(u64::try_from(count).unwrap_or_default());
    }

    /// Does something while the bar is away, such as writing to the same terminal.
    pub(super) fn pause<T>(&self, work: impl FnOnce() -> T) -> T {
        self.bar.suspend(work)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Work that is shorter shows no bar.
const SHORT: Duration = Duration::from_secs(1);

/// How often the bar is drawn while nothing is done.
const TICK: Duration = Duration::from_millis(250);
