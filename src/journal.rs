//! What runs leave for people: a report each on the bucket, a row each in BigQuery, and messages about troubles.
//!
//! `load` brings reports into BigQuery, `notify` and `hooks` tell people, `lineage` tells a catalogue, `history` reads what there
//! is, `recent` what came since it read last, `doc` is one small object that is changed by compare and swap. What is to be done is
//! decided in `report::ledger` and `report::notice`.
//!
//! Architecture Invariant: no sync depends on anything here. What fails is one warning in the log, and everything has a
//! bound in time of its own, beyond the run's.

mod doc;
mod history;
mod hooks;
mod lineage;
mod load;
mod notify;
mod recent;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use self::doc::{Doc, Found};
use self::hooks::Hooks;
use self::lineage::Teller;
pub use self::recent::{Reader, Recent};
use crate::bucket::{Bucket, BucketError, ContentType, Precondition, Put};
use crate::config::{Endpoint, Reports};
use crate::model::{Class, Code, Lineage, Notify, RunsPlace};
use crate::net::{Attempts, Context, Interrupted};
use crate::report::ledger::{self, Ledger};
use crate::report::record::{ReportName, RunRecord};
use crate::warehouse::{RunsTable, WarehouseError};

/// The most time, after a run, for writing its report.
pub const REPORT_MAX: Duration = Duration::from_secs(3);
/// The most time, after a run that finds it due, for looking at what was loaded, and again for bringing more on its way.
pub const LOOK_MAX: Duration = Duration::from_secs(3);
/// See [`LOOK_MAX`].
pub const LOAD_MAX: Duration = Duration::from_secs(15);
/// The most time, after a run, for telling; while its report is written.
pub const NOTIFY_MAX: Duration = Duration::from_secs(10);
/// How often a report is sent.
const WRITE_ATTEMPTS_MAX: u32 = 3;

/// Why something of the journal could not be done.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The bucket.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// BigQuery.
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
    /// An object that is not what it should be.
    #[error("{address} cannot be read: {cause}; repair or remove it")]
    Malformed {
        /// Where it lies.
        address: String,
        /// What is wrong with it.
        cause: serde_json::Error,
    },
    /// An object of a newer version.
    #[error("{address} has version {version}, which this binary does not know; deploy the newer binary again")]
    Version {
        /// Where it lies.
        address: String,
        /// Its version.
        version: u64,
    },
    /// The time for it is up.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl JournalError {
    /// The code that people look up.
    pub fn code(&self) -> Code {
        match self {
            Self::Bucket(error) => error.code(),
            Self::Warehouse(error) => error.code(),
            Self::Malformed { .. } => Code::StateBroken,
            Self::Version { .. } => Code::StateNewer,
            Self::Interrupted(cause) => cause.code(),
        }
    }

    /// What may be done about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Bucket(error) => error.class(),
            Self::Warehouse(error) => error.class(),
            Self::Malformed { .. } | Self::Version { .. } => Class::Permanent,
            Self::Interrupted(_) => Class::Transient,
        }
    }
}

/// The settings of the journal, and what one process remembers of it.
#[derive(Debug)]
pub struct Desk {
    reports: Reports,
    runs: RunsPlace,
    notify: Notify,
    hooks: Hooks,
    teller: Teller,
    known: Mutex<Known>,
}

/// What this process saw last of what was loaded.
#[derive(Debug, Default)]
struct Known {
    reached: Option<ReportName>,
    looked_at: Option<Instant>,
}

impl Desk {
    /// A desk by these settings; Pub/Sub is at that endpoint.
    pub fn new(reports: Reports, runs: RunsPlace, notify: Notify, pubsub: &Endpoint) -> Self {
        let teller = Teller::new(None);
        Self { reports, runs, notify, hooks: Hooks::new(pubsub), teller, known: Mutex::default() }
    }

    /// The same, that tells this endpoint of lineage too.
    #[must_use]
    pub fn with_lineage(self, lineage: Option<Lineage>) -> Self {
        Self { teller: Teller::new(lineage), ..self }
    }

    /// Whether it is time to look at what was loaded; who is told so does.
    fn take_look(&self) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let due = known.looked_at.is_none_or(|at| at.elapsed() >= self.reports.every);
        if due {
            known.looked_at = Some(Instant::now());
        }
        due
    }

    fn learn(&self, ledger: &Ledger) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.reached = ledger.reached().cloned();
    }

    fn name(&self, record: &RunRecord) -> ReportName {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        ledger::name(record.ended_at, &record.run_id, known.reached.as_ref())
    }
}

/// The journal of one bucket and one warehouse.
#[derive(Debug)]
pub struct Journal<'a, B, W> {
    desk: &'a Desk,
    bucket: &'a B,
    warehouse: &'a W,
}

impl<'a, B: Bucket, W: RunsTable> Journal<'a, B, W> {
    /// The journal that is kept at `desk`.
    pub fn new(desk: &'a Desk, bucket: &'a B, warehouse: &'a W) -> Self {
        Self { desk, bucket, warehouse }
    }

    /// A run has ended: keeps its report, tells who is to be told, and brings reports on their way to BigQuery if that is due.
    /// Takes [`REPORT_MAX`] or [`NOTIFY_MAX`], whichever is longer, and where it is due [`LOOK_MAX`] and [`LOAD_MAX`] more.
    pub async fn ended(&self, cx: &Context, record: &RunRecord) {
        let desk = self.desk;
        let looked = if desk.reports.bigquery && !cx.is_stopping() && desk.take_look() {
            // before the report is named: see `report::ledger`
            told("what was loaded into BigQuery cannot be looked at", self.look(&cx.after(LOOK_MAX)).await)
        } else {
            None
        };
        let name = desk.name(record);
        let (report_cx, notify_cx) = (cx.after(REPORT_MAX), cx.after(NOTIFY_MAX));
        let (written, notified) =
            tokio::join!(self.write(&report_cx, &name, record), self.notify(&notify_cx, record, &name));
        told("the run's report is not kept", written);
        told("nobody could be told of the run", notified);
        if let Some(found) = looked
            && !cx.is_stopping()
        {
            told("reports stay on the bucket for now", self.load(&cx.after(LOAD_MAX), found, record).await);
        }
    }

    /// What was loaded.
    async fn look(&self, cx: &Context) -> Result<Found<Ledger>, JournalError> {
        let found: Found<Ledger> = self.ledger().read(cx).await?;
        self.desk.learn(&found.value);
        Ok(found)
    }

    fn ledger(&self) -> Doc<'a, B> {
        Doc::new(self.bucket, ledger::OBJECT.to_owned(), ledger::BYTES_MAX, ledger::VERSION)
    }

    /// Writes the report, which has a name of its own: sent again it is the same.
    async fn write(&self, cx: &Context, name: &ReportName, record: &RunRecord) -> Result<(), JournalError> {
        let object = name.object();
        let malformed = |cause| JournalError::Malformed { address: self.bucket.address(&object), cause };
        let line = Bytes::from(record.line().map_err(malformed)?);
        let mut attempts = Attempts::counted(WRITE_ATTEMPTS_MAX);
        loop {
            attempts.count();
            let put = self.bucket.put(cx, &object, line.clone(), ContentType::Json, Precondition::Absent).await;
            let failed = match put {
                // there already: by an attempt of ours whose answer was lost
                Ok(Put::Stored(_) | Put::Mismatch) => return Ok(()),
                Err(error @ (BucketError::Unavailable { .. } | BucketError::Unsettled { .. })) => error,
                Err(error) => return Err(error.into()),
            };
            if !attempts.again(cx, failed.after()).await? {
                return Err(failed.tried(attempts.tried()).into());
            }
        }
    }
}

/// What came of it; if nothing, one warning.
fn told<T>(what: &'static str, result: Result<T, JournalError>) -> Option<T> {
    result.map_err(|error| tracing::warn!(error = error.to_string().replace(['\n', '\r'], " "), "{what}")).ok()
}

#[cfg(test)]
mod tests;
