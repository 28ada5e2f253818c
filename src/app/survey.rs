//! What a database has, for one that no configuration knows yet.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{AnySource, connect_by};
use crate::config::SourceKind;
use crate::engine::RunError;
use crate::model::{Connection, Listed, SourceTable};
use crate::net::{self, Context};
use crate::plan::propose::{Proposal, Seen, propose};
use crate::plan::table::Catalog;
use crate::source::survey::Survey;
use crate::source::{Description, Session, Source};

/// The most time for one database.
const SURVEY_MAX: Duration = Duration::from_secs(1800);

/// A table and a way to sync it.
#[derive(Clone, Debug)]
pub struct SurveyedTable {
    /// The table.
    pub table: SourceTable,
    /// The catalog's estimate of its rows.
    pub rows: Option<u64>,
    /// The way, or why it could not be looked at.
    pub proposal: Result<Proposal, String>,
}

/// Looks at every table that `wanted` takes.
///
/// # Errors
/// The database cannot be reached, or its tables not be listed.
pub async fn survey(
    kind: SourceKind,
    connection: Connection,
    schema: Option<&str>,
    wanted: impl Fn(&Listed) -> bool + Send,
    stop: CancellationToken,
) -> Result<Vec<SurveyedTable>, RunError> {
    net::install_tls();
    let cx = Context::new(Instant::now() + SURVEY_MAX, stop);
    match connect_by(kind, connection) {
        AnySource::Postgres(source) => look(&cx, &source, schema, wanted).await,
        AnySource::MySql(source) => look(&cx, &source, schema, wanted).await,
    }
}

async fn look<S: Source>(
    cx: &Context,
    source: &S,
    schema: Option<&str>,
    wanted: impl Fn(&Listed) -> bool + Send,
) -> Result<Vec<SurveyedTable>, RunError>
where
    S::Session: Survey,
{
    let mut session = source.connect(cx).await?;
    let listed = session.list(cx, schema).await?;
    let mut tables = Vec::new();
    for listed in listed.into_iter().filter(wanted) {
        tables.push(look_at(cx, &mut session, listed).await?);
    }
    session.close().await;
    Ok(tables)
}

async fn look_at<S: Survey>(cx: &Context, session: &mut S, listed: Listed) -> Result<SurveyedTable, RunError> {
    let Listed { table, kind } = listed;
    let found = async {
        let found = session.describe(cx, &table).await?;
        let hints = session.hints(cx, &table).await?;
        Ok::<_, crate::source::SourceError>((found, hints))
    };
    match found.await {
        Ok((found, hints)) => {
            let Description { columns, hidden, primary_key, unique_keys, comment, rows_estimate, indexing, .. } =
                &found;
            let catalog = Catalog { columns, hidden, primary_key, unique_keys, comment: comment.as_deref() };
            let rows = *rows_estimate;
            let seen = Seen { name: &table.name, kind, indexing: *indexing, catalog, hints: &hints, rows };
            let proposal = propose(seen);
            Ok(SurveyedTable { table, rows, proposal: Ok(proposal) })
        }
        Err(error) => match RunError::from(error) {
            // one table that may not be read says nothing of the others
            error if error.class() == crate::model::Class::Transient => Err(error),
            error => Ok(SurveyedTable { table, rows: None, proposal: Err(error.one_line()) }),
        },
    }
}
