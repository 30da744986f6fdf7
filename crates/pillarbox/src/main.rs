//! The `pillarbox` command: arguments in, exit code out.

fn main() {}
