//! An IMAP client that changes what is its own, and knows what it was told.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::oracle::{Given, Instance, Pending, Share};
use crate::{Flags, Shared, message};
use pillarbox_tests::client::Client;
use pillarbox_tests::random::Random;

/// Whose mailboxes the IMAP clients share.
pub(crate) const USER: &str = "ann";
/// Whose INBOX is emptied over POP3.
pub(crate) const POP3_USER: &str = "bob";
/// The mailboxes that several clients change at the same time.
pub(crate) const COMMON: [&str; 2] = ["INBOX", "Archive"];

/// The server is dead.
#[derive(Debug)]
struct Dead;

/// A client at work.
struct Worker<'a> {
    client: Client,
    tags: u32,
    selected: Option<String>,
    share: Share,
    shared: &'a Shared,
    random: Random,
}

/// Works until the server is killed; gives back what it believes by then.
pub(crate) fn work(address: SocketAddr, share: Share, shared: &Shared, seed: u64) -> Share {
    let Ok(client) = Client::try_connect(address) else {
        return share;
    };
    let mut worker = Worker {
        client,
        tags: 0,
        selected: None,
        share,
        shared,
        random: Random::new(seed),
    };
    if worker.client.line().starts_with("* OK") {
        let login = format!("LOGIN {} pw", worker.share.user);
        let mut going = worker.command(&login).map(|_| ());
        while going.is_ok() {
            going = worker.act();
        }
    }
    worker.share
}

impl Worker<'_> {
    /// Sends a command; gives its answer if it is acknowledged.
    fn command(&mut self, command: &str) -> Result<String, Dead> {
        self.tags += 1;
        let tag = format!("t{}", self.tags);
        let line = format!("{tag} {command}\r\n");
        self.client.try_send(line).map_err(|_| Dead)?;
        let answer = self.client.until(&tag);
        let last = answer.last().cloned().unwrap_or_default();
        if !last.starts_with(format!("{tag} ").as_bytes()) || !last.ends_with(b"\r\n") {
            return Err(Dead);
        }
        let text = String::from_utf8(answer.concat()).unwrap();
        let completion = String::from_utf8(last).unwrap();
        let first = command.lines().next().unwrap_or_default();
        assert!(completion.contains(" OK "), "{first}: {text}");
        self.shared.acknowledge();
        Ok(text)
    }

    /// Does something that changes the store: until it is acknowledged, it is pending.
    fn change(&mut self, pending: Pending, command: &str) -> Result<String, Dead> {
        self.share.pending = Some(pending);
        let answer = self.command(command)?;
        self.share.pending = None;
        Ok(answer)
    }

    fn act(&mut self) -> Result<(), Dead> {
        if self.share.user == POP3_USER {
            return self.append("INBOX");
        }
        let crowded = self.share.instances.len() > 40;
        match self.random.below(20) {
            0..5 if !crowded => {
                let mailbox = self.any_mailbox();
                self.append(&mailbox)
            }
            0..8 => self.store(),
            8..10 if !crowded => self.copy(),
            10..14 => self.r#move(),
            14 => self.create(),
            15 => self.rename(),
            16 => self.delete(),
            _ => self.expunge(),
        }
    }

    fn any_mailbox(&mut self) -> String {
        let mut names = COMMON.map(str::to_owned).to_vec();
        names.extend(self.share.mailboxes.iter().cloned());
        self.random.pick(&names).clone()
    }

    fn flags(&mut self) -> Flags {
        let all = [
            "\\Seen",
            "\\Flagged",
            "\\Answered",
            "\\Draft",
            "$Label1",
            "later",
        ];
        let some = self.random.some(&all, 3);
        some.into_iter().map(str::to_owned).collect()
    }

    fn append(&mut self, mailbox: &str) -> Result<(), Dead> {
        let number = self.shared.number();
        let flags = self.flags();
        let mut instance = Instance {
            user: self.share.user.clone(),
            mailbox: mailbox.to_owned(),
            uid: None,
            number,
            flags,
        };
        let text = String::from_utf8(message::bytes(number)).unwrap();
        let list = listed(&instance.flags);
        let command = format!("APPEND {mailbox} ({list}) {{{}+}}\r\n{text}", text.len());
        let answer = self.change(Pending::Append(instance.clone()), &command)?;
        let numbers = code(&answer, "APPENDUID");
        let uid = numbers[1].parse().unwrap();
        instance.uid = Some(uid);
        self.given(&numbers[0], uid, number);
        self.share.instances.push(instance);
        Ok(())
    }

    fn given(&mut self, uid_validity: &str, uid: u32, number: u64) {
        self.share.given.push(Given {
            user: self.share.user.clone(),
            uid_validity: uid_validity.parse().unwrap(),
            uid,
            number,
        });
    }

    fn select(&mut self, mailbox: &str) -> Result<(), Dead> {
        if self.selected.as_deref() != Some(mailbox) {
            self.selected = None;
            self.command(&format!("SELECT {mailbox}"))?;
            self.selected = Some(mailbox.to_owned());
        }
        Ok(())
    }

    fn unselect(&mut self) -> Result<(), Dead> {
        if self.selected.take().is_some() {
            self.command("UNSELECT")?;
        }
        Ok(())
    }

    /// Some own messages of one mailbox, which is selected then: their places in the share, and
    /// their UIDs as a set.
    fn messages(
        &mut self,
        wanted: impl Fn(&Instance) -> bool,
    ) -> Result<(Vec<usize>, String), Dead> {
        let instances = &self.share.instances;
        let places: Vec<usize> = (0..instances.len())
            .filter(|at| wanted(&instances[*at]))
            .collect();
        if places.is_empty() {
            return Ok((places, String::new()));
        }
        let mailbox = instances[*self.random.pick(&places)].mailbox.clone();
        let within = |at: &usize| instances[*at].mailbox == mailbox;
        let places: Vec<usize> = places.into_iter().filter(within).collect();
        let mut places = self.random.some(&places, 6);
        // COPYUID tells of messages in ascending order.
        places.sort_by_key(|at| self.share.instances[*at].uid);
        self.select(&mailbox)?;
        Ok((places.clone(), self.set(&places)))
    }

    fn set(&self, places: &[usize]) -> String {
        let uids = places
            .iter()
            .map(|at| self.share.instances[*at].uid.unwrap().to_string());
        uids.collect::<Vec<_>>().join(",")
    }

    fn store(&mut self) -> Result<(), Dead> {
        let (places, set) = self.messages(|_| true)?;
        if places.is_empty() {
            return Ok(());
        }
        let named = self.flags();
        let operation = *self.random.pick(&["+", "-", ""]);
        let silent = *self.random.pick(&["", ".SILENT"]);
        let changed = |at: usize| {
            let old = &self.share.instances[at].flags;
            match operation {
                "+" => old.union(&named).cloned().collect(),
                "-" => old.difference(&named).cloned().collect(),
                _ => named.clone(),
            }
        };
        let changed: Vec<(usize, Flags)> = places.iter().map(|at| (*at, changed(*at))).collect();
        let command = format!(
            "UID STORE {set} {operation}FLAGS{silent} ({})",
            listed(&named)
        );
        self.restyle(changed, &command)
    }

    fn restyle(&mut self, changed: Vec<(usize, Flags)>, command: &str) -> Result<(), Dead> {
        self.change(Pending::Store(changed.clone()), command)?;
        for (at, flags) in changed {
            self.share.instances[at].flags = flags;
        }
        Ok(())
    }

    fn copy(&mut self) -> Result<(), Dead> {
        let (places, set) = self.messages(|_| true)?;
        let target = self.any_mailbox();
        if places.is_empty() {
            return Ok(());
        }
        let copies = self.at(&places, &target);
        let answer = self.change(
            Pending::Copy(copies.clone()),
            &format!("UID COPY {set} {target}"),
        )?;
        self.arrived(copies, &answer);
        Ok(())
    }

    fn r#move(&mut self) -> Result<(), Dead> {
        let (places, set) = self.messages(|_| true)?;
        let target = self.any_mailbox();
        if places.is_empty() {
            return Ok(());
        }
        let moved = self.at(&places, &target);
        let pending = Pending::Move(places.clone(), moved.clone());
        let answer = self.change(pending, &format!("UID MOVE {set} {target}"))?;
        self.forget(&places);
        self.arrived(moved, &answer);
        Ok(())
    }

    /// These messages as they are in another mailbox.
    fn at(&self, places: &[usize], target: &str) -> Vec<Instance> {
        let moved = |at: &usize| Instance {
            mailbox: target.to_owned(),
            uid: None,
            ..self.share.instances[*at].clone()
        };
        places.iter().map(moved).collect()
    }

    fn arrived(&mut self, instances: Vec<Instance>, answer: &str) {
        let numbers = code(answer, "COPYUID");
        let uids = expanded(&numbers[2]);
        assert_eq!(uids.len(), instances.len(), "{answer}");
        for (mut instance, uid) in instances.into_iter().zip(uids) {
            self.given(&numbers[0], uid, instance.number);
            instance.uid = Some(uid);
            self.share.instances.push(instance);
        }
    }

    fn forget(&mut self, places: &[usize]) {
        let gone: BTreeSet<usize> = places.iter().copied().collect();
        let mut at = 0..;
        self.share
            .instances
            .retain(|_| !gone.contains(&at.next().unwrap()));
    }

    fn expunge(&mut self) -> Result<(), Dead> {
        let (places, set) = self.messages(|_| true)?;
        if places.is_empty() {
            return Ok(());
        }
        let deleted = |at: &usize| {
            let mut flags = self.share.instances[*at].flags.clone();
            flags.insert("\\Deleted".to_owned());
            (*at, flags)
        };
        let changed = places.iter().map(deleted).collect();
        self.restyle(
            changed,
            &format!("UID STORE {set} +FLAGS.SILENT (\\Deleted)"),
        )?;
        if self.random.once_in(6) {
            return Ok(());
        }
        let mailbox = self.share.instances[places[0]].mailbox.clone();
        if COMMON.contains(&mailbox.as_str()) || self.random.once_in(3) {
            self.change(
                Pending::Expunge(places.clone()),
                &format!("UID EXPUNGE {set}"),
            )?;
            self.forget(&places);
            return Ok(());
        }
        let instances = self.share.instances.iter().enumerate();
        let all =
            instances.filter(|(_, it)| it.mailbox == mailbox && it.flags.contains("\\Deleted"));
        let all: Vec<usize> = all.map(|(at, _)| at).collect();
        let command = *self.random.pick(&["EXPUNGE", "CLOSE"]);
        self.change(Pending::Expunge(all.clone()), command)?;
        self.forget(&all);
        if command == "CLOSE" {
            self.selected = None;
        }
        Ok(())
    }

    fn create(&mut self) -> Result<(), Dead> {
        let mailboxes: Vec<String> = self.share.mailboxes.iter().cloned().collect();
        if mailboxes.len() > 4 {
            return Ok(());
        }
        let number = self.shared.number();
        let parents: Vec<&String> = mailboxes
            .iter()
            .filter(|name| !name.contains('/'))
            .collect();
        let name = if parents.is_empty() || self.random.once_in(2) {
            format!("w{number}")
        } else {
            format!("{}/c{number}", self.random.pick(&parents))
        };
        self.change(Pending::Create(name.clone()), &format!("CREATE {name}"))?;
        self.share.mailboxes.insert(name);
        Ok(())
    }

    fn rename(&mut self) -> Result<(), Dead> {
        let mailboxes: Vec<String> = self.share.mailboxes.iter().cloned().collect();
        if mailboxes.is_empty() {
            return Ok(());
        }
        let from = self.random.pick(&mailboxes).clone();
        let may_have = |name: &&String| !name.contains('/') && **name != from;
        let parents: Vec<&String> = mailboxes.iter().filter(may_have).collect();
        let number = self.shared.number();
        let to = if parents.is_empty() || self.random.once_in(2) {
            format!("w{number}")
        } else {
            format!("{}/r{number}", self.random.pick(&parents))
        };
        self.unselect()?;
        let pending = Pending::Rename(from.clone(), to.clone());
        self.change(pending, &format!("RENAME {from} {to}"))?;
        self.share.renamed(&from, &to);
        Ok(())
    }

    fn delete(&mut self) -> Result<(), Dead> {
        let mailboxes = &self.share.mailboxes;
        let leaf = |name: &&String| {
            !mailboxes
                .iter()
                .any(|it| it.starts_with(&format!("{name}/")))
        };
        let leaves: Vec<String> = mailboxes.iter().filter(leaf).cloned().collect();
        if leaves.is_empty() {
            return Ok(());
        }
        let name = self.random.pick(&leaves).clone();
        self.unselect()?;
        self.change(Pending::Delete(name.clone()), &format!("DELETE {name}"))?;
        self.share.mailboxes.remove(&name);
        self.share
            .instances
            .retain(|instance| instance.mailbox != name);
        Ok(())
    }
}

fn listed(flags: &Flags) -> String {
    flags.iter().cloned().collect::<Vec<_>>().join(" ")
}

/// The words of a response code.
fn code(answer: &str, name: &str) -> Vec<String> {
    let (_, rest) = answer
        .split_once(&format!("[{name} "))
        .unwrap_or_else(|| panic!("{answer}"));
    let (words, _) = rest.split_once(']').unwrap();
    words.split(' ').map(str::to_owned).collect()
}

/// The numbers of a set.
fn expanded(set: &str) -> Vec<u32> {
    let mut numbers = Vec::new();
    for part in set.split(',') {
        let (first, last) = part.split_once(':').unwrap_or((part, part));
        numbers.extend(first.parse::<u32>().unwrap()..=last.parse().unwrap());
    }
    numbers
}
