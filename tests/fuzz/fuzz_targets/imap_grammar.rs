//! Any octets as an IMAP command: parsed or refused, never worse.
#![no_main]

use imapd::{Limits, grammar};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    match grammar::command(input, &Limits::default()) {
        Ok(parsed) => assert!(input.starts_with(parsed.tag.as_str().as_bytes())),
        Err((_, error)) => {
            assert!(error.at() <= input.len());
            // What is said of a command never has a part of it.
            assert!(error.to_string().is_ascii());
        }
    }
});
