//! What a database has, before anybody has named it: its tables, and what hints at cursors.

use std::future::Future;

use super::{Session, SourceError};
use crate::model::{Hints, Listed, SourceTable};
use crate::net::Context;

/// The most tables, views and partitions that are listed of one source; more are an error, never a part of them.
pub const LISTED_MAX: usize = 20_000;

/// A session that can look around.
pub trait Survey: Session {
    /// Every table, view and partition in `schema` (MySQL: database), or in all but the server's own, by one query,
    /// in the order of their names. Tables that the user has no right to may be among them.
    ///
    /// # Errors
    /// There are more than [`LISTED_MAX`].
    fn list(
        &mut self,
        cx: &Context,
        schema: Option<&str>,
    ) -> impl Future<Output = Result<Vec<Listed>, SourceError>> + Send;

    /// The catalog's estimates of the rows of these tables, in their order, by one query that waits for no lock on them; `None`
    /// where it has none. Of schemas with more than [`LISTED_MAX`] tables some are not found.
    fn sizes(
        &mut self,
        cx: &Context,
        tables: &[SourceTable],
    ) -> impl Future<Output = Result<Vec<Option<u64>>, SourceError>> + Send;

    /// What hints at the table's cursor.
    fn hints(&mut self, cx: &Context, table: &SourceTable) -> impl Future<Output = Result<Hints, SourceError>> + Send;
}

/// The error of a list that does not end.
pub(super) fn too_many(what: &'static str) -> SourceError {
    let message =
        format!("there are more than {LISTED_MAX} tables; name a schema in each pattern, or use fewer sources");
    SourceError::Query { what, message, code: "highwater".to_owned(), transient: false }
}
