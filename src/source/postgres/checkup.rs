//! Who the session is and what it may do, by the server's own functions.

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::{DEFAULT_SCHEMA, PostgresSession, error};
use crate::model::{Account, Rights, ServerFacts, SourceTable};
use crate::net::Context;
use crate::source::checkup::Checkup;
use crate::source::{CATALOG_MAX, SourceError};

const WHAT: &str = "asking for rights";

/// A superuser has every role.
const SERVER: &str = "
    SELECT 'PostgreSQL ' || current_setting('server_version') AS version, current_user::text AS account,
           (SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl) AS tls,
           pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees_others";

const RIGHTS: &str = "
    SELECT has_schema_privilege(n.oid, 'USAGE') AS schema, has_table_privilege(c.oid, 'SELECT') AS of_table
      FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relname = $2";

impl Checkup for PostgresSession {
    async fn server(&mut self, cx: &Context) -> Result<ServerFacts, SourceError> {
        let query = sqlx::query(SERVER).persistent(false);
        let row = error::limit(cx, WHAT, CATALOG_MAX, query.fetch_one(&mut self.connection)).await?;
        let lost = |cause| error::query(WHAT, cause);
        facts(&row.map_err(lost)?).map_err(lost)
    }

    async fn rights(&mut self, cx: &Context, table: &SourceTable) -> Result<Rights, SourceError> {
        let schema = table.schema.as_deref().unwrap_or(DEFAULT_SCHEMA);
        let query = sqlx::query(RIGHTS).bind(schema).bind(&table.name).persistent(false);
        let row = error::limit(cx, WHAT, CATALOG_MAX, query.fetch_one(&mut self.connection)).await?;
        let lost = |cause| error::query(WHAT, cause);
        let row = row.map_err(lost)?;
        let right = |name| row.try_get(name).map_err(lost);
        Ok(Rights { schema: right("schema")?, table: right("of_table")? })
    }
}

fn facts(row: &PgRow) -> Result<ServerFacts, sqlx::Error> {
    Ok(ServerFacts {
        version: row.try_get("version")?,
        account: Account { name: row.try_get("account")?, host: None },
        tls: row.try_get("tls")?,
        sees_others: row.try_get("sees_others")?,
    })
}
