//! Logs: to standard error, for people or as JSON, one event on one line.
//!
//! Each connection has one span with its id, peer, protocol and user. Nothing logged holds message
//! text or secrets; names that a peer chose may be logged, so control characters are escaped here,
//! for all events in one place.

use std::fmt;
use std::io::{self, Write};
use std::panic;

use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing::subscriber::set_global_default;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{DefaultFields, FormatFields, Writer};
use tracing_subscriber::fmt::{FormattedFields, MakeWriter};

/// How events are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Sends events to standard error from now on, for the whole process, and turns panics into one
/// event each.
///
/// `filter` is in the syntax of `RUST_LOG`, such as `info` or `pillarbox=debug`; the environment
/// variable `PILLARBOX_LOG` wins over it.
///
/// # Errors
/// If the filter is malformed, or events of this process go somewhere already.
pub fn init(format: Format, filter: &str) -> Result<(), Error> {
    let filter = match std::env::var(VARIABLE) {
        Ok(filter) => EnvFilter::try_new(filter).map_err(Error::Variable)?,
        Err(_) => EnvFilter::try_new(filter)?,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_target(false)
        .with_writer(Lines(io::stderr));
    // Not by `try_init`, which takes the records of the crate `log`, too: what asks issuers of
    // tokens writes there at level `trace` every octet that it sends.
    match format {
        Format::Human => set_global_default(builder.fmt_fields(Fields::default()).finish()),
        Format::Json => set_global_default(builder.json().with_current_span(true).finish()),
    }
    .map_err(|_| Error::AlreadySet)?;
    panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Why events cannot be logged as asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter in the environment is malformed.
    #[error(
        "{VARIABLE} in the environment: {0}; write a level such as `debug`, or `pillarbox=debug`"
    )]
    Variable(tracing_subscriber::filter::ParseError),
    /// The filter is malformed.
    #[error("log filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The process sends its events somewhere already.
    #[error("logging is set up already")]
    AlreadySet,
}

/// The environment variable that wins over the configuration.
const VARIABLE: &str = "PILLARBOX_LOG";

/// Logs where a panic happened, but not its message: that may quote what a peer sent.
fn log_panic(info: &panic::PanicHookInfo<'_>) {
    let (file, line) = info.location().map_or(("unknown", 0), |location| {
        (location.file(), location.line())
    });
    tracing::error!(file, line, "panicked");
}

/// Writes fields as people read them. What is recorded again takes the place of what was recorded
/// before, as in JSON: a connection may have one user after another (RFC 8437).
#[derive(Default)]
struct Fields(DefaultFields);

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        self.0.format_fields(writer, fields)
    }

    fn add_fields(
        &self,
        current: &'w mut FormattedFields<Self>,
        fields: &Record<'_>,
    ) -> fmt::Result {
        fields.record(&mut Forget(&mut current.fields));
        if !current.fields.is_empty() {
            current.fields.push(' ');
        }
        self.format_fields(current.as_writer(), fields)
    }
}

/// Cuts fields off that are recorded again, with what was recorded since: spans are made with what
/// they are about, and only the user comes later. So nothing a peer sent stands before it.
struct Forget<'f>(&'f mut String);

impl Visit for Forget<'_> {
    fn record_debug(&mut self, field: &Field, _: &dyn fmt::Debug) {
        if let Some(place) = self.0.find(&format!(" {}=", field.name())) {
            self.0.truncate(place);
        }
    }
}

/// Makes each event one line of what `W` makes.
struct Lines<W>(W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Lines<W> {
    type Writer = Line<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Line(self.0.make_writer())
    }
}

/// Writes whole events, each given in one call, with their control characters escaped.
struct Line<W>(W);

impl<W: Write> Write for Line<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.0.write_all(escape(event).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The event as one line: all control characters but the last line feed become `\u` and four
/// digits, which is valid inside JSON strings too.
fn escape(event: &[u8]) -> String {
    let text = String::from_utf8_lossy(event);
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let mut line = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        match character {
            // The line and paragraph separators break lines in some viewers.
            '\u{2028}' | '\u{2029}' => push_escaped(&mut line, character),
            _ if character.is_control() => push_escaped(&mut line, character),
            _ => line.push(character),
        }
    }
    line.push('\n');
    line
}

fn push_escaped(line: &mut String, character: char) {
    line.push_str(&format!("\\u{:04x}", u32::from(character)));
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut sink = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            sink.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn log(format: Format, emit: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let builder = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(Lines(move || writer.clone()));
        match format {
            Format::Human => {
                let builder = builder.fmt_fields(Fields::default());
                tracing::subscriber::with_default(builder.finish(), emit);
            }
            Format::Json => tracing::subscriber::with_default(builder.json().finish(), emit),
        }
        sink.text()
    }

    #[test]
    fn what_is_recorded_again_is_logged_once() {
        for format in [Format::Human, Format::Json] {
            let text = log(format, || {
                let span = tracing::info_span!("connection", id = 1, user = tracing::field::Empty);
                let _entered = span.enter();
                for user in ["ann", "mallory\" user=\"y", "bob"] {
                    span.record("user", user);
                }
                tracing::info!("logged in");
            });
            assert!(!text.contains("ann") && !text.contains("mallory"), "{text}");
            assert_eq!(text.matches("user").count(), text.matches("bob").count());
            assert!(text.contains("bob") && text.contains("id"), "{text}");
        }
    }

    #[test]
    fn an_event_is_one_line_whatever_a_peer_sent() {
        for format in [Format::Human, Format::Json] {
            let text = log(format, || {
                let span = tracing::info_span!("connection", user = "eve\r\n2026 forged");
                let _entered = span.enter();
                tracing::info!(name = "a\u{1b}[2J\u{9b}b\u{2028}c\nd\0", "first\nevent");
                tracing::info!("second event");
            });
            assert_eq!(text.lines().count(), 2, "{text}");
            assert!(text.ends_with("\n"));
            let line_feeds = text.matches('\n').count();
            assert_eq!(line_feeds, 2);
            assert!(
                text.chars().all(|c| c == '\n' || !c.is_control()),
                "{text:?}"
            );
            assert!(!text.contains('\u{2028}'));
            assert!(text.contains("forged") && text.contains("second event"));
        }
    }

    #[test]
    fn escape_keeps_printable_text() {
        assert_eq!(escape("grüße 漢字\n".as_bytes()), "grüße 漢字\n");
        assert_eq!(escape(b"a\tb\r\nc"), "a\\u0009b\\u000d\\u000ac\n");
        assert_eq!(escape(b"\xff"), "\u{fffd}\n");
    }
}
