//! Opens connections and pins their settings: what server, user or proxy have set changes nothing that is read.

use sqlx::ConnectOptions as _;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use tracing::log::LevelFilter;

use super::query::Statement;
use super::{MySqlSession, error, stream};
use crate::mapping::mysql::Dialect;
use crate::model::{Address, Connection, Login, Secret, TlsMode};
use crate::net::{Context, Tokens};
use crate::source::{CATALOG_MAX, CONNECT_MAX, SourceError, login, tls};

/// The session's settings on every server, in one round trip. Values are written out: `DEFAULT` would be the server's.
///
/// - `NAMES`: text comes as utf8mb4 whatever its column's character set, and parameters go so.
/// - `sql_mode`: quoting as everywhere, CHAR without padding; positions may hold dates that no calendar has.
/// - `autocommit`, `completion_type`: no statement before the snapshot opens a transaction.
/// - `sql_select_limit`, `sql_big_selects`: no result is cut or refused.
/// - `sql_buffer_result`: rows stream. `sql_auto_is_null`: `IS NULL` finds NULLs and nothing else.
/// - `max_sort_length`: a sort looks at whole keys (an index holds 3072 bytes of one), and has the room for it.
/// - timeouts: a slow bucket does not end the read; a lock ends it soon.
const PINNED: &str = "\
SET NAMES utf8mb4; \
SET time_zone = '+00:00', \
    sql_mode = 'ALLOW_INVALID_DATES', \
    autocommit = 1, completion_type = 0, \
    sql_select_limit = 18446744073709551615, sql_big_selects = 1, sql_buffer_result = 0, \
    sql_auto_is_null = 0, \
    max_sort_length = 16384, sort_buffer_size = 4194304, \
    net_write_timeout = 3600, net_read_timeout = 3600, wait_timeout = 28800, \
    lock_wait_timeout = 10, innodb_lock_wait_timeout = 10; \
SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";

/// MySQL's own: 0 is no limit. Rows are awaited by a timer of ours, which does not count a slow reader's time.
const PINNED_MYSQL: &str = "SET max_execution_time = 0";
/// MariaDB's own.
const PINNED_MARIADB: &str = "\
SET max_statement_time = 0, idle_transaction_timeout = 0, idle_readonly_transaction_timeout = 0";

/// Prepared statements kept by a connection.
const STATEMENTS_MAX: usize = 32;

async fn options(connection: &Connection, password: Option<&Secret>) -> Result<MySqlConnectOptions, SourceError> {
    let mode = connection.tls.mode;
    let mut options = MySqlConnectOptions::new()
        .username(&connection.user)
        .database(&connection.database)
        .ssl_mode(match mode {
            TlsMode::Disable => MySqlSslMode::Disabled,
            TlsMode::Require => MySqlSslMode::Required,
            TlsMode::VerifyCa => MySqlSslMode::VerifyCa,
            TlsMode::VerifyFull => MySqlSslMode::VerifyIdentity,
        })
        // statements are kept, not because they come again (though a chunk's does), but because closing one is a
        // packet without an answer: the driver leaves Nagle's algorithm on, and the next statement would wait 40 ms
        // for the server's delayed acknowledgement
        .statement_cache_capacity(STATEMENTS_MAX)
        // what the driver would set by itself, half of it on top of the server's settings
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .timezone(None)
        .set_names(false)
        // the server asks for the token as it is; the configuration gives no such login without verified TLS or a socket
        .enable_cleartext_plugin(connection.login == Login::Iam)
        .log_statements(LevelFilter::Off)
        .log_slow_statements(LevelFilter::Off, std::time::Duration::MAX);
    options = match &connection.address {
        Address::Tcp { host, port } => options.host(host).port(*port),
        Address::Socket(path) => options.socket(path),
    };
    if let Some(password) = password {
        options = options.password(password.expose());
    }
    if mode == TlsMode::Disable {
        return Ok(options);
    }
    let files = tls::Files::read(&connection.tls).await?;
    if let Some(ca) = files.ca {
        options = options.ssl_ca_from_pem(ca);
    }
    if let Some(client) = files.client {
        options = options.ssl_client_cert_from_pem(client.cert).ssl_client_key_from_pem(client.key);
    }
    Ok(options)
}

/// Opens a connection and pins its settings.
pub(super) async fn connect(config: &Connection, tokens: &Tokens, cx: &Context) -> Result<MySqlSession, SourceError> {
    const WHAT: &str = "connecting to the source";
    let interrupted = |cause| SourceError::Interrupted { what: WHAT, cause };
    let password = login::password(config, tokens, cx).await?;
    let options = options(config, password.as_ref()).await?;
    let opened = cx.attempt(CONNECT_MAX, options.connect()).await.map_err(interrupted)?;
    let mut conn = opened.map_err(|cause| error::connecting(config, cause))?;

    // first of all: with a select limit of 0 no query answers anything
    pin(&mut conn, cx, PINNED).await?;
    let version = Statement::plain("SELECT @@version");
    let rows = stream::fetch(&mut conn, cx, CONNECT_MAX, WHAT, version).await?;
    let dialect = Dialect::from_version(&rows.first().and_then(|row| stream::text(row, 0)).unwrap_or_default());
    let own = match dialect {
        Dialect::MySql { .. } => PINNED_MYSQL,
        Dialect::MariaDb => PINNED_MARIADB,
    };
    pin(&mut conn, cx, own).await?;
    Ok(MySqlSession { conn, dialect, database: config.database.clone(), marker: false })
}

async fn pin(conn: &mut MySqlConnection, cx: &Context, sql: &'static str) -> Result<(), SourceError> {
    const WHAT: &str = "pinning the session's settings";
    stream::execute(conn, cx, CATALOG_MAX, WHAT, sql.to_owned()).await
}
