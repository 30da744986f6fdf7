//! INPROGRESS (RFC 9585): a command that takes long tells how far it is.
//!
//! A notice goes out between two slices of work, and only of commands that are between two responses
//! then. FETCH shows by what it sends how far it is, so that it has notices only where it sends
//! nothing; APPEND and REPLACE have them while parts of other messages are copied (RFC 4469) or the
//! account is counted, and never while the client sends. COPY is one slice, because it must not be
//! done by halves, and so is the opening of a mailbox. No notice belongs to a command that takes
//! less than [`INTERVAL`].

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::{Capabilities, Capability, Extension, Shown};
use crate::response::{Code, Status, Untagged};
use crate::session::responses::Responses;
use crate::session::view::number;
use crate::types::Tag;

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::InProgress,
    capability: "INPROGRESS",
    rfc: 9585,
    shown: Shown::Always,
    enables: None,
};

/// The time to the first notice and between two: every 10 to 15 seconds is recommended
/// (RFC 9585 §4), and a slice of work comes on top.
const INTERVAL: Duration = Duration::from_secs(10);

/// What the response code tells (RFC 9585 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InProgress {
    /// CMD-TAG: the tag of the command, if it can be told.
    pub tag: Option<Tag>,
    /// PROGRESS and GOAL.
    pub state: InProgressState,
}

/// `inprogress-state` (RFC 9585 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InProgressState {
    /// `inprogress-state-unknown`: it goes on.
    Unknown,
    /// `inprogress-state-counting`: so many items so far.
    Counting(u32),
    /// `inprogress-state-known-goal`: so many items, fewer than the second number.
    KnownGoal(u32, NonZeroU32),
}

impl InProgress {
    /// A tag with `]` is not told: clients look for the end of the response code there.
    fn new(tag: Option<&Tag>, state: InProgressState) -> Self {
        let tag = tag.filter(|tag| !tag.as_str().contains(']'));
        Self {
            tag: tag.cloned(),
            state,
        }
    }
}

impl InProgressState {
    /// So many items of so many; nothing when they are all done, as the command is answered then
    /// (RFC 9585 §4).
    pub(crate) fn of(done: usize, goal: usize) -> Option<Self> {
        let (done, goal) = (number(done), NonZeroU32::new(number(goal))?);
        (done < goal.get()).then_some(Self::KnownGoal(done, goal))
    }

    /// The same for people.
    fn text(self) -> String {
        match self {
            Self::Unknown => "Still working".to_owned(),
            Self::Counting(done) => format!("Processed {done} items so far"),
            Self::KnownGoal(done, goal) => {
                let percent = u64::from(done) * 100 / u64::from(goal.get());
                format!("Processed {percent}% of the items")
            }
        }
    }
}

/// When a command tells next how far it is.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    /// When the next one is due, once the command has begun.
    due: Option<Instant>,
}

impl Notices {
    /// Whether it is time for one, and the client is offered such. The client was last heard or
    /// answered at `active`, if this is the first time that the command asks.
    pub(crate) fn are_due(&mut self, active: Instant, now: Instant, offered: Capabilities) -> bool {
        let due = *self.due.get_or_insert(active + INTERVAL);
        now >= due && offered.has(Capability::InProgress)
    }

    /// The command has shown by itself that it goes on.
    pub(crate) fn put_off(&mut self, now: Instant) {
        self.due = Some(now + INTERVAL);
    }

    /// Tells how far the command with this tag is.
    pub(crate) fn tell(
        &mut self,
        tag: Option<&Tag>,
        state: InProgressState,
        now: Instant,
        out: &mut Responses,
    ) {
        let code = Code::InProgress(InProgress::new(tag, state));
        let notice = Untagged::Status(Status::Ok, Some(code), state.text());
        out.untagged(notice);
        self.put_off(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_less_than_its_goal() {
        let goal = |done, goal: u32| InProgressState::KnownGoal(done, goal.try_into().unwrap());
        let table = [
            ((0, 1), Some(goal(0, 1))),
            ((454, 1000), Some(goal(454, 1000))),
            ((999, 1000), Some(goal(999, 1000))),
            ((1000, 1000), None),
            ((1001, 1000), None),
            ((0, 0), None),
            ((7, usize::MAX), Some(goal(7, u32::MAX))),
            ((usize::MAX - 1, usize::MAX), None),
        ];
        for ((done, goal), expected) in table {
            assert_eq!(
                InProgressState::of(done, goal),
                expected,
                "{done} of {goal}"
            );
        }
    }

    #[test]
    fn texts_are_those_of_the_rfc() {
        let table = [
            (454, 1000, "Processed 45% of the items"),
            (999, 1000, "Processed 99% of the items"),
            (
                u32::MAX as usize - 1,
                u32::MAX as usize,
                "Processed 99% of the items",
            ),
        ];
        for (done, goal, text) in table {
            assert_eq!(InProgressState::of(done, goal).unwrap().text(), text);
        }
        let counting = InProgressState::Counting(175);
        assert_eq!(counting.text(), "Processed 175 items so far");
    }

    #[test]
    fn a_tag_with_a_bracket_is_not_told() {
        for (tag, told) in [("A001", true), ("[a", true), ("a]", false), ("]", false)] {
            let tag = Tag(tag.to_owned());
            let code = InProgress::new(Some(&tag), InProgressState::Unknown);
            assert_eq!(code.tag, told.then_some(tag));
        }
    }
}
