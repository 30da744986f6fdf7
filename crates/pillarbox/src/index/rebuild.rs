//! `pillarbox index rebuild`: a new index under a new UIDVALIDITY.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;
use std::slice;

use anyhow::{Context as _, Result, ensure};
use mailstore::inspect::Inspection;

use super::context::{Context, Work, count, count_files, files_in, plain, say};
use super::progress::Progress;
use super::target::{self, Target};
use crate::cli::RebuildArgs;

/// Makes the index of a mailbox, or of all mailboxes of an account, anew.
pub(super) fn run(args: &RebuildArgs) -> Result<ExitCode> {
    let context = Context::new(&args.store, slice::from_ref(&args.path))?;
    let target = target::mailbox(&args.path)?;
    let work = if args.all {
        ensure!(
            target.mailbox.as_ref() == Some(&target.root),
            "{} is one mailbox; with --all, name the account: {}",
            args.path.display(),
            target.root.display()
        );
        context.list(Target {
            mailbox: None,
            ..target
        })?
    } else {
        context.list(target)?
    };
    let account = context.account(&work.target.root)?;
    warn(&context, &work)?;
    if !args.yes {
        confirm()?;
    }
    let progress = Progress::new(count_files([&work]), "messages");
    for listed in &work.mailboxes {
        let before = Inspection::read(&listed.directory).ok().flatten();
        account
            .rebuild(&listed.name)
            .with_context(|| listed.directory.display().to_string())?;
        let mailbox = account.open(&listed.name)?;
        let now = mailbox.refresh()?;
        let was = before.map_or_else(
            || "unknown".to_owned(),
            |before| before.snapshot().uid_validity().to_string(),
        );
        let text = format!(
            "{}: {}, UIDVALIDITY was {was}, is {}\n",
            plain(&context.show(&listed.name)),
            count(now.len(), "message", "messages"),
            now.uid_validity()
        );
        progress.steps(usize::try_from(files_in(&listed.directory)).unwrap_or_default());
        say(&progress, &text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what will happen.
fn warn(context: &Context, work: &Work) -> io::Result<()> {
    let names = work.mailboxes.iter();
    let names: Vec<String> = names
        .map(|listed| plain(&context.show(&listed.name)))
        .collect();
    writeln!(
        io::stderr().lock(),
        "warning: every message of {} gets a new UID under a new UIDVALIDITY; clients download\n  \
         the mailbox again, and keywords without a letter in file names are lost",
        names.join(", ")
    )
}

/// Asks whoever is at the terminal.
fn confirm() -> Result<()> {
    ensure!(
        io::stdin().is_terminal(),
        "there is no terminal to ask at; --yes says that this is wanted; nothing was changed"
    );
    let mut stderr = io::stderr().lock();
    write!(stderr, "Go on? (yes/no) ")?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    ensure!(answer.trim() == "yes", "nothing was changed");
    Ok(())
}
