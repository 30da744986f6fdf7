//! UIDONLY (RFC 9586): once it is enabled, messages have no numbers but their UIDs.
//!
//! FETCH responses become UIDFETCH and EXPUNGE becomes VANISHED, wherever they come from; what asks
//! with sequence numbers is refused. `*` in a set of UIDs stands for a UID, and so is none.

use super::enable::Feature;
use super::{Capability, Extension, Shown};
use crate::command::{Authenticated, Command, Search, SearchKey, Selected};
use crate::response::{Code, Completion};
use crate::session::{Session, State};
use crate::types::ByUid;

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::UidOnly,
    capability: "UIDONLY",
    rfc: 9586,
    shown: Shown::Always,
    enables: Some(Feature::UidOnly),
};

impl Session {
    /// Why a command is refused that uses sequence numbers, if the client has done away with them
    /// (RFC 9586 §3).
    pub(crate) fn refuse_numbers(&self, command: &Command) -> Option<Completion> {
        let enabled = match &self.state {
            State::Authenticated(account) => account.enabled,
            State::Selected(selected) => selected.account.enabled,
            State::NotAuthenticated(_) | State::Logout => return None,
        };
        let refused = enabled.has(Feature::UidOnly) && uses_numbers(command);
        refused.then(|| {
            let text = "Message numbers are not allowed once UIDONLY is enabled";
            Completion::bad(text).with(Code::UidRequired)
        })
    }
}

/// Whether a command has sequence numbers among its arguments or in its answer
/// (RFC 9586 §3.2, §3.5, §3.7).
fn uses_numbers(command: &Command) -> bool {
    match command {
        Command::Selected(command) => match command {
            Selected::Fetch { messages, .. }
            | Selected::Store { messages, .. }
            | Selected::Copy { messages, .. }
            | Selected::Move { messages, .. } => messages.by_uid() == ByUid::No,
            Selected::Replace { message, .. } => message.by_uid() == ByUid::No,
            Selected::Search(search) => searches_numbers(search),
            Selected::Check | Selected::Close | Selected::Unselect | Selected::Expunge(_) => false,
        },
        Command::Authenticated(
            Authenticated::Select(_, parameters) | Authenticated::Examine(_, parameters),
        ) => {
            let known = parameters.qresync.as_ref();
            known.is_some_and(|known| known.matches.is_some())
        }
        Command::Any(_) | Command::NotAuthenticated(_) | Command::Authenticated(_) => false,
    }
}

/// Whether a search is for sequence numbers, or by them (RFC 9586 §3.2, §3.5).
fn searches_numbers(search: &Search) -> bool {
    let mut keys = search.keys.iter().flatten();
    search.by_uid == ByUid::No || keys.any(SearchKey::names_numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar;
    use crate::settings::Limits;

    #[test]
    fn what_uses_numbers_is_known() {
        let rows = [
            ("FETCH 1 FLAGS", true),
            ("FETCH $ FLAGS", true),
            ("STORE 1 FLAGS ()", true),
            ("COPY * x", true),
            ("MOVE 1 x", true),
            ("REPLACE 1 x CATENATE (URL /y)", true),
            ("SEARCH ALL", true),
            ("UID SEARCH 1:*", true),
            ("UID SEARCH OR SEEN (NOT (2))", true),
            ("SELECT x (QRESYNC (1 2 1:5 (1:2 3:4)))", true),
            ("EXAMINE x (QRESYNC (1 2 (1:2 3:4)))", true),
            ("SELECT x (QRESYNC (1 2 1:5))", false),
            ("SELECT x", false),
            ("UID FETCH 1:* FLAGS", false),
            ("UID FETCH $ FLAGS", false),
            ("UID STORE 1 FLAGS ()", false),
            ("UID COPY 1 x", false),
            ("UID MOVE 1 x", false),
            ("UID REPLACE 1 x CATENATE (URL /y)", false),
            ("UID SEARCH UID 1:*", false),
            ("UID SEARCH $ SEEN", false),
            ("UID EXPUNGE 1:5", false),
            ("EXPUNGE", false),
            ("NOOP", false),
        ];
        for (command, expected) in rows {
            let bytes = format!("a {command}");
            let Ok(tagged) = grammar::command(bytes.as_bytes(), &Limits::default()) else {
                panic!("{command} is not understood");
            };
            assert_eq!(uses_numbers(&tagged.command), expected, "{command}");
        }
    }
}
