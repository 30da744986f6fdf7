//! A POP3 session: its state, and its [`Machine`].

use std::sync::Arc;

use machine::{Effect, Event, Link, Machine, Now};

use crate::settings::Settings;

/// One client's session, from the greeting to the end.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    link: Link,
    started: Now,
    output: Vec<u8>,
}

impl Session {
    /// Starts a session with its greeting (RFC 1939 §4).
    pub fn new(settings: Arc<Settings>, link: Link, now: Now) -> Self {
        let output = format!("+OK POP3 server on {} ready\r\n", settings.hostname).into_bytes();
        Self {
            settings,
            link,
            started: now,
            output,
        }
    }
}

impl Machine for Session {
    type Credential = auth::Credential;
    type Verdict = auth::Verdict;

    fn on(&mut self, now: Now, event: Event<'_, auth::Verdict>) {
        let _ = (now, event, &self.link, self.started, self.settings.timeouts);
    }

    fn next(&mut self) -> Effect<auth::Credential> {
        if self.output.is_empty() {
            return Effect::Close;
        }
        Effect::Write(std::mem::take(&mut self.output))
    }

    fn work(&mut self, _now: Now) {}
}
