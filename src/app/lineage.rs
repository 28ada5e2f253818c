//! What is told of a run's lineage, by the names that catalogues have for databases.

use std::path::Path;

use super::App;
use crate::config::{SourceConfig, SourceKind};
use crate::model::{Address, TableSettings, Window};
use crate::net::Context;
use crate::report::RunReport;
use crate::report::lineage::Lines;
use crate::report::record::RunId;

/// The schema of a PostgreSQL table that names none.
const POSTGRES_SCHEMA: &str = "public";
/// Where Cloud SQL's sockets lie; below it they are called as their instances are.
const CLOUD_SQL: &str = "/cloudsql";

impl App {
    /// What is told of a run of that table or window; `None` where nobody is told.
    pub(super) fn lineage_of(&self, table: &TableSettings, window: Option<&Window>, run_id: &RunId) -> Option<Lines> {
        let lineage = self.config.lineage.as_ref()?;
        let source = self.config.sources.iter().find(|source| source.name == table.id.source)?;
        // windows are another job: their runs say nothing of how fresh the table is
        let beside = if window.is_some() { "/backfill" } else { "" };
        Some(Lines {
            run_id: run_id.clone(),
            job_namespace: lineage.job_namespace.clone(),
            job: format!("{}{beside}", table.id),
            source: namespace(source),
            table: name(source, table),
            target: table.target.to_string(),
        })
    }

    /// Runs, and tells meanwhile that it begins.
    pub(super) async fn with_start(
        &self,
        cx: &Context,
        lines: Option<&Lines>,
        began: jiff::Timestamp,
        run: impl Future<Output = RunReport>,
    ) -> RunReport {
        let Some(lines) = lines else { return run.await };
        let (journal, event) = (self.journal(), lines.start(began));
        tokio::join!(run, Box::pin(journal.tell_lineage(cx, &event))).0
    }

    /// Tells how it ended.
    pub(super) async fn tell_end(
        &self,
        cx: &Context,
        lines: Option<&Lines>,
        ended: jiff::Timestamp,
        report: &RunReport,
    ) {
        if let Some(lines) = lines {
            self.journal().tell_lineage(cx, &lines.end(ended, report, cx.is_stopping())).await;
        }
    }
}

/// `postgres://host:port` (OpenLineage, "Naming"). A socket has no host: Cloud SQL's has its instance's name.
fn namespace(source: &SourceConfig) -> String {
    let scheme = match source.kind {
        SourceKind::Postgres => "postgres",
        SourceKind::MySql => "mysql",
    };
    match &source.connection.address {
        Address::Tcp { host, port } => format!("{scheme}://{host}:{port}"),
        Address::Socket(path) => format!("{scheme}://{}", instance(path).unwrap_or_else(|| "localhost".to_owned())),
    }
}

fn instance(path: &Path) -> Option<String> {
    let below = path.strip_prefix(CLOUD_SQL).ok()?;
    Some(below.components().next()?.as_os_str().to_str()?.to_owned())
}

/// `database.schema.table`, in MySQL `database.table`.
fn name(source: &SourceConfig, table: &TableSettings) -> String {
    let (database, table) = (&source.connection.database, &table.table);
    match source.kind {
        SourceKind::Postgres => {
            format!("{database}.{}.{}", table.schema.as_deref().unwrap_or(POSTGRES_SCHEMA), table.name)
        }
        SourceKind::MySql => format!("{}.{}", table.schema.as_ref().unwrap_or(database), table.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_of_cloud_sql_have_instances() {
        assert_eq!(instance(Path::new("/cloudsql/p:r:i")).as_deref(), Some("p:r:i"));
        assert_eq!(instance(Path::new("/cloudsql/p:r:i/.s.PGSQL.5432")).as_deref(), Some("p:r:i"));
        assert_eq!(instance(Path::new("/run/mysqld/mysqld.sock")), None);
    }
}
