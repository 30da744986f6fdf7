//! The command line: one definition for parsing, help, completions and man pages.

mod index;
mod quota;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

pub use index::{
    CheckArgs, DirectoryNames, DumpArgs, ExportArgs, Format, ImportArgs, IndexCommand, MailArgs,
    RebuildArgs, StoreArgs,
};
pub use quota::{QuotaArgs, QuotaCommand, QuotaShowArgs};

/// A POP3 and IMAP mail server over Maildir.
#[derive(Debug, Parser)]
#[command(name = "pillarbox", version, max_term_width = 100)]
#[command(propagate_version = true, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve mail until SIGTERM or SIGINT
    Serve(ConfigArgs),
    /// Serve a throw-away mail tree on loopback, with no setup at all
    Dev(DevArgs),
    /// Check configuration, certificates, users, permissions and ports, and list every mistake
    Check(ConfigArgs),
    /// Manage the accounts in the users file
    #[command(subcommand)]
    User(UserCommand),
    /// Take mail over from Dovecot or Courier, hand it back, and look into the indexes
    #[command(subcommand)]
    Index(IndexCommand),
    /// Show what accounts take up and how much they may, and count them anew
    #[command(subcommand)]
    Quota(QuotaCommand),
    /// Who shares mailboxes with whom
    #[command(subcommand)]
    Sharing(SharingCommand),
    /// Print shell completions
    Completions {
        /// The shell to print for
        shell: Shell,
    },
    /// Print the manual page, or write a page for each subcommand
    Man {
        /// Write the pages into this directory instead
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

/// Where the configuration is.
#[derive(Args, Clone, Debug)]
pub struct ConfigArgs {
    /// The configuration file
    #[arg(long, short, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
}

/// How `pillarbox dev` runs.
#[derive(Args, Clone, Debug)]
pub struct DevArgs {
    /// Keep the mail in this directory, instead of a temporary one that is removed at exit
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Listen on N+110 (POP3), N+143 (IMAP), N+993 (IMAPS) and N+995 (POP3S); 0 takes free ports
    #[arg(long, value_name = "N", default_value_t = DEFAULT_PORT_BASE)]
    #[arg(value_parser = clap::value_parser!(u16).range(0..=64_540))]
    pub port_base: u16,
    /// Where the certificate authority and the certificate for localhost are made and kept
    #[arg(long, value_name = "DIR", default_value = "certs-dev")]
    pub certs: PathBuf,
    /// Log more; twice for everything
    #[arg(long, short, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// `pillarbox sharing …`
#[derive(Debug, Subcommand)]
pub enum SharingCommand {
    /// Look through the trees of all users, and note anew who shares mailboxes with whom
    ///
    /// It may be run while the server runs, and is to be run after a tree was taken over.
    Rebuild(ConfigArgs),
}

/// `pillarbox user …`
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add an account
    Add(UserPasswordArgs),
    /// Change the password of an account
    Passwd(UserPasswordArgs),
    /// List all accounts, with how their passwords are kept
    List(UsersArgs),
    /// Remove an account; its mail stays
    Remove(UserNameArgs),
    /// Passwords of single programs, beside the password of an account
    #[command(subcommand)]
    AppPassword(AppPasswordCommand),
    /// Print the hash of a password, for other tools
    Hash(HashArgs),
}

/// `pillarbox user app-password …`
#[derive(Debug, Subcommand)]
pub enum AppPasswordCommand {
    /// Make an application password, and print it this once
    Add(AppPasswordArgs),
    /// List the application passwords of an account, with the day each was made (UTC)
    List(UserNameArgs),
    /// Revoke an application password; it is refused from the next login on
    Revoke(AppPasswordArgs),
}

/// An application password of an account.
#[derive(Args, Clone, Debug)]
pub struct AppPasswordArgs {
    /// The account.
    #[command(flatten)]
    pub user: UserNameArgs,
    /// What the application password is called: 1 to 64 printable characters
    #[arg(value_name = "LABEL")]
    pub label: String,
}

/// Which users file is meant.
#[derive(Args, Clone, Debug)]
pub struct UsersArgs {
    /// The configuration file, which names the users file
    #[arg(long, short, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    #[arg(conflicts_with = "users")]
    pub config: PathBuf,
    /// The users file itself
    #[arg(long, value_name = "FILE")]
    pub users: Option<PathBuf>,
}

/// An account.
#[derive(Args, Clone, Debug)]
pub struct UserNameArgs {
    /// The account: user@domain, or user if there is a default domain
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Which users file is meant.
    #[command(flatten)]
    pub file: UsersArgs,
}

/// An account and where its password comes from.
#[derive(Args, Clone, Debug)]
pub struct UserPasswordArgs {
    /// The account.
    #[command(flatten)]
    pub user: UserNameArgs,
    /// Where the password comes from.
    #[command(flatten)]
    pub password: PasswordArgs,
}

/// Where a new password comes from.
#[derive(Args, Clone, Copy, Debug)]
pub struct PasswordArgs {
    /// Read the password from the first line of standard input instead of asking twice
    #[arg(long)]
    pub stdin: bool,
}

/// What `pillarbox user hash` hashes, and how.
#[derive(Args, Clone, Debug)]
pub struct HashArgs {
    /// Where the password comes from.
    #[command(flatten)]
    pub password: PasswordArgs,
    /// The configuration file, for the costs of the hash; if not given, they are the defaults
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Writes the completions for `shell`.
pub fn completions(shell: Shell, out: &mut impl Write) {
    clap_complete::generate(shell, &mut Cli::command(), "pillarbox", out);
}

/// Writes the manual page to `out`, or one page for each subcommand into `dir`.
///
/// # Errors
/// If writing fails.
pub fn man(dir: Option<&Path>, out: &mut impl Write) -> io::Result<()> {
    match dir {
        Some(dir) => {
            std::fs::create_dir_all(dir)?;
            clap_mangen::generate_to(Cli::command(), dir)
        }
        None => clap_mangen::Man::new(Cli::command()).render(out),
    }
}

/// Where the configuration is if nothing is said.
pub const DEFAULT_CONFIG: &str = "/etc/pillarbox/pillarbox.toml";

/// What the ports of `pillarbox dev` begin at: 1110, 1143, 1993 and 1995.
const DEFAULT_PORT_BASE: u16 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_has_a_default_configuration() {
        let Command::Serve(args) = parse("pillarbox serve").unwrap().command else {
            panic!("not serve");
        };
        assert_eq!(args.config, Path::new(DEFAULT_CONFIG));
    }

    #[test]
    fn dev_needs_no_arguments() {
        let Command::Dev(args) = parse("pillarbox dev").unwrap().command else {
            panic!("not dev");
        };
        assert_eq!(args.port_base, 1_000);
        assert_eq!(args.dir, None);
        assert_eq!(args.certs, Path::new("certs-dev"));
        assert!(parse("pillarbox dev --port-base 0").is_ok());
        assert!(parse("pillarbox dev --port-base 64540").is_ok());
        assert!(parse("pillarbox dev --port-base 64541").is_err());
    }

    #[test]
    fn user_commands_take_a_name_and_one_file() {
        let line = "pillarbox user add ann@example.org --stdin --users /tmp/users";
        let Command::User(UserCommand::Add(args)) = parse(line).unwrap().command else {
            panic!("not user add");
        };
        assert!(args.password.stdin);
        assert_eq!(args.user.name, "ann@example.org");
        assert_eq!(
            args.user.file.users.as_deref(),
            Some(Path::new("/tmp/users"))
        );
        assert!(parse("pillarbox user add").is_err());
        assert!(parse("pillarbox user list --users a --config b").is_err());
        assert!(parse("pillarbox user list --config b").is_ok());
    }

    #[test]
    fn completions_and_manual_know_the_subcommands() {
        let mut script = Vec::new();
        completions(Shell::Bash, &mut script);
        let script = String::from_utf8(script).unwrap();
        let mut page = Vec::new();
        man(None, &mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        for word in ["serve", "dev", "check", "user", "index", "quota", "sharing"] {
            assert!(script.contains(word), "completions lack {word}");
            assert!(page.contains(word), "manual lacks {word}");
        }
    }

    #[test]
    fn manual_pages_are_written_for_each_subcommand() {
        let dir = tempfile::tempdir().unwrap();
        man(Some(dir.path()), &mut io::sink()).unwrap();
        for page in ["pillarbox.1", "pillarbox-serve.1", "pillarbox-user-add.1"] {
            assert!(dir.path().join(page).exists(), "{page}");
        }
    }
}
