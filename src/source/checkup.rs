//! What a check asks a database besides what runs ask: who the session is, and which rights are missing.

use std::future::Future;

use super::SourceError;
use super::survey::Survey;
use crate::model::{Rights, ServerFacts, SourceTable};
use crate::net::Context;

/// A session that says what it may do.
pub trait Checkup: Survey {
    /// What the server is, and whose rights the session has.
    fn server(&mut self, cx: &Context) -> impl Future<Output = Result<ServerFacts, SourceError>> + Send;

    /// Which rights to a table there are, whose description was denied.
    fn rights(&mut self, cx: &Context, table: &SourceTable)
    -> impl Future<Output = Result<Rights, SourceError>> + Send;
}
