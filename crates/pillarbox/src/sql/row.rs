//! What the columns of an account mean.

use std::path::{Component, Path, PathBuf};

use auth::directory::Secrets;
use auth::password::Stored;
use auth::scram::{Hash, Keys};

use super::Problem;

/// The columns of an account that are ours, with their values. Others are not even read.
#[derive(Default)]
pub(super) struct Row {
    pub(super) password: Option<String>,
    pub(super) mail: Option<String>,
    pub(super) scram_sha_256: Option<String>,
    pub(super) scram_sha_1: Option<String>,
}

/// The columns that mean something.
pub(crate) const COLUMNS: [&str; 4] = ["password", "mail", "scram_sha_256", "scram_sha_1"];

/// Checks that what must be there is, and nothing twice.
pub(super) fn check_columns(columns: &[String]) -> Result<(), Problem> {
    let count = |name: &str| columns.iter().filter(|column| *column == name).count();
    if count("password") == 0 {
        let found = columns.join(", ");
        return Err(Problem(format!(
            "`query` gives no column password, only {found}; name it with AS password"
        )));
    }
    match COLUMNS.into_iter().find(|name| count(name) > 1) {
        Some(name) => Err(Problem(format!("`query` gives the column {name} twice"))),
        None => Ok(()),
    }
}

impl Row {
    /// Takes a value.
    pub(super) fn set(&mut self, column: &str, value: Option<String>) {
        match column {
            "password" => self.password = value,
            "mail" => self.mail = value,
            "scram_sha_256" => self.scram_sha_256 = value,
            "scram_sha_1" => self.scram_sha_1 = value,
            _ => {}
        }
    }

    /// What the account can prove itself with, and where its mail is: below `root`, if that is
    /// given. No value is quoted in what is wrong.
    pub(super) fn secrets(&self, root: Option<&Path>) -> Result<Secrets, Problem> {
        let password = self.password.as_deref().filter(|text| !text.is_empty());
        let password = password.map(Stored::parse).transpose();
        let mail = self.mail.as_deref().filter(|text| !text.is_empty());
        let keys = [
            (Hash::Sha256, &self.scram_sha_256),
            (Hash::Sha1, &self.scram_sha_1),
        ];
        let keys = keys.into_iter().filter_map(|(hash, text)| {
            let text = text.as_deref().filter(|text| !text.is_empty())?;
            Some(Keys::parse(hash, text))
        });
        let scram: Result<Vec<Keys>, _> = keys.collect();
        Ok(Secrets {
            scram: scram.map_err(|error| Problem(error.to_string()))?,
            password: password.map_err(|error| Problem(format!("password: {error}")))?,
            mail: mail.map(|mail| place(mail, root)).transpose()?,
            application: Vec::new(),
        })
    }
}

/// The directory of an account's mail (S34).
fn place(mail: &str, root: Option<&Path>) -> Result<PathBuf, Problem> {
    let path = Path::new(mail);
    let plain = path
        .components()
        .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !path.is_absolute() || !plain || mail.chars().any(char::is_control) {
        let problem = "mail: not an absolute path without .. and control characters";
        return Err(Problem(problem.to_owned()));
    }
    let inside = |root: &Path| path.starts_with(root) && path != root;
    if root.is_some_and(|root| !inside(root)) {
        let problem = "mail: outside of the fixed part of the setting `mail`, and \
                       `mail_anywhere` is false";
        return Err(Problem(problem.to_owned()));
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(password: Option<&str>, mail: Option<&str>) -> Row {
        Row {
            password: password.map(str::to_owned),
            mail: mail.map(str::to_owned),
            ..Row::default()
        }
    }

    #[test]
    fn a_row_becomes_an_account() {
        let secrets = row(Some("{PLAIN}x"), None).secrets(None).unwrap();
        assert_eq!(secrets.password, Stored::parse("{PLAIN}x").ok());
        assert_eq!(secrets.mail, None);
        for nothing in [None, Some("")] {
            let secrets = row(nothing, nothing).secrets(None).unwrap();
            assert_eq!(secrets, Secrets::default());
        }
        let keys = Row {
            scram_sha_256: Some("topsecret".to_owned()),
            ..Row::default()
        };
        let problem = keys.secrets(None).unwrap_err();
        assert!(!problem.0.contains("topsecret"), "{problem}");
        let problem = row(Some("topsecret"), None).secrets(None).unwrap_err();
        assert!(problem.0.starts_with("password: ") && !problem.0.contains("topsecret"));
    }

    #[test]
    fn mail_stays_where_mail_may_be() {
        let root = Some(Path::new("/srv/mail"));
        for (mail, root, allowed) in [
            ("/srv/mail/ann", root, true),
            ("/srv/mail/example.org/ann/Maildir", root, true),
            ("/srv/mail", root, false),
            ("/srv/mailx/ann", root, false),
            ("/srv/other/ann", root, false),
            ("/srv/other/ann", None, true),
            ("/srv/mail/../other/ann", root, false),
            ("/srv/mail/..", None, false),
            ("ann", None, false),
            ("~/Maildir", None, false),
            ("/srv/mail/a\nb", root, false),
            ("/srv/mail/a\0b", None, false),
        ] {
            let secrets = row(None, Some(mail)).secrets(root);
            assert_eq!(secrets.is_ok(), allowed, "{mail:?}");
        }
    }

    #[test]
    fn columns_are_known_by_name() {
        let check = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            check_columns(&names).map_err(|problem| problem.0)
        };
        assert_eq!(check(&["id", "password", "x", "x"]), Ok(()));
        assert!(check(&["passwd"]).unwrap_err().contains("only passwd"));
        assert!(check(&["password", "mail", "mail"]).is_err());
    }
}
