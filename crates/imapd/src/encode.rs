//! The only place that writes wire syntax.

pub(crate) mod string;
