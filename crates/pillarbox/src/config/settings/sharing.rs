//! Mailboxes of other users.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer};

/// How users get to mailboxes of others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Sharing {
    /// What the names of other users' mailboxes begin with; empty if nobody gets there.
    pub prefix: String,
    /// Where it is kept who shares mailboxes with whom, if not where the mail of all is.
    #[serde(deserialize_with = "path")]
    pub index: Option<PathBuf>,
}

impl Sharing {
    /// The name of the index in the directory that all accounts share.
    pub const INDEX: &str = "pillarbox.sharers";

    /// Whether the prefix can be one: a level and the separator.
    pub(crate) fn is_sound(&self) -> bool {
        let fits = |c: char| (c.is_ascii_graphic() || c == ' ') && !"./~&%*\"\\".contains(c);
        let level = self.prefix.strip_suffix(imapd::Sharing::SEPARATOR);
        level.is_some_and(|level| {
            !level.is_empty()
                && level == level.trim()
                && level.chars().all(fits)
                && !level.eq_ignore_ascii_case("INBOX")
        })
    }
}

/// Reads a path; an empty one is none.
fn path<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    let text = String::deserialize(from)?;
    Ok((!text.is_empty()).then(|| text.into()))
}
