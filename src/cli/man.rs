//! `highwater man` and `highwater completions`: what shells and readers are told of the command line, from the command line
//! itself.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, EXIT_DONE, EXIT_FAILED, EXIT_USAGE, output};
use crate::model::{Code, Told};

#[derive(Debug, clap::Args)]
pub(super) struct Manual {
    /// The command that the page is about; of all of them if none is named.
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints a page for `man -l -`.
pub(super) fn manual(arguments: &Manual) -> u8 {
    let mut cli = Cli::command();
    cli.build();
    let command = match &arguments.command {
        None => cli,
        Some(name) => match cli.find_subcommand(name) {
            // its name is that of the program and its own
            Some(command) => command.clone().name(format!("highwater-{name}")),
            None => {
                output::fault(&Told::new(
                    Code::Usage,
                    &format!("{name:?} is no command; `highwater --help` names them"),
                ));
                return EXIT_USAGE;
            }
        },
    };
    let mut page = Vec::new();
    match clap_mangen::Man::new(command).render(&mut page) {
        Ok(()) => print(&page),
        Err(error) => {
            output::fault(&Told::new(Code::Machine, &format!("the page cannot be written: {error}")));
            EXIT_FAILED
        }
    }
}

/// Prints a script that the shell reads.
pub(super) fn completions(arguments: &Completions) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "highwater", &mut script);
    print(&script)
}

fn print(bytes: &[u8]) -> u8 {
    output::text(&String::from_utf8_lossy(bytes));
    EXIT_DONE
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn every_command_has_a_page_and_every_shell_a_script() {
        let mut cli = Cli::command();
        cli.build();
        let mut commands = 0;
        for command in cli.get_subcommands() {
            let mut page = Vec::new();
            clap_mangen::Man::new(command.clone()).render(&mut page).unwrap();
            let page = String::from_utf8(page).unwrap();
            assert!(page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"), "{page}");
            commands += 1;
        }
        assert!(commands > 10, "{commands}");
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell, Shell::Elvish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "highwater", &mut script);
            assert!(String::from_utf8(script).unwrap().contains("backfill"), "{shell}");
        }
    }
}
