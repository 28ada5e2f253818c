//! `highwater plan`.

mod show;

use tokio_util::sync::CancellationToken;

use super::sync::worse;
use super::{EXIT_DONE, EXIT_FAILED, EXIT_RETRY, output, tables};
use crate::app::App;
use crate::engine::PreviewOptions;
use crate::plan::preview::PROJECT_LOAD_JOBS_MAX;
use crate::report::FailureClass;
use crate::report::plan::PlanReport;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Tables, as `source/table`, or `table` where only one source has it.
    #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "TABLE")]
    tables: Vec<String>,
    /// Every table of the configuration, those that its patterns find included.
    #[arg(long)]
    all: bool,
    /// Count the rows to move, for at most 60 s a table, instead of estimating them.
    #[arg(long)]
    count: bool,
    /// Plan as a run with `--accept` would: from the watermark although the table's settings changed since it was made.
    #[arg(long)]
    accept: bool,
}

pub(super) async fn run(app: &App, arguments: Arguments, json: bool, stop: CancellationToken) -> u8 {
    let (seen, untold) = match tables::chosen(app, &arguments.tables, arguments.all, &stop).await {
        Ok(chosen) => chosen,
        Err(code) => return code,
    };
    let options = PreviewOptions { accept: arguments.accept, count: arguments.count };
    let reports = Box::pin(app.plan(&seen.tables, options, &stop)).await;
    if json {
        reports.iter().for_each(output::json);
    } else {
        for (at, report) in reports.iter().enumerate() {
            if at > 0 {
                output::line("");
            }
            show::lines(report).iter().for_each(|line| output::line(line));
        }
    }
    if let Some(warning) = too_many(&reports) {
        output::note(&warning);
    }
    worse(exit_code(&reports, arguments.all), untold)
}

/// That the schedules of all these tables come to more load jobs than a project may have.
fn too_many(reports: &[PlanReport]) -> Option<String> {
    let quotas = reports.iter().filter_map(|report| report.quota.as_ref());
    let jobs = quotas.map(|quota| quota.load_jobs_per_day).fold(0, u64::saturating_add);
    (jobs > PROJECT_LOAD_JOBS_MAX).then(|| {
        format!(
            "the schedules of these tables come to {jobs} load jobs a day, should each run find rows: BigQuery takes \
             {PROJECT_LOAD_JOBS_MAX} of a project; run tables less often, or say `job_project` for some of them"
        )
    })
}

/// Nobody named what a pattern found: with `--all`, that it lacks something is told, and nothing else.
fn exit_code(reports: &[PlanReport], all: bool) -> u8 {
    let counts = reports.iter().filter(|report| !(all && report.unusable));
    let classes: Vec<FailureClass> = counts.filter_map(|report| Some(report.error.as_ref()?.class)).collect();
    if classes.iter().any(|class| *class != FailureClass::Transient) {
        EXIT_FAILED
    } else if classes.is_empty() {
        EXIT_DONE
    } else {
        EXIT_RETRY
    }
}
