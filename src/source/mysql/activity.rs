//! The facts that the ceiling is decided from: the clock, and what can still write rows stamped before now.
//!
//! `NOW()` is the *statement's* start. So what can still write is every running statement, by its own start, and every
//! open transaction, by its start. Looked at in this order, each look a statement of its own:
//! 1. the clock: what begins later is stamped later;
//! 2. the running statements: one that is not there yet begins after the clock was read, and one that ended since is
//!    either committed, and so in the snapshot that is opened afterwards, or has left a transaction that is …
//! 3. in the open transactions, which are looked at until they are those of now ([`marker`]).
//!
//! On a node of a Galera cluster the writers of the other nodes are not seen: there `lag` is kept.
//!
//! Read-only transactions are left out, with their statements: another session of ours that reads for hours holds
//! nothing back. InnoDB calls so what was started READ ONLY, and a SELECT without locks under autocommit.
//!
//! Not seen: a transaction whose *first* statement waited for a metadata lock for longer than [`UNSEEN_MAX`], has ended,
//! and left the transaction open; it began when the lock was granted, but `NOW()` was earlier. `lookback` covers it.

use std::collections::{HashMap, HashSet};

use sqlx::mysql::MySqlRow;

use super::query::Statement;
use super::stream::{fetch, text, try_fetch};
use super::{MySqlSession, error};
use crate::mapping::mysql::Dialect;
use crate::model::{Activity, OpenTransaction, SECOND_MICROS, Visibility};
use crate::net::Context;
use crate::source::{CATALOG_MAX, SourceError};

mod marker;
mod replica;

use replica::Replication;

const WHAT: &str = "looking at the open transactions";
/// The most entries reported.
const OPEN_MAX: usize = 100;
/// What a transaction's start is put back by: for the moment between a statement's start and its transaction's.
const UNSEEN_MAX: i64 = SECOND_MICROS;

const CLOCK: &str = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))";

/// Who is busy. MySQL tells a statement's age in whole seconds, MariaDB also in milliseconds.
const STATEMENTS: &str = "FROM information_schema.processlist WHERE ID <> CONNECTION_ID()";

/// InnoDB shows the start in the server's system zone, whatever the session's. An hour that the clock shows twice is
/// taken for the earlier one.
fn transactions_sql(is_ours: &str) -> String {
    format!(
        "\
SELECT CAST(trx_id AS CHAR), CAST(trx_mysql_thread_id AS CHAR), CAST(trx_is_read_only AS CHAR), \
    CAST(TIMESTAMPDIFF(SECOND, '1970-01-01', CASE \
        WHEN CONVERT_TZ(utc - INTERVAL 3600 SECOND, '+00:00', 'SYSTEM') = trx_started THEN utc - INTERVAL 3600 SECOND \
        WHEN CONVERT_TZ(utc - INTERVAL 1800 SECOND, '+00:00', 'SYSTEM') = trx_started THEN utc - INTERVAL 1800 SECOND \
        ELSE utc END) AS CHAR), ours \
FROM (SELECT trx_id, trx_mysql_thread_id, trx_is_read_only, trx_started, \
          CONVERT_TZ(trx_started, 'SYSTEM', '+00:00') AS utc, IF({is_ours}, 'ours', '') AS ours \
      FROM information_schema.innodb_trx) AS open"
    )
}

/// One session that is busy.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Running {
    thread: u64,
    user: Option<String>,
    command: String,
    started_us: i64,
}

/// One transaction of InnoDB.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Transaction {
    /// InnoDB's id of it.
    id: String,
    /// 0 if no connection has it: prepared, or recovered after a crash.
    thread: u64,
    read_only: bool,
    started_us: i64,
}

/// Reads the facts.
pub(super) async fn read(session: &mut MySqlSession, cx: &Context) -> Result<Activity, SourceError> {
    let sql = format!(
        "SELECT CAST({CLOCK} AS CHAR), CAST(@@global.read_only AS CHAR), CAST(@@global.innodb_read_only AS CHAR)"
    );
    let rows = fetch(&mut session.conn, cx, CATALOG_MAX, WHAT, Statement::plain(sql)).await?;
    let cell = |index| rows.first().and_then(|row| text(row, index)).unwrap_or_default();
    let now_us: i64 = cell(0).parse().map_err(|_unreadable| unreadable("the clock"))?;
    let (read_only, storage_read_only) = (is_on(&cell(1)), is_on(&cell(2)));

    let running = running(session, cx).await?;
    let open = transactions(session, cx).await?.map(|transactions| join(&running, &transactions));
    let facts = Replication {
        status: replica::status(session, cx).await?,
        appliers: running.iter().any(is_applier),
        read_only,
        storage_read_only,
    };
    if facts.is_replica() {
        let oldest_us = open.iter().flatten().map(|open| open.started_us).min();
        let replayed_us = facts.replayed_us(now_us).map(|us| oldest_us.map_or(us, |oldest| us.min(oldest)));
        return Ok(Activity { now_us, open: Vec::new(), visibility: Visibility::Replica { replayed_us } });
    }
    let open = if is_clustered(session, cx).await? { None } else { open };
    Ok(match open {
        Some(open) => Activity { now_us, open, visibility: Visibility::Full },
        None => Activity { now_us, open: Vec::new(), visibility: Visibility::Hidden { snapshot: None } },
    })
}

async fn running(session: &mut MySqlSession, cx: &Context) -> Result<Vec<Running>, SourceError> {
    let age_ms = match session.dialect {
        Dialect::MariaDb => "CEILING(TIME_MS)",
        // both ends of the age are whole seconds: a second more, to be sure
        Dialect::MySql { .. } => "(COALESCE(TIME, 0) + 1) * 1000",
    };
    let columns = format!("CAST(ID AS CHAR), USER, COMMAND, CAST({age_ms} AS CHAR), CAST({CLOCK} AS CHAR)");
    let sql = format!("SELECT {columns} {STATEMENTS}");
    let rows = fetch(&mut session.conn, cx, CATALOG_MAX, WHAT, Statement::plain(sql)).await?;
    let read = |row| {
        let number = |index| text(row, index).and_then(|digits| digits.parse::<i64>().ok());
        let age_us = number(3).unwrap_or(0).checked_mul(1000)?;
        Some(Running {
            thread: text(row, 0)?.parse().ok()?,
            user: text(row, 1),
            command: text(row, 2).unwrap_or_default(),
            // whole seconds, so that the same statement has the same start in the next look
            started_us: whole_second(number(4)?.checked_sub(age_us)?),
        })
    };
    rows.iter().map(|row| read(row).ok_or_else(|| unreadable("the process list"))).collect()
}

/// Whether the server is a node of a Galera cluster: what runs on the other nodes is not seen here.
async fn is_clustered(session: &mut MySqlSession, cx: &Context) -> Result<bool, SourceError> {
    let sql = "SHOW GLOBAL VARIABLES LIKE 'wsrep_on'";
    let rows = fetch(&mut session.conn, cx, CATALOG_MAX, WHAT, Statement::plain(sql)).await?;
    Ok(rows.first().and_then(|row| text(row, 1)).is_some_and(|switch| is_on(&switch)))
}

/// `None` if the right to see them is missing. The process list then shows our own sessions alone, without an error.
async fn transactions(session: &mut MySqlSession, cx: &Context) -> Result<Option<Vec<Transaction>>, SourceError> {
    let sql = transactions_sql(&marker::open(session, cx).await?);
    for read in 1..=marker::READS_MAX {
        let answer = try_fetch(&mut session.conn, cx, CATALOG_MAX, WHAT, Statement::plain(sql.clone())).await?;
        let rows = match answer {
            Ok(rows) => rows,
            Err(cause) if error::server(&cause).is_some_and(|said| said.number() == error::NEEDS_PRIVILEGE) => {
                marker::close(session, cx).await?;
                return Ok(None);
            }
            Err(cause) => return Err(error::query(WHAT, cause)),
        };
        if rows.iter().any(|row| text(row, 4).as_deref() == Some("ours")) {
            marker::close(session, cx).await?;
            let all: Option<Vec<Transaction>> = rows.iter().map(transaction).collect();
            return all.map(Some).ok_or_else(|| unreadable("the open transactions"));
        }
        marker::wait(cx, read).await?;
    }
    Err(marker::outdated())
}

fn transaction(row: &MySqlRow) -> Option<Transaction> {
    let started_s: i64 = text(row, 3)?.parse().ok()?;
    Some(Transaction {
        id: text(row, 0)?,
        thread: text(row, 1)?.parse().ok()?,
        read_only: text(row, 2)? == "1",
        started_us: started_s.checked_mul(SECOND_MICROS)?.checked_sub(UNSEEN_MAX)?,
    })
}

fn unreadable(what: &'static str) -> SourceError {
    SourceError::Query {
        what,
        message: "the server's answer cannot be read".into(),
        code: "-".into(),
        transient: false,
    }
}

fn whole_second(us: i64) -> i64 {
    us.div_euclid(SECOND_MICROS) * SECOND_MICROS
}

/// A switch as servers write it: `0`, `OFF`, `1`, `ON`, and MariaDB 12's `NO_LOCK`.
fn is_on(switch: &str) -> bool {
    !matches!(switch, "0" | "OFF")
}

/// A thread of the server that applies another server's changes.
fn is_applier(running: &Running) -> bool {
    running.user.as_deref() == Some("system user") && running.command != "Daemon"
}

/// Whether the session may be running something that writes. A stranger who has not logged in is not.
fn is_statement(running: &Running) -> bool {
    let idle = matches!(running.command.as_str(), "Sleep" | "Daemon" | "Binlog Dump" | "Binlog Dump GTID");
    let stranger = running.command == "Connect" && running.user.as_deref() == Some("unauthenticated user");
    !idle && !stranger && !is_applier(running)
}

/// Statements and transactions that can still write, oldest first.
fn join(running: &[Running], transactions: &[Transaction]) -> Vec<OpenTransaction> {
    let users: HashMap<u64, &Running> = running.iter().map(|running| (running.thread, running)).collect();
    let read_only: HashSet<u64> =
        transactions.iter().filter(|open| open.read_only && open.thread != 0).map(|open| open.thread).collect();
    let writers = || transactions.iter().filter(|open| !open.read_only);
    let begun: HashMap<u64, i64> = writers().map(|open| (open.thread, open.started_us)).collect();
    let of_transaction = |open: &Transaction| OpenTransaction {
        backend: match open.thread {
            0 => format!("transaction {}", open.id),
            thread => format!("thread {thread}"),
        },
        user: users.get(&open.thread).and_then(|running| running.user.clone()),
        started_us: open.started_us,
    };
    let of_statement = |running: &Running| OpenTransaction {
        backend: format!("thread {}", running.thread),
        user: running.user.clone(),
        started_us: running.started_us,
    };
    let statements = running.iter().filter(|running| {
        // a statement within a transaction that is older adds nothing
        let covered = begun.get(&running.thread).is_some_and(|&begun_us| begun_us <= running.started_us);
        is_statement(running) && !covered && !read_only.contains(&running.thread)
    });
    let mut open: Vec<OpenTransaction> = writers().map(of_transaction).chain(statements.map(of_statement)).collect();
    open.sort_by_key(|open| open.started_us);
    open.truncate(OPEN_MAX);
    open
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(thread: u64, user: &str, command: &str, started_s: i64) -> Running {
        Running {
            thread,
            user: Some(user.to_owned()),
            command: command.to_owned(),
            started_us: started_s * SECOND_MICROS,
        }
    }

    fn transaction(thread: u64, read_only: bool, started_s: i64) -> Transaction {
        Transaction { id: format!("t{thread}"), thread, read_only, started_us: started_s * SECOND_MICROS }
    }

    fn joined(running: &[Running], transactions: &[Transaction]) -> Vec<(String, i64)> {
        let open = join(running, transactions).into_iter();
        open.map(|open| (open.backend, open.started_us / SECOND_MICROS)).collect()
    }

    #[test]
    fn what_can_still_write() {
        let threads = [
            running(1, "app", "Sleep", 90),
            running(2, "app", "Query", 80),
            running(3, "app", "Execute", 70),
            running(4, "highwater", "Execute", 10),
            running(5, "event_scheduler", "Daemon", 0),
            running(6, "repl", "Binlog Dump GTID", 0),
            running(7, "unauthenticated user", "Connect", 0),
            running(8, "app", "Query", 60),
        ];
        let transactions =
            [transaction(1, false, 50), transaction(3, false, 65), transaction(4, true, 9), transaction(8, false, 62)];
        let expected = [("thread 1", 50), ("thread 8", 60), ("thread 8", 62), ("thread 3", 65), ("thread 2", 80)];
        let expected: Vec<(String, i64)> = expected.map(|(name, at)| (name.to_owned(), at)).to_vec();
        assert_eq!(joined(&threads, &transactions), expected);
    }

    #[test]
    fn prepared_transactions_have_no_thread() {
        let open = joined(&[running(0, "app", "Query", 5)], &[transaction(0, false, 7), transaction(0, true, 1)]);
        assert_eq!(open.len(), 2);
        assert!(open.contains(&("transaction t0".to_owned(), 7)));
    }

    #[test]
    fn only_the_oldest_are_told() {
        let many: Vec<Running> =
            (0..200).map(|n| running(n, "app", "Query", 1000 - i64::try_from(n).unwrap_or(0))).collect();
        let open = join(&many, &[]);
        assert_eq!((open.len(), open[0].started_us), (OPEN_MAX, 801 * SECOND_MICROS));
    }
}
