//! The directory for what the server remembers over restarts.

use std::fs;
use std::io;

use super::{Check, is_world_readable, probe};
use crate::config::Finding;

/// Warns if failed logins cannot be kept over restarts.
pub(super) fn check(check: &mut Check<'_>) {
    let Some(directory) = &check.settings.state_dir else {
        return;
    };
    let shown = directory.display();
    let trouble = match fs::metadata(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Some("there is no such directory".to_owned())
        }
        Err(error) => Some(error.kind().to_string()),
        Ok(found) if !found.is_dir() => Some("not a directory".to_owned()),
        Ok(_) => probe(directory)
            .err()
            .map(|error| format!("cannot be written: {}", error.kind())),
    };
    if let Some(trouble) = trouble {
        let problem = format!("a restart forgets which logins have failed: {trouble}");
        let fix = format!(
            "mkdir -p {shown}, and let it belong to the user that Pillarbox runs as; or write \
             state_dir = \"\" if nothing is to be kept"
        );
        let finding = Finding::warning(directory, None, problem, fix);
        check.push("state_dir", finding);
    }
    let file = directory.join("throttle");
    if is_world_readable(&file) {
        let problem = "other users of this machine can read it";
        let fix = format!("chmod 600 {}", file.display());
        check.push("state_dir", Finding::warning(&file, None, problem, fix));
    }
}
