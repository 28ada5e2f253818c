//! The crash matrix: a process dies, fails, is stopped or is overtaken at each point between two steps of a run, in each
//! mode, from each database; the next run completes the work, and source and target are compared row by row.
//!
//! Each test prints its part of the matrix as a table. `HIGHWATER_CRASH_PAIRS=1` lets a run die at every pair of points.

mod board;

use highwater::engine::faults::Point;
use highwater::model::Mode;

use self::board::{Board, Database, Held};
use crate::served_tests;
use crate::support::Test;

pub fn tests() -> Vec<Test> {
    served_tests![postgres_merge, postgres_append, postgres_replace, mariadb_merge, mariadb_append, mariadb_replace,]
}

async fn postgres_merge() {
    matrix(Database::Postgres, Mode::Merge).await;
}

async fn postgres_append() {
    matrix(Database::Postgres, Mode::Append).await;
}

async fn postgres_replace() {
    matrix(Database::Postgres, Mode::Replace).await;
}

async fn mariadb_merge() {
    matrix(Database::MariaDb, Mode::Merge).await;
}

async fn mariadb_append() {
    matrix(Database::MariaDb, Mode::Append).await;
}

async fn mariadb_replace() {
    matrix(Database::MariaDb, Mode::Replace).await;
}

/// What happens at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    /// It dies there in its first chunk.
    Once,
    /// It dies there in its second chunk.
    Later,
    /// It dies there, and so does the next run if it comes by.
    Twice,
    /// It dies there, and the next run dies at another point.
    Then,
    /// The step fails there.
    Error,
    /// It is told to stop there (SIGTERM).
    Term,
    /// It is frozen there (SIGSTOP), another run does the work, then it goes on.
    Zombie,
}

const COLUMNS: [(Column, &str); 7] = [
    (Column::Once, "dies"),
    (Column::Later, "2nd chunk"),
    (Column::Twice, "twice"),
    (Column::Then, "then elsewhere"),
    (Column::Error, "fails"),
    (Column::Term, "SIGTERM"),
    (Column::Zombie, "overtaken"),
];

/// The point where the second run dies in the column `Then`, another one for each first point.
fn elsewhere(point: Point) -> Point {
    let at = Point::ALL.iter().position(|known| *known == point).unwrap();
    Point::ALL[(at * 5 + 8) % Point::ALL.len()]
}

/// Points that a chunk passes, each chunk anew.
fn of_a_chunk(point: Point) -> bool {
    point >= Point::Extract && !matches!(point, Point::IntentFound | Point::Fenced)
}

/// Every column for every database and mode takes an hour and more (`make soak`); else each column is for one of them, and
/// the first for all.
fn is_asked_for(board: &Board, column: Column) -> bool {
    let of = |database, mode| (board.database, board.mode) == (database, mode);
    std::env::var_os("HIGHWATER_SOAK").is_some()
        || match column {
            Column::Once => true,
            Column::Twice | Column::Zombie => of(Database::Postgres, Mode::Append),
            Column::Error => of(Database::Postgres, Mode::Merge),
            Column::Later | Column::Term => of(Database::MariaDb, Mode::Merge),
            Column::Then => of(Database::MariaDb, Mode::Append),
        }
}

/// What must have happened before, so that a run passes the point at all.
fn before(point: Point) -> Option<Point> {
    if point == Point::IntentFound {
        Some(Point::IntentWritten)
    } else if point == Point::Fenced {
        Some(Point::Staged)
    } else {
        None
    }
}

async fn matrix(database: Database, mode: Mode) {
    let begun = std::time::Instant::now();
    let mut board = Board::new(database, mode).await;
    let mut table = format!("\ncrash matrix, {} {}:\n{:<17}", database.name(), mode.name(), "at the point");
    for (_, title) in COLUMNS {
        table.push_str(&format!("{title:<15}"));
    }
    let (mut cells, mut wrong) = (0, Vec::new());
    for &point in Point::ALL {
        table.push_str(&format!("\n{:<17}", point.name()));
        for (column, title) in COLUMNS {
            let shown = match cell(&mut board, point, column).await {
                None => "-",
                Some(Ok(())) => "exact",
                Some(Err(what)) => {
                    eprintln!("{} {}: {} {title}: {what}", database.name(), mode.name(), point.name());
                    wrong.push(format!("{} {title}: {what}", point.name()));
                    "WRONG"
                }
            };
            cells += u32::from(shown != "-");
            table.push_str(&format!("{shown:<15}"));
        }
    }
    eprintln!("{table}\n{cells} cells, {} wrong, {:.0?}", wrong.len(), begun.elapsed());
    assert!(wrong.is_empty(), "{wrong:#?}");
    if std::env::var_os("HIGHWATER_CRASH_PAIRS").is_some() {
        pairs(&mut board).await;
    }
}

/// Every point, and then every point.
async fn pairs(board: &mut Board) {
    let mut wrong = Vec::new();
    for &first in Point::ALL {
        for &second in Point::ALL {
            if let Err(what) = dies(board, &[Some((first, 1)), Some((second, 1))]).await {
                wrong.push(format!("{} then {}: {what}", first.name(), second.name()));
            }
        }
    }
    eprintln!("{} pairs of points, {} wrong", Point::ALL.len().pow(2), wrong.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// `None` where the column has no meaning, and where other tests show it.
async fn cell(board: &mut Board, point: Point, column: Column) -> Option<Result<(), String>> {
    let first = before(point).map(|point| (point, 1));
    if !is_asked_for(board, column) {
        return None;
    }
    // what comes before the first chunk is another thing where there is no target yet
    if point <= Point::Prepared || board.is_spoilt {
        board.fresh_table().await;
    }
    let done = act(board, first, point, column).await?;
    board.is_spoilt = done.is_err();
    Some(done)
}

async fn act(board: &mut Board, first: Option<Death>, point: Point, column: Column) -> Option<Result<(), String>> {
    Some(match column {
        Column::Once => dies(board, &[first, Some((point, 1))]).await,
        Column::Later if of_a_chunk(point) && board.mode != Mode::Replace => dies_later(board, point).await,
        Column::Later => return None,
        Column::Twice => dies(board, &[first, Some((point, 1)), Some((point, 1))]).await,
        Column::Then => dies(board, &[first, Some((point, 1)), Some((elsewhere(point), 1))]).await,
        Column::Error => fails(board, first, point).await,
        Column::Term => is_told_to_stop(board, first, point).await,
        Column::Zombie => is_overtaken(board, first, point).await,
    })
}

type Death = (Point, u32);

/// Runs that die, each at its point, and then one that does not.
async fn dies(board: &mut Board, deaths: &[Option<Death>]) -> Result<(), String> {
    board.new_rows(1).await;
    let deaths: Vec<Death> = deaths.iter().flatten().copied().collect();
    // a later run may not come by where it should die: then it just ends
    for (index, (point, nth)) in deaths.iter().enumerate() {
        let died = board.run_until_death(*point, *nth).await?;
        if !died && index == 0 {
            return Err(format!("{} was not passed", point.name()));
        }
        if index == 0 {
            board.change_rows().await;
        }
    }
    board.run_to_the_end().await?;
    board.compare().await
}

/// A run that dies in its second chunk, and one that finds no other rows.
async fn dies_later(board: &mut Board, point: Point) -> Result<(), String> {
    board.new_rows(2).await;
    if !board.run_until_death(point, 2).await? {
        return Err(format!("{} was not passed in the second chunk", point.name()));
    }
    board.run_to_the_end().await?;
    board.compare().await
}

async fn fails(board: &mut Board, first: Option<Death>, point: Point) -> Result<(), String> {
    board.new_rows(1).await;
    if let Some((first, nth)) = first {
        board.run_until_death(first, nth).await?;
    }
    let ran = board.run(&format!("{}:error", point.name())).await;
    if !ran.stderr.contains("a test's fault: error") {
        return Err(format!("{} was not passed", point.name()));
    }
    // it is either borne, or worth trying again
    if ran.code != 0 && ran.code != 75 {
        return Err(format!("exit code {}: {}", ran.code, ran.stderr));
    }
    board.change_rows().await;
    board.run_to_the_end().await?;
    board.compare().await
}

/// A run that waits at the point.
async fn held_at(board: &mut Board, first: Option<Death>, point: Point) -> Result<Held, String> {
    board.new_rows(1).await;
    if let Some((first, nth)) = first {
        board.run_until_death(first, nth).await?;
    }
    board.start_held(point).await
}

async fn is_told_to_stop(board: &mut Board, first: Option<Death>, point: Point) -> Result<(), String> {
    let held = held_at(board, first, point).await?;
    held.signal("TERM").await;
    let (code, took) = held.end().await?;
    if took.as_secs_f64() >= board::STOP_SECONDS_MAX {
        return Err(format!("it took {took:.1?} to stop"));
    }
    if code != 0 && code != 75 {
        return Err(format!("exit code {code}"));
    }
    // what it was at is kept: the chunk is in the target, or its intent is pending where the jobs took the time there was
    match board.no_intent_is_left().await {
        Err(pending) if took < board::GRACE_SPENT => return Err(format!("after {took:.1?}: {pending}")),
        Err(_) => {}
        Ok(()) if of_a_chunk(point) && board.rows_of_cell().await == 0 => {
            return Err("the step's work was not kept".to_owned());
        }
        Ok(()) => {}
    }
    board.change_rows().await;
    board.run_to_the_end().await?;
    board.compare().await
}

async fn is_overtaken(board: &mut Board, first: Option<Death>, point: Point) -> Result<(), String> {
    let held = held_at(board, first, point).await?;
    held.signal("STOP").await;
    board.change_rows().await;
    board.run_to_the_end().await?;
    held.signal("CONT").await;
    let (code, _) = held.end().await?;
    if code != 0 && code != 75 {
        return Err(format!("the one that was overtaken ended with exit code {code}"));
    }
    board.run_to_the_end().await?;
    board.compare().await
}
