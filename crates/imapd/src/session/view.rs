//! What one client knows of its mailbox: sequence numbers, flags and `\Recent`.
//!
//! Invariant: between commands the client has been told everything about the snapshot held here,
//! and a sequence number is a position in it, less one. The numbering and the wire cannot drift
//! apart, because only [`View::learn`] and [`View::settle`] take a newer snapshot, both note what
//! the client must hear of it, and [`View::tell`] says it before the next command begins.

mod own;

use std::mem;
use std::ops::Range;
use std::sync::Arc;

use mailstore::{FlagMask, Keywords, Message, ModSeq, Snapshot, Uid};

use super::positions::Positions;
use super::responses::Responses;
use crate::command::ExpungeRule;
use crate::encode::{Fetch, fetch_open, uid_fetch_open};
use crate::error::Refused;
use crate::extension::condstore::{Storage, Tracking, highest_mod_seq, no_mod_seq};
use crate::extension::enable::Feature;
use crate::extension::imap_rev2::Revision;
use crate::extension::notify::{Narrowed, Wanted};
use crate::extension::qresync::some_of;
use crate::extension::searchres::SearchResult;
use crate::extension::{Capabilities, Capability, ObjectId};
use crate::response::{Code, FetchData, Status, Untagged, flag_names};
use crate::types::{Access, ByUid, Messages, Ranges, SeqNum};

pub(crate) use own::Own;

/// The client's view of the selected mailbox.
#[derive(Debug)]
pub(crate) struct View {
    /// The snapshot that sequence numbers count in.
    told: Arc<Snapshot>,
    /// How many messages the client knows of: the last EXISTS less the EXPUNGEs since.
    exists: usize,
    /// How many of them it was told to be recent.
    recent_told: usize,
    /// The UIDs that this session was the first to see (RFC 3501 §2.3.2), ascending.
    recent: Vec<Range<u32>>,
    /// Whether flags can be changed, which PERMANENTFLAGS tells.
    access: Access,
    /// Which of them the user may change.
    permitted: FlagMask,
    /// What the client wants to hear of others' changes, if it has said so with NOTIFY.
    narrowed: Option<Box<Narrowed>>,
    /// What `$` stands for.
    pub(crate) saved: SearchResult,
    /// How the client hears of changes.
    tracking: Tracking,
    /// Up to this mod-sequence, the client knows of everything that has happened when it has been
    /// told what it is owed.
    complete: ModSeq,
    /// Whether the client has to hear of that, too.
    completeness: Completeness,
    owed: Owed,
}

/// Whether a client can tell by the mod-sequences that it hears up to where it knows everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Completeness {
    /// It can.
    Evident,
    /// Messages are gone: it has no mod-sequence of that, or has not heard of it yet
    /// (RFC 7162 §3.2).
    Untold,
}

/// What the client has still to hear.
#[derive(Debug, Default)]
struct Owed {
    /// Sequence numbers for EXPUNGE, in the order they are to be sent, and how many were sent.
    expunges: Vec<SeqNum>,
    expunges_sent: usize,
    /// UIDs for VANISHED instead, and how many ranges were sent.
    vanished: Ranges,
    vanished_sent: usize,
    /// Messages whose flags were changed by others, and how many of them were told.
    flags: Vec<Uid>,
    flags_sent: usize,
    /// New keywords came up.
    keywords: bool,
}

impl View {
    /// The view of a client that has just been told about `snapshot`.
    pub(crate) fn new(snapshot: Arc<Snapshot>, access: Access, tracking: Tracking) -> Self {
        Self {
            exists: snapshot.len(),
            tracking,
            complete: snapshot.highest_mod_seq(),
            completeness: Completeness::Evident,
            told: snapshot,
            recent_told: 0,
            recent: Vec::new(),
            access,
            permitted: FlagMask::ALL,
            narrowed: None,
            saved: SearchResult::default(),
            owed: Owed::default(),
        }
    }

    /// Starts over with a snapshot that the client is about to be told whole.
    pub(crate) fn restart(&mut self, snapshot: Arc<Snapshot>, access: Access) {
        self.exists = snapshot.len();
        self.complete = snapshot.highest_mod_seq();
        self.told = snapshot;
        self.access = access;
    }

    /// Switches something on for what is told from now on; `false` if it was on already.
    pub(crate) fn enable(&mut self, feature: Feature) -> bool {
        self.tracking.enabled.insert(feature)
    }

    /// From now on the user may change these flags, which the client is told.
    pub(crate) fn permit(&mut self, flags: FlagMask) {
        self.owed.keywords |= flags != self.permitted;
        self.permitted = flags;
    }

    /// How the client hears of changes.
    pub(crate) fn tracking(&self) -> Tracking {
        self.tracking
    }

    /// Up to which mod-sequence the client knows everything.
    pub(crate) fn complete_up_to(&self) -> ModSeq {
        self.complete
    }

    /// The same if the client has to hear of it now (RFC 7162 §3.2, §3.2.7).
    pub(crate) fn take_completeness(&mut self) -> Option<ModSeq> {
        let taken = mem::replace(&mut self.completeness, Completeness::Evident);
        let untold = taken == Completeness::Untold && self.tracking.has_mod_seqs();
        untold.then_some(self.complete)
    }

    /// Notes messages that this session is the first to see.
    pub(crate) fn note_recent(&mut self, uids: Range<u32>) {
        match self.recent.last_mut() {
            Some(last) if uids.start <= last.end => last.end = last.end.max(uids.end),
            _ if uids.is_empty() => {}
            _ => self.recent.push(uids),
        }
    }

    /// What the client wants to hear of.
    pub(crate) fn wanted(&self) -> Wanted {
        let narrowed = self.narrowed.as_ref();
        narrowed.map_or(Wanted::Everything, |narrowed| narrowed.wanted)
    }

    /// From now on, the client wants to hear of this; what it did not want to hear of flags until
    /// now is told if it does now.
    pub(crate) fn narrow(&mut self, wanted: Wanted) {
        if self.leaves_out() {
            self.completeness = Completeness::Untold;
        }
        let narrowed = self.narrowed.get_or_insert_default();
        narrowed.wanted = wanted;
        if wanted == Wanted::Everything {
            self.owed.flags.extend(narrowed.take_untold());
        }
    }

    /// Notes messages that the client itself expunges.
    pub(crate) fn note_expunged(&mut self, uids: &[Uid]) {
        if let Some(narrowed) = &mut self.narrowed {
            narrowed.note_expunged(uids);
        }
    }

    /// Where messages are that the client has been told of since this was last asked.
    pub(crate) fn take_arrived(&mut self) -> Range<usize> {
        let narrowed = self.narrowed.as_mut();
        narrowed.map_or(0..0, |narrowed| mem::take(&mut narrowed.arrived))
    }

    /// Takes what `newest` says while a command runs. Messages that are gone stay in their places
    /// (RFC 3501 §7.4.1); what the client must hear is kept for the end of the command.
    pub(crate) fn learn(&mut self, newest: &Arc<Snapshot>, own: Own<'_>) {
        // Under another UIDVALIDITY the same UIDs are other messages: `settle` tells.
        if Arc::ptr_eq(&self.told, newest) || !self.is_of(newest) {
            return;
        }
        let newest = match self.wanted() {
            Wanted::Nothing => &self.told.taking(newest, own.uids()),
            Wanted::Everything | Wanted::Messages => newest,
        };
        let difference = self.told.difference(newest);
        let touched = difference.touched.into_iter();
        let touched = touched.filter(|_| self.tracking.has_mod_seqs());
        for uid in difference.changed.into_iter().chain(touched) {
            if own.explains(uid, &self.told, newest) {
                continue;
            }
            match &mut self.narrowed {
                Some(narrowed) if narrowed.wanted != Wanted::Everything => narrowed.leave(uid),
                Some(_) | None => self.owed.flags.push(uid),
            }
        }
        if self.told.keywords() != newest.keywords() {
            self.owed.keywords = true;
        }
        self.told = self.told.keeping_expunged(newest);
    }

    /// Takes what `newest` says at the end of a command: also that messages are gone, if the
    /// command is one that may say so.
    pub(crate) fn settle(&mut self, newest: &Arc<Snapshot>, rule: ExpungeRule) {
        let newest = match &mut self.narrowed {
            Some(narrowed) if narrowed.wanted == Wanted::Nothing => {
                &self.told.taking(newest, &narrowed.take_expunged())
            }
            Some(_) | None => newest,
        };
        self.learn(newest, Own::None);
        let leaves_out = self.leaves_out();
        if leaves_out && self.told.len() != self.exists {
            self.completeness = Completeness::Untold;
        }
        if rule == ExpungeRule::Held {
            if !leaves_out {
                self.complete = self.told.complete_up_to(newest, self.complete);
                if self.complete < newest.highest_mod_seq() {
                    self.completeness = Completeness::Untold;
                }
            }
            return;
        }
        let mut sent = 0;
        for uid in self.told.difference(newest).expunged {
            let Some(position) = self.told.position(uid) else {
                continue;
            };
            // A message that came and went within one command was never told of.
            if position < self.exists {
                if self.tracking.has_vanished() {
                    self.owed.vanished.push(uid.get());
                } else {
                    let numbered = SeqNum::from_position(position.saturating_sub(sent));
                    self.owed.expunges.extend(numbered);
                }
                sent += 1;
            }
        }
        if sent > 0 {
            self.completeness = Completeness::Untold;
        }
        self.exists = self.exists.saturating_sub(sent);
        self.told = Arc::clone(newest);
        if !leaves_out {
            self.complete = newest.highest_mod_seq();
        }
    }

    /// Whether something may have happened that the client does not hear of.
    fn leaves_out(&self) -> bool {
        self.narrowed.as_ref().is_some_and(|it| it.leaves_out())
    }

    /// At the end of a command: its responses may have had mod-sequences above one that the client
    /// does not hear of, which it is not to take for what it knows (RFC 7162 §3.2).
    pub(crate) fn note_told(&mut self) {
        let mut beyond = self.told.changed_since(Some(self.complete));
        if self.leaves_out() && beyond.next().is_some() {
            self.completeness = Completeness::Untold;
        }
    }

    /// Tells the client what it has to hear; `false` if there is more than fits now. EXPUNGE or
    /// VANISHED comes first, then EXISTS, RECENT, and the flags in the numbering that holds then.
    pub(crate) fn tell(&mut self, by_uid: ByUid, out: &mut Responses) -> bool {
        while let Some(seq) = self.owed.expunges.get(self.owed.expunges_sent) {
            if out.is_full() {
                return false;
            }
            out.untagged(Untagged::Expunge(*seq));
            self.owed.expunges_sent += 1;
        }
        while let Some(uids) = some_of(&self.owed.vanished, &mut self.owed.vanished_sent) {
            out.untagged(Untagged::Vanished(uids));
            if out.is_full() {
                return false;
            }
        }
        self.tell_new_keywords(out);
        self.tell_size(out);
        while let Some(uid) = self.owed.flags.get(self.owed.flags_sent) {
            if out.is_full() {
                return false;
            }
            self.tell_flags(*uid, by_uid, out);
            self.owed.flags_sent += 1;
        }
        self.owed = Owed::default();
        true
    }

    /// Tells the number of messages, and of recent ones, where it is not what the client knows
    /// (RFC 3501 §7.3.1, §7.3.2). The number never shrinks here: EXPUNGE has seen to that.
    fn tell_size(&mut self, out: &mut Responses) {
        let recent = self.recent();
        let grown = self.told.len() != self.exists;
        if grown {
            if let Some(narrowed) = &mut self.narrowed {
                narrowed.arrived = self.exists..self.told.len();
            }
            self.exists = self.told.len();
            out.untagged(Untagged::Exists(number(self.exists)));
        }
        if self.revision() == Revision::Rev1 && (grown || recent != self.recent_told) {
            self.recent_told = recent;
            out.untagged(Untagged::Recent(number(recent)));
        }
    }

    /// Tells the flags that may be used in this mailbox, if there are new keywords
    /// (RFC 3501 §7.2.6).
    pub(crate) fn tell_new_keywords(&mut self, out: &mut Responses) {
        if mem::take(&mut self.owed.keywords) {
            out.untagged(Untagged::Flags(self.flags()));
            out.untagged(self.permanent_flags());
        }
    }

    /// Tells the flags of one message, if it is still there.
    fn tell_flags(&self, uid: Uid, by_uid: ByUid, out: &mut Responses) {
        let Some(position) = self.told.position(uid) else {
            return;
        };
        // News has the UID always in IMAP4rev2 (RFC 9051 §7.5.2).
        let by_uid = match self.revision() {
            Revision::Rev1 => by_uid,
            Revision::Rev2 => ByUid::Yes,
        };
        if let (Some(seq), Some(message)) =
            (SeqNum::from_position(position), self.told.get(position))
        {
            let items = self.flags_response(message, by_uid);
            out.untagged(self.fetch_response(seq, message, items));
        }
    }

    /// The items of a FETCH response that tells flags, with the UID for UID commands
    /// (RFC 3501 §6.4.8), and with the UID and the mod-sequence for clients that know of those
    /// (RFC 7162 §3.2.4).
    pub(crate) fn flags_response(&self, message: Message<'_>, by_uid: ByUid) -> Vec<FetchData> {
        let flags = FetchData::Flags(self.flags_of(message));
        let has_mod_seqs = self.tracking.has_mod_seqs();
        let uid = (has_mod_seqs || by_uid == ByUid::Yes).then(|| FetchData::Uid(message.uid()));
        let uid = uid.filter(|_| !self.tracking.is_uid_only());
        let mod_seq = has_mod_seqs.then(|| FetchData::ModSeq(message.mod_seq()));
        uid.into_iter().chain([flags]).chain(mod_seq).collect()
    }

    /// A FETCH response, or UIDFETCH for clients that know UIDs only (RFC 9586 §3.3, §3.6).
    pub(crate) fn fetch_response(
        &self,
        seq: SeqNum,
        message: Message<'_>,
        items: Vec<FetchData>,
    ) -> Untagged {
        if self.tracking.is_uid_only() {
            Untagged::UidFetch(message.uid(), items)
        } else {
            Untagged::Fetch(seq, items)
        }
    }

    /// Writes the beginning of such a response.
    pub(crate) fn fetch_open(&self, out: &mut Vec<u8>, seq: SeqNum, message: Message<'_>) -> Fetch {
        if self.tracking.is_uid_only() {
            uid_fetch_open(out, message.uid())
        } else {
            fetch_open(out, seq)
        }
    }

    /// The items of a FETCH response that tells the mod-sequence only, for STORE with `.SILENT`
    /// (RFC 7162 §3.1.3).
    pub(crate) fn mod_seq_response(&self, message: Message<'_>) -> Vec<FetchData> {
        let mod_seq = FetchData::ModSeq(message.mod_seq());
        if self.tracking.is_uid_only() {
            vec![mod_seq]
        } else {
            vec![FetchData::Uid(message.uid()), mod_seq]
        }
    }

    /// Tells everything that SELECT tells before its tagged response (RFC 3501 §6.3.1), with the
    /// highest mod-sequence, or that there is none (RFC 7162 §3.1.2).
    pub(crate) fn introduce(&mut self, offered: Capabilities, out: &mut Responses) {
        out.untagged(Untagged::Flags(self.flags()));
        out.untagged(Untagged::Exists(number(self.exists)));
        if self.revision() == Revision::Rev1 {
            self.recent_told = self.recent();
            out.untagged(Untagged::Recent(number(self.recent_told)));
        }
        let mut status = |code: Code, text: &str| {
            out.untagged(Untagged::Status(Status::Ok, Some(code), text.to_owned()));
        };
        // IMAP4rev2 has no UNSEEN code any more (RFC 9051 §E, 11), and UIDONLY no numbers.
        let has_code = self.revision() == Revision::Rev1 && !self.tracking.is_uid_only();
        let unseen = has_code.then(|| self.told.first_unseen());
        if let Some(seq) = unseen.flatten().and_then(SeqNum::from_position) {
            status(Code::Unseen(seq), "First unseen message");
        }
        let next = self.told.uid_next();
        status(Code::UidValidity(self.told.uid_validity()), "UIDs valid");
        status(Code::UidNext(next), "Predicted next UID");
        if offered.has(Capability::ObjectId) {
            let id = ObjectId::Mailbox(self.told.mailbox_id());
            status(Code::MailboxId(id), "Mailbox identifier");
        }
        out.untagged(self.permanent_flags());
        self.owed.keywords = false;
        if offered.has(Capability::Condstore) {
            out.untagged(match self.tracking.storage {
                Storage::Persistent => highest_mod_seq(self.complete),
                Storage::Memory => no_mod_seq(),
            });
        }
    }

    /// The names that FLAGS tells.
    fn flags(&self) -> Vec<String> {
        let system = mailstore::SystemFlag::ALL
            .into_iter()
            .map(|it| it.name().to_owned());
        let keywords = self.told.keywords().iter();
        system
            .chain(keywords.map(|(_, keyword)| keyword.as_str().to_owned()))
            .collect()
    }

    /// PERMANENTFLAGS (RFC 3501 §7.1): `\*` as long as there is room for new keywords.
    fn permanent_flags(&self) -> Untagged {
        let (names, text) = match self.access {
            Access::ReadOnly => (Vec::new(), "No permanent flags permitted"),
            Access::ReadWrite => {
                let system = mailstore::SystemFlag::ALL.into_iter();
                let system = system.filter(|flag| self.permitted.has(*flag));
                let mut names: Vec<String> = system.map(|it| it.name().to_owned()).collect();
                let keywords = self.told.keywords();
                if self.permitted.has_keywords() {
                    names.extend(keywords.iter().map(|(_, it)| it.as_str().to_owned()));
                    let room = keywords.iter().count() < Keywords::MAX;
                    names.extend(room.then(|| "\\*".to_owned()));
                }
                (names, "Flags permitted")
            }
        };
        let code = Code::PermanentFlags(names);
        Untagged::Status(Status::Ok, Some(code), text.to_owned())
    }

    /// Whether a snapshot is of the mailbox that the client was told of (RFC 3501 §2.3.1.1).
    pub(crate) fn is_of(&self, snapshot: &Snapshot) -> bool {
        self.told.uid_validity() == snapshot.uid_validity()
    }

    /// The snapshot that sequence numbers count in.
    pub(crate) fn snapshot(&self) -> &Arc<Snapshot> {
        &self.told
    }

    /// The UID of the last message, 0 if there is none: what `*` stands for (RFC 3501 §9).
    pub(crate) fn last_uid(&self) -> u32 {
        let last = self.told.len().checked_sub(1);
        let last = last.and_then(|last| self.told.get(last));
        last.map_or(0, |message| message.uid().get())
    }

    /// The UIDs of the messages with these sequence numbers.
    pub(crate) fn uids_of(&self, numbers: &Ranges) -> Ranges {
        let positions = numbers.numbers().filter_map(SeqNum::new);
        let messages = positions.filter_map(|seq| self.told.get(seq.position()));
        Ranges::of_uids(messages.map(|message| message.uid()))
    }

    /// The version of the protocol that the client hears.
    pub(crate) fn revision(&self) -> Revision {
        self.tracking.enabled.revision()
    }

    /// How many messages have `\Recent` in this session.
    pub(crate) fn recent(&self) -> usize {
        let bound = |uid: u32| {
            let uid = Uid::new(uid).unwrap_or(Uid::MIN);
            self.told.lower_bound(uid)
        };
        let counts = self.recent.iter();
        counts
            .map(|range| bound(range.end).saturating_sub(bound(range.start)))
            .sum()
    }

    /// Whether a message has `\Recent` in this session, which IMAP4rev2 has no more
    /// (RFC 9051 §2.3.2).
    pub(crate) fn is_recent(&self, uid: Uid) -> bool {
        if self.revision() == Revision::Rev2 {
            return false;
        }
        let after = self
            .recent
            .partition_point(|range| range.start <= uid.get());
        let range = after
            .checked_sub(1)
            .and_then(|index| self.recent.get(index));
        range.is_some_and(|range| range.contains(&uid.get()))
    }

    /// The names of a message's flags, `\Recent` among them.
    pub(crate) fn flags_of(&self, message: Message<'_>) -> Vec<String> {
        let mut names = flag_names(message.flags(), self.told.keywords());
        if self.is_recent(message.uid()) {
            names.push("\\Recent".to_owned());
        }
        names
    }

    /// The positions of the messages a command is about. A UID that does not exist names nothing
    /// (RFC 3501 §6.4.8).
    ///
    /// # Errors
    /// `BAD` for a sequence number that no message has (RFC 3501 §9, `seq-number`).
    pub(crate) fn resolve(&self, messages: &Messages) -> Result<Positions, Refused> {
        if let Messages::Seq(set) = messages {
            let beyond = set.largest_number() > Some(number(self.told.len()));
            if beyond || (self.told.is_empty() && set.names_largest()) {
                return Err(Refused::bad("no message has this sequence number"));
            }
        }
        Ok(self.find(messages))
    }

    /// The positions of those of the messages that exist.
    pub(crate) fn find(&self, messages: &Messages) -> Positions {
        let exists = self.told.len();
        match messages {
            Messages::Seq(set) => Positions::of_numbers(&set.resolve(number(exists)), exists),
            Messages::Uid(set) => self.find_uids(&set.resolve(self.last_uid())),
            Messages::Saved(_) => self.find_uids(self.saved.uids()),
        }
    }

    /// The UIDs that a command names, whether or not messages have them.
    pub(crate) fn uids(&self, messages: &Messages) -> Ranges {
        match messages {
            Messages::Seq(set) => self.uids_of(&set.resolve(number(self.told.len()))),
            Messages::Uid(set) => set.resolve(self.last_uid()),
            Messages::Saved(_) => self.saved.uids().clone(),
        }
    }

    /// The positions of the messages that have one of these UIDs, which ascend.
    fn find_uids(&self, uids: &Ranges) -> Positions {
        let exists = self.told.len();
        let bound = |uid: Option<Uid>| uid.map_or(exists, |uid| self.told.lower_bound(uid));
        Positions::new(uids.0.iter().map(|&(first, last)| {
            let after = Uid::new(last).and_then(Uid::next);
            bound(Uid::new(first))..bound(after)
        }))
    }
}

/// A count as it is told; mailboxes have fewer messages than there are UIDs.
pub(crate) fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
