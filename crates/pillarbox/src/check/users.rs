//! The users file: readable, well-formed, for few eyes, and not empty.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use auth::Name;
use auth::users::{About, Users, extra_fields};

use super::{Check, is_world_readable, probe};
use crate::config::Finding;
use crate::config::quota::not_understood;

/// Checks the users file, and gives the accounts of its sound lines.
pub(super) fn check(check: &mut Check<'_>) -> Users {
    let settings = check.settings;
    let path = &settings.users;
    let users = match fs::read(path) {
        Ok(text) => look_at(check, &text),
        Err(error) => {
            let fix = if error.kind() == io::ErrorKind::NotFound {
                "make it with `pillarbox user add NAME`, or correct `users`"
            } else {
                "make it readable for the user that Pillarbox runs as"
            };
            let problem = format!("cannot be read: {error}");
            check.push("users", Finding::error(path, None, problem, fix));
            Users::default()
        }
    };
    if is_world_readable(path) {
        let problem = "other users of this machine can read the password hashes";
        let fix = format!("chmod o-rwx {}", path.display());
        check.push("users", Finding::warning(path, None, problem, fix));
    }
    if settings.auth.upgrade_hashes {
        check_upgrades(check, path);
    }
    users
}

/// Warns of users in the configuration who have no account.
pub(super) fn check_named(check: &mut Check<'_>, users: &Users) {
    let settings = check.settings;
    let domain = settings.auth.default_domain.as_deref();
    let unknown = |user: &str| {
        let known = Name::parse(user, domain)
            .is_ok_and(|name| users.names().any(|known| known.as_str() == name.as_str()));
        // Without any account, the users file is what is wrong.
        !known && users.names().len() > 0
    };
    let hidden = settings.capabilities.iter().flat_map(|it| &it.users);
    let hidden = hidden.map(|user| {
        let problem = format!("something is hidden from {user:?}");
        (user, "capabilities", problem, "[[capabilities.clients]]")
    });
    let mut limited: Vec<&String> = settings.quota.users.keys().collect();
    limited.sort();
    let limited = limited.into_iter().map(|user| {
        let problem = format!("there is a quota for {user:?}");
        (user, "quota", problem, "[[quota.users]]")
    });
    let administrators = settings.quota.administrators.iter().map(|user| {
        let problem = format!("quotas may be set by {user:?}");
        (user, "quota", problem, "`administrators`")
    });
    let mut findings = Vec::new();
    for (user, key, problem, place) in hidden.chain(limited).chain(administrators) {
        if unknown(user) {
            let problem = format!("{problem}, who has no account");
            let fix = format!("correct the name in {place}");
            findings.push((key, Finding::warning(check.path, None, problem, fix)));
        }
    }
    for (key, finding) in findings {
        check.push(key, finding);
    }
}

/// Looks at every line, the malformed ones and the others, and tells about them in their order.
fn look_at(check: &mut Check<'_>, text: &[u8]) -> Users {
    let settings = check.settings;
    let path = &settings.users;
    let (users, mistakes) = Users::survey(text, settings.auth.default_domain.as_deref());
    if users.names().len() == 0 && mistakes.is_empty() {
        let fix = "make one with `pillarbox user add NAME`";
        let finding = Finding::warning(path, None, "there are no accounts", fix);
        check.push("users", finding);
    }
    let mut findings = Vec::new();
    for mistake in mistakes {
        let problem = mistake.problem.to_string();
        let fix = "correct the line, or remove it";
        findings.push(Finding::error(path, Some(mistake.line), problem, fix));
    }
    for note in users.notes() {
        let fix = match note.about {
            About::Plain => format!("pillarbox user passwd {}", note.name),
            About::Unprepared(ref name) => {
                format!("write it as {name}; its mail is where `mail` leads for that name")
            }
            About::SpaceAtEnd => "remove it, unless it is meant to be there".to_owned(),
            About::Ignored(_) => "remove the line if the account must not log in".to_owned(),
        };
        let problem = note.about.to_string();
        findings.push(Finding::warning(path, Some(note.line), problem, fix));
    }
    let lines: HashMap<&str, usize> = users
        .lines()
        .map(|(line, name)| (name.as_str(), line))
        .collect();
    for (name, fields) in extra_fields(text, settings.auth.default_domain.as_deref()) {
        if let Some(rule) = not_understood(&fields) {
            let problem = format!("the quota of {name} is not understood: {rule:?}");
            let fix = "write for example userdb_quota_rule=*:storage=1G:messages=1000";
            let line = lines.get(name.as_str()).copied();
            findings.push(Finding::warning(path, line, problem, fix));
        }
    }
    for (line, name) in users.lines() {
        if settings.mail.expand(name).is_some() {
            continue;
        }
        let (problem, fix) = if name.domain().is_none() {
            (
                format!("{name} can never log in: it has no domain, and `mail` wants one"),
                "write the domain behind the name, set `default_domain` in [auth], or write {user} instead of {domain} in `mail`",
            )
        } else {
            (
                format!("{name} can never log in: its directory would have too long a name"),
                "rename the account",
            )
        };
        // No reason to keep everybody else from being served.
        findings.push(Finding::warning(path, Some(line), problem, fix));
    }
    findings.sort_by_key(|finding| finding.line);
    for finding in findings {
        check.report.push(finding);
    }
    users
}

/// Whether logins can replace the users file, as the editor of `auth` does it.
fn check_upgrades(check: &mut Check<'_>, path: &Path) {
    let Ok((found, file)) = fs::metadata(path).and_then(|found| Ok((found, path.canonicalize()?)))
    else {
        return;
    };
    let directory = file.parent().unwrap_or(Path::new("/"));
    let us = rustix::process::geteuid();
    let problem = if !us.is_root() && us.as_raw() != found.uid() {
        "belongs to another user, so that `upgrade_hashes` has no effect".to_owned()
    } else if let Err(error) = probe(directory) {
        let (shown, kind) = (directory.display(), error.kind());
        format!("cannot be replaced, so that `upgrade_hashes` has no effect: {shown}: {kind}")
    } else {
        return;
    };
    let fix = "let file and directory belong to the user that Pillarbox runs as, or remove `upgrade_hashes`";
    check.push("users", Finding::warning(path, None, problem, fix));
}
