//! The watchkeeper program.

mod args;
mod client;
mod export;
mod logs;
mod offline;
mod print;
mod ship;
mod verbs;

use std::process::ExitCode;

use clap::Parser as _;

use args::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // The library that TLS rests on is chosen once, for every client and listener of the process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match verbs::run(cli) {
        Ok(code) => code,
        Err(error) => {
            print::failure(&error);
            ExitCode::FAILURE
        }
    }
}
