//! The command line: arguments, and one file per command.

mod output;
mod reset;
mod serve;
mod status;
mod sync;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::config::{Config, Env};
use crate::log;

/// Done.
const EXIT_DONE: u8 = 0;
/// Failed, and trying again cannot help.
const EXIT_FAILED: u8 = 1;
/// Bad usage or configuration.
const EXIT_USAGE: u8 = 2;
/// Failed, and worth trying again (EX_TEMPFAIL of sysexits.h).
const EXIT_RETRY: u8 = 75;

/// Moves tables from MySQL and PostgreSQL into BigQuery: incrementally, exactly once.
#[derive(Debug, Parser)]
#[command(name = "highwater", version, about, long_about = LONG_ABOUT, after_help = AFTER_HELP, max_term_width = 110)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const LONG_ABOUT: &str = "Highwater moves tables from MySQL and PostgreSQL into BigQuery.

Each run moves a table from its watermark (the last row known to be in BigQuery) up to the ceiling (the point \
below which no transaction can add rows any more), in bounded chunks. What it remembers lies in one small object \
per table on Cloud Storage, so runs may overlap, crash and be repeated: nothing is lost, nothing is applied twice.";

const AFTER_HELP: &str = "Examples:
  highwater sync finance/invoices            move one table forward
  highwater sync --all --until-caught-up     move every table until nothing is left
  highwater status                           where every table is
  highwater verify finance/invoices          compare both sides; --repair mends what differs
  highwater serve                            answer POST /sync/{source}/{table} and POST /pubsub

Environment:
  HIGHWATER_CONFIG         the configuration file (default: highwater.yaml)
  HIGHWATER_LOG            log filter (default: info), for example highwater=debug
  PORT                     where `serve` listens (Cloud Run sets it)
  STORAGE_EMULATOR_HOST, BIGQUERY_EMULATOR_HOST
                           use emulators, without credentials
  NO_COLOR                 no colours

Exit status: 0 done, 1 failed (verify: rows differ), 2 bad usage or configuration, 75 worth trying again.";

#[derive(Debug, Args)]
struct Global {
    /// The configuration file.
    #[arg(long, short, global = true, env = "HIGHWATER_CONFIG", default_value = "highwater.yaml", value_name = "FILE")]
    config: PathBuf,
    /// Print JSON instead of a table, one object per line.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer HTTP requests that name the table to run.
    Serve(serve::Arguments),
    /// Move tables forward now.
    Sync(sync::Arguments),
    /// Show where tables are: watermark, pending intent, rows so far.
    Status(status::Arguments),
    /// Compare tables with their sources by checksums, name the rows that differ, and repair them.
    Verify(verify::Arguments),
    /// Set a table's watermark back (or anywhere), so that rows are read again.
    Reset(reset::Arguments),
}

/// Runs the program and gives its exit status.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let env = Env::from_process();
    let format = match cli.command {
        Command::Serve(_) => output::log_format_of_service(&env),
        Command::Sync(_) | Command::Status(_) | Command::Verify(_) | Command::Reset(_) => output::log_format(&env),
    };
    if let Err(error) = log::start(format, env.log_filter()) {
        output::fault(&error.to_string());
        return ExitCode::from(EXIT_USAGE);
    }
    let config = match Config::load(&cli.global.config, &env) {
        Ok(config) => config,
        Err(errors) => {
            output::fault(&errors.to_string());
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::fault(&format!("the runtime cannot start: {error}"));
            return ExitCode::from(EXIT_FAILED);
        }
    };
    let code = runtime.block_on(run(cli, config, &env));
    // a compressing thread that still waits for its reader must not hold the process
    runtime.shutdown_background();
    ExitCode::from(code)
}

#[cfg_attr(not(feature = "testing"), expect(unused_variables, reason = "only tests arm faults"))]
async fn run(cli: Cli, config: Config, env: &Env) -> u8 {
    let stop = CancellationToken::new();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(stop_on_signal(stop.clone()));
    let app = App::new(config);
    #[cfg(feature = "testing")]
    let app = match crate::engine::faults::Faults::parse(env.get("HIGHWATER_FAULTS").unwrap_or_default()) {
        Ok(faults) => app.with_faults(faults),
        Err(error) => {
            output::fault(&error);
            return EXIT_USAGE;
        }
    };
    let app = Arc::new(app);
    let json = cli.global.json;
    match cli.command {
        Command::Serve(arguments) => serve::run(app, arguments, stop).await,
        Command::Sync(arguments) => sync::run(app, arguments, json, stop).await,
        Command::Status(arguments) => status::run(&app, arguments, json, stop).await,
        Command::Verify(arguments) => verify::run(&app, arguments, json, stop).await,
        Command::Reset(arguments) => reset::run(&app, arguments, json, stop).await,
    }
}

/// SIGTERM or SIGINT asks everything to end after its step.
async fn stop_on_signal(stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        tracing::warn!("signals cannot be heard: the process ends at once on SIGTERM, and the next run goes on");
        return;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop.cancel();
}
