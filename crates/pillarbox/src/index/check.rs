//! `pillarbox index check`: whether the indexes agree with the files, and with what Dovecot keeps.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::Result;
use mailstore::foreign;
use mailstore::inspect::{self, Listed, Sizes, Verification};

use super::context::{Context, Work, count, count_files, files_in, plain, problems, say};
use super::progress::Progress;
use super::table::{Align, Table};
use crate::cli::CheckArgs;
use crate::config::{Finding, Report};

/// Checks all mailboxes that are meant; fails if anything differs.
pub(super) fn run(args: &CheckArgs) -> Result<ExitCode> {
    let context = Context::new(&args.mail.store, &args.mail.paths)?;
    let works = context.work(&args.mail)?;
    let sizes = if args.sizes {
        Sizes::All
    } else {
        Sizes::Sample
    };
    let progress = Progress::new(count_files(&works), "messages");
    let mut sum = Sum::default();
    for work in &works {
        let text = check_account(&context, work, sizes, &progress, &mut sum);
        say(&progress, &text)?;
    }
    say(&progress, &sum.to_string())?;
    Ok(if sum.differences == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What all of it comes to.
#[derive(Debug, Default)]
struct Sum {
    mailboxes: usize,
    messages: usize,
    differences: usize,
}

impl std::fmt::Display for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let differences = match self.differences {
            0 => "no difference".to_owned(),
            some => count(some, "difference", "differences"),
        };
        let mailboxes = count(self.mailboxes, "mailbox", "mailboxes");
        let messages = count(self.messages, "message", "messages");
        writeln!(f, "{mailboxes}, {messages}: {differences}")
    }
}

/// Checks one account and says what was found.
fn check_account(
    context: &Context,
    work: &Work,
    sizes: Sizes,
    progress: &Progress,
    sum: &mut Sum,
) -> String {
    let (left, right) = (Align::Left, Align::Right);
    let mut table = Table::new(&[
        ("MAILBOX", left),
        ("MESSAGES", right),
        ("READ", right),
        ("UIDVALIDITY", right),
        ("DOVECOT", left),
        ("DIFFERENCES", right),
        ("PENDING", right),
    ]);
    let mut report = work.report.clone();
    for listed in &work.mailboxes {
        let before = problems(&report);
        let row = check_mailbox(context, listed, sizes, progress, &mut report);
        let found = problems(&report) - before;
        let shown = plain(&context.show(&listed.name));
        sum.mailboxes += 1;
        sum.messages += row.messages;
        table.row(vec![
            shown,
            row.messages.to_string(),
            row.read.to_string(),
            row.uid_validity,
            row.dovecot.to_owned(),
            found.to_string(),
            row.pending.to_string(),
        ]);
    }
    sum.differences += problems(&report);
    let mut text = format!("{}\n{table}", work.target.root.display());
    for finding in report.findings() {
        // Writing to a string cannot fail.
        writeln!(text, "{finding}").unwrap_or_default();
    }
    text.push('\n');
    text
}

/// What the table says of a mailbox.
struct Row {
    messages: usize,
    read: usize,
    uid_validity: String,
    dovecot: &'static str,
    pending: usize,
}

fn check_mailbox(
    context: &Context,
    listed: &Listed,
    sizes: Sizes,
    progress: &Progress,
    report: &mut Report,
) -> Row {
    let mut row = Row {
        messages: 0,
        read: 0,
        uid_validity: "-".to_owned(),
        dovecot: "-",
        pending: 0,
    };
    let path = &listed.directory;
    let mut error = |problem: String, fix: &str| {
        report.push(Finding::error(path, None, plain(&problem), fix));
    };
    let shown = path.display();
    let wrong = format!("if it stays after a client has looked: pillarbox index rebuild {shown}");
    let damaged = format!(
        "bring pillarbox.index back from a backup, or make it anew, so that clients download \
         again: pillarbox index rebuild {shown}"
    );
    let files = usize::try_from(files_in(path)).unwrap_or_default();
    let verified = inspect::verify(path, context.options(), sizes, || progress.step());
    match verified {
        Ok(Some(verification)) => {
            row.messages = verification.inspection.snapshot().len();
            row.read = verification.read;
            row.uid_validity = verification
                .inspection
                .snapshot()
                .uid_validity()
                .to_string();
            row.pending = verification.pending.len();
            for fault in &verification.faults {
                error(fault.to_string(), &wrong);
            }
            compare(&verification, &mut row, &mut error);
        }
        Ok(None) => error(
            "has no index yet".to_owned(),
            &format!("pillarbox index import {shown}"),
        ),
        Err(mailstore::Error::Corrupt { path, problem }) => {
            error(format!("{}: {problem}", path.display()), &damaged);
        }
        Err(other) => error(other.to_string(), "mend that, and check again"),
    }
    progress.steps(files.saturating_sub(row.read));
    row
}

/// Compares with what Dovecot keeps, if it has been here.
fn compare(verification: &Verification, row: &mut Row, error: &mut impl FnMut(String, &str)) {
    let shown = verification.inspection.directory().display();
    let export = format!(
        "before going back to Dovecot: pillarbox index export --format dovecot {shown}; \
         if that will never be, remove {shown}/dovecot-uidlist"
    );
    match foreign::compare(&verification.inspection) {
        Ok(None) => {}
        Ok(Some(differences)) if differences.is_empty() => row.dovecot = "equal",
        Ok(Some(differences)) => {
            row.dovecot = "differs";
            for difference in differences {
                error(difference.to_string(), &export);
            }
        }
        Err(other) => error(other.to_string(), "mend that, and check again"),
    }
}
