//! What the driver's errors mean: by the server's error numbers, which no locale changes.

use sqlx::mysql::MySqlDatabaseError;

use crate::model::Connection;
use crate::net::Interrupted;
use crate::source::{SourceError, tls};

/// The right is missing: for the table, for a column, for a routine, for the database.
const DENIED: [u16; 4] = [1142, 1143, 1370, 1044];
/// A privilege of the server (PROCESS, REPLICATION CLIENT) is missing.
pub(super) const NEEDS_PRIVILEGE: u16 = 1227;
/// The right to some of the columns that a query names is missing.
pub(super) const DENIED_COLUMN: [u16; 2] = [1142, 1143];
/// The table, or its database, is not there.
pub(super) const NO_TABLE: [u16; 2] = [1146, 1049];

/// User, password, host or database are refused: access denied (1045, 1698, 1873), no right to the database (1044), no such
/// database (1049), host not allowed (1130), authentication plugin (1251, 1275, 1524, 2059), password expired (1820, 1862),
/// account locked (3118, 4151).
const LOGIN: [u16; 13] = [1045, 1698, 1873, 1044, 1049, 1130, 1251, 1275, 1524, 1820, 1862, 3118, 4151];
/// The server wants TLS (3159), or it for this user.
const WANTS_TLS: [u16; 1] = [3159];

/// Trying again can help: too many connections (1040, 1203, 1226) or threads (1135, 1041), server going down (1053, 1927,
/// 3168), lock waits and deadlocks (1205, 1213, 1689, 3572), killed or out of time (1317, 1969, 3024), host
/// blocked for a while (1129), table changed under the snapshot (1412, 1020), prepared statement outdated (1615),
/// temporary space used up (1021), connection broken by the server (1152, 1158 to 1161, 2006, 2013, 4031).
const TRANSIENT: [u16; 28] = [
    1020, 1021, 1040, 1041, 1053, 1129, 1135, 1152, 1158, 1159, 1160, 1161, 1203, 1205, 1213, 1226, 1317, 1412, 1615,
    1689, 1927, 1969, 2006, 2013, 3024, 3168, 3572, 4031,
];

/// The statement took longer than its limit: MariaDB, MySQL.
pub(super) const OUT_OF_TIME: [u16; 2] = [1969, 3024];

/// The server's error number and message, if the server said anything.
pub(super) fn server(error: &sqlx::Error) -> Option<&MySqlDatabaseError> {
    error.as_database_error()?.try_downcast_ref()
}

/// An error while connecting.
pub(super) fn connecting(config: &Connection, cause: sqlx::Error) -> SourceError {
    let address = config.address.to_string();
    if let Some(said) = server(&cause) {
        let (number, message) = (said.number(), said.message().to_owned());
        if WANTS_TLS.contains(&number) {
            return SourceError::Tls { address, hint: "the server demands it: say `tls.mode: verify-full`", cause };
        }
        if LOGIN.contains(&number) {
            return SourceError::Login { address, user: config.user.clone(), message };
        }
        return query("connecting to the source", cause);
    }
    if let sqlx::Error::Configuration(problem) = &cause {
        // the one configuration error of a handshake: the server asks for the password's encryption by RSA
        let message = format!("the server's authentication needs TLS ({problem})");
        return SourceError::Login { address, user: config.user.clone(), message };
    }
    if tls::is_tls(&cause) { tls::failed(address, cause) } else { SourceError::Connect { address, cause } }
}

/// An error of a statement.
pub(super) fn query(what: &'static str, cause: sqlx::Error) -> SourceError {
    match server(&cause) {
        Some(said) => SourceError::Query {
            what,
            message: said.message().to_owned(),
            code: said.number().to_string(),
            transient: TRANSIENT.contains(&said.number()),
        },
        None => SourceError::Lost { what, cause },
    }
}

/// An error of a statement that reads `table`.
pub(super) fn reading(what: &'static str, table: &str, cause: sqlx::Error) -> SourceError {
    match server(&cause) {
        Some(said) if DENIED.contains(&said.number()) => {
            SourceError::Denied { table: table.to_owned(), message: said.message().to_owned() }
        }
        Some(_) | None => query(what, cause),
    }
}

/// The answer of a limited call.
pub(super) fn answered<T>(
    what: &'static str,
    answer: Result<Result<T, sqlx::Error>, Interrupted>,
) -> Result<T, SourceError> {
    match answer {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(cause)) => Err(query(what, cause)),
        Err(cause) => Err(SourceError::Interrupted { what, cause }),
    }
}
