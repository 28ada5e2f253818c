//! Connecting: the address, TLS, and the settings that a session is pinned to.
//!
//! The pinning comes after the login, as `SET`, because that is what no default of server, database or role can
//! override. `lc_monetary` is deliberately not pinned: it defines what the stored units of a `money` are worth.

use std::path::Path;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions as _, Connection as _};

use super::{APPLICATION_NAME, error};
use crate::model::{Address, Connection, Secret, Tls, TlsMode};
use crate::net::{Context, Tokens};
use crate::source::{CONNECT_MAX, SourceError, login, tls};

const WHAT: &str = "connecting";

/// Restores the timeout of catalog queries, as [`PIN`] sets it ([`crate::source::CATALOG_MAX`]).
pub(super) const CATALOG_TIMEOUT: &str = "SET statement_timeout = '60s'";

/// Pins the session, in one round trip. Each setting changes what values look like, which names mean what, or when
/// the server gives up; the last statement is for those that not every version knows.
const PIN: &str = "\
    SET statement_timeout = '60s';
    SET search_path = pg_catalog;
    SET application_name = 'highwater';
    SELECT pg_catalog.set_config('client_encoding', CASE pg_catalog.current_setting('server_encoding')
        WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END, false);
    SET TimeZone = 'UTC';
    SET DateStyle = 'ISO, MDY';
    SET IntervalStyle = 'iso_8601';
    SET extra_float_digits = 3;
    SET bytea_output = 'hex';
    SET xmlbinary = 'base64';
    SET array_nulls = on;
    SET quote_all_identifiers = off;
    SET standard_conforming_strings = on;
    SET transform_null_equals = off;
    SET row_security = off;
    SET synchronize_seqscans = off;
    SET gin_fuzzy_search_limit = 0;
    SET default_transaction_read_only = on;
    SET default_transaction_isolation = 'read committed';
    SET default_transaction_deferrable = off;
    SET lock_timeout = '10s';
    SET idle_in_transaction_session_timeout = '30min';
    SET client_min_messages = 'warning';
    SET jit = off;
    SET plan_cache_mode = 'auto';
    SELECT set_config(pinned.name, pinned.value, false)
      FROM (VALUES ('idle_session_timeout', '0'), ('transaction_timeout', '0'), ('stats_fetch_consistency', 'none'),
                   ('client_connection_check_interval', '10s')) AS pinned (name, value)
      JOIN pg_settings ON pg_settings.name = pinned.name
     WHERE pinned.name <> 'client_connection_check_interval' OR version() LIKE '%linux%'";

/// Connects and pins the session.
pub(super) async fn connect(config: &Connection, tokens: &Tokens, cx: &Context) -> Result<PgConnection, SourceError> {
    let address = config.address.to_string();
    let password = login::password(config, tokens, cx).await?;
    let options = options(config, password.as_ref()).await?;
    let open = async {
        let mut connection = PgConnection::connect_with(&options).await?;
        pin(&mut connection).await?;
        Ok(connection)
    };
    let opened = error::limit(cx, WHAT, CONNECT_MAX, open).await?;
    opened.map_err(|cause| error::connect(&address, &config.user, cause))
}

/// A role's own `statement_timeout` may be so short that it cancels the statement that sets ours.
async fn pin(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    const TRIES: u32 = 5;
    let mut tries = 1;
    loop {
        match sqlx::raw_sql(PIN).execute(&mut *connection).await {
            Ok(_done) => return Ok(()),
            Err(cause) if tries < TRIES && error::is_cancelled(&cause) => tries += 1,
            Err(cause) => return Err(cause),
        }
    }
}

/// The driver's options. Those that it takes from the environment (`PGHOST`, `PGPASSWORD` …) are all overridden,
/// but for client certificates and `PGOPTIONS`, which it cannot unset.
async fn options(config: &Connection, password: Option<&Secret>) -> Result<PgConnectOptions, SourceError> {
    let options = PgConnectOptions::new_without_pgpass()
        .username(&config.user)
        .password(password.map(Secret::expose).unwrap_or_default())
        .database(&config.database)
        .application_name(APPLICATION_NAME)
        .statement_cache_capacity(0)
        .disable_statement_logging();
    match &config.address {
        Address::Tcp { host, port } => with_tls(options.host(host).port(*port), &config.tls).await,
        Address::Socket(path) => {
            let (directory, port) = socket_parts(path);
            Ok(options.socket(directory).port(port).ssl_mode(PgSslMode::Disable))
        }
    }
}

async fn with_tls(options: PgConnectOptions, settings: &Tls) -> Result<PgConnectOptions, SourceError> {
    if settings.mode == TlsMode::Disable {
        return Ok(options.ssl_mode(PgSslMode::Disable));
    }
    let mut options = options.ssl_mode(match settings.mode {
        TlsMode::Disable => PgSslMode::Disable,
        TlsMode::Require => PgSslMode::Require,
        TlsMode::VerifyCa => PgSslMode::VerifyCa,
        TlsMode::VerifyFull => PgSslMode::VerifyFull,
    });
    let files = tls::Files::read(settings).await?;
    if let Some(ca) = files.ca {
        options = options.ssl_root_cert_from_pem(ca);
    }
    if let Some(client) = files.client {
        options = options.ssl_client_cert_from_pem(client.cert).ssl_client_key_from_pem(client.key);
    }
    Ok(options)
}

/// Directory and port of a socket: `/run/postgresql`, or `/run/postgresql/.s.PGSQL.5433`.
fn socket_parts(path: &Path) -> (&Path, u16) {
    const PORT: u16 = 5432;
    let port = path.file_name().and_then(|name| name.to_str()?.strip_prefix(".s.PGSQL.")?.parse().ok());
    match (port, path.parent()) {
        (Some(port), Some(directory)) => (directory, port),
        (_, _) => (path, PORT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_by_directory_or_file() {
        let parts = |path: &'static str| {
            let (directory, port) = socket_parts(Path::new(path));
            (directory.display().to_string(), port)
        };
        assert_eq!(parts("/run/postgresql"), ("/run/postgresql".to_owned(), 5432));
        assert_eq!(parts("/cloudsql/p:r:i/.s.PGSQL.5433"), ("/cloudsql/p:r:i".to_owned(), 5433));
    }
}
