//! The mail of the demo account: the same in every run.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mailstore::{
    Account, Appending, FlagChange, FlagOp, FlagSet, Keyword, MailboxName, Store, SystemFlag,
};

/// Mailboxes that are there although they hold nothing, and those that hold something.
const MAILBOXES: [&str; 8] = [
    "Archive",
    "Archive/2025",
    "Drafts",
    "Junk",
    "Lists",
    // Österreich, as it goes over the wire (RFC 3501 §5.1.3).
    "Reisen/&ANY-sterreich",
    "Sent",
    "Trash",
];

/// A sample message.
struct Sample {
    mailbox: &'static str,
    /// When it arrived, in seconds since 1970.
    arrived: u64,
    flags: &'static [SystemFlag],
    keywords: &'static [&'static str],
    message: &'static [u8],
}

/// One row of [`SAMPLES`].
macro_rules! sample {
    ($mailbox:literal, $arrived:literal, [$($flag:ident),*], [$($keyword:literal),*], $file:literal) => {
        Sample {
            mailbox: $mailbox,
            arrived: $arrived,
            flags: &[$(SystemFlag::$flag),*],
            keywords: &[$($keyword),*],
            message: include_bytes!(concat!("mail/", $file)),
        }
    };
}

/// All sample messages, in the order in which they arrived in their mailboxes.
const SAMPLES: [Sample; 18] = [
    sample!("INBOX", 1_767_600_000, [], [], "welcome.eml"),
    sample!("INBOX", 1_767_687_162, [Seen, Answered], [], "thread-1.eml"),
    sample!("INBOX", 1_767_691_806, [Seen, Answered], [], "thread-2.eml"),
    sample!("INBOX", 1_767_804_301, [], [], "thread-4.eml"),
    sample!("INBOX", 1_767_848_402, [], ["$NotJunk"], "newsletter.eml"),
    sample!(
        "INBOX",
        1_767_968_434,
        [Flagged],
        ["$Label1", "accounts"],
        "invoice.eml"
    ),
    sample!("INBOX", 1_768_068_191, [Seen], ["$Label3"], "photo.eml"),
    sample!("INBOX", 1_768_180_501, [], [], "japanese.eml"),
    sample!("INBOX", 1_768_250_403, [Seen], ["$Forwarded"], "latin.eml"),
    sample!("INBOX", 1_768_291_528, [Seen, Flagged], [], "forwarded.eml"),
    sample!("INBOX", 1_768_388_401, [], [], "invitation.eml"),
    sample!("Archive/2025", 1_765_735_201, [Seen], [], "parcel.eml"),
    sample!("Drafts", 1_768_417_869, [Seen, Draft], [], "draft.eml"),
    sample!("Junk", 1_767_411_214, [], ["$Junk"], "trash.eml"),
    sample!("Lists", 1_768_125_001, [Seen], [], "list-1.eml"),
    sample!("Lists", 1_768_133_145, [], [], "list-2.eml"),
    sample!("Sent", 1_767_693_739, [Seen], [], "thread-3.eml"),
    sample!("Trash", 1_767_411_215, [Seen, Deleted], [], "trash.eml"),
];

/// Why the sample mail could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store refused.
    #[error("sample mail: {0}")]
    Store(#[from] mailstore::Error),
    /// A message could not be written.
    #[error("sample mail: {0}")]
    Write(#[from] std::io::Error),
    /// A mailbox of the table has an impossible name.
    #[error("sample mail: {0}")]
    Name(#[from] mailstore::NameError),
}

/// Fills the account with this root, unless it is there already.
///
/// # Errors
/// If the mail cannot be written.
pub fn make(store: &Arc<Store>, root: &Path) -> Result<(), Error> {
    if root.exists() {
        return Ok(());
    }
    let account = store.account(root)?;
    for name in MAILBOXES {
        let name = mailbox_name(&account, name)?;
        account.create(&name)?;
        account.subscribe(&name)?;
    }
    for sample in &SAMPLES {
        append(&account, sample)?;
    }
    Ok(())
}

/// Appends one message with its flags and date.
fn append(account: &Account, sample: &Sample) -> Result<(), Error> {
    let mailbox = account.open(&mailbox_name(account, sample.mailbox)?)?;
    let mut staged = mailbox.stage()?;
    staged.write_all(sample.message)?;
    let system = sample
        .flags
        .iter()
        .fold(FlagSet::EMPTY, |flags, flag| flags.with(*flag));
    mailbox.append(vec![Appending {
        staged,
        flags: FlagChange {
            op: FlagOp::Replace,
            system,
            keywords: sample
                .keywords
                .iter()
                .filter_map(|keyword| Keyword::new(keyword))
                .collect(),
        },
        internal_date: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(sample.arrived)),
    }])?;
    Ok(())
}

/// The name as the account's namespace writes it; the table uses `/`.
fn mailbox_name(account: &Account, name: &str) -> Result<MailboxName, mailstore::NameError> {
    let namespace = account.namespace();
    let separator = namespace.separator.to_string();
    let full = if name == "INBOX" {
        name.to_owned()
    } else {
        format!("{}{}", namespace.prefix, name.replace('/', &separator))
    };
    namespace.parse(full.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn samples_are_messages_in_mailboxes_that_are_made() {
        for sample in &SAMPLES {
            let mailbox = sample.mailbox;
            assert!(
                mailbox == "INBOX" || MAILBOXES.contains(&mailbox),
                "{mailbox}"
            );
            let text = String::from_utf8_lossy(sample.message);
            let (header, body) = text.split_once("\n\n").unwrap();
            for field in ["From: ", "Subject: ", "Date: ", "Message-ID: "] {
                assert!(
                    header.lines().any(|line| line.starts_with(field)),
                    "{field}"
                );
            }
            assert!(!body.is_empty());
            assert!(!text.contains('\r'));
        }
    }

    #[test]
    fn keywords_are_atoms() {
        let keywords: BTreeSet<_> = SAMPLES.iter().flat_map(|sample| sample.keywords).collect();
        assert!(!keywords.is_empty());
        for keyword in keywords {
            assert!(Keyword::new(keyword).is_some(), "{keyword}");
        }
    }
}
