//! Looks around in `pg_catalog`.

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::catalog::table_kind;
use super::{PostgresSession, error};
use crate::model::{Listed, SourceTable};
use crate::net::Context;
use crate::source::survey::{LISTED_MAX, Survey, too_many};
use crate::source::{CATALOG_MAX, SourceError};

const LISTING: &str = "listing the tables";

/// Every relation that holds rows. One more than is taken tells that there are more.
const TABLES: &str = "
    SELECT n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind, c.relispartition AS partition
      FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
       AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND ($1::text IS NULL OR n.nspname = $1)
     ORDER BY 1, 2 LIMIT $2";

impl Survey for PostgresSession {
    async fn list(&mut self, cx: &Context, schema: Option<&str>) -> Result<Vec<Listed>, SourceError> {
        let more = i64::try_from(LISTED_MAX + 1).unwrap_or(i64::MAX);
        let query = sqlx::query(TABLES).bind(schema).bind(more).persistent(false);
        let rows = error::limit(cx, LISTING, CATALOG_MAX, query.fetch_all(&mut self.connection)).await?;
        let rows = rows.map_err(|cause| error::query(LISTING, cause))?;
        if rows.len() > LISTED_MAX {
            return Err(too_many(LISTING));
        }
        rows.iter().map(listed).collect::<Result<_, _>>().map_err(|cause| error::query(LISTING, cause))
    }
}

fn listed(row: &PgRow) -> Result<Listed, sqlx::Error> {
    let table = SourceTable { schema: Some(row.try_get("schema")?), name: row.try_get("name")? };
    let kind: String = row.try_get("kind")?;
    Ok(Listed { table, kind: table_kind(&kind, row.try_get("partition")?) })
}
