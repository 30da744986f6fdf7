//! Test support: the server harness and the transcript runner.
