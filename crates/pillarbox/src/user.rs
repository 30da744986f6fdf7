//! `pillarbox user …`: the accounts in the users file.

mod application;

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use auth::password::{Cost, Work, random_salt};
use auth::scram::NewKeys;
use auth::users::{EditError, Editor, Users, account_name};
use auth::{MailTemplate, Name, Secret, Secrets, prepare};

use crate::cli::{HashArgs, PasswordArgs, UserCommand, UserNameArgs, UserPasswordArgs, UsersArgs};
use crate::config;

/// Does what the arguments say.
///
/// # Errors
/// In words for the person at the terminal.
pub fn run(command: UserCommand) -> Result<()> {
    let mut stdin = io::stdin().lock();
    let mut stdout = io::stdout().lock();
    match command {
        UserCommand::Add(args) => set(&args, Change::Add, &mut stdin, &mut stdout),
        UserCommand::Passwd(args) => set(&args, Change::Password, &mut stdin, &mut stdout),
        UserCommand::List(args) => list(&args, &mut stdout),
        UserCommand::Remove(args) => remove(&args, &mut stdout),
        UserCommand::AppPassword(command) => application::run(&command, &mut stdout),
        UserCommand::Hash(args) => hash(&args, &mut stdin, &mut stdout),
    }
}

/// What a new password is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// A new account.
    Add,
    /// An account that is there.
    Password,
}

/// The users file, and what the configuration says about its accounts.
struct Target {
    users: PathBuf,
    default_domain: Option<String>,
    cost: Cost,
    new_keys: NewKeys,
    /// Where mail will be, if the configuration is known.
    mail: Option<MailTemplate>,
}

impl Target {
    /// Finds out which file is meant.
    fn of(args: &UsersArgs) -> Result<Self> {
        if let Some(users) = &args.users {
            return Ok(Self {
                users: users.clone(),
                default_domain: None,
                cost: Cost::default(),
                new_keys: NewKeys::default(),
                mail: None,
            });
        }
        let (settings, report) = config::load(&args.config);
        if report.has_errors() {
            let hint = "mend the configuration, or name the users file with --users";
            bail!("{report}\n{hint}");
        }
        if settings.accounts.backend != config::Backend::File {
            bail!(
                "the accounts are in a database, by [accounts] in {}: change them there; \
                 `pillarbox user hash` makes what goes into its column password",
                args.config.display()
            );
        }
        Ok(Self {
            users: settings.users,
            default_domain: settings.auth.default_domain,
            cost: settings.auth.cost,
            new_keys: settings.auth.new_keys,
            mail: Some(settings.mail),
        })
    }

    /// Reads a name as a person writes it.
    fn name(&self, text: &str) -> Result<Name> {
        Name::parse(text, self.default_domain.as_deref())
            .with_context(|| format!("{text:?} cannot be an account"))
    }

    /// Reads a name that is to stand in the file.
    fn new_name(&self, text: &str) -> Result<Name> {
        account_name(text, self.default_domain.as_deref())
            .with_context(|| format!("{text:?} cannot be an account"))
    }

    /// Takes the lock on the file.
    fn edit(&self) -> Result<Editor> {
        Ok(Editor::open(&self.users, self.default_domain.as_deref())?)
    }
}

/// `user add` and `user passwd`
fn set(
    args: &UserPasswordArgs,
    change: Change,
    stdin: &mut impl BufRead,
    out: &mut impl Write,
) -> Result<()> {
    let target = Target::of(&args.user.file)?;
    let name = match change {
        Change::Add => target.new_name(&args.user.name)?,
        Change::Password => target.name(&args.user.name)?,
    };
    // Before anything is typed, and without making a file: whether there is anything to do.
    let known = match Users::load(&target.users, target.default_domain.as_deref()) {
        Ok(users) => Some(users.get(&name).is_some()),
        // Malformed or missing: the editor finds the line, or says that there is none.
        Err(_) => None,
    };
    match (change, known) {
        (Change::Add, Some(true)) => bail!(
            "{name} is already in {}; `pillarbox user passwd` changes its password",
            target.users.display()
        ),
        (Change::Password, Some(false)) => bail!(
            "{name} is not in {}; `pillarbox user add` adds it",
            target.users.display()
        ),
        (Change::Password, None) if !target.users.exists() => {
            bail!("there is no users file {}", target.users.display())
        }
        (Change::Add | Change::Password, _) => {}
    }
    if change == Change::Add
        && let Some(mail) = &target.mail
        && mail.expand(&name).is_none()
    {
        bail!("{}", cannot_log_in(&name));
    }
    let password = password(&args.password, &format!("Password for {name}: "), stdin)?;
    let secrets = Secrets {
        password: Some(target.cost.stored(&password, random_salt()?)?),
        scram: target.new_keys.derive(&password, random_salt)?,
        ..Secrets::default()
    };
    let mut editor = target.edit()?;
    match change {
        Change::Add => editor.add(&name, &secrets)?,
        Change::Password => editor.change(&name, &secrets)?,
    }
    editor.save()?;
    let users = target.users.display();
    match change {
        Change::Add => writeln!(out, "added {name} to {users}")?,
        Change::Password => writeln!(out, "changed the password of {name} in {users}")?,
    }
    Ok(())
}

/// Why a name that `mail` leads nowhere for cannot be an account.
fn cannot_log_in(name: &Name) -> String {
    if name.domain().is_none() {
        format!(
            "{name} could not log in: it has no domain, and `mail` wants one; \
             add the account as {name}@DOMAIN, or set `default_domain` in [auth]"
        )
    } else {
        format!("{name} could not log in: its directory would have too long a name")
    }
}

/// `user list`
fn list(args: &UsersArgs, out: &mut impl Write) -> Result<()> {
    let target = Target::of(args)?;
    let users = Users::load(&target.users, target.default_domain.as_deref())?;
    for name in users.names() {
        let has = users.get(name).map(|secrets| described(secrets));
        writeln!(out, "{name}\t{}", has.unwrap_or_default())?;
    }
    Ok(())
}

/// What an account has, in a few words.
fn described(secrets: &Secrets) -> String {
    let hash = secrets.password.as_ref().map(|stored| match stored.work() {
        Work::Argon2 { variant, .. } => variant.clone(),
        Work::Bcrypt(_) => "bcrypt".to_owned(),
        Work::ShaCrypt { .. } => "sha-crypt".to_owned(),
        Work::Plain => "plain".to_owned(),
        // Told below.
        Work::Scram { .. } => String::new(),
    });
    let keys = secrets.scram.iter();
    let keys = keys.map(|keys| keys.hash().scheme().to_ascii_lowercase());
    let count = secrets.application.len();
    let application = (count > 0).then(|| format!("app-passwords={count}"));
    let words: Vec<String> = hash
        .into_iter()
        .filter(|it| !it.is_empty())
        .chain(keys)
        .chain(application)
        .collect();
    words.join(" ")
}

/// `user remove`
fn remove(args: &UserNameArgs, out: &mut impl Write) -> Result<()> {
    let target = Target::of(&args.file)?;
    let name = target.name(&args.name)?;
    // Opening for editing would make the file.
    ensure!(
        target.users.exists(),
        "there is no users file {}",
        target.users.display()
    );
    let mut editor = target.edit()?;
    let users = target.users.display();
    match editor.remove(&name) {
        Err(EditError::NotFound(name)) => bail!("{name} is not in {users}"),
        removed => removed?,
    }
    editor.save()?;
    writeln!(out, "removed {name} from {users}; its mail is still there")?;
    Ok(())
}

/// `user hash`
fn hash(args: &HashArgs, stdin: &mut impl BufRead, out: &mut impl Write) -> Result<()> {
    let cost = match &args.config {
        Some(path) => costs(path)?,
        None => Cost::default(),
    };
    let password = password(&args.password, "Password: ", stdin)?;
    writeln!(out, "{}", cost.hash(&password, random_salt()?)?)?;
    Ok(())
}

/// The costs that a configuration sets.
fn costs(path: &Path) -> Result<Cost> {
    let (settings, report) = config::load(path);
    ensure!(!report.has_errors(), "{report}");
    Ok(settings.auth.cost)
}

/// Gets a new password that a mail client can send.
fn password(args: &PasswordArgs, prompt: &str, stdin: &mut impl BufRead) -> Result<Secret> {
    let password = if args.stdin {
        first_line(stdin)?
    } else {
        typed_twice(prompt)?
    };
    let octets = password.expose();
    ensure!(!octets.is_empty(), "the password is empty");
    ensure!(
        !octets.iter().any(u8::is_ascii_control),
        "the password holds a control character, which no mail client can send"
    );
    ensure!(
        std::str::from_utf8(octets).is_ok(),
        "the password is not UTF-8, so that no mail client can send it"
    );
    ensure!(
        octets.len() <= MAX_PASSWORD,
        "the password is longer than {MAX_PASSWORD} octets"
    );
    prepare::password(&password).map_err(|error| anyhow!("the password {error}"))
}

/// Asks for a password at the terminal.
fn typed_twice(prompt: &str) -> Result<Secret> {
    ensure!(
        io::stdin().is_terminal(),
        "there is no terminal to ask for the password; give it on standard input with --stdin"
    );
    let ask = |prompt: &str| {
        let typed = rpassword::prompt_password(prompt).context("asking for the password")?;
        anyhow::Ok(Secret::new(typed))
    };
    let (once, again) = (ask(prompt)?, ask("Again: ")?);
    ensure!(
        once.expose() == again.expose(),
        "the two passwords differ; nothing was changed"
    );
    Ok(once)
}

/// The first line, without its line end; what follows is not read.
fn first_line(stdin: &mut impl BufRead) -> Result<Secret> {
    // Sized beforehand, so that no copy of the secret is left behind by growth.
    let mut line = Vec::with_capacity(MAX_PASSWORD + 3);
    stdin
        .take(MAX_PASSWORD as u64 + 3)
        .read_until(b'\n', &mut line)
        .context("reading the password from standard input")?;
    for end in [b'\n', b'\r'] {
        if line.last() == Some(&end) {
            line.pop();
        }
    }
    Ok(Secret::new(line))
}

/// The longest password, in octets: what fits into any login command.
const MAX_PASSWORD: usize = 1_000;

#[cfg(test)]
mod tests;
