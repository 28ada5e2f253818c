//! What there is to be told of past runs: the table of runs, and the reports that are not in it yet.

use futures_util::StreamExt as _;
use jiff::{SignedDuration, Timestamp};

use super::doc::Found;
use super::load::{Untaken, after};
use super::{Journal, JournalError};
use crate::bucket::{Bucket, LISTED_MAX};
use crate::model::{LastRun, RUNS_ANSWER_MAX, RunsDay, RunsScan};
use crate::net::Context;
use crate::report::history::History;
use crate::report::ledger::{self, Ledger};
use crate::report::record::{FOLDER, ReportName, RunId, RunRecord, objects_from};
use crate::warehouse::RunsTable;

/// The most reports that are read; of more the newest.
const REPORTS_READ_MAX: usize = 500;
/// Reports that are read at once.
pub(super) const READS_AT_ONCE: usize = 16;
/// The most bytes of a report.
pub(super) const REPORT_BYTES_MAX: u64 = 2 << 20;
/// Where reports are no rows: how far back is looked, minutes, further each time until there are enough.
const LOOKS_BACK_MINUTES: [i64; 4] = [15, 120, 1_440, 10_080];
/// The most pages of one such look.
const PAGES_MAX: usize = 20;

impl<B: Bucket, W: RunsTable> Journal<'_, B, W> {
    /// Past runs of so many days, today included. What cannot be read is said in its notes. `by` is fresh.
    pub async fn history(&self, cx: &Context, now: Timestamp, days: u32, by: &RunId) -> History {
        let back = SignedDuration::from_hours(24 * i64::from(days.saturating_sub(1)));
        let since = now.checked_sub(back).unwrap_or(now).strftime("%Y-%m-%d").to_string();
        let mut notes = Vec::new();
        let ledger = self.current(cx, now, by, &mut notes).await;
        let untaken = match &ledger {
            Some(ledger) => self.untaken(cx, ledger, now, usize::MAX).await,
            None => {
                let since = format!("{since}T00:00:00Z").parse().unwrap_or(now);
                self.newest(cx, now, since, REPORTS_READ_MAX, None).await
            }
        };
        let reports = match untaken {
            Ok(untaken) => self.reports(cx, untaken, &mut notes).await,
            Err(error) => {
                notes.push(format!("the reports of runs cannot be read: {error}"));
                Vec::new()
            }
        };
        let (by_day, last) = match ledger.filter(|ledger| ledger.through.is_some()) {
            Some(_) => self.rows(cx, &since, &reports, by, &mut notes).await,
            None => (Vec::new(), Vec::new()),
        };
        let mut history = History::fold(by_day, last, &reports, &since);
        history.notes = notes.iter().map(|note| note.replace(['\n', '\r'], " ")).collect();
        history
    }

    /// What was loaded, after a look at what is on its way; `None` where nothing is loaded.
    async fn current(&self, cx: &Context, now: Timestamp, by: &RunId, notes: &mut Vec<String>) -> Option<Ledger> {
        if !self.desk.reports.bigquery {
            return None;
        }
        let found: Found<Ledger> = match self.look(cx).await {
            Ok(found) => found,
            Err(error) => {
                notes.push(format!("what was loaded into BigQuery cannot be told: {error}"));
                return None;
            }
        };
        let settled = async {
            let Some(ledger) = self.settled(cx, &found, now, by).await? else { return Ok(None) };
            Ok::<_, JournalError>(self.keep(cx, &found, ledger.clone(), by).await?.then_some(ledger))
        };
        match settled.await {
            Ok(Some(ledger)) => Some(ledger),
            Ok(None) => Some(found.value),
            Err(error) => {
                notes.push(format!("reports on their way to BigQuery cannot be followed: {error}"));
                Some(found.value)
            }
        }
    }

    /// The newest reports, back to then, or until there are enough; of those before the object `until`, if there is one.
    pub(super) async fn newest(
        &self,
        cx: &Context,
        now: Timestamp,
        since: Timestamp,
        enough: usize,
        mut until: Option<String>,
    ) -> Result<Untaken, JournalError> {
        let ledger = Ledger::default();
        let oldest = objects_from(since);
        let mut found = Untaken::default();
        for minutes in LOOKS_BACK_MINUTES.into_iter().map(Some).chain([None]) {
            let back = minutes.and_then(|minutes| now.checked_sub(SignedDuration::from_mins(minutes)).ok());
            let first = back.map_or_else(|| oldest.clone(), |at| objects_from(at).max(oldest.clone()));
            let (mut from, mut names) = (first.clone(), Vec::new());
            for page_number in 1.. {
                let page = self.bucket.list_from(cx, FOLDER, &from).await?;
                let within = |name: &ReportName| until.as_ref().is_none_or(|until| name.object() < *until);
                let before = names.len();
                names.extend(ledger.untaken(&page, now).into_iter().filter(within));
                let done = page.len() < LISTED_MAX || names.len() == before;
                if done || page_number == PAGES_MAX {
                    found.more |= !done;
                    break;
                }
                from = page.last().map_or_else(String::new, |last| after(last));
            }
            names.append(&mut found.names);
            found.names = names;
            if first == oldest {
                return Ok(found);
            }
            if found.names.len() >= enough {
                break;
            }
            until = Some(first);
        }
        found.more = true;
        Ok(found)
    }

    async fn reports(&self, cx: &Context, untaken: Untaken, notes: &mut Vec<String>) -> Vec<RunRecord> {
        let Untaken { mut names, more } = untaken;
        let many = names.len().saturating_sub(REPORTS_READ_MAX);
        names.drain(..many);
        if many > 0 || more {
            notes.push(format!("only the newest {} reports that are not in BigQuery are counted", names.len()));
        }
        let read = |name: ReportName| async move {
            let object = self.bucket.get(cx, &name.object(), REPORT_BYTES_MAX).await?;
            Ok::<_, JournalError>(object.and_then(|object| serde_json::from_slice::<RunRecord>(&object.bytes).ok()))
        };
        let read: Vec<_> = futures_util::stream::iter(names).map(read).buffered(READS_AT_ONCE).collect().await;
        let unread: Vec<String> = read.iter().filter_map(|read| read.as_ref().err()).map(ToString::to_string).collect();
        if let Some(first) = unread.first() {
            notes.push(format!("{} reports cannot be read: {first}", unread.len()));
        }
        read.into_iter().filter_map(|read| read.ok().flatten()).collect()
    }

    /// Rows of the table of runs, without those runs whose reports were read: one that is on its way may be there by now.
    async fn rows(
        &self,
        cx: &Context,
        since: &str,
        reports: &[RunRecord],
        by: &RunId,
        notes: &mut Vec<String>,
    ) -> (Vec<RunsDay>, Vec<LastRun>) {
        let except: Vec<String> = reports.iter().map(|record| record.run_id.as_str().to_owned()).collect();
        let place = &self.desk.runs;
        let request = |kind: &str| format!("{}{kind}", by.as_str());
        let (days, last) = (request("-days"), request("-last"));
        let scan = |request| RunsScan { place, since, except: &except, request };
        let rows =
            tokio::try_join!(self.warehouse.runs_by_day(cx, scan(&days)), self.warehouse.last_runs(cx, scan(&last)));
        let (days, last) = rows.unwrap_or_else(|error| {
            notes.push(format!("{} cannot be read: {error}", place.table));
            (Vec::new(), Vec::new())
        });
        if days.len().max(last.len()) >= RUNS_ANSWER_MAX {
            notes.push(format!("{} has more than {RUNS_ANSWER_MAX} days of tables: ask for fewer", place.table));
        }
        (days, last)
    }
}

const _: () = assert!(REPORTS_READ_MAX <= ledger::BATCH_MAX);
