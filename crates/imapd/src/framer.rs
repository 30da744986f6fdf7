//! Finds whole commands in what a client sends (RFC 3501 §2.2.1, §4.3; RFC 7888 for literals
//! that are sent without waiting).
//!
//! The framer alone knows about partial input, literals and limits. It gathers one command with
//! its literals and hands it out in one piece. Messages of an APPEND it hands through in chunks,
//! never stored here (S31), and what is before, between and behind them in segments.
//! What is over a limit is skipped as it comes, up to the place where the
//! next command begins (RFC 7888 §4).
//!
//! Invariant: the frames do not depend on how the input was cut into pieces, and the memory held is
//! bounded by the limits of the [`Phase`] (S18, S30).

mod announcement;
mod frame;
mod refusal;
mod skip;

use std::fmt;
use std::mem;
use std::ops::ControlFlow;

use crate::command::Behind;
use crate::extension::Capabilities;
use crate::extension::literal::Permitted;
use crate::grammar::{self, Announces, SyntaxError};
use crate::response::Code;
use crate::settings::Limits;
use crate::types::Tag;

use self::announcement::Announcement;
pub use self::announcement::{Announced, Literal};
pub use self::frame::Frame;
pub use self::refusal::Refusal;
use self::skip::{After, Skip, Skipped};

/// The input of one connection, cut into frames.
pub struct Framer {
    limits: Limits,
    /// Which literals a client may send without waiting.
    permitted: Permitted,
    phase: Phase,
    mode: Mode,
    /// What was pushed and not yet handed out.
    input: Vec<u8>,
    /// Where in `input` the frame begins that is being gathered; all before it is done with.
    start: usize,
    state: State,
}

/// Whose limits hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nobody has logged in yet.
    BeforeLogin,
    /// Somebody has.
    AfterLogin,
}

/// What the client is sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Commands, with literals.
    Commands,
    /// Single lines: the responses of AUTHENTICATE (RFC 3501 §6.2.2), DONE (RFC 2177 §3).
    Lines,
}

/// What is being read.
#[derive(Debug)]
enum State {
    /// A line of a command. Places are counted from the start of the frame.
    Line(Gathering),
    /// A literal of a command, up to the place `end`.
    Literal { gathering: Gathering, end: usize },
    /// Nothing, until the session says what to do with a message.
    Undecided(Announced, Behind),
    /// A message of which `left` octets are to come.
    Message { left: u64, behind: Behind },
    /// Something that nobody wants.
    Skip(Skip),
    /// Nothing, ever again.
    Closed,
}

/// What is known of the command being gathered. Places are counted from its start.
#[derive(Clone, Copy, Debug)]
struct Gathering {
    /// Where the current line begins.
    line: usize,
    /// Up to where the current line was searched for its end.
    searched: usize,
    /// Octets of earlier lines, without literals.
    text: usize,
    /// What is known of what the lines belong to.
    form: Form,
    /// Whether the literal before the current line is a URL of CATENATE.
    behind_url: bool,
}

/// What is known of what a line belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Not looked at, or APPEND or REPLACE with its mailbox in a literal.
    MaybeAppend,
    /// One of these whose line goes on behind octets of a message.
    Behind(Behind),
    /// Any other command.
    Other,
}

impl Form {
    /// What is told of a command that is given up, when it has been skipped.
    fn given_up(self, tag: Option<Tag>, refusal: Refusal) -> After {
        match self {
            Self::Behind(_) => After::MessageEnd(refusal),
            Self::MaybeAppend | Self::Other => After::Bad { tag, refusal },
        }
    }
}

impl Gathering {
    /// A command of which nothing is known.
    const NEW: Self = Self {
        line: 0,
        searched: 0,
        text: 0,
        form: Form::MaybeAppend,
        behind_url: false,
    };
}

/// Whether to look at the input again, or to hand out a frame.
type Progress = ControlFlow<Frame>;

impl Framer {
    /// A framer for a new connection.
    pub fn new(limits: &Limits) -> Self {
        Self {
            limits: limits.clone(),
            permitted: Permitted::Any,
            phase: Phase::BeforeLogin,
            mode: Mode::Commands,
            input: Vec::new(),
            start: 0,
            state: State::Line(Gathering::NEW),
        }
    }

    /// From now on the limits of `phase` hold.
    pub fn set_phase(&mut self, phase: Phase) {
        self.phase = phase;
    }

    /// From now on the client is offered these capabilities; all, if nothing is said.
    pub fn set_offered(&mut self, offered: Capabilities) {
        self.permitted = Permitted::of(offered);
    }

    /// From the next frame on the client sends this.
    pub fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    /// Takes what was read.
    pub fn push(&mut self, octets: &[u8]) {
        if matches!(self.state, State::Closed) {
            return;
        }
        if self.start > 0 {
            self.input.drain(..self.start);
            self.start = 0;
        }
        let needed = self.input.len().saturating_add(octets.len());
        if needed > self.input.capacity() {
            // By a quarter and not by doubling, to hold little more than the limits say.
            self.input.reserve_exact(octets.len() + needed / 4);
        }
        self.input.extend_from_slice(octets);
    }

    /// Forgets all input, as STARTTLS demands (RFC 3501 §6.2.1): nothing sent in the clear may be
    /// taken for something sent under TLS.
    pub fn reset(&mut self) {
        let permitted = self.permitted;
        *self = Self::new(&self.limits);
        self.permitted = permitted;
    }

    /// Gives back all input that has not been handed out: it has to be inflated first
    /// (RFC 4978 §3).
    pub fn take_unread(&mut self) -> Vec<u8> {
        let mut unread = mem::take(&mut self.input);
        unread.drain(..self.start);
        self.start = 0;
        self.state = State::Line(Gathering::NEW);
        unread
    }

    /// The message announced last is wanted.
    pub fn accept_message(&mut self) {
        if let State::Undecided(announced, behind) = self.state {
            let left = announced.octets;
            self.state = State::Message { left, behind };
        }
    }

    /// The message announced last is not wanted: a client that waits for `+ …` will not send it,
    /// one that does not wait has its octets skipped (RFC 7888 §4).
    pub fn refuse_message(&mut self) {
        if let State::Undecided(announced, _) = self.state {
            self.state = match announced.kind {
                Literal::Sync => State::Line(Gathering::NEW),
                Literal::NonSync => State::Skip(Skip::literal(announced.octets, After::Nothing)),
            };
        }
    }

    /// The next frame.
    #[expect(
        clippy::should_implement_trait,
        reason = "there is always a next frame, as with a machine's effects"
    )]
    pub fn next(&mut self) -> Frame {
        loop {
            let progress = match mem::replace(&mut self.state, State::Closed) {
                State::Line(gathering) => self.line(gathering),
                State::Literal { gathering, end } => self.literal(gathering, end),
                state @ State::Undecided(..) => {
                    self.state = state;
                    Progress::Break(Frame::More)
                }
                State::Message { left, behind } => self.message(left, behind),
                State::Skip(skip) => self.skip(skip),
                State::Closed => Progress::Break(Frame::More),
            };
            if let Progress::Break(frame) = progress {
                self.release();
                return frame;
            }
        }
    }

    /// How many octets are held that are not handed out yet.
    pub fn buffered(&self) -> usize {
        self.gathered().len()
    }

    /// Looks for the end of a line.
    fn line(&mut self, gathering: Gathering) -> Progress {
        let limit = self.line_limit();
        let gathered = self.gathered();
        let unsearched = gathered.get(gathering.searched..).unwrap_or_default();
        let Some(found) = unsearched.iter().position(|&octet| octet == b'\n') else {
            let searched = gathered.len();
            let line = gathered.get(gathering.line..).unwrap_or_default();
            if gathering.text + without_cr(line).len() > limit {
                return self.overlong(gathering, limit);
            }
            self.state = State::Line(Gathering {
                searched,
                ..gathering
            });
            return Progress::Break(Frame::More);
        };
        let line_end = gathering.searched + found;
        let line = without_cr(gathered.get(gathering.line..line_end).unwrap_or_default());
        let text_end = gathering.line + line.len();
        let gathering = Gathering {
            searched: line_end + 1,
            ..gathering
        };
        if gathering.text + line.len() > limit {
            return self.overlong(gathering, limit);
        }
        match self.mode {
            Mode::Lines => {
                self.state = State::Line(Gathering::NEW);
                Progress::Break(Frame::Line(self.take(text_end, line_end + 1)))
            }
            Mode::Commands => match Announcement::at_end_of(line) {
                Announcement::None => self.whole(gathering.form, text_end, line_end + 1),
                Announcement::Literal(announced) => {
                    let text = gathering.text + line.len();
                    self.announced(Gathering { text, ..gathering }, line_end + 1, announced)
                }
                Announcement::Unreadable(Literal::Sync) => {
                    let tag = self.tag(gathering.form, line_end + 1);
                    let error = SyntaxError::expecting(LITERAL_SIZE, line_end + 1);
                    self.start += line_end + 1;
                    let skip = Skip::nothing(gathering.form.given_up(tag, error.into()));
                    self.state = State::Skip(skip);
                    Progress::Continue(())
                }
                Announcement::Unreadable(Literal::NonSync) => self.fatal(LITERAL_SIZE),
            },
        }
    }

    /// Hands out what ends with its line; an empty line between commands is none.
    fn whole(&mut self, form: Form, text_end: usize, end: usize) -> Progress {
        self.state = State::Line(Gathering::NEW);
        if let Form::Behind(behind) = form {
            let segment = self.gathered().get(..text_end).unwrap_or_default();
            let last = grammar::last_segment(segment, behind).map_err(Refusal::from);
            self.start += end;
            return Progress::Break(Frame::MessageEnd(last));
        }
        if text_end == 0 {
            // Interop: many clients send empty lines between commands.
            self.start += end;
            return Progress::Continue(());
        }
        Progress::Break(Frame::Command(self.take(text_end, end)))
    }

    /// Decides about a literal that is announced right before `end`.
    fn announced(&mut self, gathering: Gathering, end: usize, announced: Announced) -> Progress {
        let gathered = self.gathered().get(..end).unwrap_or_default();
        let line = gathered.get(gathering.line..).unwrap_or_default();
        let form = gathering.form;
        let announces = match form {
            Form::Other => Ok(Announces::Argument),
            // The lines before it are not read again, for each of thousands of URLs.
            _ if gathering.behind_url && grammar::announces_url(line) => {
                Ok(Announces::ArgumentOfAppend)
            }
            Form::MaybeAppend => grammar::announces(gathered, &self.limits)
                .map(|it| it.map(|tagged| Frame::Message(tagged, announced))),
            Form::Behind(behind) => grammar::announces_behind(gathered, behind)
                .map(|it| it.map(|pieces| Frame::NextMessage(pieces, announced)))
                .map_err(|error| (None, error)),
        };
        let announces = match announces {
            Ok(announces) => announces,
            Err((tag, error)) => {
                return self.refuse(end, announced, form.given_up(tag, error.into()));
            }
        };
        if let Err(expected) = self.permitted.check(announced) {
            let too_big = announces.is_of_append() && self.permitted == Permitted::Small;
            let refusal = Refusal {
                error: SyntaxError::expecting(expected, end),
                code: too_big.then_some(Code::TooBig),
            };
            let tag = self.tag(form, end);
            return self.refuse(end, announced, form.given_up(tag, refusal));
        }
        let form = match announces {
            Announces::Argument => Form::Other,
            Announces::ArgumentOfAppend => form,
            Announces::Octets(frame, behind) => {
                self.start += end;
                self.state = State::Undecided(announced, behind);
                return Progress::Break(frame);
            }
        };
        let octets = usize::try_from(announced.octets).unwrap_or(usize::MAX);
        let (literal, arguments) = match self.phase {
            Phase::BeforeLogin => (
                self.limits.literal_before_login,
                self.limits.arguments_before_login,
            ),
            Phase::AfterLogin => (self.limits.arguments, self.limits.arguments),
        };
        if octets > literal || end.saturating_add(octets) > arguments {
            let tag = self.tag(form, end);
            let error = SyntaxError::expecting("a literal within the limits", end);
            return self.refuse(end, announced, form.given_up(tag, error.into()));
        }
        // Only the first line can end with the mailbox.
        let behind_mailbox = gathering.line > 0 || matches!(form, Form::Behind(_));
        self.state = State::Literal {
            gathering: Gathering {
                form,
                behind_url: behind_mailbox && form != Form::Other,
                ..gathering
            },
            end: end + octets,
        };
        match announced.kind {
            Literal::Sync => Progress::Break(Frame::Continue),
            Literal::NonSync => Progress::Continue(()),
        }
    }

    /// Waits for a literal.
    fn literal(&mut self, gathering: Gathering, end: usize) -> Progress {
        if self.gathered().len() < end {
            self.state = State::Literal { gathering, end };
            return Progress::Break(Frame::More);
        }
        self.state = State::Line(Gathering {
            line: end,
            searched: end,
            ..gathering
        });
        Progress::Continue(())
    }

    /// Hands out octets of a message.
    fn message(&mut self, left: u64, behind: Behind) -> Progress {
        if left == 0 {
            self.state = State::Line(Gathering {
                form: Form::Behind(behind),
                ..Gathering::NEW
            });
            return Progress::Continue(());
        }
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK);
        let octets = self.gathered().len().min(wanted);
        self.state = State::Message {
            left: left - octets as u64,
            behind,
        };
        Progress::Break(if octets == 0 {
            Frame::More
        } else {
            Frame::MessageData(self.take(octets, octets))
        })
    }

    /// Gives up a command whose text is too long, from its current line on.
    fn overlong(&mut self, gathering: Gathering, limit: usize) -> Progress {
        let tag = match self.mode {
            Mode::Commands => self.tag(gathering.form, limit),
            Mode::Lines => None,
        };
        let error = SyntaxError::expecting("a line within the limits", limit);
        let after = gathering.form.given_up(tag, error.into());
        self.start += gathering.line;
        self.state = State::Skip(Skip::line(self.mode, after));
        Progress::Continue(())
    }

    /// Gives up a command at the literal announced right before `end`.
    fn refuse(&mut self, end: usize, announced: Announced, after: After) -> Progress {
        self.start += end;
        self.state = State::Skip(match announced.kind {
            Literal::Sync => Skip::nothing(after),
            Literal::NonSync => Skip::literal(announced.octets, after),
        });
        Progress::Continue(())
    }

    /// Drops input up to where the next command begins.
    fn skip(&mut self, mut skip: Skip) -> Progress {
        let budget = match self.phase {
            Phase::BeforeLogin => skip::Budget {
                text: self.limits.arguments_before_login,
                literal: self.limits.arguments_before_login as u64,
            },
            Phase::AfterLogin => skip::Budget {
                text: self.limits.arguments,
                literal: u64::MAX,
            },
        };
        let (used, skipped) = skip.feed(self.gathered(), budget);
        self.start += used;
        match skipped {
            Skipped::More => {
                self.state = State::Skip(skip);
                Progress::Break(Frame::More)
            }
            Skipped::Done => {
                self.state = State::Line(Gathering::NEW);
                match skip.after {
                    After::Nothing => Progress::Continue(()),
                    After::Bad { tag, refusal } => Progress::Break(Frame::Bad { tag, refusal }),
                    After::MessageEnd(refusal) => Progress::Break(Frame::MessageEnd(Err(refusal))),
                }
            }
            Skipped::Lost => self.fatal("a command within the limits"),
        }
    }

    /// Gives up the connection.
    fn fatal(&mut self, expected: &'static str) -> Progress {
        self.input = Vec::new();
        self.start = 0;
        self.state = State::Closed;
        Progress::Break(Frame::Fatal(SyntaxError::expecting(expected, 0)))
    }

    /// Hands out the first `octets` of what is gathered and is done with the first `used`.
    fn take(&mut self, octets: usize, used: usize) -> Vec<u8> {
        if self.start == 0 && used == self.input.len() {
            let mut taken = mem::take(&mut self.input);
            taken.truncate(octets);
            return taken;
        }
        let taken = self.gathered().get(..octets).unwrap_or_default().to_vec();
        self.start += used;
        taken
    }

    /// Gives memory back when nothing is buffered.
    fn release(&mut self) {
        if self.start >= self.input.len() {
            self.input = Vec::new();
            self.start = 0;
        }
    }

    /// The input from the start of the frame that is being gathered.
    fn gathered(&self) -> &[u8] {
        self.input.get(self.start..).unwrap_or_default()
    }

    /// The tag of the command that is being gathered, within its first `end` octets.
    fn tag(&self, form: Form, end: usize) -> Option<Tag> {
        match form {
            // The session knows it.
            Form::Behind(_) => None,
            Form::MaybeAppend | Form::Other => {
                grammar::tag(self.gathered().get(..end).unwrap_or_default())
            }
        }
    }

    /// The limit for the text of a command, or for a line.
    const fn line_limit(&self) -> usize {
        match self.phase {
            Phase::BeforeLogin => self.limits.line_before_login,
            Phase::AfterLogin => self.limits.line,
        }
    }
}

impl fmt::Debug for Framer {
    /// Shows no input: it may hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Framer")
            .field("phase", &self.phase)
            .field("mode", &self.mode)
            .field("state", &self.state)
            .field("buffered", &self.buffered())
            .finish_non_exhaustive()
    }
}

/// A line without the CR of its line end. Interop: a bare LF ends a line as well.
fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The most octets of a message that are handed out at once.
const CHUNK: usize = 64 * 1024;

/// What an announcement should have had.
const LITERAL_SIZE: &str = "a literal's size";

#[cfg(test)]
mod tests;
