//! Black-box tests: the real binary, spoken to over the wire. A module a capability; `support` is the harness.

mod support;

mod cli;
