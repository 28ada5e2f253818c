//! Bars on a terminal: one for each run that is under way, on stderr, drawn anew a few times a second from what the runs
//! note in their [`Watch`]. Whoever else writes to the terminal does so through [`aside`]. Without a board, nothing is drawn.

mod bars;

use std::collections::VecDeque;
use std::io::{self, IsTerminal as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use self::bars::{Shown, Total};
use super::output::layout;
use crate::config::{Env, Look};
use crate::model::Watch;

/// Between two drawings.
const DRAW_EVERY: Duration = Duration::from_millis(100);
/// Drawings in a second, at the most.
const DRAWINGS_MAX: u8 = 20;
/// The most bars; fewer where the terminal has fewer lines.
const BARS_MAX: usize = 20;
/// Lines of the terminal that bars leave free.
const LINES_FREE: usize = 4;
/// Rows a second are those of the last so many looks.
const LOOKS_MAX: usize = 50;
/// A terminal that does not know its size is taken to have this one.
const SIZE_DEFAULT: (usize, usize) = (80, 24);

static BOARD: OnceLock<Board> = OnceLock::new();

/// The runs that are under way, and where they are drawn.
#[derive(Debug)]
struct Board {
    runs: Mutex<Vec<Run>>,
    /// All bars, as the lines of one message: so that all are drawn at once.
    screen: ProgressBar,
    colour: bool,
    /// Runs that are to be.
    wanted: AtomicUsize,
    done: AtomicUsize,
    drawings: AtomicUsize,
}

#[derive(Debug)]
struct Run {
    id: usize,
    name: String,
    watch: Watch,
    begun: Instant,
    /// When it began to read, and rows at the last looks.
    reading_since: Option<(Instant, u64)>,
    looks: VecDeque<(Instant, u64)>,
}

/// A run that is shown until this is dropped.
#[derive(Debug)]
pub(super) struct Watching {
    id: usize,
    counted: bool,
    watch: Watch,
}

impl Watching {
    /// Where the run notes how far it is.
    pub(super) fn watch(&self) -> Watch {
        self.watch.clone()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        if let Some(board) = BOARD.get() {
            board.runs().retain(|run| run.id != self.id);
            board.done.fetch_add(usize::from(self.counted), Ordering::Relaxed);
        }
    }
}

/// Whether bars can be drawn: on a terminal that can move its cursor, where log lines are for people.
pub(super) fn is_possible(env: &Env, look: Look) -> bool {
    io::stderr().is_terminal() && !env.dumb_terminal() && look != Look::Machine
}

/// From now on runs are drawn, by [`draw`].
pub(super) fn begin(env: &Env) {
    let screen = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(DRAWINGS_MAX));
    screen.set_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_never| ProgressStyle::default_spinner()));
    let board = Board {
        runs: Mutex::default(),
        screen,
        colour: env.colour(),
        wanted: AtomicUsize::new(0),
        done: AtomicUsize::new(0),
        drawings: AtomicUsize::new(0),
    };
    // a second beginning in one process keeps the first
    BOARD.set(board).unwrap_or_default();
}

/// Draws until it is dropped.
pub(super) async fn draw() {
    let Some(board) = BOARD.get() else { return };
    let mut every = tokio::time::interval(DRAW_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        every.tick().await;
        board.draw();
    }
}

/// Draws now, so that what has ended is gone before something else is written.
pub(super) fn draw_now() {
    if let Some(board) = BOARD.get() {
        board.draw();
    }
}

/// Takes the bars away.
pub(super) fn end() {
    if let Some(board) = BOARD.get() {
        board.screen.finish_and_clear();
    }
}

/// So many runs more are to be.
pub(super) fn expect(runs: usize) {
    if let Some(board) = BOARD.get() {
        board.wanted.fetch_add(runs, Ordering::Relaxed);
    }
}

/// A run of that name begins, one of those that were expected.
pub(super) fn watch(name: String) -> Watching {
    show(name, true)
}

/// A look of that name begins, which is no run.
pub(super) fn look(name: String) -> Watching {
    show(name, false)
}

fn show(name: String, counted: bool) -> Watching {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let Some(board) = BOARD.get() else { return Watching { id, counted, watch: Watch::default() } };
    let (name, watch) = (layout::shown(&name), Watch::open());
    let looks = VecDeque::with_capacity(LOOKS_MAX);
    board.runs().push(Run { id, name, watch: watch.clone(), begun: Instant::now(), reading_since: None, looks });
    Watching { id, counted, watch }
}

/// Writes to the terminal with the bars out of the way.
pub(super) fn aside<T>(write: impl FnOnce() -> T) -> T {
    match BOARD.get() {
        Some(board) => board.screen.suspend(write),
        None => write(),
    }
}

impl Board {
    fn runs(&self) -> MutexGuard<'_, Vec<Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn draw(&self) {
        let size = terminal_size::terminal_size_of(io::stderr());
        let size = size.map(|(width, height)| (usize::from(width.0), usize::from(height.0)));
        let (width, height) = size.filter(|(width, height)| *width > 0 && *height > 0).unwrap_or(SIZE_DEFAULT);
        let frame = self.drawings.fetch_add(1, Ordering::Relaxed);
        let (shown, total) = {
            let now = Instant::now();
            let mut runs = self.runs();
            let most = BARS_MAX.min(height.saturating_sub(LINES_FREE)).max(1);
            let hidden = runs.len().saturating_sub(most);
            let (done, wanted) = (self.done.load(Ordering::Relaxed), self.wanted.load(Ordering::Relaxed));
            // every run is looked at: the rate of one that is not shown now is wanted later
            let shown: Vec<Shown> = runs.iter_mut().filter_map(|run| run.look(now)).collect();
            (shown.into_iter().take(most).collect::<Vec<_>>(), Total { hidden, done, wanted })
        };
        let lines = bars::lines(&shown, total, frame, width, self.colour);
        if lines.is_empty() {
            if !self.screen.is_finished() {
                self.screen.finish_and_clear();
            }
            return;
        }
        if self.screen.is_finished() {
            self.screen.reset();
        }
        self.screen.set_message(lines.join("\n"));
    }
}

impl Run {
    fn look(&mut self, now: Instant) -> Option<Shown> {
        let glance = self.watch.glance()?;
        // what was read was given up
        if self.looks.back().is_some_and(|(_, rows)| *rows > glance.rows) {
            self.looks.clear();
            self.reading_since = None;
        }
        if self.looks.len() == LOOKS_MAX {
            self.looks.pop_front();
        }
        self.looks.push_back((now, glance.rows));
        let since = *self.reading_since.get_or_insert((now, glance.rows));
        if glance.rows == since.1 {
            self.reading_since = Some((now, glance.rows));
        }
        let speed = |since: Option<&(Instant, u64)>| {
            since.and_then(|(at, rows)| bars::speed(glance.rows.saturating_sub(*rows), now.duration_since(*at)))
        };
        let (rate, average) = (speed(self.looks.front()), speed(self.reading_since.as_ref()));
        Some(Shown { name: self.name.clone(), glance, rate, average, elapsed: now.duration_since(self.begun) })
    }
}
