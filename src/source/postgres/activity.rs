//! The facts that the ceiling is decided from: the clock, open transactions, prepared ones, and how much we may see.
//!
//! **Order.** Clock, then sessions, then prepared transactions, each in its own statement. A transaction that the
//! second look does not see as open has either ended, and then the snapshot that is opened later sees its rows, or
//! begun after the clock was read, and then its rows are stamped later than that; a backend takes its name off the
//! list of sessions only when its commit is visible, or when it is on the list of prepared transactions. So nothing
//! that matters can slip between the looks, which it could in any other order.
//!
//! **Prepared transactions** have lost their start: `pg_prepared_xacts.prepared` is the moment of PREPARE, the
//! transaction id was drawn at the first write, and neither bounds from below when the transaction began and what
//! `now()` was for its rows. Most are committed within milliseconds, so those that are seen are waited for, up to
//! [`PREPARED_WAIT`]; the facts read before stay true meanwhile. One that stays is said to have begun
//! [`PREPARED_LEAD`] before its PREPARE, which is as long as any transaction holds the ceiling by default.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

use super::{APPLICATION_NAME, error, instant_us};
use crate::encode::Malformed;
use crate::model::{Activity, OpenTransaction, Visibility};
use crate::source::SourceError;

pub(super) const WHAT: &str = "looking at open transactions";
/// The most transactions told of.
const OPEN_MAX: usize = 100;
/// How long prepared transactions are waited for.
const PREPARED_WAIT: Duration = Duration::from_secs(2);
/// How often they are looked at meanwhile.
const PREPARED_POLL: Duration = Duration::from_millis(50);
/// How long a prepared transaction is taken to have been open before its PREPARE.
const PREPARED_LEAD: Duration = Duration::from_secs(3600);

/// Both functions are those that every version has; the newer names are the same functions.
const CLOCK: &str = "
    SELECT clock_timestamp() AS now,
           pg_is_in_recovery() AS replica,
           CASE WHEN pg_is_in_recovery() THEN pg_last_xact_replay_timestamp() END AS replayed,
           txid_snapshot_xmin(txid_current_snapshot()) AS xmin,
           txid_snapshot_xmax(txid_current_snapshot()) AS xmax";

/// Sessions of this database that are in a transaction, or of which we cannot see whether they are: other roles'
/// without `pg_read_all_stats`, and those with `track_activities` off, which report no start. Our own sessions are
/// read-only by construction. The kinds that are left out write no rows of tables.
const SESSIONS: &str = "
    SELECT session.pid, session.usename::text AS usename, session.xact_start AS started, session.hidden
      FROM (SELECT a.*, NOT (pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')
                             OR coalesce(pg_has_role(current_user, a.usesysid, 'USAGE'), false))
                        OR coalesce(a.state = 'disabled', false) AS hidden
              FROM pg_stat_activity AS a
             WHERE a.datid = (SELECT oid FROM pg_database WHERE datname = current_database())
               AND a.pid <> pg_backend_pid()
               AND NOT (a.application_name = $1 AND a.usename = session_user)) AS session
     WHERE session.hidden
        OR session.xact_start IS NOT NULL
           AND session.backend_type NOT IN ('autovacuum worker', 'autovacuum launcher', 'walsender',
                                            'parallel worker', 'startup', 'checkpointer', 'background writer',
                                            'walwriter', 'archiver', 'logical replication launcher')
     ORDER BY session.hidden DESC, session.xact_start
     LIMIT 100";

/// All of them, however many: one that is left out would be taken for ended. The server's `max_prepared_transactions`
/// bounds them.
const PREPARED: &str = "
    SELECT gid, owner::text AS owner, prepared
      FROM pg_prepared_xacts WHERE database = current_database()";

pub(super) async fn activity(connection: &mut PgConnection) -> Result<Activity, SourceError> {
    let lost = |cause| error::query(WHAT, cause);
    let clock = sqlx::query(CLOCK).persistent(false).fetch_one(&mut *connection).await.map_err(lost)?;
    let now_us = instant_us(&clock, 0).map_err(malformed)?.ok_or_else(|| malformed(Malformed))?;
    if clock.try_get("replica").map_err(lost)? {
        let replayed_us = instant_us(&clock, 2).map_err(malformed)?;
        return Ok(Activity { now_us, open: Vec::new(), visibility: Visibility::Replica { replayed_us } });
    }
    let sessions = sqlx::query(SESSIONS).bind(APPLICATION_NAME).persistent(false);
    let sessions = sessions.fetch_all(&mut *connection).await.map_err(lost)?;
    let mut open = Vec::with_capacity(sessions.len());
    for row in &sessions {
        if row.try_get("hidden").map_err(lost)? {
            let number = |name| row_number(&clock, name).map_err(lost);
            let snapshot = Some((number("xmin")?, number("xmax")?));
            return Ok(Activity { now_us, open: Vec::new(), visibility: Visibility::Hidden { snapshot } });
        }
        open.extend(open_session(row)?);
    }
    open.extend(lasting(connection).await?.into_iter().map(Prepared::open));
    open.sort_by_key(|transaction| transaction.started_us);
    open.truncate(OPEN_MAX);
    Ok(Activity { now_us, open, visibility: Visibility::Full })
}

fn malformed(_cause: Malformed) -> SourceError {
    error::query(WHAT, sqlx::Error::Protocol("a timestamp has not the form of one".to_owned()))
}

fn row_number(row: &PgRow, name: &str) -> Result<u64, sqlx::Error> {
    let number: i64 = row.try_get(name)?;
    Ok(number.unsigned_abs())
}

fn open_session(row: &PgRow) -> Result<Option<OpenTransaction>, SourceError> {
    let lost = |cause| error::query(WHAT, cause);
    let pid: i32 = row.try_get("pid").map_err(lost)?;
    let user = row.try_get("usename").map_err(lost)?;
    let started = instant_us(row, 2).map_err(malformed)?;
    Ok(started.map(|started_us| OpenTransaction { backend: format!("pid {pid}"), user, started_us }))
}

/// A prepared transaction; `gid` and `prepared_us` together are one that is not another of the same name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Prepared {
    gid: String,
    owner: Option<String>,
    prepared_us: i64,
}

impl Prepared {
    fn open(self) -> OpenTransaction {
        let lead = i64::try_from(PREPARED_LEAD.as_micros()).unwrap_or(i64::MAX);
        OpenTransaction {
            backend: format!("prepared transaction '{}'", self.gid),
            user: self.owner,
            started_us: self.prepared_us.saturating_sub(lead),
        }
    }
}

async fn prepared(connection: &mut PgConnection) -> Result<Vec<Prepared>, SourceError> {
    let lost = |cause| error::query(WHAT, cause);
    let rows = sqlx::query(PREPARED).persistent(false).fetch_all(connection).await.map_err(lost)?;
    let one = |row: &PgRow| {
        let prepared_us = instant_us(row, 2).map_err(malformed)?.unwrap_or(i64::MIN);
        let gid = row.try_get("gid").map_err(lost)?;
        Ok(Prepared { gid, owner: row.try_get("owner").map_err(lost)?, prepared_us })
    };
    rows.iter().map(one).collect()
}

/// The transactions that are prepared now and still are after the wait.
async fn lasting(connection: &mut PgConnection) -> Result<Vec<Prepared>, SourceError> {
    let mut lasting = prepared(connection).await?;
    let looks = PREPARED_WAIT.as_millis() / PREPARED_POLL.as_millis();
    for _look in 0..looks {
        if lasting.is_empty() {
            break;
        }
        tokio::time::sleep(PREPARED_POLL).await;
        let now: HashSet<Prepared> = prepared(connection).await?.into_iter().collect();
        lasting.retain(|one| now.contains(one));
    }
    Ok(lasting)
}
