//! SELECT and EXAMINE, STATUS, connections that break, and the ways to switch CONDSTORE on.

use imapd::types::Access;

use crate::response::{Item, Response, value};
use crate::resync::Resync;
use crate::told::{Answer, Condstore, Selected};
use crate::world::{INBOX, OTHER, World};

impl World {
    /// The connection of a client breaks, and it comes back.
    pub(crate) fn reconnect(&mut self, who: usize) {
        self.clients[who] = self.connect(who);
        self.note("reconnect");
        self.select(who);
    }

    pub(crate) fn select(&mut self, who: usize) {
        let mailbox = *self.random.pick(&[INBOX, INBOX, INBOX, OTHER]);
        let access = *self.random.pick(&[
            Access::ReadWrite,
            Access::ReadWrite,
            Access::ReadWrite,
            Access::ReadOnly,
        ]);
        let resync = self.resync(who, mailbox);
        self.open(who, Selected { mailbox, access }, resync);
    }

    /// Opens a mailbox without saying what is known.
    pub(crate) fn open_plainly(&mut self, who: usize, mailbox: usize) {
        let access = Access::ReadWrite;
        self.open(who, Selected { mailbox, access }, None);
    }

    fn open(&mut self, who: usize, selected: Selected, resync: Option<Resync>) {
        let client = &self.clients[who];
        let parameter = match &resync {
            Some(resync) => resync.parameter.clone(),
            None if client.features.condstore == Condstore::Select && !client.aware => {
                " (CONDSTORE)".to_owned()
            }
            None => String::new(),
        };
        let command = match selected.access {
            Access::ReadWrite => "SELECT",
            Access::ReadOnly => "EXAMINE",
        };
        let name = self.truth[selected.mailbox].name;
        self.count();
        let answer = self.clients[who].open(&format!("{command} {name}{parameter}"), selected);
        self.check_opened(who, selected, &answer);
        self.settle(who, &answer);
        if let Some(resync) = resync {
            self.resynchronised(who, &resync, &answer);
        }
        self.agrees(who);
    }

    /// What SELECT tells of the mailbox (RFC 3501 §6.3.1, RFC 7162 §3.1.2, RFC 9051 §6.3.2).
    fn check_opened(&mut self, who: usize, selected: Selected, answer: &Answer) {
        let code = |name: &str| {
            let code = answer.code(name).and_then(|it| it.first());
            code.map(Item::number)
        };
        let (validity, next, highest) =
            (code("UIDVALIDITY"), code("UIDNEXT"), code("HIGHESTMODSEQ"));
        let client = &self.clients[who];
        let truth = &mut self.truth[selected.mailbox];
        if validity != Some(*truth.uid_validity.get_or_insert(validity.unwrap())) {
            client.fail("another UIDVALIDITY");
        }
        if next != Some(u64::from(truth.next_uid)) || client.view.len() != truth.messages.len() {
            client.fail(&format!(
                "UIDNEXT is {}, EXISTS {}",
                truth.next_uid,
                truth.messages.len()
            ));
        }
        if let Some(Err(problem)) = highest.map(|it| truth.opened(it)) {
            client.fail(&problem);
        }
        if client.aware && highest.is_none() {
            client.fail("no HIGHESTMODSEQ");
        }
        let recent =
            |it: &Response| matches!(it, Response::Message { what, .. } if what == "RECENT");
        if answer.responses.iter().any(recent) == client.features.is_rev2() {
            client.fail("RECENT is of IMAP4rev1");
        }
        if answer.data("LIST").is_empty() == client.features.is_rev2() {
            client.fail("LIST is of IMAP4rev2");
        }
        let access = match selected.access {
            Access::ReadWrite => "READ-WRITE",
            Access::ReadOnly => "READ-ONLY",
        };
        if answer.code.first().map(Item::word) != Some(access) {
            client.fail("another access");
        }
    }

    pub(crate) fn status(&mut self, who: usize) {
        let mailbox = *self.random.pick(&[INBOX, OTHER]);
        let client = &self.clients[who];
        let mut items = vec!["MESSAGES", "UIDNEXT", "UIDVALIDITY", "UNSEEN"];
        items.push(if client.features.is_rev2() {
            "DELETED"
        } else {
            "RECENT"
        });
        if client.aware {
            items.push("HIGHESTMODSEQ");
        }
        let command = format!("STATUS {} ({})", self.truth[mailbox].name, items.join(" "));
        let answer = self.run(who, &command);
        let [told] = answer.data("STATUS")[..] else {
            self.clients[who].fail("not one STATUS");
        };
        let truth = &mut self.truth[mailbox];
        let count = |flag: &str| {
            truth
                .messages
                .values()
                .filter(|it| it.flags.contains(flag))
                .count() as u64
        };
        let messages = truth.messages.len() as u64;
        let expected = [
            ("MESSAGES", messages),
            ("UIDNEXT", u64::from(truth.next_uid)),
            ("UNSEEN", messages - count("\\Seen")),
            ("DELETED", count("\\Deleted")),
        ];
        let number = |name: &str| value(told[1].list(), name).map(Item::number);
        for (name, expected) in expected
            .into_iter()
            .filter(|(name, _)| items.contains(name))
        {
            if number(name) != Some(expected) {
                self.clients[who].fail(&format!("{name} is {expected}"));
            }
        }
        if let Some(Err(problem)) = number("HIGHESTMODSEQ").map(|it| truth.opened(it)) {
            self.clients[who].fail(&problem);
        }
        if items.contains(&"HIGHESTMODSEQ") && number("HIGHESTMODSEQ").is_none() {
            self.clients[who].fail("no HIGHESTMODSEQ");
        }
    }

    /// Switches CONDSTORE on in one of the ways that there are (RFC 7162 §3.1). Messages that nobody
    /// touched keep the mod-sequences that others have been told.
    pub(crate) fn switch_on(&mut self, who: usize) {
        let all = format!("1:{}", u32::MAX);
        let command = match self.clients[who].features.condstore {
            Condstore::Never | Condstore::Enable | Condstore::Select => return self.select(who),
            Condstore::Fetch => format!("UID FETCH {all} (MODSEQ)"),
            Condstore::ChangedSince => {
                format!("UID FETCH {all} (FLAGS) (CHANGEDSINCE {})", u32::MAX)
            }
            Condstore::UnchangedSince => {
                "UID STORE 4000000000 (UNCHANGEDSINCE 1) +FLAGS.SILENT (\\Seen)".to_owned()
            }
            Condstore::Search => "UID SEARCH MODSEQ 1".to_owned(),
            Condstore::Status => "STATUS Other (HIGHESTMODSEQ)".to_owned(),
        };
        if command.contains("STORE") && self.mailbox(who, Access::ReadWrite).is_none() {
            return self.select(who);
        }
        self.run(who, &command);
        self.run(who, &format!("UID FETCH {all} (UID FLAGS MODSEQ)"));
        self.noop(who);
        self.note("switched on");
    }
}
