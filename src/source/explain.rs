//! What a plan asks a database besides what runs ask: how it would read, and how many rows there are.

use std::future::Future;
use std::time::Duration;

use super::survey::Survey;
use super::{ReadQuery, SourceError};
use crate::model::Explained;
use crate::net::Context;

/// The most time for counting rows.
pub const COUNT_MAX: Duration = Duration::from_secs(60);

/// A session that says how it would read.
pub trait Explain: Survey {
    /// The plan of the very statement that [`super::Session::read`] would run. Nothing is read.
    fn explain(
        &mut self,
        cx: &Context,
        query: &ReadQuery<'_>,
    ) -> impl Future<Output = Result<Explained, SourceError>> + Send;

    /// How many rows the query has, without its limit; `None` if that is not known within [`COUNT_MAX`]. The session
    /// must not be used afterwards, but to be closed.
    fn count(
        &mut self,
        cx: &Context,
        query: &ReadQuery<'_>,
    ) -> impl Future<Output = Result<Option<u64>, SourceError>> + Send;
}
