//! Looks around in `pg_catalog`.

use std::collections::{BTreeSet, HashMap};

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::catalog::{table_kind, whole};
use super::{DEFAULT_SCHEMA, PostgresSession, error};
use crate::model::{Hints, Listed, SourceTable};
use crate::net::Context;
use crate::source::survey::{LISTED_MAX, Survey, too_many};
use crate::source::{CATALOG_MAX, SourceError};

const LISTING: &str = "listing the tables";
const SIZING: &str = "reading estimates of rows";
const HINTING: &str = "reading indexes and defaults";

/// Every relation that holds rows. One more than is taken tells that there are more.
const TABLES: &str = "
    SELECT n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind, c.relispartition AS partition
      FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't'
       AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND ($1::text IS NULL OR n.nspname = $1)
     ORDER BY 1, 2 LIMIT $2";

/// Estimates of rows. A partitioned table has its partitions', however deep; one that was never analysed what the server has
/// counted. Only catalogs are read: a table's size, and `pg_partition_tree`, would wait for locks on it.
const SIZES: &str = "
    SELECT n.nspname::text AS schema, c.relname::text AS name,
           (CASE WHEN c.relkind = 'p'
                 THEN (WITH RECURSIVE tree (oid) AS (
                           SELECT inhrelid FROM pg_inherits WHERE inhparent = c.oid
                           UNION ALL
                           SELECT i.inhrelid FROM tree JOIN pg_inherits AS i ON i.inhparent = tree.oid)
                       SELECT sum(CASE WHEN leaf.reltuples > 0 THEN leaf.reltuples ELSE pg_stat_get_live_tuples(leaf.oid) END)
                         FROM tree JOIN pg_class AS leaf ON leaf.oid = tree.oid WHERE leaf.relkind <> 'p')
                 WHEN c.reltuples > 0 THEN c.reltuples
                 ELSE pg_stat_get_live_tuples(c.oid)
            END)::float8 AS estimate
      FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'm', 'f') AND n.nspname = ANY($1) LIMIT $2";

/// Indexes that can serve an order: whole, valid, on columns from the first on.
const INDEXES: &str = "
    SELECT (SELECT array_agg(a.attname::text ORDER BY k.place)
              FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
              JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
             WHERE k.place <= i.indnkeyatts) AS columns
      FROM pg_index AS i
      JOIN pg_class AS c ON c.oid = i.indexrelid
      JOIN pg_am AS am ON am.oid = c.relam
      JOIN pg_class AS t ON t.oid = i.indrelid
      JOIN pg_namespace AS n ON n.oid = t.relnamespace
     WHERE n.nspname = $1 AND t.relname = $2 AND am.amname = 'btree'
       AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
     ORDER BY i.indexrelid";

/// Columns that an identity or a sequence fills.
const GENERATED: &str = "
    SELECT a.attname::text AS name
      FROM pg_attribute AS a
      JOIN pg_class AS t ON t.oid = a.attrelid
      JOIN pg_namespace AS n ON n.oid = t.relnamespace
      LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE n.nspname = $1 AND t.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped
       AND (a.attidentity <> '' OR pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%')
     ORDER BY a.attnum";

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

    async fn sizes(&mut self, cx: &Context, tables: &[SourceTable]) -> Result<Vec<Option<u64>>, SourceError> {
        let schema = |table: &SourceTable| table.schema.clone().unwrap_or_else(|| DEFAULT_SCHEMA.to_owned());
        let schemas: BTreeSet<String> = tables.iter().map(schema).collect();
        let schemas: Vec<String> = schemas.into_iter().collect();
        let query = sqlx::query(SIZES).bind(schemas).bind(i64::try_from(LISTED_MAX).unwrap_or(i64::MAX));
        let rows = query.persistent(false).fetch_all(&mut self.connection);
        let rows = error::limit(cx, SIZING, CATALOG_MAX, rows).await?.map_err(|cause| error::query(SIZING, cause))?;
        let sized: Result<HashMap<(String, String), Option<u64>>, sqlx::Error> = rows.iter().map(size).collect();
        let sized = sized.map_err(|cause| error::query(SIZING, cause))?;
        Ok(tables.iter().map(|table| *sized.get(&(schema(table), table.name.clone()))?).collect())
    }

    async fn hints(&mut self, cx: &Context, table: &SourceTable) -> Result<Hints, SourceError> {
        let schema = table.schema.as_deref().unwrap_or(DEFAULT_SCHEMA);
        let mut rows = [Vec::new(), Vec::new()];
        for (rows, sql) in rows.iter_mut().zip([INDEXES, GENERATED]) {
            let query = sqlx::query(sql).bind(schema).bind(&table.name).persistent(false);
            let found = error::limit(cx, HINTING, CATALOG_MAX, query.fetch_all(&mut self.connection)).await?;
            *rows = found.map_err(|cause| error::query(HINTING, cause))?;
        }
        let lost = |cause| error::query(HINTING, cause);
        let [indexes, generated] = rows;
        Ok(Hints {
            indexes: indexes.iter().map(|row| row.try_get("columns")).collect::<Result<_, _>>().map_err(lost)?,
            generated: generated.iter().map(|row| row.try_get("name")).collect::<Result<_, _>>().map_err(lost)?,
            // what a trigger does cannot be told
            touched: Vec::new(),
        })
    }
}

fn size(row: &PgRow) -> Result<((String, String), Option<u64>), sqlx::Error> {
    let estimate: Option<f64> = row.try_get("estimate")?;
    Ok(((row.try_get("schema")?, row.try_get("name")?), estimate.map(whole)))
}

fn listed(row: &PgRow) -> Result<Listed, sqlx::Error> {
    let table = SourceTable { schema: Some(row.try_get("schema")?), name: row.try_get("name")? };
    let kind: String = row.try_get("kind")?;
    Ok(Listed { table, kind: table_kind(&kind, row.try_get("partition")?) })
}
