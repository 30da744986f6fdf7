//! Maildir file names: base, size fields, and the flags after `:2,`.
