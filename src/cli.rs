//! The command line: arguments, and one file per command.

mod backfill;
mod check;
mod config;
mod deletes;
mod discover;
mod explain;
mod gaps;
mod man;
mod output;
mod plan;
mod progress;
mod reset;
mod schedule;
mod serve;
mod status;
mod summary;
mod sync;
mod tables;
mod task;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::config::{Config, Env, Input, Loaded};
use crate::log;
use crate::model::{Code, Told};

/// The log filter where nobody says one.
const LOG_DEFAULT: &str = "info";
/// The same where bars tell what goes on.
const LOG_BESIDE_BARS: &str = "warn";
/// The log filter with `--quiet`, whatever else is said.
const LOG_QUIET: &str = "error";
/// The same without the line of each run that failed.
const LOG_QUIET_MOVING: &str = "error,highwater::app=off";

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
#[command(name = "highwater", version = env!("HIGHWATER_VERSION"), about, long_about = LONG_ABOUT, after_help = AFTER_HELP, max_term_width = 110)]
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
  highwater status                           where every table is, how fresh, and how its runs ended
  highwater config                           print the configuration, secrets masked
  highwater discover postgres://u@host/db    write a configuration for a database
  highwater check                            test everything that is needed; says what mends each lack
  highwater plan finance/invoices            what its next run would do, and what that costs
  highwater sync --all --dry-run             read and encode all that is new, and write nothing
  highwater tables                           the tables that the configuration comes to
  highwater schedule                         run each table by its `schedule`
  highwater backfill finance/invoices --from 2020-01-01 --to 2024-01-01
                                             bring older rows, window by window
  highwater gaps finance/invoices --fill     find windows that lack rows, and fill them
  highwater verify finance/invoices          compare both sides; --repair mends what differs
  highwater explain HW-TARGET-GONE           what an error's code means, and the way out
  source <(highwater completions bash)       complete commands and options
  highwater serve                            answer POST /sync/{source}/{table} and POST /pubsub,
                                             and show the status page at / and metrics at /metrics

Environment:
  HIGHWATER_CONFIG         the configuration file (default: highwater.yaml)
  SYNC_DATABASES           without a file: the databases whose variables, such as {ID}_DB_HOST,
                           are the configuration
  HIGHWATER_LOG            log filter (default: info; warn beside progress bars), for example highwater=debug
  PORT                     where `serve` listens (Cloud Run sets it)
  STORAGE_EMULATOR_HOST, BIGQUERY_EMULATOR_HOST, PUBSUB_EMULATOR_HOST
                           use emulators, without credentials
  CLOUD_RUN_TASK_INDEX, CLOUD_RUN_TASK_COUNT, CLOUD_RUN_TASK_ATTEMPT, CLOUD_RUN_EXECUTION
                           `sync` and `backfill` do their task's share (Cloud Run sets them)
  NO_COLOR                 no colours (nor where TERM is dumb, which has no progress bars either)
  A file .env in the working directory is read too; what the environment has of its own wins.

Exit status: 0 done, 1 failed (verify: rows differ, gaps: there are some, check: something lacks, plan: a table cannot be
synced), 2 bad usage or configuration, 75 worth trying again.
Errors have codes, HW-…: `highwater explain` lists them.";

#[derive(Debug, Args)]
struct Global {
    /// The configuration file.
    ///
    /// By default highwater.yaml. Where that is not there and none is named, variables are the configuration if
    /// SYNC_DATABASES names databases.
    #[arg(long, short, global = true, env = "HIGHWATER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON instead of a table, one object per line.
    #[arg(long, global = true)]
    json: bool,
    /// Print nothing but errors, on stderr; the exit status tells the rest.
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Wired(Wired),
    /// Print what the configuration came to, or turn another tool's into one of ours.
    Config(config::Arguments),
    /// Write a configuration from live databases, with proposals of cursors and keys.
    Discover(discover::Arguments),
    /// Say what the code of an error means, what is where, and the way out: `highwater explain HW-TARGET-GONE`.
    Explain(explain::Arguments),
    /// Print a script that completes commands and options: `source <(highwater completions bash)`.
    Completions(man::Completions),
    /// Print the manual page: `highwater man sync | man -l -`.
    Man(man::Manual),
}

/// Commands that need the configuration's services.
#[derive(Debug, Subcommand)]
enum Wired {
    /// Answer HTTP requests that name the table to run.
    ///
    /// Whoever reaches the address can start runs, unless the configuration has `auth`: then callers need an identity token
    /// of Google's, for `auth.audience` and of an account in `auth.invokers`.
    Serve(serve::Arguments),
    /// Move tables forward now.
    Sync(sync::Arguments),
    /// Look now for rows that are gone at the source, and take them out of the target, after moving the table forward.
    Deletes(deletes::Arguments),
    /// Show where tables are: watermark, pending intent, lag, how the last run ended, rows per day.
    Status(status::Arguments),
    /// Show the tables that the configuration comes to, and what each lacks.
    Tables(tables::Arguments),
    /// Test everything that Highwater needs, and say what mends each lack. Nothing that lasts is written.
    Check(check::Arguments),
    /// Show what the next run of tables would do: rows, index, columns, changes in BigQuery, jobs, cost. Nothing is written.
    Plan(plan::Arguments),
    /// Run each table by its `schedule`, in one process.
    Schedule(schedule::Arguments),
    /// Bring older rows, window by window, beside the live sync; or load a large table in parallel by ranges of its key.
    Backfill(backfill::Arguments),
    /// List windows that were never completed, or whose rows are not all in the target, and fill them.
    Gaps(gaps::Arguments),
    /// Compare tables with their sources by checksums, name the rows that differ, and repair them.
    Verify(verify::Arguments),
    /// Set a table's watermark back (or anywhere), so that rows are read again.
    Reset(reset::Arguments),
}

impl Command {
    /// Whether it moves or compares rows before a person's eyes, and then tells how that went.
    fn moves_rows(&self) -> bool {
        match self {
            Self::Wired(
                Wired::Sync(_) | Wired::Deletes(_) | Wired::Backfill(_) | Wired::Gaps(_) | Wired::Verify(_),
            ) => true,
            Self::Wired(
                Wired::Serve(_)
                | Wired::Status(_)
                | Wired::Tables(_)
                | Wired::Plan(_)
                | Wired::Check(_)
                | Wired::Schedule(_)
                | Wired::Reset(_),
            )
            | Self::Config(_)
            | Self::Explain(_)
            | Self::Discover(_)
            | Self::Completions(_)
            | Self::Man(_) => false,
        }
    }
}

/// A command with what it needs.
enum Begun {
    Discover(discover::Arguments),
    Wired(Wired, Box<Config>),
}

/// Runs the program and gives its exit status.
pub fn main() -> ExitCode {
    ExitCode::from(output::exit_code(perform(Cli::parse())))
}

fn perform(cli: Cli) -> u8 {
    let env = Env::from_process();
    let input = Input::choose(cli.global.config.as_deref(), &env);
    let (json, quiet) = (cli.global.json, cli.global.quiet);
    if json && quiet {
        let both =
            "--json and --quiet exclude each other, as what would be JSON is not printed at all; leave one of them out";
        output::fault(&Told::new(Code::Usage, both));
        return EXIT_USAGE;
    }
    output::begin(&env, quiet);
    let (look, moves) = (input.log_look(&env), cli.command.moves_rows());
    let bars = moves && !json && !quiet && progress::is_possible(&env, look);
    let filter = match (quiet, bars) {
        // the command tells itself how its runs failed
        (true, _) if moves => LOG_QUIET_MOVING,
        (true, _) => LOG_QUIET,
        (false, true) => input.log_filter(&env, LOG_BESIDE_BARS),
        (false, false) => input.log_filter(&env, LOG_DEFAULT),
    };
    if let Err(error) = log::start(output::log_format(&env, look), filter, || output::LogLines) {
        output::fault(&error.told());
        return EXIT_USAGE;
    }
    if bars {
        progress::begin(&env);
    }
    let command = match cli.command {
        Command::Config(arguments) => return config::run(&arguments, &input, &env, json),
        Command::Explain(arguments) => return explain::run(&arguments, json),
        Command::Completions(arguments) => return man::completions(&arguments),
        Command::Man(arguments) => return man::manual(&arguments),
        // it writes what the others read
        Command::Discover(arguments) => Begun::Discover(arguments),
        Command::Wired(command) => match Config::load(&input, &env).inspect(warn) {
            Ok(loaded) => Begun::Wired(command, Box::new(loaded.config)),
            Err(errors) if matches!(command, Wired::Check(_)) => return check::unread(&errors, json),
            Err(errors) => {
                output::faults(errors.told());
                return EXIT_USAGE;
            }
        },
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::fault(&Told::new(Code::Machine, &format!("the runtime cannot start: {error}")));
            return EXIT_FAILED;
        }
    };
    let code = runtime.block_on(run(command, json, &env));
    progress::end();
    // a compressing thread that still waits for its reader must not hold the process
    runtime.shutdown_background();
    code
}

/// The configuration; what is wrong with it is told.
fn load(input: &Input, env: &Env) -> Option<Loaded> {
    match Config::load(input, env) {
        Ok(loaded) => {
            warn(&loaded);
            Some(loaded)
        }
        Err(errors) => {
            output::faults(errors.told());
            None
        }
    }
}

fn warn(loaded: &Loaded) {
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
}

async fn run(command: Begun, json: bool, env: &Env) -> u8 {
    let stop = CancellationToken::new();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(stop_on_signal(stop.clone()));
    tasks.spawn(progress::draw());
    let (command, config) = match command {
        Begun::Discover(arguments) => return Box::pin(discover::run(arguments, env, stop)).await,
        Begun::Wired(command, config) => (command, *config),
    };
    let app = App::new(config);
    #[cfg(feature = "testing")]
    let app = match crate::engine::faults::Faults::parse(env.get("HIGHWATER_FAULTS").unwrap_or_default()) {
        Ok(faults) => app.with_faults(faults),
        Err(error) => {
            output::fault(&Told::new(Code::Bug, &error));
            return EXIT_USAGE;
        }
    };
    let app = Arc::new(app);
    match command {
        Wired::Serve(arguments) => serve::run(app, arguments, stop).await,
        Wired::Sync(arguments) => sync::run(app, arguments, json, env, stop).await,
        Wired::Deletes(arguments) => deletes::run(app, arguments, json, stop).await,
        Wired::Status(arguments) => status::run(&app, arguments, json, stop).await,
        Wired::Tables(arguments) => tables::run(&app, arguments, json, stop).await,
        Wired::Check(arguments) => check::run(&app, arguments, json, stop).await,
        Wired::Plan(arguments) => plan::run(&app, arguments, json, stop).await,
        Wired::Schedule(arguments) => schedule::run(app, arguments, json, stop).await,
        Wired::Backfill(arguments) => backfill::run(app, arguments, json, env, stop).await,
        Wired::Gaps(arguments) => gaps::run(app, arguments, json, stop).await,
        Wired::Verify(arguments) => verify::run(&app, arguments, json, stop).await,
        Wired::Reset(arguments) => reset::run(&app, arguments, json, stop).await,
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
