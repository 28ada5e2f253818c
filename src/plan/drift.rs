//! Compares the columns that the source has now with those of the BigQuery table. Pure.

use crate::model::{BqType, Field, FieldMode, Schema};

/// What is to be done with the target before rows can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drift {
    /// Nothing.
    None,
    /// The target can be brought in line.
    Changes(Changes),
    /// It cannot.
    Incompatible(Incompatible),
}

/// How the target is brought in line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The whole schema with columns added and REQUIRED relaxed; `None` if neither is needed.
    pub patch: Option<Schema>,
    /// Columns whose type becomes a wider one.
    pub widened: Vec<(String, BqType)>,
    /// One line per change, for people.
    pub lines: Vec<String>,
}

/// A column whose type in BigQuery is not what the source's type becomes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{}; say `types: {{{column}: {found}}}` to keep the column as it is, or `schema: {{incompatible: rebuild}}` to build the \
     table anew beside itself and replace it",
    self.what()
)]
pub struct Incompatible {
    /// The column's name in BigQuery.
    pub column: String,
    /// The type there.
    pub found: String,
    /// The type that the source's column becomes.
    pub wanted: String,
}

impl Incompatible {
    /// The difference, without the way out.
    pub fn what(&self) -> String {
        let Self { column, found, wanted } = self;
        format!("column {column:?} is {found} in BigQuery, and the source's type becomes {wanted}")
    }
}

/// Whether every value of `from` is one of `to`, so that BigQuery changes a column's type in place
/// (data definition language, "ALTER COLUMN SET DATA TYPE").
fn widens(from: BqType, to: BqType) -> bool {
    use BqType as Bq;
    matches!((from, to), (Bq::Int64, Bq::Numeric | Bq::BigNumeric | Bq::Float64) | (Bq::Numeric, Bq::BigNumeric))
}

/// Whether values of `staged` go into a column of `found` as they are: DML coerces them.
fn coerces(staged: BqType, found: BqType) -> bool {
    // FLOAT64 would lose digits of an INT64
    widens(staged, found) && found != BqType::Float64
}

fn type_of(field: &Field) -> String {
    match field.mode {
        FieldMode::Repeated => format!("ARRAY<{}>", field.ty),
        FieldMode::Nullable | FieldMode::Required => field.ty.to_string(),
    }
}

/// Decides what the difference between `found` (BigQuery's) and `wanted` (the source's) needs.
pub fn decide(found: &Schema, wanted: &Schema) -> Drift {
    let mut schema = found.clone();
    let mut changes = Changes::default();
    let mut patched = false;
    for field in &mut schema.0 {
        let Some(new) = wanted.field(&field.name) else {
            if field.mode == FieldMode::Required {
                (field.mode, patched) = (FieldMode::Nullable, true);
                changes.lines.push(format!("column {:?} is gone at the source: NULL from now on", field.name));
            }
            continue;
        };
        let array = |field: &Field| field.mode == FieldMode::Repeated;
        let single = !array(field) && !array(new);
        if single && widens(field.ty, new.ty) {
            changes.lines.push(format!("column {:?} widened from {} to {}", field.name, field.ty, new.ty));
            changes.widened.push((field.name.clone(), new.ty));
        } else if array(field) != array(new) || field.ty != new.ty && !(single && coerces(new.ty, field.ty)) {
            let (column, found, wanted) = (field.name.clone(), type_of(field), type_of(new));
            return Drift::Incompatible(Incompatible { column, found, wanted });
        }
        if field.mode == FieldMode::Required && new.mode == FieldMode::Nullable {
            (field.mode, patched) = (FieldMode::Nullable, true);
            changes.lines.push(format!("column {:?} may be NULL from now on", field.name));
        }
    }
    for new in missing(found, wanted) {
        changes.lines.push(format!("column {:?} {} added", new.name, type_of(new)));
        // BigQuery adds no REQUIRED columns: the rows that are there have no value
        let mode = if new.mode == FieldMode::Required { FieldMode::Nullable } else { new.mode };
        schema.0.push(Field { mode, ..new.clone() });
        patched = true;
    }
    changes.patch = patched.then_some(schema);
    if changes.lines.is_empty() { Drift::None } else { Drift::Changes(changes) }
}

/// The wanted columns that the target does not have.
pub fn missing<'a>(found: &'a Schema, wanted: &'a Schema) -> impl Iterator<Item = &'a Field> {
    wanted.0.iter().filter(|field| found.field(&field.name).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, ty: BqType, required: bool) -> Field {
        let mode = if required { FieldMode::Required } else { FieldMode::Nullable };
        Field { name: name.into(), ty, mode, description: None }
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
        let Drift::Changes(changes) = decide(&found, &wanted) else { unreachable!("a patch") };
        assert_eq!((changes.lines.len(), changes.widened.len()), (3, 0));
        assert_eq!(
            changes.patch,
            Some(Schema(vec![
                field("id", BqType::Int64, true),
                field("gone", BqType::Bool, false),
                field("gone_null", BqType::Bool, false),
                field("relaxed", BqType::String, false),
                field("new", BqType::Date, false),
            ]))
        );
    }

    #[test]
    fn types_are_widened_and_never_narrowed() {
        use BqType as Bq;
        let one = |ty| Schema(vec![field("a", ty, false)]);
        for (found, wanted) in [
            (Bq::Int64, Bq::Numeric),
            (Bq::Int64, Bq::BigNumeric),
            (Bq::Int64, Bq::Float64),
            (Bq::Numeric, Bq::BigNumeric),
        ] {
            let Drift::Changes(changes) = decide(&one(found), &one(wanted)) else { unreachable!("{found} {wanted}") };
            assert_eq!((changes.patch, changes.widened), (None, vec![("a".to_owned(), wanted)]));
        }
        // a wider column takes narrower values as they are
        for (found, wanted) in [(Bq::Numeric, Bq::Int64), (Bq::BigNumeric, Bq::Int64), (Bq::BigNumeric, Bq::Numeric)] {
            assert_eq!(decide(&one(found), &one(wanted)), Drift::None, "{found} {wanted}");
        }
        for (found, wanted) in [(Bq::Float64, Bq::Int64), (Bq::Numeric, Bq::Float64), (Bq::DateTime, Bq::Timestamp)] {
            assert!(matches!(decide(&one(found), &one(wanted)), Drift::Incompatible(_)), "{found} {wanted}");
        }
        let array = Schema(vec![Field { mode: FieldMode::Repeated, ..field("a", Bq::Int64, false) }]);
        assert_eq!(decide(&array, &array), Drift::None);
        let Drift::Incompatible(fault) = decide(&array, &one(Bq::Int64)) else { unreachable!("an array") };
        assert_eq!((fault.found.as_str(), fault.wanted.as_str()), ("ARRAY<INT64>", "INT64"));
        assert!(matches!(decide(&one(Bq::Int64), &array), Drift::Incompatible(_)));
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
