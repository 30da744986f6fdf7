//! Mailbox names from a client and from a directory: what is accepted has one spelling only and
//! stays below the account's root.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mailstore::Namespace;

fuzz_target!(|input: (u8, &[u8])| {
    let (choice, name) = input;
    let namespace = Namespace {
        prefix: if choice & 1 == 0 { "" } else { "INBOX." }.to_owned(),
        separator: if choice & 3 == 0 { '/' } else { '.' },
        utf8_on_disk: choice & 4 != 0,
    };
    if let Ok(parsed) = namespace.parse(name) {
        let shown = namespace.display(&parsed);
        assert!(shown.bytes().all(|byte| (0x20..0x7F).contains(&byte)));
        assert_eq!(namespace.parse(shown.as_bytes()), Ok(parsed.clone()));
        let directory = namespace.directory(&parsed);
        assert!(!directory.contains(['/', '\0']) && !directory.contains(".."));
        assert!(directory.len() <= 255);
        if !parsed.is_inbox() {
            assert!(shown.starts_with(&namespace.prefix));
            assert_eq!(namespace.from_directory(directory.as_bytes()), Some(parsed));
        }
    }
    if let Some(found) = namespace.from_directory(name) {
        assert_eq!(namespace.directory(&found).as_bytes(), name);
    }
});
