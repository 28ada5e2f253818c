//! What the tasks of a Cloud Run job move, each: they agree on it by one object on the bucket.

use std::time::Duration;

use futures_util::future::join_all;

use super::{AnySource, App};
use crate::model::{Shares, SourceName, SourceTable, TableId, TableSettings};
use crate::net::Context;
use crate::plan::shares;
use crate::source::survey::Survey;
use crate::source::{Session, Source, SourceError};
use crate::state::{ShareStore, SharesError};

/// The most time for one source's estimates. Without them its tables count alike.
const SIZES_MAX: Duration = Duration::from_secs(20);

/// One task of an execution.
#[derive(Clone, Copy, Debug)]
pub struct Sharer<'a> {
    /// The execution's name.
    pub execution: &'a str,
    /// The task's index, below `tasks`.
    pub task: u32,
    /// The number of tasks.
    pub tasks: u32,
    /// How long it waits for another task to make the plan.
    pub wait: Duration,
}

impl App {
    /// The plan of the execution's shares, which holds all of these tables. The first task that asks makes it, by the
    /// catalogs' estimates; a table that it lacks is from now on this task's.
    ///
    /// # Errors
    /// The plan can be neither read nor written.
    pub async fn share(
        &self,
        cx: &Context,
        sharer: Sharer<'_>,
        tables: &[TableSettings],
    ) -> Result<Shares, SharesError> {
        let store = ShareStore::new(self.engine.bucket(), sharer.execution, sharer.tasks);
        let ids: Vec<TableId> = tables.iter().map(|table| table.id.clone()).collect();
        let made = match store.follow(cx, sharer.wait).await? {
            Some(plan) if shares::take(&plan, &ids, sharer.task).is_none() => return Ok(plan),
            // should the object vanish in between, what was seen stays somebody's
            Some(plan) => shares::take(&plan, &ids, sharer.task).unwrap_or(plan),
            None => shares::deal(&self.sizes(cx, tables).await, sharer.tasks),
        };
        store.settle(cx, &made, |plan| shares::take(plan, &ids, sharer.task)).await
    }

    /// These tables with the catalogs' estimates of their rows, the sources asked side by side.
    async fn sizes(&self, cx: &Context, tables: &[TableSettings]) -> Vec<(TableId, Option<u64>)> {
        let of = |name: &SourceName| tables.iter().filter(|table| table.id.source == *name).collect::<Vec<_>>();
        let sources = self.config.sources.iter().filter_map(|source| {
            let tables = of(&source.name);
            Some((self.sources.get(&source.name)?, tables)).filter(|(_, tables)| !tables.is_empty())
        });
        let sized = sources.map(|(source, tables)| async move {
            let named: Vec<SourceTable> = tables.iter().map(|table| table.table.clone()).collect();
            let asked = async {
                match source {
                    AnySource::Postgres(source) => Box::pin(sizes(cx, source, &named)).await,
                    AnySource::MySql(source) => Box::pin(sizes(cx, source, &named)).await,
                }
            };
            let rows = match cx.limit(SIZES_MAX, asked).await {
                Ok(Ok(rows)) => rows,
                Ok(Err(error)) => unsized_source(&tables, &error),
                Err(error) => unsized_source(&tables, &error),
            };
            tables.iter().map(|table| table.id.clone()).zip(rows).collect::<Vec<_>>()
        });
        join_all(sized).await.into_iter().flatten().collect()
    }
}

/// What a source that cannot be asked says: nothing of any table.
fn unsized_source(tables: &[&TableSettings], error: &dyn std::error::Error) -> Vec<Option<u64>> {
    let source = tables.first().map(|table| table.id.source.as_str());
    tracing::warn!(
        source,
        error = error.to_string().replace(['\n', '\r'], " "),
        "no estimates of rows: its tables count alike"
    );
    vec![None; tables.len()]
}

async fn sizes<S: Source>(cx: &Context, source: &S, tables: &[SourceTable]) -> Result<Vec<Option<u64>>, SourceError>
where
    S::Session: Survey,
{
    let mut session = source.connect(cx).await?;
    let sizes = session.sizes(cx, tables).await?;
    session.close().await;
    Ok(sizes)
}
