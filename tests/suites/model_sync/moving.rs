//! APPEND, REPLACE, COPY, MOVE and EXPUNGE, and the UIDs that they tell (RFC 4315 §3, RFC 6851,
//! RFC 8508).

use std::collections::BTreeSet;

use imapd::types::Access;

use crate::response::{Item, Response, numbers};
use crate::told::Answer;
use crate::truth::Flags;
use crate::world::World;

impl World {
    /// Its next UIDs are those of new messages.
    fn check_validity(&mut self, who: usize, mailbox: usize, validity: &Item) {
        let validity = validity.number();
        if *self.truth[mailbox].uid_validity.get_or_insert(validity) != validity {
            self.clients[who].fail("another UIDVALIDITY");
        }
    }

    fn some_mailbox(&mut self) -> usize {
        usize::from(self.random.once_in(4))
    }

    pub(crate) fn append(&mut self, who: usize) {
        let mailbox = self.some_mailbox();
        let count = if self.random.once_in(4) { 2 } else { 1 };
        let mut command = format!("APPEND {}", self.truth[mailbox].name);
        let mut added: Vec<(String, Flags)> = Vec::new();
        for _ in 0..count {
            let mut flags = self.some_flags();
            flags.remove("\\Deleted");
            let list = flags.iter().cloned().collect::<Vec<_>>().join(" ");
            let subject = self.tree.next_subject();
            let text = format!("Subject: {subject}\r\n\r\nappended\r\n");
            command += &format!(" ({list}) {{{}+}}\r\n{text}", text.len());
            added.push((subject, flags));
        }
        self.count();
        let answer = self.clients[who].run(&command);
        let Some([validity, uids]) = answer.code("APPENDUID") else {
            self.clients[who].fail("no APPENDUID");
        };
        self.check_validity(who, mailbox, validity);
        let uids = numbers(uids.word());
        if uids.len() != added.len() {
            self.clients[who].fail("APPENDUID has another number of messages");
        }
        for (uid, (subject, flags)) in uids.into_iter().zip(added) {
            self.truth[mailbox].add(uid, subject, flags);
        }
        self.clients[who].others[mailbox] = None;
        self.settle(who, &answer);
        self.noop(who);
    }

    /// A new message takes the place of an old one, perhaps in another mailbox (RFC 8508).
    pub(crate) fn replace(&mut self, who: usize) {
        self.noop(who);
        let Some(from) = self.mailbox(who, Access::ReadWrite) else {
            return;
        };
        let Some(named) = self.named(who).filter(|it| !it.uids.is_empty()) else {
            return;
        };
        let old = named.uids[0];
        let number = match named.prefix {
            "" => self.clients[who].view.position(old).unwrap() + 1,
            _ => old as usize,
        };
        let to = self.some_mailbox();
        let subject = self.tree.next_subject();
        let text = format!("Subject: {subject}\r\n\r\nreplaced\r\n");
        let command = format!(
            "{}REPLACE {number} {} (\\Seen) {{{}+}}\r\n{text}",
            named.prefix,
            self.truth[to].name,
            text.len()
        );
        self.count();
        let answer = self.clients[who].run(&command);
        let Some([validity, uid]) = answer.code("APPENDUID") else {
            self.clients[who].fail("no APPENDUID");
        };
        self.check_validity(who, to, validity);
        let uid = u32::try_from(uid.number()).unwrap();
        self.truth[to].add(uid, subject, ["\\Seen".to_owned()].into());
        self.truth[from].remove(old);
        self.clients[who].others[to] = None;
        self.check_gone(who, from, &answer, [old].into());
        self.settle(who, &answer);
        self.noop(who);
        self.note("REPLACE");
    }

    /// Takes in the messages that COPYUID tells of; gives the UIDs that they had.
    fn copied(&mut self, who: usize, to: usize, named: &[u32], answer: &Answer) -> Vec<u32> {
        let from = self.mailbox(who, Access::ReadOnly).unwrap();
        let Some([validity, from_uids, to_uids]) = answer.code("COPYUID") else {
            self.clients[who].fail("no COPYUID");
        };
        self.check_validity(who, to, validity);
        let (from_uids, to_uids) = (numbers(from_uids.word()), numbers(to_uids.word()));
        let named: BTreeSet<u32> = named.iter().copied().collect();
        let copied: BTreeSet<u32> = from_uids.iter().copied().collect();
        if copied != named || from_uids.len() != to_uids.len() || copied.len() != from_uids.len() {
            self.clients[who].fail("COPYUID is not of the messages named");
        }
        for (uid, new) in from_uids.iter().zip(to_uids) {
            let message = self.truth[from].messages[uid].clone();
            self.truth[to].add(new, message.subject, message.flags);
        }
        self.clients[who].others[to] = None;
        from_uids
    }

    pub(crate) fn copy(&mut self, who: usize) {
        self.noop(who);
        // Copies of a few are enough; the mailbox must not grow without bound.
        let Some(named) = self
            .named(who)
            .filter(|it| (1..=3).contains(&it.uids.len()))
        else {
            return;
        };
        let to = self.some_mailbox();
        self.count();
        let command = format!("{}COPY {} {}", named.prefix, named.set, self.truth[to].name);
        let answer = self.clients[who].run(&command);
        self.copied(who, to, &named.uids, &answer);
        self.settle(who, &answer);
        self.noop(who);
        self.note("COPY");
    }

    pub(crate) fn r#move(&mut self, who: usize) {
        self.noop(who);
        let Some(from) = self.mailbox(who, Access::ReadWrite) else {
            return;
        };
        let Some(named) = self
            .named(who)
            .filter(|it| (1..=4).contains(&it.uids.len()))
        else {
            return;
        };
        let to = if self.random.once_in(5) {
            from
        } else {
            1 - from
        };
        self.count();
        let command = format!("{}MOVE {} {}", named.prefix, named.set, self.truth[to].name);
        let answer = self.clients[who].run(&command);
        let moved = self.copied(who, to, &named.uids, &answer);
        for uid in &moved {
            self.truth[from].remove(*uid);
        }
        self.check_gone(who, from, &answer, moved.into_iter().collect());
        self.check_order(who, &answer);
        self.settle(who, &answer);
        self.noop(who);
        self.note("MOVE");
    }

    /// COPYUID comes before the messages go (RFC 6851 §4.3).
    fn check_order(&self, who: usize, answer: &Answer) {
        let tells = |it: &Response| {
            let Response::Status { code, .. } = it else {
                return false;
            };
            code.first().is_some_and(|it| it.word() == "COPYUID")
        };
        let loses = |it: &Response| match it {
            Response::Message { what, .. } => what == "EXPUNGE",
            Response::Data { what, .. } => what == "VANISHED",
            Response::Continue | Response::Tagged { .. } | Response::Status { .. } => false,
        };
        let told = answer.responses.iter().position(tells);
        let lost = answer.responses.iter().position(loses);
        if told.is_none() || told > lost {
            self.clients[who].fail("COPYUID is not told before the messages go");
        }
    }

    /// Exactly these were told to be gone.
    fn check_gone(&self, who: usize, mailbox: usize, answer: &Answer, expected: BTreeSet<u32>) {
        let gone = answer.gone.iter();
        let gone: BTreeSet<u32> = gone.filter(|it| it.0 == mailbox).map(|it| it.1).collect();
        if gone != expected {
            self.clients[who].fail(&format!("{gone:?} are told as gone, not {expected:?}"));
        }
    }

    pub(crate) fn expunge(&mut self, who: usize) {
        // Everything is known first, so that what is expunged is certain.
        self.noop(who);
        let Some(mailbox) = self.mailbox(who, Access::ReadWrite) else {
            return;
        };
        let named = self.named(who).filter(|_| self.random.once_in(2));
        let (command, named) = match named {
            Some(named) if named.prefix == "UID " => {
                (format!("UID EXPUNGE {}", named.set), Some(named.uids))
            }
            _ => ("EXPUNGE".to_owned(), None),
        };
        let deleted = self.deleted(mailbox);
        let expunged: BTreeSet<u32> = match named {
            Some(named) => named
                .into_iter()
                .filter(|uid| deleted.contains(uid))
                .collect(),
            None => deleted,
        };
        self.count();
        let answer = self.clients[who].run(&command);
        for uid in &expunged {
            self.truth[mailbox].remove(*uid);
        }
        let told = answer.code.first().map(Item::word);
        let qresync = self.clients[who].features.qresync;
        if qresync && !expunged.is_empty() && told != Some("HIGHESTMODSEQ") {
            self.clients[who].fail("HIGHESTMODSEQ is not told with OK");
        }
        self.check_gone(who, mailbox, &answer, expunged);
        self.settle(who, &answer);
        self.agrees(who);
    }

    /// The messages with `\Deleted`.
    fn deleted(&self, mailbox: usize) -> BTreeSet<u32> {
        let messages = self.truth[mailbox].messages.iter();
        let deleted = messages.filter(|(_, it)| it.flags.contains("\\Deleted"));
        deleted.map(|(uid, _)| *uid).collect()
    }

    /// CLOSE and UNSELECT.
    pub(crate) fn close(&mut self, who: usize) {
        self.noop(who);
        let closed = self.mailbox(who, Access::ReadWrite);
        if self.random.once_in(2) {
            self.count();
            let answer = self.clients[who].run("CLOSE");
            if let Some(mailbox) = closed {
                for uid in self.deleted(mailbox) {
                    self.truth[mailbox].remove(uid);
                }
            }
            // The client is not told what is gone, so it must not believe that it knows.
            if !answer.gone.is_empty() || answer.code("HIGHESTMODSEQ").is_some() {
                self.clients[who].fail("CLOSE tells of messages");
            }
            self.clients[who].close();
            self.settle(who, &answer);
        } else {
            self.run(who, "UNSELECT");
        }
        self.clients[who].close();
        self.clients[who].others = [None; 2];
    }
}
