//! Reports that came since a process looked last, for a page that is looked at again and again: each report is read once.
//! Nothing is written here, and BigQuery is not asked.
//!
//! What is too much for one look leaves a gap below what was read. `earlier` reads on there, backwards and bounded.

use std::collections::{BTreeMap, HashSet, VecDeque};

use futures_util::StreamExt as _;
use jiff::{SignedDuration, Timestamp};

use super::history::{READS_AT_ONCE, REPORT_BYTES_MAX};
use super::load::Untaken;
use super::{Journal, JournalError};
use crate::bucket::{Bucket, BucketError};
use crate::model::Class;
use crate::net::Context;
use crate::report::record::{ReportName, RunRecord, objects_from};
use crate::warehouse::RunsTable;

/// The most reports that one look reads; of more the newest.
const REPORTS_MAX: usize = 1_000;
/// How many days the first look goes back.
const DAYS_MAX: i64 = 35;
/// How far before the last look a listing begins: a report is seen a moment after it is named, by a clock that may differ.
const OVERLAP_MINUTES: i64 = 10;
/// After a longer pause only the newest reports are listed, as by the first look, minutes.
const PAUSE_MAX_MINUTES: i64 = 15;
/// The most reports that are read backwards at a time.
const EARLIER_AT_ONCE: usize = 250;
/// The most reports that a process reads backwards in all: as many as runs are remembered.
const EARLIER_MAX: usize = 20_000;
/// How often a report is tried in looks that could read others.
const TRIES_MAX: u32 = 5;
/// The most reports that were given up of which is told.
const GIVEN_UP_MAX: usize = 10;
/// For how long is told of them, minutes.
const GIVEN_UP_MINUTES: i64 = 60;

/// What a process has read already.
#[derive(Debug, Default)]
pub struct Reader {
    /// When the last look began that could list; `None` before the first.
    looked_at: Option<Timestamp>,
    /// Names that were read or given up and that a listing can find again.
    read: HashSet<ReportName>,
    /// Names that are still to be read, with how often that was tried in vain.
    wanted: BTreeMap<ReportName, u32>,
    /// What was left out.
    gap: Option<Gap>,
    /// How many reports were read backwards.
    read_back: usize,
    /// What was given up, and when.
    given_up: VecDeque<(Timestamp, String)>,
}

/// Reports that were left out.
#[derive(Clone, Debug)]
struct Gap {
    /// They are before this one.
    until: ReportName,
    /// And not before this.
    since: Timestamp,
    /// Whether there are reports before them that were read.
    is_hole: bool,
}

/// What came.
#[derive(Debug, Default)]
pub struct Recent {
    /// Reports, in the order of their names.
    pub records: Vec<RunRecord>,
    /// What could not be read, a line each.
    pub notes: Vec<String>,
}

impl<B: Bucket, W: RunsTable> Journal<'_, B, W> {
    /// Reports that this reader has not read yet, at most `REPORTS_MAX`, the newest.
    pub async fn recent(&self, cx: &Context, now: Timestamp, reader: &mut Reader) -> Recent {
        let mut recent = Recent::default();
        match self.list_new(cx, now, reader).await {
            Ok(()) => {
                let names = reader.wanted.keys().cloned().collect();
                self.read(cx, now, reader, names, &mut recent).await;
            }
            Err(error) => recent.notes.push(one_line(&format!("the reports of runs cannot be listed: {error}"))),
        }
        recent.notes.extend(reader.notes(now));
        recent
    }

    /// Reads on backwards where reports were left out, at most `EARLIER_AT_ONCE`.
    pub async fn earlier(&self, cx: &Context, now: Timestamp, reader: &mut Reader) -> Recent {
        let mut recent = Recent::default();
        let Some(gap) = reader.gap.clone().filter(|_| reader.read_back < EARLIER_MAX) else { return recent };
        let begin = gap.until.at().unwrap_or(now);
        match self.newest(cx, begin, gap.since, EARLIER_AT_ONCE, Some(gap.until.object())).await {
            Ok(Untaken { mut names, more }) => {
                let over = names.len().saturating_sub(EARLIER_AT_ONCE);
                names.drain(..over);
                let until = names.first().filter(|_| more || over > 0).cloned();
                reader.gap = until.map(|until| Gap { until, ..gap });
                reader.read_back += names.len();
                names.retain(|name| !reader.knows(name));
                reader.wanted.extend(names.iter().map(|name| (name.clone(), 0)));
                self.read(cx, now, reader, names, &mut recent).await;
            }
            Err(error) => recent.notes.push(one_line(&format!("earlier reports of runs cannot be listed: {error}"))),
        }
        recent
    }

    /// Finds what is new; of what is too much the older is left out.
    async fn list_new(&self, cx: &Context, now: Timestamp, reader: &mut Reader) -> Result<(), JournalError> {
        let back = SignedDuration::from_hours(24 * DAYS_MAX);
        let since = reader.from().unwrap_or_else(|| now.checked_sub(back).unwrap_or(now));
        let pause = reader.looked_at.map(|at| now.duration_since(at));
        let is_short = pause.is_some_and(|pause| pause <= SignedDuration::from_mins(PAUSE_MAX_MINUTES));
        let enough = if is_short { usize::MAX } else { REPORTS_MAX };
        let Untaken { names, more } = self.newest(cx, now, since, enough, None).await?;
        let oldest = names.first().cloned();
        let new: Vec<ReportName> = names.into_iter().filter(|name| !reader.knows(name)).collect();
        reader.wanted.extend(new.into_iter().map(|name| (name, 0)));
        let over = reader.wanted.len().saturating_sub(REPORTS_MAX);
        for _ in 0..over {
            reader.wanted.pop_first();
        }
        let until = if over > 0 { reader.wanted.keys().next().cloned() } else { oldest.filter(|_| more) };
        if let Some(until) = until {
            let before = reader.gap.take();
            reader.gap = Some(Gap {
                until,
                since: before.as_ref().map_or(since, |gap| gap.since.min(since)),
                is_hole: reader.looked_at.is_some(),
            });
        }
        reader.looked_at = Some(now);
        let from = reader.from().map(objects_from);
        reader.read.retain(|name| from.as_ref().is_none_or(|from| name.object() >= *from));
        Ok(())
    }

    async fn read(
        &self,
        cx: &Context,
        now: Timestamp,
        reader: &mut Reader,
        names: Vec<ReportName>,
        recent: &mut Recent,
    ) {
        let get = |name: ReportName| async move {
            let object = self.bucket.get(cx, &name.object(), REPORT_BYTES_MAX).await;
            (name, object)
        };
        let answers: Vec<_> = futures_util::stream::iter(names).map(get).buffered(READS_AT_ONCE).collect().await;
        let some_read = answers.iter().any(|(_, object)| object.is_ok());
        let mut failed = Vec::new();
        for (name, object) in answers {
            match object {
                Ok(Some(object)) => match serde_json::from_slice::<RunRecord>(&object.bytes) {
                    Ok(record) => recent.records.push(record),
                    Err(error) => reader.give_up(now, &format!("{} is no report: {error}", name.object())),
                },
                // a rule has taken it away
                Ok(None) => {}
                Err(error) => {
                    let tries = reader.wanted.get(&name).copied().unwrap_or(0) + u32::from(counts(&error, some_read));
                    if !is_hopeless(&error, some_read, tries) {
                        reader.wanted.insert(name, tries);
                        failed.push(error);
                        continue;
                    }
                    reader.give_up(now, &format!("a report is given up: {error}"));
                }
            }
            reader.wanted.remove(&name);
            reader.read.insert(name);
        }
        if let Some(first) = failed.first() {
            let count = failed.len();
            recent.notes.push(one_line(&format!("reports that cannot be read, and are tried again: {count}; {first}")));
        }
    }
}

/// Whether it is the report's fault rather than that of everything.
fn counts(error: &BucketError, some_read: bool) -> bool {
    some_read && !matches!(error, BucketError::Interrupted { .. })
}

fn is_hopeless(error: &BucketError, some_read: bool, tries: u32) -> bool {
    let is_permanent = match error.class() {
        Class::Permanent | Class::Usage => true,
        Class::Transient => false,
    };
    matches!(error, BucketError::TooLarge { .. }) || (is_permanent && some_read) || tries >= TRIES_MAX
}

impl Reader {
    /// Whether it has looked before.
    pub fn has_looked(&self) -> bool {
        self.looked_at.is_some()
    }

    /// Runs that ended before this and were read may not be all: between them and this some were left out.
    pub fn hole(&self) -> Option<Timestamp> {
        self.gap.as_ref().filter(|gap| gap.is_hole).and_then(|gap| gap.until.at())
    }

    fn knows(&self, name: &ReportName) -> bool {
        self.read.contains(name) || self.wanted.contains_key(name)
    }

    /// What the next listing begins with.
    fn from(&self) -> Option<Timestamp> {
        let looked_at = self.looked_at?;
        Some(looked_at.checked_sub(SignedDuration::from_mins(OVERLAP_MINUTES)).unwrap_or(looked_at))
    }

    fn give_up(&mut self, now: Timestamp, why: &str) {
        if self.given_up.len() >= GIVEN_UP_MAX {
            self.given_up.pop_front();
        }
        self.given_up.push_back((now, one_line(why)));
    }

    fn notes(&mut self, now: Timestamp) -> Vec<String> {
        let kept = SignedDuration::from_mins(GIVEN_UP_MINUTES);
        self.given_up.retain(|(at, _)| now.duration_since(*at) <= kept);
        let hole = self.gap.as_ref().filter(|gap| gap.is_hole);
        let hole = hole.map(|gap| {
            let until = gap.until.at().unwrap_or(now);
            format!("reports between {} and {until} are left out: they were more than one look reads", gap.since)
        });
        self.given_up.iter().map(|(_, why)| why.clone()).chain(hole).collect()
    }
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}
