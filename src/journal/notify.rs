//! Tells who is to be told of a run: what is told and what was is decided in `report::notice`.

use futures_util::future::join_all;

use super::doc::{Doc, Found};
use super::hooks::Message;
use super::{Journal, JournalError};
use crate::bucket::Bucket;
use crate::net::Context;
use crate::report::notice::{self, Notice, Notified, Patience};
use crate::report::record::{ReportName, RunId, RunRecord};
use crate::state::escape;
use crate::warehouse::RunsTable;

/// How often what is remembered is decided anew because another run wrote it first.
const DECISIONS_MAX: u32 = 4;
/// The most bytes of a report that is sent along.
const REPORT_BYTES_MAX: u64 = 2 << 20;

/// The object of what has been told of a table.
fn object(record: &RunRecord) -> String {
    let mut name = format!("notified/{}/", record.source);
    escape(&mut name, &record.table);
    name.push_str(".json");
    name
}

impl<B: Bucket, W: RunsTable> Journal<'_, B, W> {
    /// Decides what is told of the run, and tells it.
    pub(super) async fn notify(
        &self,
        cx: &Context,
        record: &RunRecord,
        report: &ReportName,
    ) -> Result<(), JournalError> {
        let notify = &self.desk.notify;
        if notify.hooks.is_empty() {
            return Ok(());
        }
        let doc = Doc::new(self.bucket, object(record), notice::BYTES_MAX, notice::VERSION);
        let when = Patience { patience: notify.patience, remind: notify.remind };
        for _ in 0..DECISIONS_MAX {
            let known: Found<Notified> = doc.read(cx).await?;
            let decision = notice::decide(&known.value, record, &report.object(), when);
            let Some(mut next) = decision.next else { return Ok(()) };
            next.written_by = Some(record.run_id.clone());
            // only who writes it sends
            let Some(generation) = doc.write(cx, &next, known.generation).await? else { continue };
            let ours = next.outbox.iter().filter(|notice| decision.send.contains(&notice.run_id));
            let sent = join_all(ours.map(|notice| self.send(cx, notice, record))).await;
            let sent: Vec<(RunId, usize)> = sent.into_iter().flatten().collect();
            if sent.is_empty() {
                return Ok(());
            }
            return self.keep_sent(cx, &doc, Found { value: next, generation: Some(generation) }, &sent, record).await;
        }
        Ok(())
    }

    /// Sends a message to every hook that is to have it; who took it.
    async fn send(&self, cx: &Context, notice: &Notice, record: &RunRecord) -> Vec<(RunId, usize)> {
        let report = self.report_of(cx, notice, record).await;
        let address = self.bucket.address(&notice.report);
        let sends = notice.left(&self.desk.notify.hooks).map(|(number, hook, event)| {
            let message = Message { notice, event, report: report.as_deref(), address: &address };
            async move {
                match self.desk.hooks.send(cx, hook, message).await {
                    Ok(()) => Some((notice.run_id.clone(), number)),
                    Err(error) => {
                        tracing::warn!(
                            hook = number,
                            kind = error.kind,
                            event = event.name(),
                            error = error.message,
                            "a hook could not be told"
                        );
                        None
                    }
                }
            }
        });
        join_all(sends).await.into_iter().flatten().collect()
    }

    /// The report that a message is about, as one line of JSON. That of an earlier run is read again.
    async fn report_of(&self, cx: &Context, notice: &Notice, record: &RunRecord) -> Option<Vec<u8>> {
        if notice.run_id == record.run_id {
            return record.line().ok();
        }
        let found = self.bucket.get(cx, &notice.report, REPORT_BYTES_MAX).await;
        found.ok().flatten().map(|object| object.bytes.to_vec())
    }

    /// Remembers who took what, whatever others wrote meanwhile.
    async fn keep_sent(
        &self,
        cx: &Context,
        doc: &Doc<'_, B>,
        mut found: Found<Notified>,
        sent: &[(RunId, usize)],
        record: &RunRecord,
    ) -> Result<(), JournalError> {
        for _ in 0..DECISIONS_MAX {
            let mut next = found.value.sent(sent, &self.desk.notify.hooks);
            next.written_by = Some(record.run_id.clone());
            if doc.write(cx, &next, found.generation).await?.is_some() {
                return Ok(());
            }
            found = doc.read(cx).await?;
        }
        Ok(())
    }
}
