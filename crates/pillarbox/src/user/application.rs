//! `pillarbox user app-password …`: passwords of single programs.

use std::io::Write;
use std::time::SystemTime;

use anyhow::{Result, bail, ensure};
use auth::application::{ApplicationPassword, Label, generate};
use auth::password::random_salt;
use auth::users::{Editor, Users};

use super::Target;
use crate::cli::{AppPasswordArgs, AppPasswordCommand, UserNameArgs};
use crate::source::Source;

/// Does what the arguments say.
pub(super) fn run(command: &AppPasswordCommand, out: &mut impl Write) -> Result<()> {
    match command {
        AppPasswordCommand::Add(args) => add(args, out),
        AppPasswordCommand::List(args) => list(args, out),
        AppPasswordCommand::Revoke(args) => revoke(args, out),
    }
}

/// `user app-password add`
fn add(args: &AppPasswordArgs, out: &mut impl Write) -> Result<()> {
    let target = Target::of(&args.user.file)?;
    let name = target.name(&args.user.name)?;
    let label = Label::new(&args.label)?;
    let secret = generate(random_salt)?;
    let since = Source::system()
        .wall()
        .duration_since(SystemTime::UNIX_EPOCH);
    let made = since.unwrap_or_default().as_secs();
    let one = ApplicationPassword::new(label, made, random_salt()?, &secret);
    let mut editor = edit(&target)?;
    editor.add_application(&name, &one)?;
    editor.save()?;
    out.write_all(secret.expose())?;
    writeln!(out)?;
    Ok(())
}

/// `user app-password list`
fn list(args: &UserNameArgs, out: &mut impl Write) -> Result<()> {
    let target = Target::of(&args.file)?;
    let name = target.name(&args.name)?;
    let users = Users::load(&target.users, target.default_domain.as_deref())?;
    let Some(account) = users.get(&name) else {
        bail!("{name} is not in {}", target.users.display());
    };
    for one in &account.application {
        writeln!(out, "{}\t{}", one.label(), day(one.made()))?;
    }
    Ok(())
}

/// `user app-password revoke`
fn revoke(args: &AppPasswordArgs, out: &mut impl Write) -> Result<()> {
    let target = Target::of(&args.user.file)?;
    let name = target.name(&args.user.name)?;
    let label = Label::new(&args.label)?;
    let mut editor = edit(&target)?;
    editor.revoke_application(&name, label.as_str())?;
    editor.save()?;
    writeln!(out, "revoked {} of {name}", label.as_str())?;
    Ok(())
}

/// Takes the lock on the users file, which must be there and sound.
fn edit(target: &Target) -> Result<Editor> {
    // Opening for editing would make the file.
    ensure!(
        target.users.exists(),
        "there is no users file {}",
        target.users.display()
    );
    Users::load(&target.users, target.default_domain.as_deref())?;
    target.edit()
}

/// The day of a time in seconds since 1970, as `2026-11-23`, in UTC.
fn day(seconds: u64) -> String {
    // Years begin in March here, so that the day that some lack comes last; 146,097 days are 400
    // years. No file needs a day that is further away than that of the largest 32-bit number.
    let days = seconds.min(u64::from(u32::MAX)) / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    format!("{:04}-{month:02}-{day:02}", era * 400 + year + next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_735_689_599, "2024-12-31"),
            (1_735_689_600, "2025-01-01"),
            (u64::MAX, "2106-02-07"),
        ] {
            assert_eq!(day(seconds), expected);
        }
    }
}
