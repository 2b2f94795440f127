//! `aether version`.

use super::print;
use clap::Args;
use std::process::ExitCode;

/// Print the version and what this binary was built for
///
/// For bug reports. `aether --version` prints the first line only.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  aether version")]
pub struct Version {}

impl Version {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let profile = if cfg!(debug_assertions) { "debug, slow" } else { "release" };
        let hooks = if cfg!(feature = "test-hooks") { ", with test hooks: not for production" } else { "" };
        print(&format!(
            "aether {}\nbuild     {profile}{hooks}\nplatform  {} {}\n",
            env!("CARGO_PKG_VERSION"),
            std::env::consts::OS,
            std::env::consts::ARCH
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}
