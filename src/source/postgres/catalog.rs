//! What `pg_catalog` says of one table: columns with their base types, keys, rights, size.

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

use super::{DEFAULT_SCHEMA, error};
use crate::mapping::postgres::{Facts, Operators, column};
use crate::model::{Derivation, Derived, Indexing, SourceTable, TableKind, nearest};
use crate::source::{Description, SourceError};

const WHAT: &str = "reading the catalog";
/// Most names of similar tables in an error.
const SIMILAR_MAX: usize = 3;

/// The relation itself. The estimate of a partitioned table is the sum of its partitions'.
const RELATION: &str = "
    SELECT c.oid::int8 AS oid, c.relkind::text AS kind, c.relispartition AS partition, obj_description(c.oid, 'pg_class') AS comment,
           has_schema_privilege(n.oid, 'USAGE') AS schema_usage,
           has_table_privilege(c.oid, 'SELECT') OR has_any_column_privilege(c.oid, 'SELECT') AS readable,
           row_security_active(c.oid) AS policed,
           (CASE WHEN c.relkind = 'p'
                 THEN (SELECT sum(leaf.reltuples) FROM pg_partition_tree(c.oid) AS tree
                         JOIN pg_class AS leaf ON leaf.oid = tree.relid
                        WHERE tree.isleaf AND leaf.reltuples > 0)
                 WHEN c.relkind IN ('r', 'm', 'f') THEN nullif(c.reltuples, -1)
             END)::float8 AS estimate,
           c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid) AS inherited
      FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relname = $2";

/// Columns, each with the base type below any number of domains. A NOT NULL that was never validated (`NOT VALID`,
/// PostgreSQL 18) promises nothing of the rows that are there.
const COLUMNS: &str = "
    WITH RECURSIVE base (attnum, typ, modifier) AS (
        SELECT attnum, atttypid, atttypmod FROM pg_attribute
         WHERE attrelid = $1::int8::oid AND attnum > 0 AND NOT attisdropped
        UNION ALL
        SELECT base.attnum, t.typbasetype, t.typtypmod
          FROM base JOIN pg_type AS t ON t.oid = base.typ WHERE t.typtype = 'd')
    SELECT a.attname::text AS name,
           format_type(a.atttypid, a.atttypmod) AS source_type,
           NOT a.attnotnull OR EXISTS (SELECT FROM pg_constraint AS n
                                        WHERE n.conrelid = a.attrelid AND n.contype = 'n' AND NOT n.convalidated
                                          AND n.conkey = ARRAY[a.attnum]) AS nullable,
           col_description(a.attrelid, a.attnum) AS comment,
           has_column_privilege(a.attrelid, a.attnum, 'SELECT') AS readable,
           t.typname::text AS type_name, tn.nspname::text AS type_schema, t.typtype::text AS kind,
           t.typcategory = 'A' AND t.typelem <> 0 AS is_array,
           base.modifier, format_type(t.oid, -1) AS cast_type,
           (SELECT e.extname::text FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
             WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid
               AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' LIMIT 1) AS extension,
           CASE WHEN a.attgenerated <> '' THEN (
               SELECT pg_get_expr(made.adbin, made.adrelid) FROM pg_attrdef AS made
                WHERE made.adrelid = a.attrelid AND made.adnum = a.attnum)
            END AS generated,
           operators.schema AS operator_schema, operators.names AS operator_names
      FROM base
      JOIN pg_attribute AS a ON a.attrelid = $1::int8::oid AND a.attnum = base.attnum
      JOIN pg_type AS t ON t.oid = base.typ AND t.typtype <> 'd'
      JOIN pg_namespace AS tn ON tn.oid = t.typnamespace
      LEFT JOIN LATERAL (
           SELECT min(opn.nspname::text) AS schema, array_agg(op.oprname::text ORDER BY ao.amopstrategy) AS names
             FROM pg_opclass AS oc
             JOIN pg_am AS am ON am.oid = oc.opcmethod AND am.amname = 'btree'
             JOIN pg_amop AS ao ON ao.amopfamily = oc.opcfamily AND ao.amopstrategy BETWEEN 1 AND 5
                               AND ao.amoplefttype = t.oid AND ao.amoprighttype = t.oid
             JOIN pg_operator AS op ON op.oid = ao.amopopr
             JOIN pg_namespace AS opn ON opn.oid = op.oprnamespace
            WHERE oc.opcintype = t.oid AND oc.opcdefault) AS operators ON true
     ORDER BY a.attnum";

/// Unique indexes. A primary key that is deferrable is unique in every snapshot too.
const KEYS: &str = "
    SELECT i.indisprimary AS is_primary,
           (SELECT array_agg(a.attname::text ORDER BY k.place)
              FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
              JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
             WHERE k.place <= i.indnkeyatts) AS columns
      FROM pg_index AS i
     WHERE i.indrelid = $1::int8::oid AND i.indisunique AND i.indisvalid AND i.indislive
       AND i.indpred IS NULL AND i.indexprs IS NULL AND (i.indimmediate OR i.indisprimary)
     ORDER BY i.indisprimary DESC, i.indexrelid";

const NAMES: &str = "
    SELECT n.nspname::text AS schema, c.relname::text AS name
      FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
     ORDER BY 1, 2 LIMIT 20000";

/// Reads what the catalogs say of `table`.
pub(super) async fn describe(connection: &mut PgConnection, table: &SourceTable) -> Result<Description, SourceError> {
    let schema = table.schema.as_deref().unwrap_or(DEFAULT_SCHEMA);
    let relation = sqlx::query(RELATION).bind(schema).bind(&table.name).persistent(false);
    let relation = match relation.fetch_optional(&mut *connection).await.map_err(lost)? {
        Some(row) => Relation::read(&row).map_err(lost)?,
        None => return Err(no_table(connection, table).await?),
    };
    relation.check(table)?;

    let rows = sqlx::query(COLUMNS).bind(relation.oid).persistent(false).fetch_all(&mut *connection);
    let mut columns = Vec::new();
    let (mut hidden, mut derived) = (Vec::new(), Vec::new());
    for row in rows.await.map_err(lost)? {
        let facts = facts(&row).map_err(lost)?;
        if let Some(expression) = row.try_get("generated").map_err(lost)? {
            derived.push(Derived { column: facts.name.clone(), how: Derivation::Expression(expression) });
        }
        if row.try_get("readable").map_err(lost)? {
            columns.push(column(facts));
        } else {
            hidden.push(facts.name);
        }
    }
    if !hidden.is_empty() {
        tracing::warn!(table = %table, columns = ?hidden, "columns without the SELECT privilege are left out");
    }
    // children of an inherited table have indexes of their own, so nothing keeps its rows unique
    let (primary_key, unique_keys) =
        if relation.inherited { (Vec::new(), Vec::new()) } else { keys(connection, relation.oid).await? };
    Ok(Description {
        name: table.name.clone(),
        kind: table_kind(&relation.kind, relation.partition),
        indexing: indexing(&relation.kind),
        columns,
        hidden,
        hides_some: false,
        primary_key,
        unique_keys,
        comment: relation.comment,
        rows_estimate: relation.estimate.map(whole),
        derived,
    })
}

fn lost(cause: sqlx::Error) -> SourceError {
    error::query(WHAT, cause)
}

/// An estimate as a whole number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and it is an estimate")]
pub(super) fn whole(estimate: f64) -> u64 {
    estimate as u64
}

struct Relation {
    oid: i64,
    kind: String,
    partition: bool,
    comment: Option<String>,
    schema_usage: bool,
    readable: bool,
    policed: bool,
    estimate: Option<f64>,
    inherited: bool,
}

impl Relation {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            oid: row.try_get("oid")?,
            kind: row.try_get("kind")?,
            partition: row.try_get("partition")?,
            comment: row.try_get("comment")?,
            schema_usage: row.try_get("schema_usage")?,
            readable: row.try_get("readable")?,
            policed: row.try_get("policed")?,
            estimate: row.try_get("estimate")?,
            inherited: row.try_get("inherited")?,
        })
    }

    /// Whether it can and may be read whole.
    fn check(&self, table: &SourceTable) -> Result<(), SourceError> {
        let denied = |message: &str| SourceError::Denied { table: table.to_string(), message: message.to_owned() };
        let refused = |message: String, code: &str| SourceError::Query {
            what: WHAT,
            message,
            code: code.to_owned(),
            transient: false,
        };
        if let Some(kind) = unreadable_kind(&self.kind) {
            return Err(refused(format!("{table} is {kind}, which holds no rows to copy"), "42809"));
        }
        if !self.schema_usage {
            return Err(denied("no USAGE privilege on its schema"));
        }
        if !self.readable {
            return Err(denied("no SELECT privilege on it"));
        }
        if self.policed {
            let message = format!(
                "row-level security policies of {table} would hide rows from the source's user; \
                 give it BYPASSRLS, or read as the table's owner"
            );
            return Err(refused(message, "42501"));
        }
        Ok(())
    }
}

/// What a relation that holds rows is, by its `relkind`.
pub(super) fn table_kind(kind: &str, partition: bool) -> TableKind {
    match kind {
        "v" | "m" => TableKind::View,
        _ if partition => TableKind::Partition,
        _ => TableKind::Table,
    }
}

/// How a relation gets an index, by its `relkind` (PostgreSQL, "CREATE INDEX").
fn indexing(kind: &str) -> Indexing {
    match kind {
        "p" => Indexing::Locking,
        "v" | "m" | "f" => Indexing::Never,
        _ => Indexing::Beside,
    }
}

/// What a relation is that is no table, view, materialized view or foreign table.
fn unreadable_kind(kind: &str) -> Option<&'static str> {
    match kind {
        "r" | "p" | "v" | "m" | "f" => None,
        "S" => Some("a sequence"),
        "i" | "I" => Some("an index"),
        "c" => Some("a composite type"),
        "t" => Some("a TOAST table"),
        _ => Some("a relation of an unknown kind"),
    }
}

fn facts(row: &PgRow) -> Result<Facts, sqlx::Error> {
    let kind: String = row.try_get("kind")?;
    Ok(Facts {
        name: row.try_get("name")?,
        source_type: row.try_get("source_type")?,
        nullable: row.try_get("nullable")?,
        comment: row.try_get("comment")?,
        type_name: row.try_get("type_name")?,
        type_schema: row.try_get("type_schema")?,
        extension: row.try_get("extension")?,
        kind: kind.chars().next().unwrap_or('b'),
        array: row.try_get("is_array")?,
        modifier: row.try_get("modifier")?,
        cast: row.try_get("cast_type")?,
        operators: operators(row)?,
    })
}

fn operators(row: &PgRow) -> Result<Option<Box<Operators>>, sqlx::Error> {
    let schema: Option<String> = row.try_get("operator_schema")?;
    let names: Option<Vec<String>> = row.try_get("operator_names")?;
    let names = names.and_then(|names| names.try_into().ok());
    Ok(schema.zip(names).map(|(schema, names)| Box::new(Operators { schema, names })))
}

/// The primary key and the other unique keys.
async fn keys(connection: &mut PgConnection, oid: i64) -> Result<(Vec<String>, Vec<Vec<String>>), SourceError> {
    let rows = sqlx::query(KEYS).bind(oid).persistent(false).fetch_all(connection).await.map_err(lost)?;
    let mut primary_key = Vec::new();
    let mut unique_keys: Vec<Vec<String>> = Vec::new();
    for row in rows {
        let columns: Vec<String> = row.try_get("columns").map_err(lost)?;
        if row.try_get("is_primary").map_err(lost)? {
            primary_key = columns;
        } else if columns != primary_key && !unique_keys.contains(&columns) {
            unique_keys.push(columns);
        }
    }
    Ok((primary_key, unique_keys))
}

/// That there is no such table, with the names of those that look alike.
async fn no_table(connection: &mut PgConnection, table: &SourceTable) -> Result<SourceError, SourceError> {
    let rows = sqlx::query(NAMES).persistent(false).fetch_all(connection).await.map_err(lost)?;
    let name = |row: &PgRow| Ok((row.try_get("schema")?, row.try_get("name")?));
    let names = rows.iter().map(name).collect::<Result<Vec<(String, String)>, _>>().map_err(lost)?;
    Ok(SourceError::NoTable { table: table.to_string(), similar: similar(table, &names) })
}

/// At most [`SIMILAR_MAX`] of `names` (schema and name), the nearest first, whatever their schema.
fn similar(table: &SourceTable, names: &[(String, String)]) -> Vec<String> {
    let shown = |(schema, name): &(String, String)| match schema == DEFAULT_SCHEMA {
        true => name.clone(),
        false => format!("{schema}.{name}"),
    };
    nearest(&table.name, names.iter().map(|known| (known.1.as_str(), shown(known))), SIMILAR_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_names_are_the_nearest() {
        let names = [("public", "invoices"), ("app", "invoice"), ("public", "customers"), ("public", "Invoice")];
        let names = names.map(|(schema, name)| (schema.to_owned(), name.to_owned()));
        let table = SourceTable { schema: None, name: "invoice".to_owned() };
        assert_eq!(similar(&table, &names), ["app.invoice", "Invoice", "invoices"]);
        let table = SourceTable { schema: None, name: "zzz".to_owned() };
        assert!(similar(&table, &names).is_empty());
    }
}
