//! Whether the server is a replica, and how far it has replayed.

use sqlx::mysql::{MySql, MySqlRow};
use sqlx::{Decode, Executor as _, Row as _};

use super::WHAT;
use crate::mapping::mysql::Dialect;
use crate::model::SECOND_MICROS;
use crate::net::Context;
use crate::source::mysql::{MySqlSession, error};
use crate::source::{CATALOG_MAX, SourceError};

/// How long a primary can be silent before its replica notices (`replica_net_timeout`'s default): for that long a
/// replica that thinks it has everything may be wrong.
const SILENCE_MAX_S: i64 = 60;
/// The server does not know the statement.
const SYNTAX: u16 = 1064;

/// What one replication channel says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Channel {
    receiving: bool,
    applying: bool,
    behind_s: Option<i64>,
}

/// What is known about replication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Replication {
    /// The channels; `None` if the right to see them is missing.
    pub(super) status: Option<Vec<Channel>>,
    /// Whether threads that apply changes were seen.
    pub(super) appliers: bool,
    /// `read_only`.
    pub(super) read_only: bool,
    /// `innodb_read_only`: a reader of somebody else's storage.
    pub(super) storage_read_only: bool,
}

impl Replication {
    /// Channels that stand still on a server that takes writes are what a promotion left behind. Without the right to
    /// see them, a server that takes no writes is taken for a replica.
    pub(super) fn is_replica(&self) -> bool {
        let channels = match self.status.as_deref() {
            Some([]) => false,
            Some(channels) => self.read_only || channels.iter().any(|channel| channel.receiving || channel.applying),
            None => self.appliers || self.read_only,
        };
        channels || self.storage_read_only
    }

    /// Everything that the primary committed before this instant has been replayed.
    pub(super) fn replayed_us(&self, now_us: i64) -> Option<i64> {
        let behind = |channel: &Channel| channel.behind_s.filter(|_| channel.receiving && channel.applying);
        let channels = self.status.as_deref().filter(|_| !self.storage_read_only)?;
        let behind_s = channels.iter().map(behind).collect::<Option<Vec<_>>>()?.into_iter().max()?;
        Some(now_us - (behind_s + SILENCE_MAX_S) * SECOND_MICROS)
    }
}

/// The channels; empty if the server replicates from nobody, `None` without the right (REPLICATION CLIENT, on MariaDB
/// SLAVE MONITOR).
pub(super) async fn status(session: &mut MySqlSession, cx: &Context) -> Result<Option<Vec<Channel>>, SourceError> {
    // MariaDB lists all its connections; MySQL knows the new word since 8.0.22 and the old one until 8.4
    let words: &[&'static str] = match session.dialect {
        Dialect::MariaDb => &["SHOW ALL SLAVES STATUS"],
        Dialect::MySql { .. } => &["SHOW REPLICA STATUS", "SHOW SLAVE STATUS"],
    };
    for &sql in words {
        let answer = cx.limit(CATALOG_MAX, session.conn.fetch_all(sqlx::raw_sql(sql))).await;
        match answer.map_err(|cause| SourceError::Interrupted { what: WHAT, cause })? {
            Ok(rows) => return Ok(Some(rows.iter().map(channel).collect())),
            Err(cause) => match error::server(&cause).map(|said| said.number()) {
                Some(SYNTAX) => {}
                Some(error::NEEDS_PRIVILEGE) => return Ok(None),
                Some(_) | None => return Err(error::query(WHAT, cause)),
            },
        }
    }
    Ok(None)
}

fn channel(row: &MySqlRow) -> Channel {
    let cell = |names: [&str; 2]| {
        let value = names.into_iter().find_map(|name| row.try_get_raw(name).ok())?;
        <&[u8] as Decode<'_, MySql>>::decode(value).ok().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    };
    Channel {
        receiving: cell(["Replica_IO_Running", "Slave_IO_Running"]).is_some_and(|state| state == "Yes"),
        applying: cell(["Replica_SQL_Running", "Slave_SQL_Running"]).is_some_and(|state| state == "Yes"),
        behind_s: cell(["Seconds_Behind_Source", "Seconds_Behind_Master"]).and_then(|seconds| seconds.parse().ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: Channel = Channel { receiving: true, applying: true, behind_s: Some(5) };
    const DOWN: Channel = Channel { receiving: false, applying: false, behind_s: None };

    fn facts(status: Option<Vec<Channel>>, appliers: bool, read_only: bool) -> Replication {
        Replication { status, appliers, read_only, storage_read_only: false }
    }

    #[test]
    fn who_is_a_replica() {
        assert!(!facts(Some(vec![]), false, true).is_replica());
        assert!(facts(Some(vec![UP]), true, false).is_replica());
        assert!(!facts(Some(vec![DOWN]), false, false).is_replica(), "what a promotion left behind");
        assert!(facts(Some(vec![DOWN]), false, true).is_replica());
        assert!(facts(None, true, false).is_replica());
        assert!(facts(None, false, true).is_replica());
        assert!(!facts(None, false, false).is_replica());
        assert!(Replication { storage_read_only: true, ..facts(Some(vec![]), false, true) }.is_replica());
    }

    #[test]
    fn how_far_it_has_replayed() {
        let now_us = 1000 * SECOND_MICROS;
        assert_eq!(facts(Some(vec![UP]), true, true).replayed_us(now_us), Some(935 * SECOND_MICROS));
        assert_eq!(facts(Some(vec![UP, DOWN]), true, true).replayed_us(now_us), None);
        assert_eq!(facts(Some(vec![Channel { receiving: false, ..UP }]), true, true).replayed_us(now_us), None);
        assert_eq!(facts(None, true, true).replayed_us(now_us), None);
        let reader = Replication { storage_read_only: true, ..facts(Some(vec![UP]), false, true) };
        assert_eq!(reader.replayed_us(now_us), None);
    }
}
