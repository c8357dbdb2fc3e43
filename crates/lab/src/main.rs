//! lab: the workstation tool of sunup.

use clap::Parser;

/// Builds images of sunup, boots them and tests them.
#[derive(Parser)]
#[command(version, about)]
struct Cli {}

fn main() {
    Cli::parse();
}
