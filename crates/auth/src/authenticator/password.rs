//! Passwords: whether a name and a password are those of an account.

use std::hash::BuildHasher;
use std::time::Instant;

use super::{Authenticator, Cause, Unable};
use crate::application;
use crate::password::Stored;
use crate::{Identity, Name, Secret, Secrets, UserPassword, Verdict, prepare};

impl Authenticator {
    /// Whether a name and a password are those of an account.
    pub(super) fn judge_password(
        &self,
        claim: &UserPassword,
        now: Instant,
        cause: &mut Cause,
    ) -> Result<Verdict, Unable> {
        let domain = self.default_domain.as_deref();
        let name = Name::parse(&claim.user, domain).ok();
        let forms = Forms::of(&claim.password);
        let found = name.as_ref().map(|name| self.directory.lookup(name));
        let account = match found.transpose() {
            Ok(account) => account.flatten(),
            Err(away) => {
                // As for those who are known: who is shall not be seen by the time that it takes.
                self.check(&claim.user, name.as_ref(), None, &forms, now)?;
                return Err(away.into());
            }
        };
        let mail = name
            .as_ref()
            .and_then(|name| self.place(name, account.as_deref()));
        let newcomer = name
            .as_ref()
            .filter(|_| account.is_none() && mail.is_some() && forms.may_match);
        let right = newcomer.is_some_and(|name| self.directory.welcome(name, forms.first()))
            || self.check(&claim.user, name.as_ref(), account.as_deref(), &forms, now)?;
        let Some((name, mail)) = name.zip(mail) else {
            return Ok(Verdict::Denied);
        };
        if !right || !self.is_themselves(&name, claim.acting_as.as_deref()) {
            *cause = match account {
                None => Cause::UnknownUser,
                Some(_) if right => Cause::ActingAsAnother,
                Some(_) => Cause::WrongPassword,
            };
            return Ok(Verdict::Denied);
        }
        Ok(Verdict::Granted(Identity {
            name: name.as_str().to_owned(),
            mail,
        }))
    }

    /// Whether the password is the one of `account`, which is that of `name`. The same work is done
    /// whether there is such an account or not.
    fn check(
        &self,
        user: &str,
        name: Option<&Name>,
        account: Option<&Secrets>,
        forms: &Forms<'_>,
        now: Instant,
    ) -> Result<bool, Unable> {
        let id = name.map_or(user, Name::as_str);
        let known = name.zip(account.and_then(|account| account.password.as_ref()));
        let decoy = match known {
            Some(_) => None,
            None => self.directory.decoy(self.chooser.hash_one(id)),
        };
        let decoy = decoy.as_ref().and_then(|decoy| decoy.password.as_ref());
        let stored = known.map_or(decoy.unwrap_or(&self.decoy), |(_, stored)| stored);
        let known = known.filter(|_| forms.may_match).map(|(name, _)| name);
        if self.is_application(name, account, forms) {
            return Ok(true);
        }
        for form in forms.all() {
            if self.check_form(id, known, stored, form, now)? {
                if let Some((name, account)) = known.zip(account) {
                    self.upgrade(name, account, forms.first());
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the password is one of the account's application passwords. They are neither
    /// remembered nor upgraded, so that a revoked one is refused at once.
    fn is_application(
        &self,
        name: Option<&Name>,
        account: Option<&Secrets>,
        forms: &Forms<'_>,
    ) -> bool {
        let all = account.map_or(&[][..], |account| &account.application);
        let found = application::find(all, forms.first()).filter(|_| forms.may_match);
        let Some((name, one)) = name.zip(found) else {
            return false;
        };
        let (user, application) = (name.as_str(), one.label());
        tracing::info!(user, application, "application password used");
        true
    }

    /// Whether this form of the password is the one that was `stored` for `known`, or for nobody.
    fn check_form(
        &self,
        id: &str,
        known: Option<&Name>,
        stored: &Stored,
        form: &Secret,
        now: Instant,
    ) -> Result<bool, Unable> {
        let code = self.cache.code(id.as_bytes(), stored, form);
        if let (Some(name), Some(code)) = (known, &code)
            && self.cache.knows(name, code, now)
        {
            return Ok(true);
        }
        let share = self.memory.take(stored.work().memory_kib());
        let right = stored.verify(form)?;
        drop(share);
        let Some(name) = known else {
            return Ok(false);
        };
        if let (true, Some(code)) = (right, code) {
            self.cache.remember(name, code, now);
        }
        Ok(right)
    }
}

/// The forms in which a password is compared: as SASLprep has it (RFC 4013), and as it was typed,
/// if that differs, for hashes that other servers made without it.
struct Forms<'a> {
    prepared: Option<Secret>,
    typed: &'a Secret,
    /// Whether it can be a password at all; if not, it is hashed for nothing.
    may_match: bool,
}

impl<'a> Forms<'a> {
    /// The forms of what a client sent.
    fn of(typed: &'a Secret) -> Self {
        let prepared = prepare::password(typed);
        Self {
            may_match: prepared.is_ok(),
            prepared: prepared
                .ok()
                .filter(|prepared| prepared.expose() != typed.expose()),
            typed,
        }
    }

    /// All forms, the prepared one first.
    fn all(&self) -> impl Iterator<Item = &Secret> {
        self.prepared.iter().chain([self.typed])
    }

    /// The form for a new hash.
    fn first(&self) -> &Secret {
        self.prepared.as_ref().unwrap_or(self.typed)
    }
}
