//! The settings as the store and the protocols want them.

use std::collections::BTreeMap;
use std::sync::Arc;

use auth::Name;
use auth::users::extra_fields;
use mailstore::quota::{Limits, Locate, Policies};
use mailstore::{Sharers, Store};

use super::Settings;
use super::quota::limits_of_rule;
use super::settings::Sharing;
use crate::source::Source;

impl Settings {
    /// How the store works.
    pub fn store(&self, source: &Source) -> mailstore::Options {
        mailstore::Options {
            fsync: self.storage.fsync,
            namespace: self.storage.namespace.clone(),
            hostname: self.hostname.clone(),
            lock_timeout: self.storage.lock_timeout,
            mtime_guard: self.storage.mtime_guard,
            cache_bytes: self.storage.cache,
            source: source.for_store(),
        }
    }

    /// The store itself.
    pub fn open_store(&self, source: &Source) -> Arc<Store> {
        let special = self.mailboxes.special_names(&self.storage.namespace);
        Store::with_special(self.store(source), special)
    }

    /// What IMAP sessions over `store` go by.
    pub fn imap(&self, store: &Arc<Store>) -> imapd::Settings {
        let limits = &self.limits;
        imapd::Settings {
            hostname: self.hostname.clone(),
            limits: imapd::Limits {
                line_before_login: limits.line_before_login,
                literal_before_login: limits.literal_before_login,
                arguments_before_login: limits.arguments_before_login,
                line: limits.line,
                arguments: limits.arguments,
                nesting: limits.nesting,
                message: limits.message,
                messages: limits.messages,
                acl_entries: limits.acl_entries,
                notify_mailboxes: limits.notify_mailboxes,
                bad_commands: limits.bad_commands,
            },
            metadata: Arc::new(imapd::Metadata {
                value: limits.metadata_value,
                entries: limits.metadata_entries,
                octets: limits.metadata,
                comment: self.imap.comment.clone(),
                admin: self.imap.admin.clone(),
            }),
            timeouts: imapd::Timeouts {
                login: self.timeouts.login,
                idle: self.timeouts.imap_idle,
                keepalive: self.timeouts.keepalive,
            },
            default_domain: self.auth.default_domain.clone(),
            sharing: self.imap_sharing(),
            hidden: self
                .capabilities
                .iter()
                .map(|it| self.canonical(it))
                .collect(),
            utf8_headers: self.imap.utf8_headers,
            quotas: Arc::new(self.quotas()),
            client_id: if self.log.client_id {
                imapd::ClientId::Logged
            } else {
                imapd::ClientId::Quiet
            },
            ..imapd::Settings::new(Arc::clone(store))
        }
    }

    /// How IMAP users get to mailboxes of others, if they do.
    fn imap_sharing(&self) -> Option<Arc<imapd::Sharing>> {
        (!self.sharing.prefix.is_empty()).then(|| {
            Arc::new(imapd::Sharing {
                prefix: self.sharing.prefix.clone(),
                mail: self.mail.clone(),
                sharers: Arc::new(self.sharers()),
            })
        })
    }

    /// Who shares mailboxes with whom.
    pub fn sharers(&self) -> Sharers {
        let index = self.sharing.index.clone();
        let index = index.unwrap_or_else(|| self.mail.root().join(Sharing::INDEX));
        Sharers::new(index, self.storage.lock_timeout)
    }

    /// How much accounts may hold: by `[[quota.users]]`, else by the users file, else by `[quota]`. An
    /// account is found by the name of its user if it has mail.
    pub fn quotas(&self) -> Policies {
        let mut users = self.quotas_of_file();
        let named = self.quota.users.iter();
        users.extend(named.map(|(user, limits)| (self.canonical_user(user), *limits)));
        let (mail, domain) = (self.mail.clone(), self.auth.default_domain.clone());
        let locate = move |user: &str| {
            let name = Name::parse(user, domain.as_deref()).ok()?;
            mail.expand(&name).filter(|root| root.is_dir())
        };
        let administrators = self.quota.administrators.iter();
        Policies {
            default: self.quota.policy(),
            users,
            administrators: administrators
                .map(|user| self.canonical_user(user))
                .collect(),
            locate: Some(Locate::new(locate)),
        }
    }

    /// The limits that stand in the users file, as Dovecot has them there. Who cannot read the file
    /// has other complaints.
    fn quotas_of_file(&self) -> BTreeMap<String, Limits> {
        let text = std::fs::read(&self.users).unwrap_or_default();
        let fields = extra_fields(&text, self.auth.default_domain.as_deref());
        let limits = |(name, fields): (Name, Vec<String>)| {
            let limits = limits_of_rule(&fields, self.quota.limits)?;
            Some((name.as_str().to_owned(), limits))
        };
        fields.into_iter().filter_map(limits).collect()
    }

    /// A user's name as logins have it, `default_domain` included.
    fn canonical_user(&self, user: &str) -> String {
        let domain = self.auth.default_domain.as_deref();
        match Name::parse(user, domain) {
            Ok(name) => name.as_str().to_owned(),
            Err(_) => user.to_owned(),
        }
    }

    /// With user names as logins have them.
    fn canonical(&self, hidden: &imapd::Hidden) -> imapd::Hidden {
        let users = hidden.users.iter();
        imapd::Hidden {
            users: users.map(|user| self.canonical_user(user)).collect(),
            ..hidden.clone()
        }
    }

    /// What POP3 sessions over `store` go by.
    pub fn pop3(&self, store: &Arc<Store>) -> pop3d::Settings {
        let defaults = pop3d::Settings::new(Arc::clone(store));
        pop3d::Settings {
            hostname: self.hostname.clone(),
            utf8_headers: self.pop3.utf8_headers,
            quotas: Arc::new(self.quotas()),
            uidl_format: self.pop3.uidl_format.clone(),
            limits: pop3d::Limits {
                bad_commands: self.limits.bad_commands,
                ..defaults.limits
            },
            timeouts: pop3d::Timeouts {
                login: self.timeouts.login,
                idle: self.timeouts.pop3_idle,
            },
            ..defaults
        }
    }
}
