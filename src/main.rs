//! Parses the command line, calls one command, prints the error once, and gives the exit status.

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind as ClapError;
use harden::cli::Cli;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            if matches!(error.kind(), ClapError::DisplayHelp | ClapError::DisplayVersion) {
                let _ = error.print();
                return ExitCode::SUCCESS;
            }
            harden::commands::unreadable(&error);
            return ExitCode::from(harden::error::ErrorKind::Usage.exit_code());
        }
    };
    ExitCode::from(harden::commands::run(cli))
}
