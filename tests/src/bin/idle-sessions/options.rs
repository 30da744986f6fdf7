//! What is asked for on the command line.

use anyhow::{Context, Result, bail, ensure};

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Sessions in all.
    pub(crate) sessions: usize,
    /// Mailboxes that they share evenly.
    pub(crate) mailboxes: usize,
    /// Deliveries one after another, each when all sessions know of the last one.
    pub(crate) deliveries: usize,
    /// How often many mailboxes are delivered to at once.
    pub(crate) bursts: usize,
    /// How many those are.
    pub(crate) at_once: usize,
    /// How long the processor time of idle sessions is watched.
    pub(crate) seconds: u64,
    /// Whether the sessions are under TLS.
    pub(crate) tls: Tls,
    /// Whether they are compressed (RFC 4978).
    pub(crate) compress: Compress,
    /// How they wait.
    pub(crate) waiting: Wait,
}

/// How sessions wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// In IDLE (RFC 2177).
    Idle,
    /// With NOTIFY for their whole account (RFC 5465).
    Notify,
}

/// Whether sessions are under TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tls {
    /// They are in the clear.
    Off,
    /// They are.
    On,
}

/// Whether sessions are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compress {
    /// They are not.
    Off,
    /// They are.
    On,
}

impl Options {
    /// Reads the arguments.
    ///
    /// # Errors
    /// If there is one that is not known, or makes no sense.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            sessions: 10_000,
            mailboxes: 200,
            deliveries: 200,
            bursts: 20,
            at_once: 20,
            seconds: 10,
            tls: Tls::Off,
            compress: Compress::Off,
            waiting: Wait::Idle,
        };
        while let Some(argument) = arguments.next() {
            let mut number = || -> Result<usize> {
                let value = arguments.next().with_context(|| argument.clone())?;
                value.parse().with_context(|| argument.clone())
            };
            match argument.as_str() {
                "--sessions" => options.sessions = number()?,
                "--mailboxes" => options.mailboxes = number()?,
                "--deliveries" => options.deliveries = number()?,
                "--bursts" => options.bursts = number()?,
                "--at-once" => options.at_once = number()?,
                "--seconds" => options.seconds = u64::try_from(number()?)?,
                "--tls" => options.tls = Tls::On,
                "--compress" => options.compress = Compress::On,
                "--notify" => options.waiting = Wait::Notify,
                _ => bail!("{argument}: not known\n{USAGE}"),
            }
        }
        ensure!(options.mailboxes > 0, "a session needs a mailbox");
        ensure!(
            options.sessions >= options.mailboxes,
            "a mailbox needs a session"
        );
        options.at_once = options.at_once.min(options.mailboxes);
        Ok(options)
    }

    /// What the sessions are carried by, in words.
    pub(crate) fn carried(&self) -> &'static str {
        match (self.tls, self.compress) {
            (Tls::Off, Compress::Off) => "in the clear",
            (Tls::Off, Compress::On) => "compressed",
            (Tls::On, Compress::Off) => "under TLS",
            (Tls::On, Compress::On) => "compressed under TLS",
        }
    }
}

const USAGE: &str = "usage: idle-sessions [--sessions N] [--mailboxes N] [--deliveries N] \
[--bursts N] [--at-once N] [--seconds N] [--tls] [--compress] [--notify]";
