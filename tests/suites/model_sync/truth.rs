//! What is true of a mailbox, whoever has been told of it: its messages, and all that follows for
//! their mod-sequences from the acts that changed them (RFC 7162 §3.1).
//!
//! The server chooses mod-sequences, so they are not known before a client is told. What holds
//! anyway: a state of a message has one mod-sequence; a change gives it one that is higher than all
//! that anybody was told before; what is not changed keeps the one it has.

use std::collections::{BTreeMap, BTreeSet};

/// The flags of a message, by name.
pub(crate) type Flags = BTreeSet<String>;

/// A message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// Tells it from others, but for its copies.
    pub(crate) subject: String,
    /// Those that it has now.
    pub(crate) flags: Flags,
    /// Its states whose mod-sequences have been told.
    told: BTreeMap<u64, Flags>,
    /// Its states since, the last one is how it is now.
    untold: Vec<Untold>,
    /// Its states before that nobody was told of, with a mod-sequence that is higher than theirs: a
    /// client that lags behind may hear of them yet.
    passed: Vec<(Untold, u64)>,
}

/// A state of a message whose mod-sequence nobody knows.
#[derive(Clone, Debug)]
struct Untold {
    /// Its mod-sequence is higher than this.
    above: u64,
    flags: Flags,
    act: Act,
}

/// What changed a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// The STORE command of this number: no two of them give the same mod-sequence.
    Store(u32),
    Other,
}

/// A message that is gone.
#[derive(Clone, Debug)]
struct Gone {
    message: Message,
    /// Its going has a mod-sequence higher than this.
    above: u64,
    /// And not higher than this, once it is known.
    at_most: Option<u64>,
}

/// A mailbox.
#[derive(Debug)]
pub(crate) struct Mailbox {
    pub(crate) name: &'static str,
    pub(crate) uid_validity: Option<u64>,
    pub(crate) next_uid: u32,
    pub(crate) messages: BTreeMap<u32, Message>,
    gone: BTreeMap<u32, Gone>,
    /// The highest mod-sequence that anybody was told.
    highest: u64,
    acts: BTreeMap<u64, Act>,
}

/// Whether messages have a mod-sequence above another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    Changed,
    Unchanged,
    Unknown,
}

impl Message {
    fn new(subject: String, flags: Flags, above: u64) -> Self {
        let first = Untold {
            above,
            flags: flags.clone(),
            act: Act::Other,
        };
        Self {
            subject,
            flags,
            told: BTreeMap::new(),
            untold: vec![first],
            passed: Vec::new(),
        }
    }

    /// Its mod-sequence, if anybody was told.
    pub(crate) fn mod_seq(&self) -> Option<u64> {
        let last = self.told.last_key_value().map(|(mod_seq, _)| *mod_seq);
        last.filter(|_| self.untold.is_empty())
    }

    pub(crate) fn since(&self, mod_seq: u64) -> Since {
        match (self.mod_seq(), self.untold.last()) {
            (Some(own), _) if own > mod_seq => Since::Changed,
            (Some(_), _) => Since::Unchanged,
            (None, Some(last)) if last.above >= mod_seq => Since::Changed,
            (None, _) => Since::Unknown,
        }
    }

    /// Somebody was told a mod-sequence, perhaps with the flags; gives what caused it if that is
    /// certain now.
    fn tell(&mut self, mod_seq: u64, flags: Option<&Flags>) -> Result<Option<Act>, String> {
        if let Some(known) = self.told.get(&mod_seq) {
            return match flags.filter(|flags| *flags != known) {
                Some(flags) => Err(format!("{mod_seq} was {known:?}, and is {flags:?} now")),
                None => Ok(None),
            };
        }
        let can_be = |state: &Untold| {
            state.above < mod_seq && flags.is_none_or(|flags| *flags == state.flags)
        };
        let untold = self.untold.iter();
        let possible: Vec<usize> = (0..)
            .zip(untold)
            .filter(|(_, it)| can_be(it))
            .map(first)
            .collect();
        match possible.as_slice() {
            [] if self
                .passed
                .iter()
                .any(|(it, below)| can_be(it) && mod_seq < *below) =>
            {
                Ok(None)
            }
            [] => Err(format!("{mod_seq} with {flags:?} is none of {self:?}")),
            [at] => Ok(Some(self.assign(*at, mod_seq))),
            // Which of them it is shows when a client knows everything.
            _ => Ok(None),
        }
    }

    /// The state at this place has this mod-sequence; those before it have lower ones.
    fn assign(&mut self, at: usize, mod_seq: u64) -> Act {
        let state = self.untold.remove(at);
        let before = self.untold.drain(..at);
        self.passed.extend(before.map(|it| (it, mod_seq)));
        self.told.insert(mod_seq, state.flags);
        state.act
    }
}

fn first<A, B>(pair: (A, B)) -> A {
    pair.0
}

impl Mailbox {
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            uid_validity: None,
            next_uid: 1,
            messages: BTreeMap::new(),
            gone: BTreeMap::new(),
            highest: 0,
            acts: BTreeMap::new(),
        }
    }

    /// The highest mod-sequence that anybody was told.
    pub(crate) fn highest(&self) -> u64 {
        self.highest
    }

    /// A message comes.
    pub(crate) fn add(&mut self, uid: u32, subject: String, flags: Flags) {
        assert!(
            uid >= self.next_uid,
            "UID {uid}, not {} or more",
            self.next_uid
        );
        let message = Message::new(subject, flags, self.highest);
        self.messages.insert(uid, message);
        self.next_uid = uid + 1;
    }

    /// A message has these flags from now on.
    pub(crate) fn change(&mut self, uid: u32, flags: Flags, act: Act) {
        let above = self.highest;
        let Some(message) = self.messages.get_mut(&uid) else {
            return;
        };
        if message.flags != flags {
            message.flags.clone_from(&flags);
            message.untold.push(Untold { above, flags, act });
        }
    }

    /// A message goes.
    pub(crate) fn remove(&mut self, uid: u32) -> Option<Message> {
        let message = self.messages.remove(&uid)?;
        let gone = Gone {
            message: message.clone(),
            above: self.highest,
            at_most: None,
        };
        self.gone.insert(uid, gone);
        Some(message)
    }

    /// A client was told what this message is like.
    pub(crate) fn tell(
        &mut self,
        uid: u32,
        mod_seq: u64,
        flags: Option<&Flags>,
    ) -> Result<(), String> {
        let gone = self.gone.get_mut(&uid).map(|gone| &mut gone.message);
        let Some(message) = self.messages.get_mut(&uid).or(gone) else {
            return Err(format!("there never was UID {uid}"));
        };
        let act = message.tell(mod_seq, flags);
        let act = act.map_err(|problem| format!("UID {uid}: {problem}"))?;
        self.highest = self.highest.max(mod_seq);
        let Some(act @ Act::Store(_)) = act else {
            return Ok(());
        };
        match self.acts.insert(mod_seq, act) {
            Some(other) if other != act => {
                Err(format!("{other:?} and {act:?} both give {mod_seq}"))
            }
            _ => Ok(()),
        }
    }

    /// A client that knows everything has been told this mod-sequence of a message.
    pub(crate) fn confirm(&mut self, uid: u32, mod_seq: u64) -> Result<(), String> {
        let Some(message) = self.messages.get_mut(&uid) else {
            return Err(format!("there is no UID {uid}"));
        };
        match message.untold.last() {
            Some(last) if last.above < mod_seq => {
                message.assign(message.untold.len() - 1, mod_seq);
            }
            Some(_) => return Err(format!("UID {uid} is not at {mod_seq}: {message:?}")),
            None if message.mod_seq() != Some(mod_seq) => {
                return Err(format!("UID {uid} is not at {mod_seq}: {message:?}"));
            }
            None => {}
        }
        self.highest = self.highest.max(mod_seq);
        Ok(())
    }

    /// A client was told that this is the highest mod-sequence, or that it knows everything up to it.
    pub(crate) fn tell_highest(&mut self, mod_seq: u64) {
        self.highest = self.highest.max(mod_seq);
    }

    /// A client that has opened the mailbox was told its highest mod-sequence.
    pub(crate) fn opened(&mut self, highest: u64) -> Result<(), String> {
        for (uid, message) in &self.messages {
            if message.since(highest) == Since::Changed {
                return Err(format!("UID {uid} is above {highest}: {message:?}"));
            }
        }
        for gone in self.gone.values_mut() {
            gone.at_most.get_or_insert(highest);
        }
        self.tell_highest(highest);
        Ok(())
    }

    /// Whether a message went after a mod-sequence.
    pub(crate) fn gone_since(&self, uid: u32, mod_seq: u64) -> Since {
        match self.gone.get(&uid) {
            None => Since::Unchanged,
            Some(gone) if gone.above >= mod_seq => Since::Changed,
            Some(gone) if gone.at_most.is_some_and(|it| it <= mod_seq) => Since::Unchanged,
            Some(_) => Since::Unknown,
        }
    }

    /// The UIDs of all messages that are gone.
    pub(crate) fn gone(&self) -> impl Iterator<Item = u32> {
        self.gone.keys().copied()
    }

    /// The messages, by what clients know of them.
    pub(crate) fn flags(&self) -> BTreeMap<u32, Flags> {
        let flags = self.messages.iter();
        flags
            .map(|(uid, message)| (*uid, message.flags.clone()))
            .collect()
    }
}
