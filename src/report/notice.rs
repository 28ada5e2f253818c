//! What somebody is told of a table, and what has been told: decided from a run's record and from the small object that
//! remembers. Pure.
//!
//! A message lies in the object's outbox, with the moment until which it is some run's to send, before it is sent; it is
//! taken out when every hook has taken it. A run that dies in between leaves it there, and the next run sends it: a message
//! may come twice, but is not lost. Of runs that overlap, the one whose conditional write of the outbox takes effect sends.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::record::{RunId, RunRecord};
use super::{FailureClass, Outcome};
use crate::model::{Code, Event, Hook};

/// The version of the object's form.
pub const VERSION: u32 = 1;
/// The most bytes of the object.
pub const BYTES_MAX: u64 = 1 << 20;
/// The most messages that wait; beyond it the oldest is given up.
pub const OUTBOX_MAX: usize = 10;
/// How often a message is tried before it is given up.
pub const TRIES_MAX: u32 = 8;
/// For how long a message is the run's that took it: longer than a run may take to send.
pub const CLAIM: Duration = Duration::from_secs(60);
/// The most characters of an error or of a line about columns in a message.
const LINE_CHARS_MAX: usize = 1_000;
/// The most lines about columns in a message.
const LINES_MAX: usize = 20;

/// What has been told of a table, and what is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notified {
    /// [`VERSION`].
    pub version: u32,
    /// Since when the table's runs fail.
    pub failing: Option<Failing>,
    /// The difference of columns that stopped the last run, if it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<String>,
    /// What is to be sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outbox: Vec<Notice>,
    /// The run that wrote this: no two writes have the same bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_by: Option<RunId>,
}

impl Default for Notified {
    fn default() -> Self {
        Self { version: VERSION, failing: None, stopped_by: None, outbox: Vec::new(), written_by: None }
    }
}

/// A failure that lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// When the first of its runs ended.
    pub since: Timestamp,
    /// When it was told last; `None` as long as it may pass.
    pub told_at: Option<Timestamp>,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The run that it is about; a run has one message at the most.
    pub run_id: RunId,
    /// What happened, the gravest last.
    pub events: Vec<Event>,
    /// Whether it was told before and still is so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// The source's name.
    pub source: String,
    /// The table's name.
    pub table: String,
    /// The BigQuery table.
    pub target: String,
    /// How the run ended.
    pub outcome: Outcome,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The code of that.
    #[serde(default, deserialize_with = "Code::lenient", skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// What was changed in the target's columns, or what stopped the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<String>,
    /// Since when runs fail, or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When the run ended.
    pub at: Timestamp,
    /// The object of its report.
    pub report: String,
    /// Until when it is the run's to send that took it last.
    pub claimed_until: Timestamp,
    /// How often it was tried.
    pub tries: u32,
    /// Numbers of the hooks that have taken it, in the configuration's order from 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken_by: Vec<usize>,
}

/// What is remembered, and which messages of its outbox are to be sent once it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What is to be written; `None` if it stays as it is.
    pub next: Option<Notified>,
    /// Whose messages are to be sent by who writes it.
    pub send: Vec<RunId>,
}

/// When failures are told.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long failures that can pass must last before they are told.
    pub patience: Duration,
    /// How often a failure that lasts is told again.
    pub remind: Duration,
}

/// Decides what is told after a run.
pub fn decide(known: &Notified, record: &RunRecord, report: &str, when: Patience) -> Decision {
    let now = record.ended_at;
    let mut next = known.clone();
    let told = tell(&mut next, record, when);
    if let Some((events, again, since)) = told {
        next.outbox.push(notice(record, report, events, again, since));
    }
    let many = next.outbox.len().saturating_sub(OUTBOX_MAX);
    next.outbox.drain(..many);
    next.outbox.retain(|notice| notice.tries < TRIES_MAX);
    let mut send = Vec::new();
    for notice in &mut next.outbox {
        // what another run is sending is its own for a while, whatever clocks say
        let left = notice.claimed_until.duration_since(now);
        let is_free = left <= SignedDuration::ZERO || left.unsigned_abs() > 2 * CLAIM;
        if notice.tries == 0 || is_free {
            notice.tries += 1;
            notice.claimed_until = later(now, CLAIM);
            send.push(notice.run_id.clone());
        }
    }
    let next = (next != *known).then_some(next);
    Decision { next, send }
}

type Told = (Vec<Event>, bool, Option<Timestamp>);

/// What is to be told of the run, and what is remembered of it.
fn tell(next: &mut Notified, record: &RunRecord, when: Patience) -> Option<Told> {
    let now = record.ended_at;
    let mut events = Vec::new();
    let stopped_by = record.drift.last().filter(|_| record.outcome == Outcome::Failed);
    // a run that is stopped says the same each time; a change of columns is made once
    if !record.drift.is_empty() && (stopped_by.is_none() || stopped_by != next.stopped_by.as_ref()) {
        events.push(Event::Drift);
    }
    if stopped_by.is_some() {
        next.stopped_by = stopped_by.cloned();
    }
    // a window of a backfill is looked after by who asked for it
    if record.window.is_some() {
        return (!events.is_empty()).then_some((events, false, None));
    }
    let (mut again, mut since) = (false, None);
    match record.outcome {
        Outcome::Failed => {
            let failing = next.failing.get_or_insert(Failing { since: now, told_at: None });
            let lasts = now.duration_since(failing.since).unsigned_abs() >= when.patience;
            let due = match (failing.told_at, record.error_class) {
                (Some(told), _) => now.duration_since(told).unsigned_abs() >= when.remind,
                (None, Some(FailureClass::Transient)) => lasts,
                (None, Some(FailureClass::Permanent | FailureClass::Usage) | None) => true,
            };
            if due {
                again = failing.told_at.is_some();
                failing.told_at = Some(now);
                since = Some(failing.since);
                events.push(Event::Failure);
            }
        }
        Outcome::Synced | Outcome::UpToDate => since = recover(next, &mut events),
        // out of time: fine if it moved
        Outcome::Partial if record.report.moved_anything() => since = recover(next, &mut events),
        // another run is ahead, and says how it ended; a table that never was synced has not failed
        Outcome::Partial | Outcome::Superseded | Outcome::Unusable => {}
        // a dry run is never kept: it says nothing of the table
        Outcome::WouldSync => {}
    }
    (!events.is_empty()).then_some((events, again, since))
}

/// Forgets a failure; tells that it is over if it was told.
fn recover(next: &mut Notified, events: &mut Vec<Event>) -> Option<Timestamp> {
    next.stopped_by = None;
    let failing = next.failing.take()?;
    failing.told_at?;
    events.push(Event::Recovery);
    Some(failing.since)
}

fn notice(record: &RunRecord, report: &str, events: Vec<Event>, again: bool, since: Option<Timestamp>) -> Notice {
    Notice {
        run_id: record.run_id.clone(),
        events,
        again,
        source: record.source.clone(),
        table: record.table.clone(),
        target: record.target.clone(),
        outcome: record.outcome,
        error: record.error.as_deref().map(short),
        code: record.report.error.as_ref().and_then(|error| error.code),
        drift: record.drift.iter().take(LINES_MAX).map(|line| short(line)).collect(),
        since,
        at: record.ended_at,
        report: report.to_owned(),
        claimed_until: record.ended_at,
        tries: 0,
        taken_by: Vec::new(),
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(LINE_CHARS_MAX) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text.to_owned(),
    }
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| now.checked_add(by).ok()).unwrap_or(now)
}

impl Notified {
    /// The same after hooks took messages: what everybody has taken is out.
    #[must_use]
    pub fn sent(&self, taken: &[(RunId, usize)], hooks: &[Hook]) -> Self {
        let mut next = self.clone();
        for notice in &mut next.outbox {
            let by = taken.iter().filter(|(run, _)| *run == notice.run_id).map(|(_, hook)| *hook);
            notice.taken_by.extend(by);
            notice.taken_by.sort_unstable();
            notice.taken_by.dedup();
        }
        next.outbox.retain(|notice| notice.left(hooks).next().is_some());
        next
    }
}

impl Notice {
    /// The hooks that have not taken it, by number, each with the event that it is told.
    pub fn left<'a>(&'a self, hooks: &'a [Hook]) -> impl Iterator<Item = (usize, &'a Hook, Event)> {
        let wanted = |(number, hook): (usize, &'a Hook)| {
            // one message a hook: where columns stopped the run, that says more than that it failed
            let event = self.events.iter().find(|event| hook.on.contains(event))?;
            Some((number, hook, *event))
        };
        hooks.iter().enumerate().filter(|(number, _)| !self.taken_by.contains(number)).filter_map(wanted)
    }

    /// What a person reads.
    pub fn text(&self, event: Event) -> String {
        let name = format!("{}/{}", self.source, self.table);
        let since = self.since.map(|since| since.strftime("%Y-%m-%d %H:%M UTC").to_string());
        let failed = self.outcome == Outcome::Failed;
        let code = self.code.map(|code| format!("{code}: ")).unwrap_or_default();
        let error = format!("{code}{}", self.error.as_deref().unwrap_or("it does not say why"));
        match event {
            Event::Failure if self.again => {
                format!("{name} still fails, since {}: {error}", since.unwrap_or_default())
            }
            Event::Failure => format!("{name} fails: {error}"),
            Event::Drift if failed => format!("{name} is stopped by its columns: {}", self.drift.join("; ")),
            Event::Drift => format!("{name}: the columns of {} were changed: {}", self.target, self.drift.join("; ")),
            Event::Recovery => {
                format!("{name} is fine again; it had failed since {}", since.unwrap_or_default())
            }
        }
    }
}

#[cfg(test)]
mod tests;
