//! Steering a running hub: commands for operators, and the record of who did what.

pub mod audit;
