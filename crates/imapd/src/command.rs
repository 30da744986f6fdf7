//! What a client can ask for, typed and grouped by the state it needs (RFC 3501 §6.1 to §6.4).
//!
//! Arguments are parsed and checked when a command is built; a handler never sees raw bytes.
//! Mailbox names are kept as the client wrote them: the session's namespace decides what they mean.

mod acl;
mod append;
mod list;
mod metadata;
mod notify;
pub(crate) mod uses;

use auth::Secret;
use auth::sasl::Mechanism;
use mailstore::FlagChange;

use crate::extension::Priority;
use crate::types::{Messages, Tag};

pub use crate::extension::condstore::{
    ChangedSince, Condstore, Gone, SelectParameters, UnchangedSince,
};
pub use crate::extension::esearch::{ResultOption, ResultOptions};
pub use crate::extension::qresync::Known;
pub use acl::{AclCommand, IdentifierArg, ModRights, Newer};
pub use append::{Append, Behind, Piece};
pub use list::{ExtendedList, ReturnOption, SelectionOption};
pub use metadata::{Depth, EntryName, GetMetadata, SetMetadata};
pub use notify::{EventGroup, InitialStatus, MailboxFilter, Notify, NotifyEvent};

/// A command with its tag.
#[derive(Debug)]
pub struct Tagged {
    /// The client's tag.
    pub tag: Tag,
    /// The command.
    pub command: Command,
}

/// A command, by the state it needs.
#[derive(Debug)]
pub enum Command {
    /// In any state (RFC 3501 §6.1).
    Any(Any),
    /// Not authenticated (RFC 3501 §6.2).
    NotAuthenticated(NotAuthenticated),
    /// Authenticated or selected (RFC 3501 §6.3).
    Authenticated(Authenticated),
    /// Selected (RFC 3501 §6.4).
    Selected(Selected),
}

impl Command {
    /// Whether EXPUNGE may be sent before the command completes (RFC 3501 §7.4.1). COPY by sequence
    /// numbers holds it as well, for the sake of clients that pipeline a STORE of the same numbers.
    pub fn expunge_rule(&self) -> ExpungeRule {
        match self {
            Self::Selected(
                Selected::Fetch { messages, .. }
                | Selected::Store { messages, .. }
                | Selected::Copy { messages, .. },
            ) => messages.by_uid().expunge_rule(),
            Self::Selected(Selected::Search(search)) => search.expunge_rule(),
            Self::Selected(
                Selected::Check
                | Selected::Close
                | Selected::Unselect
                | Selected::Expunge(_)
                | Selected::Move { .. }
                | Selected::Replace { .. },
            )
            | Self::Any(_)
            | Self::NotAuthenticated(_)
            | Self::Authenticated(_) => ExpungeRule::Allowed,
        }
    }
}

/// Commands of any state.
#[derive(Debug)]
pub enum Any {
    /// CAPABILITY (RFC 3501 §6.1.1).
    Capability,
    /// NOOP (RFC 3501 §6.1.2).
    Noop,
    /// LOGOUT (RFC 3501 §6.1.3).
    Logout,
    /// ID (RFC 2971 §3.1): field names with their values; empty for NIL.
    Id(Vec<IdField>),
}

/// A field of ID (RFC 2971 §3.1): its name and its value, if it has one.
pub type IdField = (Vec<u8>, Option<Vec<u8>>);

/// Commands of the not authenticated state.
#[derive(Debug)]
pub enum NotAuthenticated {
    /// STARTTLS (RFC 3501 §6.2.1).
    StartTls,
    /// AUTHENTICATE (RFC 3501 §6.2.2), with the initial response of SASL-IR (RFC 4959).
    Authenticate {
        /// The mechanism; `None` if we do not know it.
        mechanism: Option<Mechanism>,
        /// The initial response, still in base64 (`=` if empty).
        initial: Option<Secret>,
    },
    /// LOGIN (RFC 3501 §6.2.3).
    Login {
        /// The user name.
        user: Vec<u8>,
        /// The password.
        password: Secret,
    },
}

/// A mailbox name as the client wrote it (`astring`, INBOX in any case).
pub type MailboxArg = Vec<u8>;

/// Commands of the authenticated state.
#[derive(Debug)]
pub enum Authenticated {
    /// SELECT (RFC 3501 §6.3.1).
    Select(MailboxArg, SelectParameters),
    /// EXAMINE (RFC 3501 §6.3.2).
    Examine(MailboxArg, SelectParameters),
    /// CREATE (RFC 3501 §6.3.3).
    Create {
        /// The mailbox.
        mailbox: MailboxArg,
        /// Its special uses, if the command says so with USE (RFC 6154 §3): attributes as the client
        /// wrote them.
        uses: Option<Vec<Vec<u8>>>,
    },
    /// DELETE (RFC 3501 §6.3.4).
    Delete(MailboxArg),
    /// RENAME (RFC 3501 §6.3.5).
    Rename {
        /// The existing name.
        from: MailboxArg,
        /// The new name.
        to: MailboxArg,
    },
    /// SUBSCRIBE (RFC 3501 §6.3.6).
    Subscribe(MailboxArg),
    /// UNSUBSCRIBE (RFC 3501 §6.3.7).
    Unsubscribe(MailboxArg),
    /// LIST (RFC 3501 §6.3.8).
    List {
        /// The reference name.
        reference: MailboxArg,
        /// The mailbox name with possible wildcards.
        pattern: MailboxArg,
    },
    /// LIST with options or several patterns (RFC 5258 §3).
    ListExtended(Box<ExtendedList>),
    /// XLIST: as LIST, with the names that Gmail has for special mailboxes.
    Xlist {
        /// The reference name.
        reference: MailboxArg,
        /// The mailbox name with possible wildcards.
        pattern: MailboxArg,
    },
    /// LSUB (RFC 3501 §6.3.9).
    Lsub {
        /// The reference name.
        reference: MailboxArg,
        /// The mailbox name with possible wildcards.
        pattern: MailboxArg,
    },
    /// STATUS (RFC 3501 §6.3.10).
    Status {
        /// The mailbox.
        mailbox: MailboxArg,
        /// What to tell, in the order asked.
        items: Vec<StatusItem>,
    },
    /// APPEND (RFC 3501 §6.3.11). The messages themselves are streamed to the store.
    Append(Append),
    /// NAMESPACE (RFC 2342 §5).
    Namespace,
    /// IDLE (RFC 2177 §3).
    Idle,
    /// COMPRESS (RFC 4978 §3), with DEFLATE, the only algorithm.
    Compress,
    /// GETMETADATA (RFC 5464 §4.2).
    GetMetadata(Box<GetMetadata>),
    /// SETMETADATA (RFC 5464 §4.3).
    SetMetadata(Box<SetMetadata>),
    /// NOTIFY (RFC 5465 §3.1).
    Notify(Box<Notify>),
    /// GETQUOTA (RFC 9208 §4.1.1): a quota root.
    GetQuota(Vec<u8>),
    /// GETQUOTAROOT (RFC 9208 §4.1.2).
    GetQuotaRoot(MailboxArg),
    /// SETQUOTA (RFC 9208 §4.1.3).
    SetQuota {
        /// The quota root.
        root: Vec<u8>,
        /// All its limits.
        limits: Vec<ResourceLimit>,
    },
    /// ENABLE (RFC 5161 §3.1): names of capabilities.
    Enable(Vec<Vec<u8>>),
    /// UNAUTHENTICATE (RFC 8437 §3).
    Unauthenticate,
    /// A command about rights (RFC 4314 §3).
    Acl(AclCommand),
}

/// How much of a resource SETQUOTA allows (RFC 9208 §4.1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceLimit {
    /// Its name, in capital letters.
    pub resource: Vec<u8>,
    /// The limit, in the units of the resource.
    pub limit: u64,
}

/// What STATUS can tell (RFC 3501 §6.3.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusItem {
    /// The number of messages.
    Messages,
    /// The number of messages with `\Recent`.
    Recent,
    /// The next unique identifier value.
    UidNext,
    /// The unique identifier validity value.
    UidValidity,
    /// The number of messages without `\Seen`.
    Unseen,
    /// The octets of all messages (RFC 8438 §3).
    Size,
    /// The number of messages with `\Deleted` (RFC 9051 §6.3.11, RFC 9208 §4.1.4).
    Deleted,
    /// The octets that EXPUNGE would free (RFC 9208 §4.1.4).
    DeletedStorage,
    /// The most octets of a message that is appended (RFC 7889 §3.1).
    AppendLimit,
    /// The highest mod-sequence (RFC 7162 §3.1.7).
    HighestModSeq,
    /// The identity of the mailbox (RFC 8474 §4.3).
    MailboxId,
}

/// Commands of the selected state.
#[derive(Debug)]
pub enum Selected {
    /// CHECK (RFC 3501 §6.4.1).
    Check,
    /// CLOSE (RFC 3501 §6.4.2).
    Close,
    /// UNSELECT (RFC 3691 §2).
    Unselect,
    /// EXPUNGE (RFC 3501 §6.4.3), or UID EXPUNGE of a set (RFC 4315 §2.1).
    Expunge(Option<Messages>),
    /// SEARCH and UID SEARCH (RFC 3501 §6.4.4).
    Search(Search),
    /// FETCH and UID FETCH (RFC 3501 §6.4.5).
    Fetch {
        /// Which messages.
        messages: Messages,
        /// What to tell of each; macros are expanded.
        items: Vec<FetchItem>,
        /// Which of them are left out as the client knows them.
        changed_since: Option<ChangedSince>,
    },
    /// STORE and UID STORE (RFC 3501 §6.4.6).
    Store {
        /// Which messages.
        messages: Messages,
        /// The change.
        change: FlagChange,
        /// Whether to answer with the new flags.
        echo: Echo,
        /// Which of them are left alone.
        condition: Option<UnchangedSince>,
    },
    /// COPY and UID COPY (RFC 3501 §6.4.7).
    Copy {
        /// Which messages.
        messages: Messages,
        /// The target mailbox.
        mailbox: MailboxArg,
    },
    /// MOVE and UID MOVE (RFC 6851 §3).
    Move {
        /// Which messages.
        messages: Messages,
        /// The target mailbox.
        mailbox: MailboxArg,
    },
    /// REPLACE and UID REPLACE (RFC 8508 §3.2, §3.3). The message itself is streamed to the store.
    Replace {
        /// Which message goes, one number.
        message: Messages,
        /// What comes: one message.
        append: Append,
    },
}

/// Whether STORE answers with the flags (RFC 3501 §6.4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echo {
    /// `FLAGS`: an untagged FETCH for each message.
    Flags,
    /// `FLAGS.SILENT`.
    Silent,
}

/// A data item of FETCH (RFC 3501 §6.4.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchItem {
    /// `BODY` without a section: BODYSTRUCTURE without extension data.
    Body,
    /// `BODYSTRUCTURE`.
    BodyStructure,
    /// `ENVELOPE`.
    Envelope,
    /// `FLAGS`.
    Flags,
    /// `INTERNALDATE`.
    InternalDate,
    /// `RFC822.SIZE`.
    Rfc822Size,
    /// `UID`.
    Uid,
    /// `MODSEQ` (RFC 7162 §3.1.4.2).
    ModSeq,
    /// `PREVIEW` (RFC 8970 §3).
    Preview(Priority),
    /// `EMAILID` (RFC 8474 §5.3).
    EmailId,
    /// `THREADID` (RFC 8474 §5.3).
    ThreadId,
    /// `SAVEDATE` (RFC 8514 §4.2).
    SaveDate,
    /// `BODY[...]<...>`, `BODY.PEEK[...]<...>`, and the RFC822 forms.
    Section(FetchSection),
    /// `BINARY[...]<...>`, `BINARY.PEEK[...]<...>` and `BINARY.SIZE[...]`.
    Binary(BinarySection),
}

/// A body section to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchSection {
    /// Which part of the message.
    pub section: Section,
    /// Which octets of that part.
    pub partial: Option<Partial>,
    /// Whether `\Seen` is set by it.
    pub seen: Seen,
    /// How the item is named in the response.
    pub name: SectionName,
}

/// A decoded body section to fetch (RFC 3516 §4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BinarySection {
    /// The path into the MIME tree; empty for the message itself.
    pub part: Vec<u32>,
    /// What of it.
    pub wanted: BinaryWanted,
}

/// What is asked of a decoded section (RFC 3516 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryWanted {
    /// Its octets, or some of them; whether `\Seen` is set by it.
    Octets(Option<Partial>, Seen),
    /// How many octets it has.
    Size,
}

/// `section` (RFC 3501 §9): part numbers, then what of that part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// The path into the MIME tree; empty for the message itself.
    pub part: Vec<u32>,
    /// What of it; `None` for all of it.
    pub text: Option<SectionText>,
}

/// `section-text` (RFC 3501 §9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SectionText {
    /// `HEADER`.
    Header,
    /// `HEADER.FIELDS (…)`: names as the client wrote them.
    HeaderFields(Vec<Vec<u8>>),
    /// `HEADER.FIELDS.NOT (…)`.
    HeaderFieldsNot(Vec<Vec<u8>>),
    /// `TEXT`.
    Text,
    /// `MIME`; only after part numbers.
    Mime,
}

impl SectionText {
    /// Whether it is some fields of a header, put together.
    pub(crate) fn is_fields(&self) -> bool {
        match self {
            Self::HeaderFields(_) | Self::HeaderFieldsNot(_) => true,
            Self::Header | Self::Text | Self::Mime => false,
        }
    }
}

/// `<origin.octets>` (RFC 3501 §6.4.5); numbers of more than 32 bits are of IMAP4rev2 (RFC 9051 §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    /// The first octet, counted from 0.
    pub origin: u64,
    /// How many octets at the most, never 0.
    pub octets: u64,
}

/// Whether fetching a section sets `\Seen` (RFC 3501 §6.4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// `BODY[…]`, RFC822 and RFC822.TEXT.
    Set,
    /// `BODY.PEEK[…]` and RFC822.HEADER.
    Peek,
}

/// The name under which a section is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionName {
    /// `BODY[…]`.
    Body,
    /// `RFC822`.
    Rfc822,
    /// `RFC822.HEADER`.
    Rfc822Header,
    /// `RFC822.TEXT`.
    Rfc822Text,
}

/// A search (RFC 3501 §6.4.4).
#[derive(Debug)]
pub struct Search {
    /// Whether to answer with UIDs.
    pub by_uid: crate::types::ByUid,
    /// What to tell of what is found, if the command says so with RETURN (RFC 4731 §3.1).
    pub returns: Option<ResultOptions>,
    /// The charset that it names.
    pub charset: Option<Vec<u8>>,
    /// What must all hold. Strings are already decoded from the command's charset; with a charset
    /// that we do not know, the keys cannot be searched for (`NO [BADCHARSET (…)]`).
    pub keys: Result<Vec<SearchKey>, UnknownCharset>,
}

impl Search {
    /// Whether what is found is kept for `$` (RFC 5182 §2.1).
    pub fn saves(&self) -> bool {
        let save = ResultOption::Save;
        self.returns.is_some_and(|returns| returns.has(save))
    }

    /// Whether EXPUNGE may be sent: not to who searches by sequence numbers
    /// (RFC 3501 §7.4.1, RFC 7162 §3.2.10.2).
    fn expunge_rule(&self) -> ExpungeRule {
        match &self.keys {
            Ok(keys) if keys.iter().any(SearchKey::names_numbers) => ExpungeRule::Held,
            Ok(_) | Err(UnknownCharset) => self.by_uid.expunge_rule(),
        }
    }
}

/// The charset of a SEARCH is not supported (RFC 3501 §6.4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownCharset;

impl UnknownCharset {
    /// The charsets to name in `BADCHARSET`.
    pub const SUPPORTED: [&'static str; 2] = ["US-ASCII", "UTF-8"];
}

/// `search-key` (RFC 3501 §9). Keys that are another one's negation, or a pair, are parsed into
/// those: `UNSEEN` is `Not(Flag(\Seen))`, `NEW` is `And([Recent, Not(Flag(\Seen))])`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchKey {
    /// `ALL`.
    All,
    /// All of these.
    And(Vec<Self>),
    /// `OR`.
    Or(Box<(Self, Self)>),
    /// `NOT`.
    Not(Box<Self>),
    /// A system flag is set.
    Flag(mailstore::SystemFlag),
    /// `KEYWORD`; `None` for a name that cannot be a keyword, and so is never set.
    Keyword(Option<mailstore::Keyword>),
    /// `RECENT`.
    Recent,
    /// A set of sequence numbers or UIDs.
    Messages(Messages),
    /// `MODSEQ` (RFC 7162 §3.1.5): this mod-sequence or a higher one; `None` is 0.
    ModSeq(Option<mailstore::ModSeq>),
    /// `LARGER`.
    Larger(u64),
    /// `SMALLER`.
    Smaller(u64),
    /// `BEFORE`, `ON`, `SINCE`: the internal date, disregarding time and timezone.
    InternalDate(DateOp, Date),
    /// `SAVEDBEFORE`, `SAVEDON`, `SAVEDSINCE` (RFC 8514 §4.3): the save date, disregarding time and
    /// timezone.
    SaveDate(DateOp, Date),
    /// `SAVEDATESUPPORTED` (RFC 8514 §4.3).
    SaveDateSupported,
    /// `EMAILID` (RFC 8474 §6): the identifier as the client wrote it.
    EmailId(Vec<u8>),
    /// `THREADID` (RFC 8474 §6): the identifier as the client wrote it.
    ThreadId(Vec<u8>),
    /// `SENTBEFORE`, `SENTON`, `SENTSINCE`: the Date header, disregarding time and timezone.
    SentDate(DateOp, Date),
    /// `BCC`, `CC`, `FROM`, `SUBJECT`, `TO`, and `HEADER`: field name and substring; an empty
    /// substring matches every message that has the field.
    Header(Vec<u8>, String),
    /// `BODY`.
    Body(String),
    /// `TEXT`.
    Text(String),
}

impl SearchKey {
    /// Whether there are sequence numbers in it.
    pub(crate) fn names_numbers(&self) -> bool {
        match self {
            Self::Messages(Messages::Seq(_)) => true,
            Self::And(keys) => keys.iter().any(Self::names_numbers),
            Self::Or(pair) => pair.0.names_numbers() || pair.1.names_numbers(),
            Self::Not(key) => key.names_numbers(),
            Self::All
            | Self::Flag(_)
            | Self::Keyword(_)
            | Self::Recent
            | Self::Messages(Messages::Uid(_) | Messages::Saved(_))
            | Self::ModSeq(_)
            | Self::Larger(_)
            | Self::Smaller(_)
            | Self::InternalDate(..)
            | Self::SaveDate(..)
            | Self::SaveDateSupported
            | Self::EmailId(_)
            | Self::ThreadId(_)
            | Self::SentDate(..)
            | Self::Header(..)
            | Self::Body(_)
            | Self::Text(_) => false,
        }
    }
}

/// How a date is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateOp {
    /// Earlier than the date.
    Before,
    /// On the date.
    On,
    /// On the date or later.
    Since,
}

/// A calendar date (RFC 3501 §9 `date`), as days since 1 January 1970 in the proleptic Gregorian
/// calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(pub i32);

/// Whether EXPUNGE may be sent while a command runs (RFC 3501 §7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpungeRule {
    /// It must be held: the command uses sequence numbers.
    Held,
    /// It may be sent.
    Allowed,
}
