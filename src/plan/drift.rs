//! Compares the columns that the source has now with those of the BigQuery table. Pure.

use crate::model::{BqType, Field, Schema};

/// What is to be done with the target before rows can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drift {
    /// Nothing.
    None,
    /// The table's schema is to be replaced by this one: columns added, REQUIRED relaxed.
    Patch {
        /// The whole new schema.
        schema: Schema,
        /// One line per change, for people.
        changes: Vec<String>,
    },
    /// It cannot be resolved.
    Incompatible(Incompatible),
}

/// A column whose type in BigQuery is not what the source's type becomes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "column {column:?} is {found} in BigQuery, and the source's type becomes {wanted}; alter the column in BigQuery, \
     or drop the target table and `highwater reset` to copy it anew"
)]
pub struct Incompatible {
    /// The column's name in BigQuery.
    pub column: String,
    /// The type there.
    pub found: BqType,
    /// The type that the source's column becomes.
    pub wanted: BqType,
}

/// Decides what the difference between `found` (BigQuery's) and `wanted` (the source's) needs.
pub fn decide(found: &Schema, wanted: &Schema) -> Drift {
    let mut schema = found.clone();
    let mut changes = Vec::new();
    for field in &mut schema.0 {
        match wanted.field(&field.name) {
            Some(new) if new.ty != field.ty => {
                return Drift::Incompatible(Incompatible {
                    column: field.name.clone(),
                    found: field.ty,
                    wanted: new.ty,
                });
            }
            Some(new) if field.required && !new.required => {
                field.required = false;
                changes.push(format!("column {:?} may be NULL from now on", field.name));
            }
            None if field.required => {
                field.required = false;
                changes.push(format!("column {:?} is gone at the source: NULL from now on", field.name));
            }
            Some(_) | None => {}
        }
    }
    for new in &wanted.0 {
        if found.field(&new.name).is_none() {
            changes.push(format!("column {:?} {} added", new.name, new.ty));
            // BigQuery adds NULLABLE columns only: the rows that are there have no value
            schema.0.push(Field { required: false, ..new.clone() });
        }
    }
    if changes.is_empty() { Drift::None } else { Drift::Patch { schema, changes } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, ty: BqType, required: bool) -> Field {
        Field { name: name.into(), ty, required, description: None }
    }

    #[test]
    fn equal_columns_need_nothing_in_any_order_and_case() {
        let found = Schema(vec![field("ID", BqType::Int64, true), field("b", BqType::String, false)]);
        let wanted = Schema(vec![field("b", BqType::String, true), field("id", BqType::Int64, true)]);
        assert_eq!(decide(&found, &wanted), Drift::None);
    }

    #[test]
    fn new_dropped_and_relaxed_columns_are_one_patch() {
        let found = Schema(vec![
            field("id", BqType::Int64, true),
            field("gone", BqType::Bool, true),
            field("gone_null", BqType::Bool, false),
            field("relaxed", BqType::String, true),
        ]);
        let wanted = Schema(vec![
            field("id", BqType::Int64, true),
            field("relaxed", BqType::String, false),
            field("new", BqType::Date, true),
        ]);
        let Drift::Patch { schema, changes } = decide(&found, &wanted) else { unreachable!("a patch") };
        assert_eq!(changes.len(), 3);
        assert_eq!(
            schema,
            Schema(vec![
                field("id", BqType::Int64, true),
                field("gone", BqType::Bool, false),
                field("gone_null", BqType::Bool, false),
                field("relaxed", BqType::String, false),
                field("new", BqType::Date, false),
            ])
        );
    }

    #[test]
    fn another_type_is_refused_with_both_types() {
        let found = Schema(vec![field("a", BqType::Int64, false)]);
        let wanted = Schema(vec![field("a", BqType::String, false)]);
        let Drift::Incompatible(fault) = decide(&found, &wanted) else { unreachable!("incompatible") };
        assert!(
            fault.to_string().starts_with("column \"a\" is INT64 in BigQuery, and the source's type becomes STRING")
        );
    }
}
