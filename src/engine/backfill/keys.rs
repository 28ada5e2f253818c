//! Ranges of keys: a load that many processes share, decided by one of them.
//!
//! While it is under way the table's state names it, so that whoever asks finds it. Of a table that nothing was read of the
//! same write sets the watermark to the load's last row.

use std::time::Duration;

use tokio::time::Instant;

use super::{ALL, Asking, BackfillQuestion, Look, WRITES_MAX, query};
use crate::bucket::Bucket;
use crate::engine::{RunError, gaps};
use crate::model::{Ask, Bound, Position, WindowUnit};
use crate::plan::backfill::{self, BackfillError};
use crate::source::{Nulls, Place, Range, Session};
use crate::state::transition::Event;
use crate::warehouse::Warehouse;

/// How often a load that somebody else may begin is looked for.
const FOLLOW_POLL: Duration = Duration::from_millis(500);

impl<B: Bucket, W: Warehouse> Asking<'_, B, W> {
    /// The load that is under way; else, unless it is to be read again, the last one that was begun.
    pub(super) async fn known_load(&self, again: bool) -> Result<Option<Ask>, RunError> {
        let state = &self.at.state;
        if state.load.is_none() && (state.watermark.is_none() || again) {
            return Ok(None);
        }
        let asks = self.asks().await?.asks;
        if let Some(id) = &state.load {
            let found = asks.into_iter().find(|ask| ask.id == *id);
            return found.map(Some).ok_or_else(|| RunError::LoadLost { table: self.table() });
        }
        for ask in asks.into_iter().rev().filter(|ask| ask.by == WindowUnit::Key) {
            let windows = backfill::windows(&self.table(), &ask)?;
            let states = gaps::states(self.engine, self.cx, self.settings, &windows).await?;
            // one that was never begun lost its race, and is forgotten by whoever asked
            if states.iter().any(|state| state.window.is_some()) {
                return Ok(Some(ask));
            }
        }
        Ok(None)
    }

    /// Waits for somebody else to begin a load: many who begin at once are to find one, and not decide one each.
    pub(super) async fn follow(&mut self, wait: Duration) -> Result<(), RunError> {
        let until = Instant::now() + wait;
        while self.at.state.load.is_none() && Instant::now() < until {
            self.cx.sleep(FOLLOW_POLL).await?;
            self.at = self.store.read(self.cx).await?;
        }
        Ok(())
    }

    /// Decides the ranges.
    pub(super) async fn by_key<S: Session>(
        &mut self,
        session: &mut S,
        look: Look<'_>,
        question: &BackfillQuestion,
    ) -> Result<Ask, RunError> {
        let table = self.table();
        if self.settings.backfill_start.is_some() || self.at.state.began.is_some() {
            return Err(BackfillError::StartAndKey(table).into());
        }
        if let Some(intent) = self.at.state.intent.as_ref().filter(|_| self.at.state.watermark.is_none()) {
            return Err(RunError::Busy { table, why: format!("intent {} is pending", intent.id) });
        }
        let upto = match self.at.state.watermark.clone() {
            Some(_) if self.is_append() => {
                let why = "its sync brings all rows already; `highwater gaps` says whether rows lack".to_owned();
                return Err(BackfillError::Append { table, why }.into());
            }
            Some(watermark) => watermark,
            None => self.last(session, look).await?,
        };
        let value = upto.cursor.clone().ok_or_else(|| BackfillError::NoRows(self.table()))?;
        let within = Some(Bound { value, inclusive: true });
        let id = self.engine.fresh_id();
        let mut ask = Ask { id, by: WindowUnit::Key, from: None, to: None, bounds: Vec::new(), within };
        ask.bounds = self.ends(session, look, &ask, question.window_rows).await?;
        backfill::windows(&table, &ask)?;
        self.remember(&ask).await?;
        let basis = || Box::new(look.prepared.basis.clone());
        for _ in 0..WRITES_MAX {
            let id = ask.id.clone();
            let event = match self.at.state.watermark {
                None => Event::Load { id, upto: upto.clone(), basis: basis() },
                Some(_) => Event::LoadAgain(id),
            };
            let first = self.at.state.watermark.is_none();
            if self.change(event).await? {
                return Ok(ask);
            }
            // somebody else has begun: with a load that is everybody's. Or it is our own load that has begun, and a run has
            // gone on from it before we could know. Or a run has moved the table meanwhile
            if self.at.state.load.is_some() || first || self.at.state.rebuild.is_some() {
                break;
            }
        }
        if self.at.state.load.as_ref() != Some(&ask.id) {
            self.forget(&ask).await?;
        }
        self.known_load(true).await?.ok_or(RunError::Superseded)
    }

    /// The last row that is safe to read.
    async fn last<S: Session>(&self, session: &mut S, look: Look<'_>) -> Result<Position, RunError> {
        let none = || RunError::from(BackfillError::NoRows(self.table()));
        let bound = look.prepared.ceiling.as_ref().and_then(|ceiling| ceiling.bound.as_ref()).ok_or_else(none)?;
        let query = query(self.settings, look.prepared, Nulls::Skip, Range { ceiling: Some(bound), ..ALL });
        session.position(self.cx, &query, Place::Last).await?.ok_or_else(none)
    }
}
