//! Any octets as an IMAP command: parsed or refused, never worse.
#![no_main]

use imapd::{Limits, grammar};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let parsed = grammar::command(input, &Limits::default());
    assert!(!input.is_empty() || parsed.is_err());
});
