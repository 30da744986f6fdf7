//! Another program at work on the Maildir of INBOX. A client looks right after, for what happens
//! between two looks has no order.

use imapd::types::Access;
use pillarbox_tests::tree::File;

use crate::truth::{Act, Flags};
use crate::world::{INBOX, World};

impl World {
    /// Another program delivers a message.
    pub(crate) fn deliver(&mut self, who: usize) {
        if self.mailbox(who, Access::ReadOnly) != Some(INBOX) {
            return;
        }
        self.noop(who);
        let subject = self.tree.deliver();
        let uid = self.truth[INBOX].next_uid;
        self.truth[INBOX].add(uid, subject, Flags::new());
        self.noop(who);
    }

    /// Another program sets or takes back `\Seen`.
    pub(crate) fn toggle_seen(&mut self, who: usize) {
        let Some((file, uid)) = self.some_file(who) else {
            return;
        };
        file.toggle_seen();
        let mut flags = self.truth[INBOX].messages[&uid].flags.clone();
        if !flags.remove("\\Seen") {
            flags.insert("\\Seen".to_owned());
        }
        self.truth[INBOX].change(uid, flags, Act::Other);
        self.noop(who);
    }

    /// Another program removes a message.
    pub(crate) fn unlink(&mut self, who: usize) {
        let Some((file, uid)) = self.some_file(who) else {
            return;
        };
        file.remove();
        self.truth[INBOX].remove(uid);
        self.noop(who);
    }

    /// A file whose message is known for certain, for it has no copies in INBOX.
    fn some_file(&mut self, who: usize) -> Option<(File, u32)> {
        if self.mailbox(who, Access::ReadOnly) != Some(INBOX) {
            return None;
        }
        self.noop(who);
        let messages = &self.truth[INBOX].messages;
        let uid_of = |subject: &str| {
            let mut uids = messages.iter().filter(|(_, it)| it.subject == subject);
            let (uid, _) = uids.next()?;
            uids.next().is_none().then_some(*uid)
        };
        let files = self.tree.files().into_iter();
        let files: Vec<(File, u32)> = files
            .filter_map(|file| {
                let uid = uid_of(&file.subject)?;
                Some((file, uid))
            })
            .collect();
        (!files.is_empty()).then(|| self.random.pick(&files).clone())
    }
}
