//! Another program that delivers into the same trees, as delivery agents do: `tmp/`, then a rename
//! into `new/`, sometimes into `cur/`.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use pillarbox_tests::random::Random;
use pillarbox_tests::serve::Serve;

use crate::imap::{POP3_USER, USER};
use crate::oracle::Instance;
use crate::{Flags, Shared, message};

/// The program.
#[derive(Debug)]
pub(crate) struct Deliverer {
    ann: PathBuf,
    bob: PathBuf,
    random: Random,
}

impl Deliverer {
    pub(crate) fn new(server: &Serve, seed: u64) -> Self {
        Self {
            ann: server.maildir(USER),
            bob: server.maildir(POP3_USER),
            random: Random::new(seed),
        }
    }

    /// Delivers until the round is over; says what.
    pub(crate) fn work(mut self, shared: &Shared) -> Vec<Instance> {
        let mut delivered = Vec::new();
        let (_never, nothing) = mpsc::channel::<()>();
        while !shared.is_over() && delivered.len() < MOST {
            // Not in bursts only: between two deliveries something happens.
            let pause = Duration::from_micros(self.random.next() % 20_000);
            nothing.recv_timeout(pause).unwrap_err();
            delivered.extend(self.deliver(shared));
        }
        delivered
    }

    fn deliver(&mut self, shared: &Shared) -> Option<Instance> {
        let user = *self.random.pick(&[USER, POP3_USER, POP3_USER]);
        let root = if user == USER { &self.ann } else { &self.bob };
        let cur = self.random.once_in(4);
        if !root.join("tmp").is_dir() || !root.join("new").is_dir() || !root.join("cur").is_dir() {
            return None;
        }
        let number = shared.number();
        let name = format!("{}.M{number}P1.other", 1_700_000_000 + number);
        let temporary = root.join("tmp").join(&name);
        fs::write(&temporary, message::delivered(number)).unwrap();
        let (target, flags) = if cur {
            let flags = Flags::from(["\\Flagged".to_owned(), "\\Seen".to_owned()]);
            (root.join("cur").join(format!("{name}:2,FS")), flags)
        } else {
            (root.join("new").join(&name), Flags::new())
        };
        fs::rename(&temporary, target).unwrap();
        Some(Instance {
            user: user.to_owned(),
            mailbox: "INBOX".to_owned(),
            uid: None,
            number,
            flags,
        })
    }
}

/// The most deliveries of a round, so that mailboxes stay small enough to be compared often.
const MOST: usize = 12;
