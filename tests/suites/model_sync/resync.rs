//! Clients that come back: whatever they knew when their connection broke, what they are told
//! brings them to the truth (RFC 7162 §3.2.5, §6).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use imapd::types::Access;

use crate::client::Client;
use crate::messages::{Change, Named};
use crate::response::{numbers, set, value};
use crate::told::{Answer, Notify};
use crate::truth::Flags;
use crate::view::{Known, View};
use crate::world::World;

/// What a client knew.
#[derive(Clone, Debug)]
pub(crate) struct Remembered {
    pub(crate) mailbox: usize,
    /// Its HIGHESTMODSEQ.
    pub(crate) up_to: u64,
    messages: BTreeMap<u32, Flags>,
}

/// A client that opens a mailbox with what it knew.
#[derive(Debug)]
pub(crate) struct Resync {
    known: Remembered,
    /// The UIDs that it asks for, if not all.
    uids: Option<BTreeSet<u32>>,
    matches: bool,
    /// As it stands behind SELECT.
    pub(crate) parameter: String,
}

/// How many are remembered.
const MEMORY: usize = 24;

impl World {
    /// What a client knows, if it does of all messages that it counts.
    fn knowledge(&self, who: usize) -> Option<Remembered> {
        let client = &self.clients[who];
        Some(Remembered {
            mailbox: client.selected?.mailbox,
            up_to: client.complete.up_to?,
            messages: client.view.whole()?,
        })
    }

    /// What a client knows now is perhaps tried out later; more often if it may not have been told
    /// everything.
    pub(crate) fn remember(&mut self, who: usize) {
        let Some(known) = self.knowledge(who) else {
            return;
        };
        let truth = &self.truth[known.mailbox].messages;
        let held = known.messages.keys().any(|uid| !truth.contains_key(uid));
        let less = self.clients[who].notify == Notify::Less;
        if !self.random.once_in(if held || less { 2 } else { 8 }) {
            return;
        }
        if held {
            self.note("remembered while messages were gone");
        }
        if self.remembered.len() >= MEMORY {
            let at = self.random.below(MEMORY);
            self.remembered.remove(at);
        }
        self.remembered.push(known);
    }

    /// What a client knows now is tried out at once, by another one.
    pub(crate) fn prove(&mut self, who: usize) {
        let Some(known) = self.knowledge(who) else {
            return;
        };
        let tries = |it: &&Client| {
            let open = it.selected.is_some_and(|it| it.mailbox == known.mailbox);
            let free = it.idle.is_none() && it.notify != Notify::Less;
            it.name != who && it.aware && open && free
        };
        let others: Vec<usize> = self
            .clients
            .iter()
            .filter(tries)
            .map(|it| it.name)
            .collect();
        if !others.is_empty() {
            let other = *self.random.pick(&others);
            self.noop(other);
            self.catch_up_from(other, &known);
            self.note("proved");
        }
    }

    /// Something that a client knew of a mailbox, the last one more often than others.
    fn recall(&mut self, mailbox: usize) -> Option<Remembered> {
        let known = self.remembered.iter().filter(|it| it.mailbox == mailbox);
        let known: Vec<&Remembered> = known.collect();
        let last = known.last().filter(|_| self.random.once_in(2));
        let one = last.or_else(|| (!known.is_empty()).then(|| self.random.pick(&known)));
        one.map(|it| (*it).clone())
    }

    /// Messages go while a client uses numbers, so that it cannot be told; what it knows up to then
    /// must not leave them out (RFC 7162 §3.2, §6).
    pub(crate) fn hold_back(&mut self, who: usize) {
        let mailbox = self.mailbox(who, Access::ReadWrite);
        let others = self
            .clients
            .iter()
            .filter(|it| it.name != who && it.idle.is_none());
        let others = others.map(|it| it.name);
        let others: Vec<usize> = others
            .filter(|it| mailbox.is_some() && self.mailbox(*it, Access::ReadWrite) == mailbox)
            .collect();
        if others.is_empty() || !self.clients[who].has_numbers() {
            return;
        }
        let other = *self.random.pick(&others);
        self.noop(who);
        self.change_flags(other);
        self.expunge(other);
        self.change_flags(other);
        for _ in 0..3 {
            self.use_all_numbers(who);
            self.prove(who);
        }
        if self.random.once_in(2) {
            self.reconnect(who);
        } else {
            self.noop(who);
        }
    }

    /// FETCH or STORE, by the numbers of all messages of which the client knows.
    fn use_all_numbers(&mut self, who: usize) {
        let uids = self.clients[who].view.uids();
        if uids.is_empty() {
            return;
        }
        if self.random.once_in(2) {
            self.run(who, "FETCH 1:* (UID FLAGS)");
        } else {
            let named = Named {
                prefix: "",
                set: "1:*".to_owned(),
                uids,
            };
            let change = Change {
                sign: "+",
                silent: "",
                flags: self.some_flags(),
                unchanged_since: None,
            };
            self.store(who, &named, &change);
        }
        self.learn(who);
    }

    /// What a client says to SELECT that it knows.
    pub(crate) fn resync(&mut self, who: usize, mailbox: usize) -> Option<Resync> {
        if !self.clients[who].features.qresync || self.random.once_in(4) {
            return None;
        }
        let known = self.recall(mailbox)?;
        let all: Vec<u32> = known.messages.keys().copied().collect();
        let last = all.last().copied().unwrap_or(1);
        let (text, uids): (String, Option<BTreeSet<u32>>) = match self.random.below(4) {
            0 => (format!(" 1:{last}"), Some((1..=last).collect())),
            1 if !all.is_empty() => (
                format!(" {}", set(&all)),
                Some(all.iter().copied().collect()),
            ),
            2 => {
                let low = 1 + u32::try_from(self.random.below(last as usize)).unwrap();
                (format!(" {low}:{last}"), Some((low..=last).collect()))
            }
            _ => (String::new(), None),
        };
        let matches =
            !all.is_empty() && !self.clients[who].features.uid_only && self.random.once_in(2);
        let matching = if matches {
            self.matches(&all)
        } else {
            String::new()
        };
        let validity = self.truth[mailbox].uid_validity?;
        let parameter = format!(" (QRESYNC ({validity} {}{text}{matching}))", known.up_to);
        Some(Resync {
            known,
            uids,
            matches,
            parameter,
        })
    }

    /// Numbers and UIDs of messages that the client knew (RFC 7162 §3.2.5.2).
    fn matches(&mut self, uids: &[u32]) -> String {
        let every = 1 + self.random.below(4);
        let number = |at: usize| u32::try_from(at + 1).unwrap();
        let numbers: Vec<u32> = (0..uids.len()).step_by(every).map(number).collect();
        let uids: Vec<u32> = uids.iter().copied().step_by(every).collect();
        format!(" ({} {})", set(&numbers), set(&uids))
    }

    /// The client is where the mailbox is, without having asked for anything else.
    pub(crate) fn resynchronised(&mut self, who: usize, resync: &Resync, answer: &Answer) {
        let mailbox = resync.known.mailbox;
        let wanted = |uid: &u32| resync.uids.as_ref().is_none_or(|uids| uids.contains(uid));
        let mut told = answer
            .earlier
            .iter()
            .copied()
            .chain(answer.fetched.iter().filter_map(|it| it.uid));
        if !told.all(|uid| wanted(&uid)) {
            self.clients[who].fail("messages were told that are not of interest");
        }
        if !resync.matches && resync.uids.is_none() {
            self.check_vanished(who, mailbox, &answer.earlier, resync.known.up_to, ALL);
        }
        let gone = answer.earlier.iter().copied().collect();
        let believed = self.catches_up(who, &resync.known, &gone, answer, wanted);
        if resync.uids.is_none() {
            self.show(who, believed);
        }
    }

    /// Takes in what a client is told that comes back; gives what it believes then, which is true.
    fn catches_up(
        &mut self,
        who: usize,
        known: &Remembered,
        gone: &BTreeSet<u32>,
        answer: &Answer,
        wanted: impl Fn(&u32) -> bool,
    ) -> BTreeMap<u32, Flags> {
        let mut believed = known.messages.clone();
        believed.retain(|uid, _| !gone.contains(uid) && wanted(uid));
        for fetched in &answer.fetched {
            let (Some(uid), Some(flags)) = (fetched.uid, &fetched.flags) else {
                self.clients[who].fail("no UID or no flags");
            };
            believed.insert(uid, flags.clone());
        }
        let mut truth = self.truth[known.mailbox].flags();
        truth.retain(|uid, _| wanted(uid));
        if believed != truth {
            self.clients[who].fail(&format!(
                "believed: {believed:?}\ntruth: {truth:?}\nknown: {known:?}"
            ));
        }
        self.note("resynchronised");
        believed
    }

    /// The client need not ask for the messages: it knows which they are.
    fn show(&mut self, who: usize, believed: BTreeMap<u32, Flags>) {
        let client = &mut self.clients[who];
        if client.view.len() != believed.len() {
            client.fail("EXISTS counts others");
        }
        if client.features.uid_only {
            client.view = View {
                messages: vec![Known::default(); believed.len()],
            };
            for uid in believed.keys() {
                client.view.place(*uid);
            }
        }
        for (known, (uid, flags)) in client.view.messages.iter_mut().zip(believed) {
            if known.uid.is_some_and(|it| it != uid)
                || known.flags.as_ref().is_some_and(|it| *it != flags)
            {
                self.clients[who].fail(&format!("UID {uid} is elsewhere"));
            }
            known.uid = Some(uid);
            known.flags = Some(flags);
        }
    }

    /// A client without SELECT (QRESYNC) catches up by CHANGEDSINCE (RFC 7162 §3.2.6).
    pub(crate) fn catch_up(&mut self, who: usize) {
        self.noop(who);
        let Some(mailbox) = self.mailbox(who, Access::ReadOnly) else {
            return;
        };
        let Some(known) = self.recall(mailbox).filter(|_| self.clients[who].aware) else {
            return;
        };
        self.catch_up_from(who, &known);
    }

    fn catch_up_from(&mut self, who: usize, known: &Remembered) {
        let mailbox = known.mailbox;
        let qresync = self.clients[who].features.qresync;
        let modifier = if qresync { " VANISHED" } else { "" };
        let since = known.up_to;
        let answer = self.run(
            who,
            &format!(
                "UID FETCH 1:{} (FLAGS) (CHANGEDSINCE {since}{modifier})",
                u32::MAX
            ),
        );
        let gone: BTreeSet<u32> = if qresync {
            self.check_vanished(who, mailbox, &answer.earlier, since, ALL);
            answer.earlier.iter().copied().collect()
        } else {
            let all = self.all(who);
            known
                .messages
                .keys()
                .copied()
                .filter(|uid| !all.contains(uid))
                .collect()
        };
        self.catches_up(who, known, &gone, &answer, |_| true);
    }

    /// The UIDs of all messages, by UID SEARCH.
    fn all(&mut self, who: usize) -> BTreeSet<u32> {
        let answer = self.run(who, "UID SEARCH ALL");
        if self.clients[who].features.is_rev2() {
            let found = answer.data("ESEARCH")[0];
            let all = found.get(2..).and_then(|it| value(it, "ALL"));
            return all
                .map(|it| numbers(it.word()))
                .unwrap_or_default()
                .into_iter()
                .collect();
        }
        let found = answer.data("SEARCH")[0].iter();
        found
            .map(|it| u32::try_from(it.number()).unwrap())
            .collect()
    }
}

const ALL: RangeInclusive<u32> = 1..=u32::MAX;
