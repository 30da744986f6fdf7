//! Maildir file names: any rewriting of the flags keeps the identity and what is not ours.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mailstore::FlagSet;
use mailstore::filename::{FileName, SortKey, base, with_flags};

fuzz_target!(|input: (u64, &[u8])| {
    let (bits, name) = input;
    let flags = FlagSet::from_bits(bits);
    let changed = with_flags(name, flags);
    assert_eq!(base(&changed), base(name));
    assert_eq!(SortKey::new(&changed), SortKey::new(name));
    assert_eq!(with_flags(&changed, flags), changed);
    let (before, after) = (FileName::parse(name), FileName::parse(&changed));
    assert_eq!(before.is_some(), after.is_some());
    if let (Some(before), Some(after)) = (before, after) {
        let in_name = FlagSet::from_bits((1 << 31) - 1);
        assert_eq!(after.flags, flags.without(flags.without(in_name)));
        assert_eq!(
            (before.size, before.rfc822_size),
            (after.size, after.rfc822_size)
        );
        assert_eq!(
            FileName::parse(&with_flags(&changed, before.flags)),
            Some(before)
        );
    }
});
