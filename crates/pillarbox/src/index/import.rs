//! `pillarbox index import`: taking mail over from another server, or telling what that would do.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use mailstore::foreign::{Problem, Server, Survey, survey};
use mailstore::inspect::{Listed, subscriptions};
use mailstore::{Account, Error};

use super::context::{
    Context, Work, account_text, count, count_files, exit_code, files_in, gone, is_gone, plain,
    problems, say,
};
use super::progress::Progress;
use super::table::{Align, Table};
use crate::cli::ImportArgs;
use crate::config::{Finding, Report};

/// Takes over all mailboxes that are meant; fails if there are problems.
pub(super) fn run(args: &ImportArgs) -> Result<ExitCode> {
    let context = Context::new(&args.mail.store, &args.mail.paths)?;
    let works = context.work(&args.mail)?;
    let progress = Progress::new(count_files(&works), "messages");
    let mut sum = Sum::default();
    for work in &works {
        let account = if args.dry_run {
            None
        } else {
            Some(context.account(&work.target.root)?)
        };
        let opening = match &account {
            None => Opening::Dry,
            Some(account) if args.again => Opening::Again(account),
            Some(account) => Opening::Open(account),
        };
        let text = import_account(&context, work, opening, &progress, &mut sum);
        say(&progress, &text)?;
    }
    let dry = if args.dry_run {
        "; nothing was changed"
    } else {
        ""
    };
    say(&progress, &format!("{sum}{dry}\n"))?;
    Ok(exit_code(sum.problems))
}

/// What is done with each mailbox.
#[derive(Clone, Copy, Debug)]
enum Opening<'a> {
    /// It is only looked at.
    Dry,
    /// It is opened, which takes it over if that has not been done.
    Open(&'a Account),
    /// As that, and a list with another UIDVALIDITY than the index is taken over as well.
    Again(&'a Account),
}

/// What all of it comes to.
#[derive(Debug, Default)]
struct Sum {
    accounts: usize,
    mailboxes: usize,
    messages: usize,
    uids: usize,
    uidls: usize,
    problems: usize,
}

impl std::fmt::Display for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let accounts = count(self.accounts, "account", "accounts");
        let mailboxes = count(self.mailboxes, "mailbox", "mailboxes");
        let messages = count(self.messages, "message", "messages");
        let uids = count(self.uids, "UID", "UIDs");
        let uidls = count(self.uidls, "POP3 UIDL", "POP3 UIDLs");
        let problems = count(self.problems, "problem", "problems");
        write!(
            f,
            "{accounts}, {mailboxes}, {messages}: {uids} and {uidls} kept, {problems}"
        )
    }
}

/// Takes over one account.
fn import_account(
    context: &Context,
    work: &Work,
    opening: Opening<'_>,
    progress: &Progress,
    sum: &mut Sum,
) -> String {
    let (left, right) = (Align::Left, Align::Right);
    let mut table = Table::new(&[
        ("MAILBOX", left),
        ("FROM", left),
        ("UIDVALIDITY", right),
        ("MESSAGES", right),
        ("UIDS KEPT", right),
        ("NEW UIDS", right),
        ("KEYWORDS", right),
        ("UIDLS", right),
        ("PROBLEMS", right),
    ]);
    let mut report = work.report.clone();
    for listed in &work.mailboxes {
        let before = problems(&report);
        let survey = import_mailbox(listed, opening, &mut report);
        let found = problems(&report) - before;
        sum.mailboxes += 1;
        sum.messages += survey.messages;
        sum.uids += survey.uids;
        sum.uidls += survey.uidls;
        let uid_validity = survey.uid_validity;
        table.row(vec![
            plain(&context.show(&listed.name)),
            from(&survey),
            uid_validity.map_or_else(|| "new".to_owned(), |value| value.to_string()),
            survey.messages.to_string(),
            survey.uids.to_string(),
            survey.messages.saturating_sub(survey.uids).to_string(),
            survey.keywords.to_string(),
            survey.uidls.to_string(),
            found.to_string(),
        ]);
        progress.steps(usize::try_from(files_in(&listed.directory)).unwrap_or_default());
    }
    let root = &work.target.root;
    let subscribed = match subscriptions(root, &context.options().namespace) {
        Ok(names) => count(names.len(), "subscription", "subscriptions"),
        Err(error) => {
            let fix = "mend the file, or move it away: then nothing is subscribed";
            report.push(Finding::error(root, None, error.to_string(), fix));
            "subscriptions cannot be read".to_owned()
        }
    };
    sum.accounts += 1;
    sum.problems += problems(&report);
    account_text(format!("{}: {subscribed}", root.display()), &table, &report)
}

/// Whose numbers the mailbox has after the takeover.
fn from(survey: &Survey) -> String {
    match (survey.indexed, survey.server) {
        (true, _) => "Pillarbox".to_owned(),
        (false, Some(Server::Dovecot)) => "Dovecot".to_owned(),
        (false, Some(Server::Courier)) => "Courier".to_owned(),
        (false, None) => "-".to_owned(),
    }
}

fn import_mailbox(listed: &Listed, opening: Opening<'_>, report: &mut Report) -> Survey {
    let path = &listed.directory;
    let looked = survey(path).and_then(|before| {
        let again = |problem: &Problem| matches!(problem, Problem::Different { .. });
        match opening {
            Opening::Again(account) if before.problems.iter().any(again) => {
                account.import(&listed.name)?;
                survey(path)
            }
            Opening::Dry | Opening::Open(_) | Opening::Again(_) => Ok(before),
        }
    });
    let survey = match looked {
        Ok(survey) => survey,
        Err(error) => {
            report.push(failure(listed, &error));
            return Survey::default();
        }
    };
    for problem in &survey.problems {
        report.push(finding(path, problem));
    }
    match opening {
        Opening::Open(account) | Opening::Again(account) if !survey.is_refused() => {
            if let Err(error) = account.open(&listed.name) {
                report.push(failure(listed, &error));
            }
        }
        Opening::Dry | Opening::Open(_) | Opening::Again(_) => {}
    }
    survey
}

fn failure(listed: &Listed, error: &Error) -> Finding {
    if is_gone(listed) {
        return gone(listed);
    }
    let path = &listed.directory;
    let fix = if matches!(error, Error::NoPermission { .. }) {
        "run this as the user that Pillarbox runs as"
    } else {
        "mend that, and import again"
    };
    Finding::error(path, None, plain(&error.to_string()), fix)
}

/// What stands in the way of keeping everything, with what can be done.
pub(super) fn finding(path: &Path, problem: &Problem) -> Finding {
    let shown = path.display();
    let mut text = problem.to_string();
    let fix = match problem {
        Problem::Damaged(_)
        | Problem::Missing
        | Problem::Nothing
        | Problem::NoList
        | Problem::NoUids => {
            text.push_str("; the mailbox is not opened");
            format!(
                "bring the list back from a backup, or accept that clients download again: \
                 pillarbox index rebuild {shown}"
            )
        }
        Problem::Served => "bring pillarbox.index back from a backup, or accept that clients \
             download again"
            .to_owned(),
        Problem::Different { .. } => format!(
            "to use the list, so that clients of today download again: \
             pillarbox index import --again {shown}; to stay, remove the list"
        ),
        Problem::Conflicts(_) => "nothing to do: clients download these messages again".to_owned(),
        Problem::TooManyKeywords(_) => {
            "remove keywords that nobody uses before the takeover".to_owned()
        }
        Problem::BeyondLetters(_) => {
            let fix = "nothing to do: only other programs do not see them";
            return Finding::warning(path, None, text, fix);
        }
    };
    Finding::error(path, None, text, fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::source::Source;
    use mailstore::Store;

    #[test]
    fn a_mailbox_that_goes_away_meanwhile_is_no_problem() {
        let dir = tempfile::tempdir().unwrap();
        let options = Settings::default().store(&Source::system());
        let account = Store::new(options.clone()).account(dir.path()).unwrap();
        let name = options.namespace.parse(b"Old").unwrap();
        account.create(&name).unwrap();
        let directory = dir.path().join(".Old");
        let listed = Listed { name, directory };
        account.delete(&listed.name).unwrap();
        let mut report = Report::default();
        let survey = import_mailbox(&listed, Opening::Open(&account), &mut report);
        assert_eq!(survey, Survey::default());
        assert_eq!((report.findings().len(), problems(&report)), (1, 0));
        // A file in its place is a problem.
        std::fs::write(&listed.directory, "").unwrap();
        import_mailbox(&listed, Opening::Open(&account), &mut report);
        assert_eq!(problems(&report), 1);
    }
}
