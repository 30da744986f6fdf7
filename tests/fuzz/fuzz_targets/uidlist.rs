//! UID lists of other servers: no UID and no base is ever there twice, and writing loses nothing.
#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use mailstore::foreign::Uidlist;

fuzz_target!(|file: &[u8]| {
    let Ok(list) = Uidlist::parse(file) else {
        return;
    };
    assert!(list.entries.is_sorted_by(|a, b| a.uid < b.uid));
    assert!(list.entries.iter().all(|entry| entry.uid < list.next_uid));
    let bases: HashSet<_> = list.entries.iter().map(|entry| &entry.base).collect();
    assert_eq!(bases.len(), list.entries.len());
    let again = Uidlist::parse(&list.write()).expect("what was written is read");
    let uids = |list: &Uidlist| -> Vec<_> { list.entries.iter().map(|entry| entry.uid).collect() };
    assert_eq!(again.uid_validity, list.uid_validity);
    assert!(again.next_uid <= list.next_uid);
    assert!(bases.iter().any(|base| base.contains(&0)) || uids(&again) == uids(&list));
});
