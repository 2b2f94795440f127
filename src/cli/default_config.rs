//! `aether default-config`.

use super::print;
use crate::config::DEFAULT_TOML;
use clap::Args;
use std::process::ExitCode;

/// Print every option with its default, its unit and its meaning, as TOML
///
/// The output is a complete configuration file that changes nothing. Start from it, or only look things up in it: a file needs to contain only
/// what differs.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  aether default-config > aether.toml\n  aether default-config | grep -B2 ping_interval")]
pub struct DefaultConfig {}

impl DefaultConfig {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        print(DEFAULT_TOML)?;
        Ok(ExitCode::SUCCESS)
    }
}
