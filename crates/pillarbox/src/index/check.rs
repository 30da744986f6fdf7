//! `pillarbox index check`: whether the indexes agree with the files, and with what Dovecot keeps.

use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use mailstore::foreign;
use mailstore::inspect::{self, Listed, Sizes, Verification};

use super::context::{
    Context, Work, account_text, count, count_files, exit_code, files_in, gone, is_gone, plain,
    problems, say,
};
use super::import::finding;
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
    Ok(exit_code(sum.differences))
}

/// What all of it comes to.
#[derive(Debug, Default)]
struct Sum {
    mailboxes: usize,
    messages: usize,
    differences: usize,
    unindexed: usize,
    behind: usize,
}

impl Display for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let differences = match self.differences {
            0 => "no difference".to_owned(),
            some => count(some, "difference", "differences"),
        };
        let mailboxes = count(self.mailboxes, "mailbox", "mailboxes");
        let messages = count(self.messages, "message", "messages");
        write!(f, "{mailboxes}, {messages}: {differences}")?;
        if self.unindexed > 0 {
            write!(f, "; {} without an index", self.unindexed)?;
        }
        if self.behind > 0 {
            write!(f, "; {} with an older list of Dovecot's", self.behind)?;
        }
        writeln!(f)
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
    sum.differences += problems(&report);
    for listed in &work.mailboxes {
        let row = check_mailbox(context, listed, sizes, progress, &mut report);
        let shown = plain(&context.show(&listed.name));
        sum.mailboxes += 1;
        sum.messages += row.messages;
        sum.differences += row.differences;
        sum.unindexed += usize::from(row.unindexed);
        sum.behind += usize::from(row.dovecot == BEHIND);
        table.row(vec![
            shown,
            row.messages.to_string(),
            row.read.to_string(),
            row.uid_validity,
            row.dovecot.to_owned(),
            row.differences.to_string(),
            row.pending.to_string(),
        ]);
    }
    account_text(work.target.root.display(), &table, &report)
}

/// What the table says of a mailbox.
struct Row {
    messages: usize,
    read: usize,
    uid_validity: String,
    dovecot: &'static str,
    differences: usize,
    pending: usize,
    /// Whether it has no index, and may have none.
    unindexed: bool,
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
        differences: 0,
        pending: 0,
        unindexed: false,
    };
    let path = &listed.directory;
    let shown = path.display();
    let files = usize::try_from(files_in(path)).unwrap_or_default();
    let verified = inspect::verify(path, context.options(), sizes, || progress.step());
    match verified {
        Ok(Some(verification)) => {
            let snapshot = verification.inspection.snapshot();
            row.messages = snapshot.len();
            row.read = verification.read;
            row.uid_validity = snapshot.uid_validity().to_string();
            row.pending = verification.pending.len();
            let fix =
                format!("if it stays after a client has looked: pillarbox index rebuild {shown}");
            row.differences += tell(path, &verification.faults, &fix, report);
            compare(&verification, &mut row, report);
        }
        Ok(None) => without_index(path, &mut row, report),
        Err(_) if is_gone(listed) => report.push(gone(listed)),
        Err(mailstore::Error::Corrupt {
            path: file,
            problem,
        }) => {
            let fix = format!(
                "bring pillarbox.index back from a backup, or make it anew, so that clients \
                 download again: pillarbox index rebuild {shown}"
            );
            let problem = format!("{}: {problem}", file.display());
            row.differences += tell(path, &[problem], &fix, report);
        }
        Err(other) => row.differences += tell(path, &[other], "mend that, and check again", report),
    }
    progress.steps(files.saturating_sub(row.read));
    row
}

/// A mailbox that nobody has opened is as it should be, unless something stands in the way.
fn without_index(path: &Path, row: &mut Row, report: &mut Report) {
    match foreign::survey(path) {
        Ok(survey) => {
            let before = problems(report);
            for problem in &survey.problems {
                report.push(finding(path, problem));
            }
            row.differences += problems(report) - before;
        }
        Err(other) => row.differences += tell(path, &[other], "mend that, and check again", report),
    }
    if row.differences == 0 {
        row.unindexed = true;
        let fix = format!(
            "nothing to do: it gets one when it is first opened, or now by: \
             pillarbox index import {}",
            path.display()
        );
        report.push(Finding::warning(path, None, "has no index yet", fix));
    }
}

/// Compares with what Dovecot keeps, if it has been here.
fn compare(verification: &Verification, row: &mut Row, report: &mut Report) {
    let path = verification.inspection.directory();
    let shown = path.display();
    let fix = format!(
        "before going back to Dovecot: pillarbox index export --format dovecot {shown}; \
         if that will never be, remove {shown}/dovecot-uidlist"
    );
    match foreign::compare(&verification.inspection) {
        Ok(None) => {}
        Ok(Some(comparison)) if comparison.is_equal() => row.dovecot = "equal",
        Ok(Some(comparison)) if comparison.disagreements.is_empty() => {
            row.dovecot = BEHIND;
            let later = count(comparison.later, "message has one", "messages have one");
            let problem = format!("dovecot-uidlist is older than the last UIDs; {later}");
            report.push(Finding::warning(path, None, problem, fix));
        }
        Ok(Some(comparison)) => {
            row.dovecot = "differs";
            row.differences += tell(path, &comparison.disagreements, &fix, report);
        }
        Err(other) => row.differences += tell(path, &[other], "mend that, and check again", report),
    }
}

/// Reports what is wrong with a mailbox: the first few, and how many there are. Returns that.
fn tell<T: Display>(path: &Path, found: &[T], fix: &str, report: &mut Report) -> usize {
    for problem in found.iter().take(SHOWN) {
        report.push(Finding::error(path, None, plain(&problem.to_string()), fix));
    }
    let rest = found.len().saturating_sub(SHOWN);
    if rest > 0 {
        let more = count(rest, "more difference", "more differences");
        report.push(Finding::error(
            path,
            None,
            format!("{more} like these"),
            fix,
        ));
    }
    found.len()
}

/// What the table says if Dovecot's list says nothing wrong but lacks the last UIDs.
const BEHIND: &str = "older";
/// How many differences of one kind are shown of a mailbox: enough to see what it is about.
const SHOWN: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_differences_is_cut_but_counted() {
        for (found, lines) in [
            (0, 0),
            (SHOWN, SHOWN),
            (SHOWN + 1, SHOWN + 1),
            (400, SHOWN + 1),
        ] {
            let mut report = Report::default();
            let differences: Vec<usize> = (0..found).collect();
            let told = tell(Path::new("/mail"), &differences, "mend it", &mut report);
            assert_eq!((told, report.findings().len()), (found, lines));
            if found > SHOWN {
                let last = report.findings().last().unwrap().problem.clone();
                assert!(last.starts_with(&(found - SHOWN).to_string()), "{last}");
            }
        }
    }
}
