//! SEARCH, its extended results and `$` (RFC 3501 §6.4.4, RFC 4731, RFC 5182, RFC 7162 §3.1.5).

use std::collections::{BTreeMap, BTreeSet};

use imapd::types::Access;

use crate::response::{Item, numbers, value};
use crate::told::Answer;
use crate::truth::Message;
use crate::world::World;

/// What is looked for, and what there is of it.
struct Key {
    text: String,
    found: Vec<u32>,
    /// With their mod-sequences, if the key is of these.
    mod_seqs: Option<BTreeMap<u32, u64>>,
}

/// A SEARCH.
struct Search {
    prefix: &'static str,
    /// What RETURN asks for.
    options: Option<BTreeSet<&'static str>>,
    key: Key,
}

impl Search {
    fn asks(&self, option: &str) -> bool {
        self.options.as_ref().is_some_and(|it| it.contains(option))
    }

    /// Whether of all that is found only the first or the last counts (RFC 4731 §3.2,
    /// RFC 5182 §2.1).
    fn only_ends(&self) -> bool {
        let ends = self.asks("MIN") || self.asks("MAX");
        ends && !self.asks("ALL") && !self.asks("COUNT")
    }

    /// Those of the messages found that count.
    fn counting(&self) -> Vec<u32> {
        let found = &self.key.found;
        if !self.only_ends() {
            return found.clone();
        }
        let first = found.first().filter(|_| self.asks("MIN"));
        let last = found.last().filter(|_| self.asks("MAX"));
        first.into_iter().chain(last).copied().collect()
    }

    /// The mod-sequence that is told with them.
    fn mod_seq(&self) -> Option<u64> {
        let mod_seqs = self.key.mod_seqs.as_ref()?;
        self.counting().iter().map(|uid| mod_seqs[uid]).max()
    }
}

impl World {
    pub(crate) fn search(&mut self, who: usize) {
        // Everything is known first, so that what is found is certain.
        self.noop(who);
        let Some(mailbox) = self.mailbox(who, Access::ReadOnly) else {
            return;
        };
        let by_uid = !self.clients[who].has_numbers() || self.random.once_in(2);
        let key = self.key(who, mailbox);
        let asked = self.random.some(&["MIN", "MAX", "ALL", "COUNT", "SAVE"], 3);
        let search = Search {
            prefix: if by_uid { "UID " } else { "" },
            options: (!self.random.once_in(3)).then(|| asked.into_iter().collect()),
            key,
        };
        let options = search.options.iter();
        let options = options.map(|it| it.iter().copied().collect::<Vec<_>>().join(" "));
        let options: String = options.map(|it| format!("RETURN ({it}) ")).collect();
        let answer = self.run(
            who,
            &format!("{}SEARCH {options}{}", search.prefix, search.key.text),
        );
        let positions = |uid: &u32| {
            let position = self.clients[who].view.position(*uid);
            u32::try_from(position.unwrap() + 1).unwrap()
        };
        let told: Vec<u32> = match search.prefix {
            "" => search.key.found.iter().map(positions).collect(),
            _ => search.key.found.clone(),
        };
        if search.options.is_some() || self.clients[who].features.is_rev2() {
            self.check_extended(who, &search, &told, &answer);
        } else {
            self.check_plain(who, &search, &told, &answer);
        }
        if search.asks("SAVE") {
            let saved = search.counting().into_iter().collect();
            self.clients[who].saved = Some(saved);
        }
    }

    /// Something to look for.
    fn key(&mut self, who: usize, mailbox: usize) -> Key {
        let found = |world: &Self, holds: &dyn Fn(u32, &Message) -> bool| {
            let messages = world.truth[mailbox].messages.iter();
            let found = messages.filter(|(uid, message)| holds(**uid, message));
            found.map(|(uid, _)| *uid).collect::<Vec<u32>>()
        };
        let uid_only = self.clients[who].features.uid_only;
        let saved = self.clients[who].saved.clone();
        let choice = self.random.below(6);
        if choice == 0 && self.clients[who].aware {
            return self.mod_seq_key(who);
        }
        if let (1, Some(saved)) = (choice, saved) {
            let text = if uid_only {
                "UID $ NOT DELETED"
            } else {
                "$ NOT DELETED"
            };
            let holds =
                |uid: u32, it: &Message| saved.contains(&uid) && !it.flags.contains("\\Deleted");
            return plain_key(text, found(self, &holds));
        }
        if let (2, Some(named)) = (choice, self.named(who).filter(|it| it.set != "$")) {
            let prefix = named.prefix;
            let text = format!("{prefix}{} UNSEEN", named.set);
            let holds =
                |uid: u32, it: &Message| named.uids.contains(&uid) && !it.flags.contains("\\Seen");
            return plain_key(&text, found(self, &holds));
        }
        let (text, flag) = *self.random.pick(&[
            ("SEEN", "\\Seen"),
            ("DELETED", "\\Deleted"),
            ("FLAGGED", "\\Flagged"),
            ("KEYWORD later", "later"),
        ]);
        if self.random.once_in(2) {
            return plain_key(text, found(self, &|_, it| it.flags.contains(flag)));
        }
        plain_key(
            &format!("NOT {text}"),
            found(self, &|_, it| !it.flags.contains(flag)),
        )
    }

    fn mod_seq_key(&mut self, who: usize) -> Key {
        let all = self.run(who, &format!("UID FETCH 1:{} (MODSEQ)", u32::MAX));
        let mod_seqs: BTreeMap<u32, u64> = all
            .fetched
            .iter()
            .map(|it| (it.uid.unwrap(), it.mod_seq.unwrap()))
            .collect();
        let values: Vec<u64> = mod_seqs.values().copied().chain([1]).collect();
        let least = *self.random.pick(&values);
        let found = mod_seqs.iter().filter(|(_, mod_seq)| **mod_seq >= least);
        Key {
            text: format!("MODSEQ {least}"),
            found: found.map(|(uid, _)| *uid).collect(),
            mod_seqs: Some(mod_seqs),
        }
    }

    /// `* SEARCH 2 3 (MODSEQ 917162500)`
    fn check_plain(&self, who: usize, search: &Search, found: &[u32], answer: &Answer) {
        let [told] = answer.data("SEARCH")[..] else {
            self.clients[who].fail("not one SEARCH");
        };
        let mod_seq = told.last().and_then(|it| value(it.list(), "MODSEQ"));
        let numbers = told.iter().filter(|it| it.list().is_empty());
        let numbers: Vec<u64> = numbers.map(Item::number).collect();
        let expected: Vec<u64> = found.iter().copied().map(u64::from).collect();
        if numbers != expected || mod_seq.map(Item::number) != search.mod_seq() {
            self.clients[who].fail(&format!("found are {expected:?}, {:?}", search.mod_seq()));
        }
        if !answer.data("ESEARCH").is_empty() {
            self.clients[who].fail("ESEARCH without RETURN");
        }
    }

    /// `* ESEARCH (TAG "a567") UID COUNT 5 ALL 4:19,21,28`
    fn check_extended(&self, who: usize, search: &Search, found: &[u32], answer: &Answer) {
        let client = &self.clients[who];
        if !answer.data("SEARCH").is_empty() {
            client.fail("SEARCH for an extended search");
        }
        if search
            .options
            .as_ref()
            .is_some_and(|it| it.iter().eq(["SAVE"].iter()))
        {
            if !answer.data("ESEARCH").is_empty() {
                client.fail("ESEARCH for SAVE alone");
            }
            return;
        }
        let [told] = answer.data("ESEARCH")[..] else {
            client.fail("not one ESEARCH");
        };
        let by_uid = told.get(1).is_some_and(|it| it.word() == "UID");
        if value(told[0].list(), "TAG").map(Item::word) != Some(&client.tag())
            || by_uid != (search.prefix == "UID ")
        {
            client.fail("ESEARCH of another kind");
        }
        let told = &told[if by_uid { 2 } else { 1 }..];
        let asks =
            |option: &str| search.asks(option) || (option == "ALL" && search.options.is_none());
        let number = |name: &str| value(told, name).map(Item::number);
        let expected = |name: &str, value: Option<u64>| {
            if number(name) != value.filter(|_| asks(name)) {
                client.fail(&format!("{name} is {value:?}"));
            }
        };
        expected("COUNT", Some(found.len() as u64));
        expected("MIN", found.first().copied().map(u64::from));
        expected("MAX", found.last().copied().map(u64::from));
        let all = value(told, "ALL").map(|it| numbers(it.word()));
        if all != Some(found.to_vec()).filter(|it| asks("ALL") && !it.is_empty()) {
            client.fail(&format!("ALL is {found:?}"));
        }
        if number("MODSEQ") != search.mod_seq() {
            client.fail(&format!("MODSEQ is {:?}", search.mod_seq()));
        }
    }
}

fn plain_key(text: &str, found: Vec<u32>) -> Key {
    Key {
        text: text.to_owned(),
        found,
        mod_seqs: None,
    }
}
