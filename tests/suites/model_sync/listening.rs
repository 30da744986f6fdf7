//! IDLE (RFC 2177) and NOTIFY (RFC 5465): clients that hear of what others do.

use imapd::types::Access;

use crate::messages::{Change, Named};
use crate::response::Response;
use crate::told::{Answer, Notify};
use crate::world::{INBOX, OTHER, World};

impl World {
    /// Some clients take in what has come; those that did not ask for anything hear nothing.
    pub(crate) fn listen_to_some(&mut self) {
        for who in 0..self.clients.len() {
            if self.random.once_in(2) {
                self.listen(who);
            }
        }
    }

    fn listen(&mut self, who: usize) {
        let answer = self.clients[who].listen();
        self.settle(who, &answer);
        if self.one_process() {
            self.check_pushed(who);
        }
    }

    /// What happens in one process is told at once.
    fn check_pushed(&self, who: usize) {
        let client = &self.clients[who];
        let selected = client.selected.map(|it| it.mailbox);
        let at_once = client.idle.is_some() || client.notify == Notify::Selected;
        if let Some(mailbox) = selected.filter(|_| at_once) {
            let truth = &self.truth[mailbox];
            let true_of = |uid: u32, flags: Option<&_>| {
                let message = truth.messages.get(&uid);
                message.is_some_and(|it| flags.is_none_or(|flags| it.flags == *flags))
            };
            let mut known = client.view.messages.iter();
            let true_of_all =
                known.all(|it| it.uid.is_none_or(|uid| true_of(uid, it.flags.as_ref())));
            if client.view.len() != truth.messages.len() || !true_of_all {
                client.fail(&format!("not told at once: {:?}", truth.flags()));
            }
        }
        for mailbox in [INBOX, OTHER] {
            let truth = &self.truth[mailbox];
            let now = (truth.messages.len() as u64, u64::from(truth.next_uid));
            let told = client.others[mailbox].filter(|_| client.notify != Notify::Unused);
            if selected != Some(mailbox) && told.is_some_and(|told| told != now) {
                client.fail(&format!("{} has {now:?}, {told:?} was told", truth.name));
            }
        }
    }

    pub(crate) fn begin_idle(&mut self, who: usize) {
        self.noop(who);
        self.count();
        let answer = self.clients[who].idle();
        self.settle(who, &answer);
        self.note("IDLE");
    }

    pub(crate) fn end_idle(&mut self, who: usize) {
        self.listen(who);
        let answer = self.clients[who].done();
        self.settle(who, &answer);
        if !self.one_process() {
            // The kernel tells of other processes when it likes.
            self.run(who, "NOOP");
        }
        self.agrees(who);
    }

    /// A client asks to be told of everything, at any time.
    pub(crate) fn notify(&mut self, who: usize) {
        if self.clients[who].notify != Notify::Unused && self.random.once_in(2) {
            return self.notify_less(who);
        }
        let notify = *self.random.pick(&[Notify::Selected, Notify::Delayed]);
        let selector = match notify {
            Notify::Delayed => "SELECTED-DELAYED",
            Notify::Selected | Notify::Unused | Notify::Less => "SELECTED",
        };
        let items = if self.clients[who].aware {
            "UID FLAGS MODSEQ"
        } else {
            "UID FLAGS"
        };
        let others = *self
            .random
            .pick(&["PERSONAL", "MAILBOXES (INBOX Other)", "INBOXES"]);
        let command = format!(
            "NOTIFY SET STATUS ({selector} (MessageNew ({items}) MessageExpunge FlagChange)) \
             ({others} (MessageNew MessageExpunge FlagChange))"
        );
        self.clients[who].notify = notify;
        self.clients[who].others = [None; 2];
        self.run(who, &command);
        self.agrees(who);
        let client = &self.clients[who];
        for mailbox in [INBOX, OTHER] {
            let selected = client.selected.map(|it| it.mailbox) == Some(mailbox);
            if !selected && client.others[mailbox].is_none() {
                client.fail("no STATUS");
            }
        }
        self.note("NOTIFY");
    }

    /// A client wants to hear of less for a while, and then of everything again. What it does
    /// meanwhile must not have it believe that it knows everything.
    fn notify_less(&mut self, who: usize) {
        let nothing = self.random.once_in(2);
        self.clients[who].notify = Notify::Less;
        if nothing {
            self.run(who, "NOTIFY NONE");
        } else {
            self.clients[who].notify = Notify::Selected;
            self.run(
                who,
                "NOTIFY SET (SELECTED (MessageNew (UID) MessageExpunge))",
            );
        }
        let others = self.clients.iter();
        let others =
            others.filter(|it| it.name != who && it.idle.is_none() && it.selected.is_some());
        let others: Vec<usize> = others.map(|it| it.name).collect();
        if !others.is_empty() {
            let other = *self.random.pick(&others);
            self.append(other);
            self.change_flags(other);
            self.expunge(other);
        }
        let told = self.clients[who].listen();
        self.settle(who, &told);
        let again = self.run(who, "NOOP");
        if nothing {
            self.check_silence(who, &told);
            self.check_silence(who, &again);
        }
        for _ in 0..3 {
            self.use_uid(who);
            self.prove(who);
        }
        self.note("NOTIFY of less");
        if self.random.once_in(2) {
            return self.reconnect(who);
        }
        self.clients[who].notify = Notify::Unused;
        self.notify(who);
    }

    /// FETCH or STORE of one message of which a client knows.
    fn use_uid(&mut self, who: usize) {
        self.learn(who);
        let uids = self.clients[who].view.uids();
        if uids.is_empty() {
            return;
        }
        let uid = *self.random.pick(&uids);
        if self.mailbox(who, Access::ReadWrite).is_none() || self.random.once_in(2) {
            self.run(who, &format!("UID FETCH {uid} (UID FLAGS)"));
            return;
        }
        let silent = *self.random.pick(&["", ".SILENT"]);
        let named = Named {
            prefix: "UID ",
            set: uid.to_string(),
            uids: vec![uid],
        };
        let change = Change {
            sign: "+",
            silent,
            flags: self.some_flags(),
            unchanged_since: None,
        };
        self.store(who, &named, &change);
    }

    fn check_silence(&self, who: usize, answer: &Answer) {
        let tells = |it: &Response| match it {
            Response::Message { .. } => true,
            Response::Data { what, .. } => what != "FLAGS",
            Response::Continue | Response::Tagged { .. } | Response::Status { .. } => false,
        };
        if answer.responses.iter().any(tells) {
            self.clients[who].fail("told of something after NOTIFY NONE");
        }
    }
}
