//! `highwater check`.

use tokio_util::sync::CancellationToken;

use super::{EXIT_DONE, EXIT_FAILED, EXIT_RETRY, EXIT_USAGE, output};
use crate::app::{self, App};
use crate::config::ConfigErrors;
use crate::model::{Finding, Mend, Standing};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Sources, and tables as `source/table` or, if only one source has it, `table`. By default everything.
    #[arg(value_name = "SOURCE|TABLE")]
    names: Vec<String>,
}

pub(super) async fn run(app: &App, arguments: Arguments, json: bool, stop: CancellationToken) -> u8 {
    let wanted = match app.wanted(&arguments.names) {
        Ok(wanted) => wanted,
        Err(error) => {
            output::fault(&error.told());
            return EXIT_USAGE;
        }
    };
    let mut findings =
        vec![Finding::new("configuration", "variables", Standing::Ok).found("all that it names are set")];
    findings.extend(Box::pin(app.check(&wanted, &stop)).await);
    tell(&findings, json)
}

/// Of a configuration that could not be read: variables that are not set are lacks like others.
pub(super) fn unread(errors: &ConfigErrors, json: bool) -> u8 {
    match app::unset(&errors.unset()) {
        Some(findings) => tell(&findings, json),
        None => {
            output::faults(errors.told());
            EXIT_USAGE
        }
    }
}

fn tell(findings: &[Finding], json: bool) -> u8 {
    if json {
        findings.iter().for_each(output::json);
    } else {
        findings.iter().for_each(print);
        let count = |standing| findings.iter().filter(|finding| finding.standing == standing).count();
        let kinds = [Standing::Ok, Standing::Lacks, Standing::Optional, Standing::CannotTell];
        let counts: Vec<String> = kinds.map(|kind| format!("{} {}", count(kind), kind.name())).to_vec();
        output::line(&counts.join(", "));
    }
    if findings.iter().any(|finding| finding.standing == Standing::Lacks) {
        EXIT_FAILED
    } else if findings.iter().any(|finding| finding.unreached) {
        EXIT_RETRY
    } else {
        EXIT_DONE
    }
}

fn print(finding: &Finding) {
    let found = finding.found.as_ref().map(|found| format!(": {found}")).unwrap_or_default();
    output::line(&shown(&format!("{:<12} {}, {}{found}", finding.standing.name(), finding.about, finding.check)));
    let is_ok = finding.standing == Standing::Ok;
    for costs in finding.costs.iter().filter(|_| !is_ok) {
        output::line(&shown(&format!("             without it: {costs}")));
    }
    for mend in finding.mend.iter().filter(|_| !is_ok) {
        let whose = match mend {
            Mend::Sql(_) => "as its administrator",
            Mend::Shell(_) => "in a shell",
        };
        output::line(&shown(&format!("             {whose}: {}", mend.text())));
    }
}

/// On one line: a name may hold anything.
fn shown(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}
