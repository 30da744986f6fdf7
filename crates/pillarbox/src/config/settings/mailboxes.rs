//! Which names say what mailboxes are for.

use mailstore::{Missing, Namespace, SpecialNames, SpecialUse};
use serde::{Deserialize, Deserializer};

use crate::config::value::list;

/// Mailboxes with special uses (RFC 6154).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Mailboxes {
    /// Whether mailboxes are made and subscribed for uses that none is for.
    pub create: bool,
    /// Names of mailboxes for drafts.
    #[serde(deserialize_with = "names")]
    pub drafts: Vec<String>,
    /// Names of mailboxes for sent messages.
    #[serde(deserialize_with = "names")]
    pub sent: Vec<String>,
    /// Names of mailboxes for deleted messages.
    #[serde(deserialize_with = "names")]
    pub trash: Vec<String>,
    /// Names of mailboxes for spam.
    #[serde(deserialize_with = "names")]
    pub junk: Vec<String>,
    /// Names of mailboxes for messages that are kept.
    #[serde(deserialize_with = "names")]
    pub archive: Vec<String>,
}

impl Default for Mailboxes {
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            create: false,
            drafts: names(&["Drafts"]),
            sent: names(&["Sent", "Sent Items", "Sent Messages"]),
            trash: names(&["Trash", "Deleted Items", "Deleted Messages"]),
            junk: names(&["Junk", "Spam", "Junk E-mail"]),
            archive: names(&["Archive", "Archives"]),
        }
    }
}

impl Mailboxes {
    /// None.
    pub const fn none() -> Self {
        Self {
            create: false,
            drafts: Vec::new(),
            sent: Vec::new(),
            trash: Vec::new(),
            junk: Vec::new(),
            archive: Vec::new(),
        }
    }

    /// Each use with its key and its names.
    pub(crate) fn each(&self) -> [(SpecialUse, &'static str, &[String]); 5] {
        [
            (SpecialUse::Drafts, "drafts", &self.drafts),
            (SpecialUse::Sent, "sent", &self.sent),
            (SpecialUse::Trash, "trash", &self.trash),
            (SpecialUse::Junk, "junk", &self.junk),
            (SpecialUse::Archive, "archive", &self.archive),
        ]
    }

    /// As the store wants them. The names have no prefix.
    pub(crate) fn special_names(&self, namespace: &Namespace) -> SpecialNames {
        let namespace = without_prefix(namespace);
        let names = |names: &[String]| {
            let names = names.iter();
            names
                .filter_map(|name| namespace.parse_utf8(name.as_bytes()).ok())
                .collect()
        };
        let each = self.each().into_iter();
        SpecialNames {
            names: each
                .map(|(special_use, _, all)| (special_use, names(all)))
                .collect(),
            missing: match self.create {
                true => Missing::Made,
                false => Missing::Left,
            },
        }
    }
}

/// Reads names of mailboxes.
fn names<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    const FIX: &str = "write for example [\"Sent\"]";
    list(from, FIX, |name| Ok(name.clone()))
}

/// How the names are written.
pub(crate) fn without_prefix(namespace: &Namespace) -> Namespace {
    Namespace {
        prefix: String::new(),
        ..namespace.clone()
    }
}
