//! FETCH and STORE, also of what has changed, and on condition that nothing has.

use std::collections::{BTreeMap, BTreeSet};

use imapd::types::Access;

use crate::response::{Item, numbers, set};
use crate::told::Answer;
use crate::truth::{Act, Flags, Since};
use crate::world::{FLAGS, World};

/// Messages that a command names.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    /// `UID ` or nothing.
    pub(crate) prefix: &'static str,
    pub(crate) set: String,
    pub(crate) uids: Vec<u32>,
}

/// What a STORE does.
pub(crate) struct Change {
    pub(crate) sign: &'static str,
    pub(crate) silent: &'static str,
    pub(crate) flags: Flags,
    pub(crate) unchanged_since: Option<u64>,
}

impl Change {
    fn of(&self, flags: &Flags) -> Flags {
        match self.sign {
            "+" => flags.union(&self.flags).cloned().collect(),
            "-" => flags.difference(&self.flags).cloned().collect(),
            _ => self.flags.clone(),
        }
    }
}

impl World {
    /// Some of the messages of which a client knows.
    pub(crate) fn named(&mut self, who: usize) -> Option<Named> {
        self.learn(who);
        let uids = self.clients[who].view.uids();
        let by_uid = !self.clients[who].has_numbers() || self.random.once_in(2);
        let prefix = if by_uid { "UID " } else { "" };
        let saved = self.clients[who].saved.clone();
        if let Some(saved) = saved.filter(|_| self.random.once_in(4)) {
            self.note("$");
            let uids = saved.into_iter().collect();
            let set = "$".to_owned();
            return Some(Named { prefix, set, uids });
        }
        if uids.is_empty() {
            return None;
        }
        let (a, b) = (self.random.below(uids.len()), self.random.below(uids.len()));
        let number = |at: usize| u32::try_from(at + 1).unwrap();
        let (low, high) = (a.min(b), a.max(b));
        if self.random.once_in(3) {
            let some = self.random.some(&uids[low..=high], 4);
            let numbers: Vec<u32> = some
                .iter()
                .map(|uid| number(uids.iter().position(|it| it == uid).unwrap()))
                .collect();
            let set = set(if by_uid { &some } else { &numbers });
            let uids = some;
            return Some(Named { prefix, set, uids });
        }
        let set = match by_uid {
            true => format!("{}:{}", uids[low], uids[high]),
            false => format!("{}:{}", number(b), number(a)),
        };
        let uids = uids[low..=high].to_vec();
        Some(Named { prefix, set, uids })
    }

    pub(crate) fn fetch(&mut self, who: usize) {
        let form = self.random.below(5);
        // What is gone has no subject; what another process has changed is told by NOOP.
        let asks = form > 1 || self.random.once_in(2);
        if asks {
            self.noop(who);
        }
        let aware = self.clients[who].aware;
        if form == 4 && aware {
            return self.fetch_changed(who);
        }
        let Some(named) = self.named(who) else {
            return;
        };
        let items = match form {
            0 => "(UID FLAGS)",
            1 => "(FLAGS)",
            2 => "(UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])",
            _ if aware => "(MODSEQ)",
            _ => "(FLAGS UID)",
        };
        let command = format!("{}FETCH {} {items}", named.prefix, named.set);
        let answer = self.run(who, &command);
        let told: BTreeSet<u32> = answer.fetched.iter().filter_map(|it| it.uid).collect();
        if asks && !named.uids.iter().all(|uid| told.contains(uid)) {
            self.clients[who].fail("not all messages were told");
        }
        self.learn(who);
    }

    /// Reading sets `\Seen`, where anything can be set (RFC 3501 §6.4.5).
    pub(crate) fn read(&mut self, who: usize) {
        self.noop(who);
        let Some(named) = self.named(who) else {
            return;
        };
        self.count();
        let command = format!(
            "{}FETCH {} (BODY[HEADER.FIELDS (SUBJECT)])",
            named.prefix, named.set
        );
        let answer = self.clients[who].run(&command);
        if let Some(mailbox) = self.mailbox(who, Access::ReadWrite) {
            for uid in named.uids {
                let mut flags = self.truth[mailbox].messages[&uid].flags.clone();
                flags.insert("\\Seen".to_owned());
                self.truth[mailbox].change(uid, flags, Act::Other);
            }
        }
        self.settle(who, &answer);
        self.noop(who);
    }

    /// Whoever has said that it will not use message numbers cannot (RFC 9586 §3).
    pub(crate) fn use_numbers(&mut self, who: usize) {
        if !self.clients[who].features.uid_only {
            return self.read(who);
        }
        let commands = [
            "FETCH 1 (FLAGS)",
            "STORE 1 +FLAGS (later)",
            "SEARCH SEEN",
            "UID SEARCH 1",
            "COPY 1 Other",
        ];
        let command = *self.random.pick(&commands);
        self.count();
        let answer = self.clients[who].try_run(command);
        let code = answer.code.first().map(Item::word);
        if (answer.status.as_str(), code) != ("BAD", Some("UIDREQUIRED")) {
            self.clients[who].fail("message numbers are not refused");
        }
        self.settle(who, &answer);
    }

    /// A mod-sequence that makes a difference.
    fn some_mod_seq(&mut self, mailbox: usize) -> u64 {
        let truth = &self.truth[mailbox];
        let mut known: Vec<u64> = truth
            .messages
            .values()
            .filter_map(|it| it.mod_seq())
            .collect();
        known.push(truth.highest());
        known.extend(
            self.remembered
                .iter()
                .filter(|it| it.mailbox == mailbox)
                .map(|it| it.up_to),
        );
        let near = *self.random.pick(&known) + u64::try_from(self.random.below(3)).unwrap();
        near.saturating_sub(1).max(1)
    }

    /// Exactly what has a higher mod-sequence is told (RFC 7162 §3.1.4.1, §3.2.6).
    fn fetch_changed(&mut self, who: usize) {
        let Some(mailbox) = self.mailbox(who, Access::ReadOnly) else {
            return;
        };
        let Some(mut named) = self.named(who) else {
            return;
        };
        let since = self.some_mod_seq(mailbox);
        let vanished = self.clients[who].features.qresync && self.random.once_in(2);
        let modifier = if vanished { " VANISHED" } else { "" };
        let (mut low, mut high) = (0, 0);
        if vanished {
            let next = self.truth[mailbox].next_uid as usize;
            let (a, b) = (self.random.below(next), self.random.below(next));
            (low, high) = (
                u32::try_from(a.min(b)).unwrap() + 1,
                u32::try_from(a.max(b)).unwrap() + 1,
            );
            named.prefix = "UID ";
            named.set = format!("{low}:{high}");
            let uids = self.clients[who].view.uids();
            named.uids = uids
                .into_iter()
                .filter(|uid| (low..=high).contains(uid))
                .collect();
        }
        let Named { prefix, set, uids } = named;
        let answer = self.run(
            who,
            &format!("{prefix}FETCH {set} (FLAGS) (CHANGEDSINCE {since}{modifier})"),
        );
        let told: BTreeSet<u32> = answer.fetched.iter().filter_map(|it| it.uid).collect();
        let all = self.run(who, &format!("{prefix}FETCH {set} (MODSEQ)"));
        for message in all.fetched {
            let (uid, mod_seq) = (message.uid.unwrap(), message.mod_seq.unwrap());
            let expected = uids.contains(&uid) && mod_seq > since;
            if told.contains(&uid) != expected {
                self.clients[who].fail(&format!(
                    "{uid} at {mod_seq}: CHANGEDSINCE {since} told {told:?}"
                ));
            }
        }
        if vanished {
            self.check_vanished(who, mailbox, &answer.earlier, since, low..=high);
        }
        self.note("CHANGEDSINCE");
    }

    /// Exactly those are told by VANISHED (EARLIER) that have gone since.
    pub(crate) fn check_vanished(
        &mut self,
        who: usize,
        mailbox: usize,
        earlier: &[u32],
        since: u64,
        uids: std::ops::RangeInclusive<u32>,
    ) {
        let truth = &self.truth[mailbox];
        let told: BTreeSet<u32> = earlier.iter().copied().collect();
        let gone: BTreeSet<u32> = truth.gone().filter(|uid| uids.contains(uid)).collect();
        if let Some(uid) = told.difference(&gone).next() {
            self.clients[who].fail(&format!("{uid} is told as gone of {uids:?}"));
        }
        for uid in gone {
            let expected = truth.gone_since(uid, since);
            if expected != Since::Unknown && told.contains(&uid) != (expected == Since::Changed) {
                self.clients[who].fail(&format!(
                    "{uid}: {expected:?} since {since}, and told: {told:?}"
                ));
            }
        }
        if !told.is_empty() {
            self.note("VANISHED (EARLIER)");
        }
    }

    pub(crate) fn change_flags(&mut self, who: usize) {
        if self.random.once_in(2) {
            self.noop(who);
        }
        let Some(mailbox) = self.mailbox(who, Access::ReadWrite) else {
            return;
        };
        let Some(named) = self.named(who) else {
            return;
        };
        let conditional = self.clients[who].aware && self.random.once_in(3);
        let sign = *self.random.pick(&["+", "-", ""]);
        let silent = *self.random.pick(&["", ".SILENT"]);
        let change = Change {
            sign,
            silent,
            flags: self.some_flags(),
            unchanged_since: conditional.then(|| self.some_mod_seq(mailbox)),
        };
        self.store(who, &named, &change);
        self.learn(who);
    }

    /// Changes flags; gives the UIDs of those that failed the test of a conditional STORE.
    pub(crate) fn store(&mut self, who: usize, named: &Named, change: &Change) -> BTreeSet<u32> {
        let mailbox = self.mailbox(who, Access::ReadWrite).unwrap();
        let condition = change.unchanged_since;
        let condition = condition.map(|it| format!("(UNCHANGEDSINCE {it}) "));
        let list = change.flags.iter().cloned().collect::<Vec<_>>().join(" ");
        let Change { sign, silent, .. } = change;
        let command = format!(
            "{}STORE {} {}{sign}FLAGS{silent} ({list})",
            named.prefix,
            named.set,
            condition.unwrap_or_default()
        );
        self.count();
        let numbered = self.clients[who].view.clone();
        let answer = self.clients[who].try_run(&command);
        self.check_refusal(who, &answer);
        let modified = answer
            .code
            .first()
            .is_some_and(|it| it.word() == "MODIFIED");
        let failed = if modified {
            numbers(answer.code[1].word())
        } else {
            Vec::new()
        };
        let failed: BTreeSet<u32> = match named.prefix {
            "" => failed
                .iter()
                .map(|it| numbered.messages[*it as usize - 1].uid.unwrap())
                .collect(),
            _ => failed.into_iter().collect(),
        };
        self.check_failed(who, mailbox, named, change, &failed);
        let act = Act::Store(u32::try_from(self.commands()).unwrap());
        for uid in named.uids.iter().filter(|uid| !failed.contains(uid)) {
            if let Some(message) = self.truth[mailbox].messages.get(uid) {
                let flags = change.of(&message.flags);
                self.truth[mailbox].change(*uid, flags, act);
            }
        }
        self.believe(who, named, change, &failed, &answer);
        self.settle(who, &answer);
        self.told_truly(who, &answer);
        failed
    }

    /// Storing to messages that are all gone may be refused (RFC 5530 §3, RFC 2180 §4.2).
    fn check_refusal(&self, who: usize, answer: &Answer) {
        let gone = answer.code.first().map(Item::word) == Some("EXPUNGEISSUED");
        if answer.status != "OK" && !(answer.status == "NO" && gone) {
            self.clients[who].fail("STORE is refused");
        }
    }

    /// Exactly those fail that have changed since (RFC 7162 §3.1.3).
    fn check_failed(
        &mut self,
        who: usize,
        mailbox: usize,
        named: &Named,
        change: &Change,
        failed: &BTreeSet<u32>,
    ) {
        if failed.iter().any(|uid| !named.uids.contains(uid)) {
            self.clients[who].fail("MODIFIED has messages that were not named");
        }
        for uid in &named.uids {
            let Some(message) = self.truth[mailbox].messages.get(uid) else {
                continue;
            };
            let expected = match change.unchanged_since {
                Some(since) => message.since(since),
                None => Since::Unchanged,
            };
            let fails = failed.contains(uid);
            if expected != Since::Unknown && fails != (expected == Since::Changed) {
                self.clients[who].fail(&format!(
                    "UID {uid} fails: {fails}, is {expected:?}: {message:?}"
                ));
            }
        }
        if !failed.is_empty() {
            self.note("MODIFIED");
        }
    }

    /// What the client believes after its STORE: what it was told, and what it did in silence.
    fn believe(
        &mut self,
        who: usize,
        named: &Named,
        change: &Change,
        failed: &BTreeSet<u32>,
        answer: &Answer,
    ) {
        let told: BTreeMap<u32, (bool, bool)> = answer
            .fetched
            .iter()
            .filter_map(|it| Some((it.uid?, (it.flags.is_some(), it.mod_seq.is_some()))))
            .collect();
        let mailbox = self.mailbox(who, Access::ReadWrite).unwrap();
        let client = &mut self.clients[who];
        for uid in named.uids.iter().filter(|uid| !failed.contains(uid)) {
            let (flags_told, mod_seq_told) = told.get(uid).copied().unwrap_or_default();
            let exists = self.truth[mailbox].messages.contains_key(uid);
            if exists && change.silent.is_empty() && !flags_told {
                client.fail(&format!("the flags of UID {uid} are not told"));
            }
            if exists && change.unchanged_since.is_some() && !mod_seq_told {
                client.fail(&format!("the mod-sequence of UID {uid} is not told"));
            }
            let Some(position) = client.view.position(*uid).filter(|_| !flags_told) else {
                continue;
            };
            let known = &mut client.view.messages[position];
            known.flags = known.flags.as_ref().map(|flags| change.of(flags));
            if !mod_seq_told {
                known.mod_seq = None;
            }
        }
    }

    /// Of all who try to change a message on the same condition, one wins (RFC 7162 §3.1.3).
    pub(crate) fn race(&mut self, who: usize) {
        let Some(mailbox) = self.mailbox(who, Access::ReadWrite) else {
            return;
        };
        let all: Vec<usize> = (0..self.clients.len()).collect();
        let all = self.random.some(&all, 5);
        let contends = |it: &usize| {
            let client = &self.clients[*it];
            let open = self.mailbox(*it, Access::ReadWrite) == Some(mailbox);
            open && client.aware && client.idle.is_none()
        };
        let contenders: Vec<usize> = all.into_iter().filter(contends).collect();
        for one in &contenders {
            self.noop(*one);
        }
        let uids: Vec<u32> = self.truth[mailbox].messages.keys().copied().collect();
        if contenders.len() < 2 || uids.is_empty() {
            return;
        }
        let uid = *self.random.pick(&uids);
        let answer = self.run(contenders[0], &format!("UID FETCH {uid} (MODSEQ)"));
        let since = answer.fetched[0].mod_seq;
        for (place, one) in contenders.iter().enumerate() {
            let flags = &self.truth[mailbox].messages[&uid].flags;
            let flag = *self.random.pick(&FLAGS);
            let sign = if flags.contains(flag) { "-" } else { "+" };
            let silent = *self.random.pick(&["", ".SILENT"]);
            let change = Change {
                sign,
                silent,
                flags: [flag.to_owned()].into(),
                unchanged_since: since,
            };
            let named = Named {
                prefix: "UID ",
                set: uid.to_string(),
                uids: vec![uid],
            };
            let failed = self.store(*one, &named, &change);
            if failed.contains(&uid) == (place == 0) {
                self.clients[*one].fail("one wins a race, the first one");
            }
        }
        for one in contenders {
            self.noop(one);
        }
        self.note("race");
    }
}
