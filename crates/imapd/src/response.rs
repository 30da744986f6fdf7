//! What the server says (RFC 3501 §7), typed. `encode` is the only place that writes it.

use mailstore::{FlagSet, ModSeq, Uid, UidValidity};

use crate::command::{FetchSection, StatusItem};
use crate::extension::{InProgress, ObjectId};
use crate::types::{ByUid, Ranges, SeqNum, Tag};

/// An untagged response (RFC 3501 §7.1 to §7.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Untagged {
    /// `* OK|NO|BAD [CODE] text`.
    Status(Status, Option<Code>, String),
    /// `* BYE [CODE] text` (RFC 3501 §7.1.5).
    Bye(Option<Code>, String),
    /// `* CAPABILITY …` (RFC 3501 §7.2.1): names in order, `IMAP4rev1` among them.
    Capability(Vec<String>),
    /// `* ENABLED …` (RFC 5161 §3.2): names of capabilities.
    Enabled(Vec<&'static str>),
    /// `* LIST …` (RFC 3501 §7.2.2).
    List(ListEntry),
    /// `* LIST … ("CHILDINFO" (…))` (RFC 5258 §3.5): the selection criteria that a name below meets.
    ListWithChildInfo(ListEntry, Vec<&'static str>),
    /// `* LIST … ("OLDNAME" (…))` (RFC 5465 §5.4, RFC 9051 §6.3.9.7): the name that the mailbox had.
    ListWithOldName(ListEntry, String),
    /// `* LSUB …` (RFC 3501 §7.2.3).
    Lsub(ListEntry),
    /// `* XLIST …`, as Gmail has it.
    Xlist(ListEntry),
    /// `* METADATA …` with values (RFC 5464 §4.4.1): the mailbox as clients see it, empty for the
    /// server, and its entries.
    Metadata(String, Vec<(String, Option<Vec<u8>>)>),
    /// `* METADATA …` without values (RFC 5464 §4.4.2): entries that have changed.
    MetadataChanged(String, Vec<String>),
    /// `* STATUS …` (RFC 3501 §7.2.4): the mailbox as clients see it, items in the order asked.
    StatusData(String, Vec<(StatusItem, StatusValue)>),
    /// `* SEARCH …` (RFC 3501 §7.2.5), with the highest mod-sequence of what was found if it was
    /// searched by mod-sequence (RFC 7162 §3.1.6).
    Search(Vec<u32>, Option<ModSeq>),
    /// `* ESEARCH …` (RFC 4466 §2.6.2).
    ExtendedSearch(ExtendedSearch),
    /// `* FLAGS (…)` (RFC 3501 §7.2.6): names.
    Flags(Vec<String>),
    /// `* n EXISTS` (RFC 3501 §7.3.1).
    Exists(u32),
    /// `* n RECENT` (RFC 3501 §7.3.2).
    Recent(u32),
    /// `* n EXPUNGE` (RFC 3501 §7.4.1).
    Expunge(SeqNum),
    /// `* VANISHED …` (RFC 7162 §3.2.10.2): UIDs, ascending.
    Vanished(Ranges),
    /// `* VANISHED (EARLIER) …` (RFC 7162 §3.2.10.1): UIDs, ascending.
    VanishedEarlier(Ranges),
    /// `* n FETCH (…)` (RFC 3501 §7.4.2).
    Fetch(SeqNum, Vec<FetchData>),
    /// `* n UIDFETCH (…)` (RFC 9586 §3.3), where n is the UID.
    UidFetch(Uid, Vec<FetchData>),
    /// `* NAMESPACE …` (RFC 2342 §5): prefixes and separators.
    Namespace {
        /// Of the user's own mailboxes.
        personal: (String, char),
        /// Of other users' mailboxes, if there are any.
        others: Option<(String, char)>,
    },
    /// `* ACL …` (RFC 4314 §3.6): the mailbox, and identifiers with their rights.
    Acl(String, Vec<(String, String)>),
    /// `* LISTRIGHTS …` (RFC 4314 §3.7).
    ListRights {
        /// The mailbox.
        mailbox: String,
        /// The identifier as the client wrote it.
        identifier: Vec<u8>,
        /// What it always has.
        required: String,
        /// What it can be given; those of one string only together.
        optional: Vec<String>,
    },
    /// `* MYRIGHTS …` (RFC 4314 §3.8): the mailbox and the rights.
    MyRights(String, String),
    /// `* QUOTA …` (RFC 9208 §4.2.1): a quota root, and resources with usage and limit.
    Quota(String, Vec<(&'static str, u64, u64)>),
    /// `* QUOTAROOT …` (RFC 9208 §4.2.2): the mailbox as clients see it, and its quota roots.
    QuotaRoot(String, Vec<String>),
    /// `* ID (…)` (RFC 2971 §3.2).
    Id(Vec<(String, String)>),
}

impl Untagged {
    /// `* STATUS …` of numbers only.
    pub(crate) fn counts(mailbox: String, items: Vec<(StatusItem, u64)>) -> Self {
        let items = items.into_iter();
        let items = items.map(|(item, number)| (item, StatusValue::Number(number)));
        Self::StatusData(mailbox, items.collect())
    }
}

/// What STATUS tells of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusValue {
    /// A number.
    Number(u64),
    /// `"(" objectid ")"` (RFC 8474 §4.3).
    Id(ObjectId),
}

/// The condition of a status response (RFC 3501 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Success.
    Ok,
    /// Failure.
    No,
    /// Protocol error.
    Bad,
}

/// A tagged response: how a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The condition.
    pub status: Status,
    /// The response code.
    pub code: Option<Code>,
    /// Text for people. Never contains anything the client sent.
    pub text: String,
}

impl Completion {
    /// `OK text`.
    pub fn ok(text: impl Into<String>) -> Self {
        Self {
            status: Status::Ok,
            code: None,
            text: text.into(),
        }
    }

    /// `NO text`.
    pub fn no(text: impl Into<String>) -> Self {
        Self {
            status: Status::No,
            code: None,
            text: text.into(),
        }
    }

    /// `BAD text`.
    pub fn bad(text: impl Into<String>) -> Self {
        Self {
            status: Status::Bad,
            code: None,
            text: text.into(),
        }
    }

    /// With a response code.
    #[must_use]
    pub fn with(self, code: Code) -> Self {
        self.with_any(Some(code))
    }

    /// With a response code, if there is one.
    #[must_use]
    pub fn with_any(mut self, code: Option<Code>) -> Self {
        self.code = code;
        self
    }
}

/// A whole response, as it is given to the encoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// Untagged.
    Untagged(Untagged),
    /// `+ text` (RFC 3501 §7.5).
    Continue(String),
    /// Tagged; `*` as the tag if the command's could not be read (RFC 3501 §7.1.3).
    Completion(Option<Tag>, Completion),
}

/// A response code (RFC 3501 §7.1, RFC 4315 §3, RFC 5530 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// `ALERT`.
    Alert,
    /// `BADCHARSET (…)`: charsets that are supported.
    BadCharset(Vec<String>),
    /// `CAPABILITY …`.
    Capability(Vec<String>),
    /// `PARSE`.
    Parse,
    /// `PERMANENTFLAGS (…)`: names, and `\*`.
    PermanentFlags(Vec<String>),
    /// `READ-ONLY`.
    ReadOnly,
    /// `READ-WRITE`.
    ReadWrite,
    /// `TRYCREATE`.
    TryCreate,
    /// `UIDNEXT n`.
    UidNext(Uid),
    /// `UIDVALIDITY n`.
    UidValidity(UidValidity),
    /// `UNSEEN n`.
    Unseen(SeqNum),
    /// `APPENDUID validity uids` (RFC 4315 §3).
    AppendUid(UidValidity, Ranges),
    /// `COPYUID validity from to` (RFC 4315 §3).
    CopyUid(UidValidity, Ranges, Ranges),
    /// `NOTSAVED` (RFC 5182 §2.5).
    NotSaved,
    /// `HIGHESTMODSEQ n` (RFC 7162 §3.1.2.1).
    HighestModSeq(ModSeq),
    /// `MAILBOXID (id)` (RFC 8474 §4.1, §4.2).
    MailboxId(ObjectId),
    /// `NOMODSEQ` (RFC 7162 §3.1.2.2).
    NoModSeq,
    /// `MODIFIED set` (RFC 7162 §3.1.3): sequence numbers, or UIDs for UID STORE.
    Modified(Ranges),
    /// `CLOSED` (RFC 7162 §3.2.11, RFC 9051 §7.1).
    Closed,
    /// `UIDREQUIRED` (RFC 9586 §3).
    UidRequired,
    /// `BADEVENT (…)` (RFC 5465 §3.1): the events that there are.
    BadEvent,
    /// `NOTIFICATIONOVERFLOW` (RFC 5465 §5.8).
    NotificationOverflow,
    /// `UIDNOTSTICKY` (RFC 4315 §3).
    UidNotSticky,
    /// `COMPRESSIONACTIVE` (RFC 4978 §3).
    CompressionActive,
    /// `INPROGRESS (…)` (RFC 9585 §4).
    InProgress(InProgress),
    /// `TOOBIG` (RFC 4469 §4.2, RFC 7889 §4).
    TooBig,
    /// `BADURL url` (RFC 4469 §4.1): the URL as the client wrote it.
    BadUrl(Vec<u8>),
    /// `UNKNOWN-CTE` (RFC 3516 §4.3).
    UnknownCte,
    /// `USEATTR` (RFC 6154 §3).
    UseAttr,
    /// `METADATA …` (RFC 5464 §5).
    Metadata(MetadataCode),
    /// A code without arguments of RFC 5530 §3, such as `NONEXISTENT`.
    Plain(PlainCode),
}

/// What the response code METADATA says (RFC 5464 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataCode {
    /// `LONGENTRIES n`: how large the largest value is that was left out.
    LongEntries(u32),
    /// `MAXSIZE n`: how large a value may be.
    MaxSize(u32),
    /// `TOOMANY`: there can be no more annotations.
    TooMany,
}

/// The response codes of RFC 5530 §3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainCode {
    /// Temporary failure because a subsystem is down.
    Unavailable,
    /// Authentication failed for an unspecified reason.
    AuthenticationFailed,
    /// Authentication succeeded, authorization did not.
    AuthorizationFailed,
    /// Plaintext passwords need TLS.
    PrivacyRequired,
    /// Access is denied.
    NoPerm,
    /// Another session holds the resource.
    InUse,
    /// Messages expunged elsewhere were asked for.
    ExpungeIssued,
    /// Only the administrator can help.
    ContactAdmin,
    /// A bug or a corrupt file of ours.
    ServerBug,
    /// The client violated the protocol.
    ClientBug,
    /// The operation is not possible here.
    Cannot,
    /// A limit of the server.
    Limit,
    /// No space, or a quota.
    OverQuota,
    /// The mailbox exists already.
    AlreadyExists,
    /// The mailbox does not exist.
    NonExistent,
    /// There are mailboxes below the one to be deleted (RFC 9051 §7.1).
    HasChildren,
}

/// What an ESEARCH response tells (RFC 4466 §2.6.2, RFC 4731 §3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtendedSearch {
    /// The tag of the command that it answers.
    pub tag: Option<Tag>,
    /// Whether the numbers are UIDs.
    pub by_uid: ByUid,
    /// `MIN n`.
    pub min: Option<u32>,
    /// `MAX n`.
    pub max: Option<u32>,
    /// `COUNT n`.
    pub count: Option<u32>,
    /// `ALL set`, never empty.
    pub all: Option<Ranges>,
    /// `MODSEQ n` (RFC 4731 §3.2).
    pub mod_seq: Option<ModSeq>,
}

/// An entry of LIST or LSUB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListEntry {
    /// `\Noselect`, `\HasChildren` and so on.
    pub attributes: Vec<&'static str>,
    /// The hierarchy separator; `None` is NIL.
    pub separator: Option<char>,
    /// The mailbox as the client sees it: in modified UTF-7, or in UTF-8 if it understands that.
    pub name: String,
}

/// One item of a FETCH response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchData {
    /// `UID n`.
    Uid(Uid),
    /// `MODSEQ (n)` (RFC 7162 §3.1.4.2).
    ModSeq(ModSeq),
    /// `FLAGS (…)`, with `\Recent` if the session has it: names.
    Flags(Vec<String>),
    /// `INTERNALDATE`: seconds since 1970, written in UTC.
    InternalDate(i64),
    /// `SAVEDATE` (RFC 8514 §4.2): seconds since 1970, written in UTC, or `None` for NIL.
    SaveDate(Option<i64>),
    /// `RFC822.SIZE n`.
    Rfc822Size(u64),
    /// `ENVELOPE`, `BODY` or `BODYSTRUCTURE` in wire form, without the item's name.
    Wire(&'static str, Vec<u8>),
    /// A section: the octets, or `None` for NIL.
    Section(FetchSection, Option<Vec<u8>>),
}

/// The flags of a message by name, as FETCH and FLAGS tell them.
pub fn flag_names(flags: FlagSet, keywords: &mailstore::Keywords) -> Vec<String> {
    let system = flags.system().map(|flag| flag.name().to_owned());
    let named = flags
        .keywords()
        .filter_map(|position| keywords.get(position));
    system
        .chain(named.map(|keyword| keyword.as_str().to_owned()))
        .collect()
}
