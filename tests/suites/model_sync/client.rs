//! One client's connection, and what it takes in of each response.

use std::collections::BTreeSet;

use pillarbox_tests::bare::Bare;

use crate::response::{Item, Response, asked, names, numbers, parse, value};
use crate::told::{Answer, Condstore, Features, Fetched, Log, Notify, Selected};
use crate::view::{Complete, View};

/// What goes on when a response comes.
#[derive(Clone, Copy, Debug)]
enum During<'a> {
    Command(&'a str),
    Idle,
    Nothing,
}

/// A client.
pub(crate) struct Client {
    pub(crate) name: usize,
    pub(crate) features: Features,
    connection: Bare<imapd::Session>,
    log: Log,
    commands: u32,
    pub(crate) view: View,
    pub(crate) selected: Option<Selected>,
    opening: Option<Selected>,
    pub(crate) complete: Complete,
    /// Whether it is CONDSTORE-aware.
    pub(crate) aware: bool,
    /// The tag of the IDLE that it is in.
    pub(crate) idle: Option<String>,
    pub(crate) notify: Notify,
    /// MESSAGES and UIDNEXT as NOTIFY has told them of mailboxes that are not selected.
    pub(crate) others: [Option<(u64, u64)>; 2],
    /// What `$` stands for.
    pub(crate) saved: Option<BTreeSet<u32>>,
}

impl Client {
    pub(crate) fn new(
        name: usize,
        features: Features,
        connection: Bare<imapd::Session>,
        log: &Log,
    ) -> Self {
        let mut client = Self {
            name,
            features,
            connection,
            log: log.clone(),
            commands: 0,
            view: View::default(),
            selected: None,
            opening: None,
            complete: Complete::default(),
            aware: false,
            idle: None,
            notify: Notify::Unused,
            others: [None; 2],
            saved: None,
        };
        log.push(format!("{name} connects: {features:?}"));
        client.connection.listen();
        client
    }

    pub(crate) fn fail(&self, problem: &str) -> ! {
        let state = format!(
            "{:?} aware: {} view: {:?}",
            self.complete, self.aware, self.view
        );
        self.log
            .fail(&format!("{state}\nclient {}: {problem}", self.name))
    }

    /// Whether it can name messages by number.
    pub(crate) fn has_numbers(&self) -> bool {
        let stable = matches!(self.notify, Notify::Unused | Notify::Delayed);
        stable && !self.features.uid_only
    }

    /// Whether it will switch CONDSTORE on, and has not yet.
    pub(crate) fn switches_on(&self) -> bool {
        !self.aware && self.features.condstore != Condstore::Never
    }

    /// Runs a command that succeeds.
    pub(crate) fn run(&mut self, command: &str) -> Answer {
        let answer = self.try_run(command);
        if answer.status != "OK" {
            self.fail(&format!("{command}: not OK"));
        }
        answer
    }

    /// Runs a command, and takes in what is answered.
    pub(crate) fn try_run(&mut self, command: &str) -> Answer {
        let tag = self.next_tag();
        self.sent(&tag, command);
        let enables = ["MODSEQ", "CHANGEDSINCE", "(CONDSTORE)"];
        let enables =
            enables.iter().any(|it| command.contains(it)) && !command.starts_with("NOTIFY");
        let first = enables && !self.aware && self.selected.is_some() && self.opening.is_none();
        self.aware |= enables;
        let bytes = self
            .connection
            .send(format!("{tag} {command}\r\n").as_bytes());
        let answer = self.take(&bytes, During::Command(command));
        if answer.tag != tag {
            self.fail("not completed");
        }
        let selected = self.selected.map(|it| it.mailbox);
        if first && !answer.highest.iter().any(|it| Some(it.0) == selected) {
            self.fail("the first CONDSTORE enabling command is not told HIGHESTMODSEQ");
        }
        answer
    }

    fn next_tag(&mut self) -> String {
        self.commands += 1;
        format!("{}a{}", self.name, self.commands)
    }

    fn sent(&self, tag: &str, command: &str) {
        self.log
            .push(format!("{}C: {tag} {}", self.name, command.escape_debug()));
    }

    /// The tag of the last command.
    pub(crate) fn tag(&self) -> String {
        format!("{}a{}", self.name, self.commands)
    }

    /// Takes in what comes by itself.
    pub(crate) fn listen(&mut self) -> Answer {
        let bytes = self.connection.listen();
        let during = match self.idle {
            Some(_) => During::Idle,
            None => During::Nothing,
        };
        self.take(&bytes, during)
    }

    /// Begins to idle.
    pub(crate) fn idle(&mut self) -> Answer {
        let tag = self.next_tag();
        self.sent(&tag, "IDLE");
        let bytes = self.connection.send(format!("{tag} IDLE\r\n").as_bytes());
        self.idle = Some(tag);
        let answer = self.take(&bytes, During::Idle);
        if !answer
            .responses
            .iter()
            .any(|it| matches!(it, Response::Continue))
        {
            self.fail("no continuation for IDLE");
        }
        answer
    }

    /// Ends IDLE.
    pub(crate) fn done(&mut self) -> Answer {
        self.log.push(format!("{}C: DONE", self.name));
        let bytes = self.connection.send(b"DONE\r\n");
        let answer = self.take(&bytes, During::Idle);
        if self.idle.take() != Some(answer.tag.clone()) || answer.status != "OK" {
            self.fail("IDLE is not completed");
        }
        answer
    }

    /// Opens a mailbox with a command that succeeds.
    pub(crate) fn open(&mut self, command: &str, selected: Selected) -> Answer {
        self.opening = Some(selected);
        if self.selected.is_none() {
            self.opened();
        }
        let answer = self.run(command);
        if self.opening.is_some() {
            self.fail("no CLOSED");
        }
        answer
    }

    fn opened(&mut self) {
        self.close();
        self.selected = self.opening.take();
        self.others = [None; 2];
    }

    /// No mailbox is selected any more.
    pub(crate) fn close(&mut self) {
        self.selected = None;
        self.view = View::default();
        self.complete = Complete::default();
        self.saved = None;
    }

    fn take(&mut self, bytes: &[u8], mut during: During<'_>) -> Answer {
        for line in String::from_utf8_lossy(bytes).lines() {
            self.log.push(format!("{}S: {line}", self.name));
        }
        let mut answer = Answer::default();
        for response in parse(bytes) {
            self.apply(&response, during, &mut answer);
            if matches!(response, Response::Tagged { .. }) {
                during = During::Nothing;
            }
            answer.responses.push(response);
        }
        answer
    }

    fn apply(&mut self, response: &Response, during: During<'_>, answer: &mut Answer) {
        let unasked = matches!(during, During::Nothing) && self.notify == Notify::Unused;
        if unasked {
            self.fail(&format!("told without being asked: {response:?}"));
        }
        match response {
            Response::Continue => {}
            Response::Tagged { tag, status, code } => {
                self.coded(code, answer);
                answer.tag.clone_from(tag);
                self.complete.tagged();
                answer.status.clone_from(status);
                answer.code.clone_from(code);
            }
            Response::Status { status, code } => {
                if status == "BYE" {
                    self.fail("BYE");
                }
                self.coded(code, answer);
            }
            Response::Message { number, what, data } => match what.as_str() {
                "EXISTS" => self.exists(*number),
                "RECENT" if self.features.is_rev2() => self.fail("RECENT in IMAP4rev2"),
                "RECENT" => {}
                "EXPUNGE" => self.expunged(*number, during, answer),
                _ => self.fetched(*number, what, data, during, answer),
            },
            Response::Data { what, data } => self.data(what, data, during, answer),
        }
    }

    fn coded(&mut self, code: &[Item], answer: &mut Answer) {
        match code.first().map(Item::word) {
            Some("HIGHESTMODSEQ") => {
                let highest = code[1].number();
                self.complete.say(highest);
                let Some(selected) = self.selected else {
                    self.fail("HIGHESTMODSEQ of no mailbox");
                };
                answer.highest.push((selected.mailbox, highest));
            }
            Some("CLOSED") => {
                if self.opening.is_none() {
                    self.fail("CLOSED out of place");
                }
                self.opened();
            }
            _ => {}
        }
    }

    fn exists(&mut self, number: u32) {
        if !self.view.exists(number as usize) {
            self.fail("EXISTS shrank");
        }
    }

    /// Whether messages may go now (RFC 3501 §7.4.1, RFC 7162 §3.2.10.2, RFC 5465 §5.3).
    fn may_lose(&self, during: During<'_>) -> bool {
        match during {
            During::Idle => true,
            During::Nothing => matches!(self.notify, Notify::Selected | Notify::Less),
            During::Command(command) => {
                let held = ["FETCH ", "STORE ", "SEARCH "];
                let held = held.iter().any(|it| command.starts_with(it));
                let search = command.strip_prefix("UID SEARCH ");
                let by_number = |it: &str| it.starts_with(|it: char| it.is_ascii_digit());
                !held && !search.is_some_and(by_number)
            }
        }
    }

    fn check_loss(&self, what: &str, during: During<'_>) {
        let vanishes = self.features.qresync || self.features.uid_only;
        if (what == "VANISHED") != vanishes {
            self.fail(&format!("{what} for {:?}", self.features));
        }
        if !self.may_lose(during) {
            self.fail(&format!("{what} during {during:?}"));
        }
    }

    fn lose(&mut self, uid: Option<u32>, answer: &mut Answer) {
        if let (Some(uid), Some(selected)) = (uid, self.selected) {
            answer.gone.push((selected.mailbox, uid));
            if let Some(saved) = &mut self.saved {
                saved.remove(&uid);
            }
        }
    }

    fn expunged(&mut self, number: u32, during: During<'_>, answer: &mut Answer) {
        self.check_loss("EXPUNGE", during);
        let position = (number as usize).wrapping_sub(1);
        if position >= self.view.len() {
            self.fail("EXPUNGE of a number that does not exist");
        }
        let gone = self.view.messages.remove(position);
        self.lose(gone.uid, answer);
    }

    fn vanished(&mut self, data: &[Item], during: During<'_>, answer: &mut Answer) {
        if let [earlier, uids] = data {
            let command = match during {
                During::Command(command) => command,
                During::Idle | During::Nothing => "",
            };
            let asked = command.contains("(QRESYNC ") || command.contains("VANISHED");
            if !asked || !earlier.words().contains("EARLIER") {
                self.fail("VANISHED (EARLIER) that nobody asked for");
            }
            answer.earlier.extend(numbers(uids.word()));
            if answer.earlier.iter().any(|uid| self.view.knows(*uid)) {
                self.fail("VANISHED (EARLIER) of a message that is counted");
            }
            return;
        }
        self.check_loss("VANISHED", during);
        for uid in numbers(data[0].word()) {
            if !self.view.vanish(uid) {
                self.fail(&format!("{uid} vanishes and was not there"));
            }
            self.lose(Some(uid), answer);
        }
    }

    fn data(&mut self, what: &str, data: &[Item], during: During<'_>, answer: &mut Answer) {
        match what {
            "VANISHED" => self.vanished(data, during, answer),
            "ENABLED" => {
                let names = data.iter().map(Item::word);
                self.aware |= names
                    .into_iter()
                    .any(|it| ["CONDSTORE", "QRESYNC"].contains(&it));
            }
            "STATUS" => {
                let items = data[1].list();
                let mailbox = usize::from(data[0].word() != "INBOX");
                let number = |name| value(items, name).map(Item::number);
                if let (Some(messages), Some(next)) = (number("MESSAGES"), number("UIDNEXT")) {
                    self.others[mailbox] = Some((messages, next));
                }
                if let Some(highest) = number("HIGHESTMODSEQ") {
                    answer.highest.push((mailbox, highest));
                }
            }
            _ => {}
        }
    }

    fn fetched(
        &mut self,
        number: u32,
        what: &str,
        data: &[Item],
        during: During<'_>,
        answer: &mut Answer,
    ) {
        let expected = if self.features.uid_only {
            "UIDFETCH"
        } else {
            "FETCH"
        };
        let items = data.first().map(Item::list).unwrap_or_default();
        let Some(selected) = self.selected.filter(|_| what == expected) else {
            self.fail(&format!("{what} out of place"));
        };
        self.check_items(items, during);
        let told = value(items, "UID").map(|it| u32::try_from(it.number()).unwrap());
        let position = self.place(number, told);
        let flags = value(items, "FLAGS").map(Item::words).map(|mut flags| {
            if flags.remove("\\Recent") && self.features.is_rev2() {
                self.fail("\\Recent in IMAP4rev2");
            }
            flags
        });
        let mod_seq = value(items, "MODSEQ").map(|it| it.list()[0].number());
        let subject = value(items, "BODY[HEADER.FIELDS (SUBJECT)]");
        let known = &mut self.view.messages[position];
        if mod_seq.is_some_and(|it| known.mod_seq.is_some_and(|known| known > it)) {
            self.fail("a mod-sequence goes back");
        }
        if flags.is_some() || mod_seq.is_some() {
            known.mod_seq = mod_seq;
        }
        if flags.is_some() {
            known.flags.clone_from(&flags);
        }
        let uid = known.uid;
        self.complete.see(mod_seq.unwrap_or(0));
        answer.fetched.push(Fetched {
            uid,
            flags,
            mod_seq,
            subject: subject.map(|it| it.word().trim().replace("Subject: ", "")),
            mailbox: selected.mailbox,
        });
    }

    /// The position of the message that a response is about.
    fn place(&mut self, number: u32, told: Option<u32>) -> usize {
        if self.features.uid_only {
            if told.is_some_and(|uid| uid != number) {
                self.fail("UIDFETCH with two UIDs");
            }
            let Some(position) = self.view.place(number) else {
                self.fail("UIDFETCH of a message that is not counted");
            };
            return position;
        }
        let position = (number as usize).wrapping_sub(1);
        if position >= self.view.len() {
            self.fail("FETCH of a number that does not exist");
        }
        let known = &mut self.view.messages[position];
        if known.uid.is_some() && told.is_some() && known.uid != told {
            self.fail(&format!("message {number} has another UID now"));
        }
        known.uid = known.uid.or(told);
        position
    }

    /// Whoever is CONDSTORE-aware hears of UIDs and mod-sequences with all but what was asked for
    /// (RFC 7162 §3.2.4).
    fn check_items(&self, items: &[Item], during: During<'_>) {
        let told = names(items);
        let has = |name: &str| told.contains(name);
        let has_uid = has("UID") || self.features.uid_only;
        if !self.aware || (has_uid && has("MODSEQ")) {
            return;
        }
        let asked = match during {
            During::Command(command) => asked(command),
            During::Idle | During::Nothing => None,
        };
        if asked.is_none_or(|asked| !told.is_subset(&asked)) {
            self.fail(&format!("no UID or MODSEQ: {items:?}"));
        }
    }
}
