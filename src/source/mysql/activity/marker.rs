//! Proves that what InnoDB tells of open transactions is of now.
//!
//! `information_schema.innodb_trx` is a copy that the server keeps for all sessions, and makes anew only if nobody has
//! read it for 0.1 s (`CACHE_MIN_IDLE_TIME_NS` in `trx0i_s.cc`, MySQL and MariaDB alike). Where others read it again
//! and again, a copy can be of any age, and a transaction that it does not show can be open. So each look opens a
//! transaction of its own, read-only, and believes a copy only if that one is in it.
//!
//! The look before may have left its own transaction in the copy, so looks tell theirs apart by `unique_checks`, which
//! means nothing to a reader. Two values are enough: copies never go back, and every look has seen its own.

use std::time::Duration;

use super::WHAT;
use crate::net::{Context, Interrupted};
use crate::source::mysql::{MySqlSession, stream};
use crate::source::{CATALOG_MAX, SourceError};

/// How long the copy must not be read before the server makes it anew, and a little more.
const IDLE: Duration = Duration::from_millis(110);
/// How often the copy is read by one look: for some 9 s, with longer and longer waits.
pub(super) const READS_MAX: u32 = 10;

/// Opens the transaction that proves it; gives the SQL of whether a row of `innodb_trx` is that one.
pub(super) async fn open(session: &mut MySqlSession, cx: &Context) -> Result<String, SourceError> {
    session.marker = !session.marker;
    let mark = u8::from(session.marker);
    let sql = format!("SET unique_checks = {mark}; START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY");
    stream::execute(&mut session.conn, cx, CATALOG_MAX, WHAT, sql).await?;
    Ok(format!("trx_mysql_thread_id = CONNECTION_ID() AND trx_is_read_only = 1 AND trx_unique_checks = {mark}"))
}

/// Closes it.
pub(super) async fn close(session: &mut MySqlSession, cx: &Context) -> Result<(), SourceError> {
    stream::execute(&mut session.conn, cx, CATALOG_MAX, WHAT, "COMMIT".to_owned()).await
}

/// Waits so that the server may make the copy anew; longer each time and by chance, since whoever waits as we do keeps
/// the copy from that.
pub(super) async fn wait(cx: &Context, read: u32) -> Result<(), SourceError> {
    let wait = IDLE * read + IDLE.mul_f64(f64::from(read) * fastrand::f64());
    match cx.sleep(wait).await {
        Ok(()) => Ok(()),
        // that there is no time to wait says less than why there is need to
        Err(Interrupted::Budget) => Err(outdated()),
        Err(cause @ (Interrupted::Cancelled | Interrupted::TimedOut(_))) => {
            Err(SourceError::Interrupted { what: WHAT, cause })
        }
    }
}

/// Nobody left the copy alone.
pub(super) fn outdated() -> SourceError {
    SourceError::Query {
        what: WHAT,
        message:
            "information_schema.innodb_trx is out of date: other sessions read it more often than every 0.1 s, and \
                  so the server never makes it anew; let them read it less often"
                .to_owned(),
        code: "-".to_owned(),
        transient: true,
    }
}
