//! Reads the command line, does what it says, turns an error into an exit code.

use aether::cli::Cli;
use clap::Parser;
use std::process::ExitCode;

/// Tells what the program holds from what it keeps for later, and gives memory back: a leak cannot hide behind an allocator's habits.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Freed memory goes back to the system within seconds, by a thread of the allocator's own. A profile of the heap can be made, and is not until an
/// operator asks for one.
#[unsafe(export_name = "malloc_conf")]
pub static MALLOC_CONF: &[u8] =
    b"background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0,narenas:4,prof:true,prof_active:false,lg_prof_sample:19\0";

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
