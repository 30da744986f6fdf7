//! What every state shares, and the one check of commands against states.

use std::fmt;
use std::sync::Arc;

use auth::sasl::{Channel, Mechanisms};
use machine::Link;

use super::State;
use crate::command::{Any, Command, LanguageRange};
use crate::error::Refused;
use crate::response::{Responses, capabilities};
use crate::settings::Settings;

/// What commands need besides their state.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) settings: Arc<Settings>,
    pub(super) link: Link,
    /// The mechanisms that this client does not get to see.
    pub(super) hidden: Mechanisms,
    pub(super) utf8: Utf8Mode,
    pub(super) responses: Responses,
}

/// Whether the client has said UTF8 (RFC 6856 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Utf8Mode {
    /// It has not.
    Off,
    /// It has.
    On,
}

impl Context {
    /// Runs a command in a state: the only check of commands against states.
    pub(super) fn run(&mut self, state: State, command: Command) -> (State, Result<(), Refused>) {
        match (state, command) {
            (state, Command::Any(Any::Capa)) => {
                self.responses.ok("capability list follows");
                for capability in capabilities(&self.settings, &self.link, self.mechanisms()) {
                    self.responses.item(capability);
                }
                self.responses.end();
                (state.interrupted(), Ok(()))
            }
            (state, Command::Any(Any::Lang(range))) => {
                let result = self.lang(range.as_ref());
                (state.interrupted(), result)
            }
            (State::Authorization(mut state), Command::Authorization(command)) => {
                let result = state.run(command, self);
                (State::Authorization(state), result)
            }
            (State::Transaction(mut state), Command::Transaction(command)) => {
                let result = state.run(command, self);
                (State::Transaction(state), result)
            }
            (State::Transaction(state), Command::Any(Any::Quit)) => (state.quit(), Ok(())),
            (_, Command::Any(Any::Quit)) => {
                self.goodbye(format_args!(""));
                (State::Ended, Ok(()))
            }
            (state @ State::Transaction(_), Command::Authorization(_)) => {
                (state, Err(Refused::LoggedIn))
            }
            (state, Command::Transaction(_) | Command::Authorization(_)) => {
                (state.interrupted(), Err(Refused::NotLoggedIn))
            }
        }
    }

    /// How the client can authenticate on this connection.
    pub(super) fn mechanisms(&self) -> Mechanisms {
        let possible = self.settings.mechanisms.now().on(&self.channel());
        possible.without(self.hidden)
    }

    /// What the connection gives mechanisms to go by.
    pub(super) fn channel(&self) -> Channel<'_> {
        let tls = &self.link.tls;
        Channel {
            exporter: tls.exporter.as_ref().map(<[u8; 32]>::as_slice),
            server_end_point: tls.server_end_point.as_deref(),
        }
    }

    /// LANG (RFC 6856 §3.2): all our texts are English.
    fn lang(&mut self, range: Option<&LanguageRange>) -> Result<(), Refused> {
        match range {
            None => {
                self.responses.ok("language listing follows");
                self.responses.item("en English");
                self.responses.end();
                Ok(())
            }
            Some(range) if range.finds("en") => {
                self.responses.ok("en language changed");
                Ok(())
            }
            Some(_) => Err(Refused::InvalidLanguage),
        }
    }

    /// The answer to QUIT (RFC 1939 §6).
    pub(super) fn goodbye(&mut self, about_the_maildrop: fmt::Arguments<'_>) {
        let hostname = self.hostname();
        self.responses.ok(format_args!(
            "{hostname} POP3 server signing off{about_the_maildrop}"
        ));
    }

    /// The host's name, made safe for the start of a text: a `[` there would announce a response
    /// code (RFC 2449 §8), and `<` a timestamp (RFC 1939 §7).
    pub(super) fn hostname(&self) -> String {
        self.settings.hostname.replace(['[', ']', '<', '>'], "")
    }
}
