//! `pillarbox index export`: handing mail back to Dovecot.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use mailstore::Error;
use mailstore::foreign::Exported;
use mailstore::inspect::Listed;

use super::context::{
    Context, Work, account_text, count, count_files, exit_code, files_in, gone, is_gone, plain,
    problems, say,
};
use super::progress::Progress;
use super::table::{Align, Table};
use crate::cli::{ExportArgs, Format};
use crate::config::{Finding, Report};

/// Writes the files of the other server; fails if anything could not be handed over.
pub(super) fn run(args: &ExportArgs) -> Result<ExitCode> {
    let Format::Dovecot = args.format;
    let context = Context::new(&args.mail.store, &args.mail.paths)?;
    let works = context.work(&args.mail)?;
    let progress = Progress::new(count_files(&works), "messages");
    let mut sum = Sum::default();
    for work in &works {
        let text = export_account(&context, work, &progress, &mut sum)?;
        say(&progress, &text)?;
    }
    say(&progress, &sum.to_string())?;
    Ok(exit_code(sum.problems))
}

/// What all of it comes to.
#[derive(Debug, Default)]
struct Sum {
    mailboxes: usize,
    messages: usize,
    problems: usize,
}

impl std::fmt::Display for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mailboxes = count(self.mailboxes, "mailbox", "mailboxes");
        let messages = count(self.messages, "message", "messages");
        write!(f, "{mailboxes}, {messages} written for Dovecot")?;
        match self.problems {
            0 => writeln!(f),
            some => writeln!(f, "; {}", count(some, "problem", "problems")),
        }
    }
}

fn export_account(
    context: &Context,
    work: &Work,
    progress: &Progress,
    sum: &mut Sum,
) -> Result<String> {
    let account = context.account(&work.target.root)?;
    let (left, right) = (Align::Left, Align::Right);
    let mut table = Table::new(&[
        ("MAILBOX", left),
        ("UIDVALIDITY", right),
        ("MESSAGES", right),
        ("KEYWORDS", right),
        ("UIDLS", right),
    ]);
    let mut report = work.report.clone();
    for listed in &work.mailboxes {
        let name = plain(&context.show(&listed.name));
        match account.export(&listed.name) {
            Ok(exported) => {
                sum.mailboxes += 1;
                sum.messages += exported.messages;
                table.row(vec![
                    name,
                    exported.uid_validity.to_string(),
                    exported.messages.to_string(),
                    exported.keywords.to_string(),
                    exported.uidls.to_string(),
                ]);
                complain(listed, &exported, &mut report);
            }
            Err(_) if is_gone(listed) => report.push(gone(listed)),
            Err(error) => report.push(failure(&listed.directory, &error)),
        }
        progress.steps(usize::try_from(files_in(&listed.directory)).unwrap_or_default());
    }
    sum.problems += problems(&report);
    Ok(account_text(work.target.root.display(), &table, &report))
}

/// Why a mailbox was not handed over, and what can be done.
fn failure(directory: &Path, error: &Error) -> Finding {
    let lock = directory.join("dovecot-uidlist.lock");
    if matches!(error, Error::Locked) && lock.symlink_metadata().is_ok() {
        let problem = "Dovecot is at work in the mailbox: dovecot-uidlist.lock is there";
        let fix = "stop Dovecot, and export again; a lock that a crash has left counts for two \
                   minutes";
        return Finding::error(directory, None, problem, fix);
    }
    let fix = "mend that, and export again";
    Finding::error(directory, None, plain(&error.to_string()), fix)
}

/// Tells what Dovecot will serve differently.
fn complain(listed: &Listed, exported: &Exported, report: &mut Report) {
    let path = &listed.directory;
    for (keyword, messages) in &exported.lost {
        let messages = count(*messages, "message has", "messages have");
        let problem = format!(
            "the keyword {keyword} has no letter in file names, so that Dovecot will not see it; {messages} it"
        );
        let fix = "give these messages another keyword first, or let it go";
        report.push(Finding::error(path, None, plain(&problem), fix));
    }
    if let Some(before) = exported
        .before
        .filter(|before| *before != exported.uid_validity)
    {
        let problem = format!(
            "UIDVALIDITY was {before} in Dovecot's list and is {} now",
            exported.uid_validity
        );
        let fix = format!(
            "before Dovecot starts, remove {}/dovecot.index*, or its first session shows the old \
             UIDs; clients that last saw it through Dovecot download it again",
            path.display()
        );
        report.push(Finding::warning(path, None, problem, fix));
    }
}
