//! The time that a run still has, its cancelling, and who looks on: every wait of ours passes through here.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::model::{Code, Watch};

/// The least time that an attempt gets, unless the run has less.
pub(super) const ATTEMPT_MIN: Duration = Duration::from_secs(1);

/// The most time for what follows a run that was cut off: the process ends a second later.
const AFTER_CUT_MAX: Duration = Duration::from_millis(700);

/// Why a call was given up by us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Interrupted {
    /// The call's own limit passed.
    #[error("no answer within {0:.1?}")]
    TimedOut(Duration),
    /// The run's budget is spent.
    #[error("the run's time budget is spent")]
    Budget,
    /// The process is stopping.
    #[error("the process is stopping")]
    Cancelled,
}

impl Interrupted {
    /// The code that people look up.
    pub fn code(self) -> Code {
        match self {
            Self::TimedOut(_) => Code::NoAnswer,
            Self::Budget => Code::TimeSpent,
            Self::Cancelled => Code::Stopping,
        }
    }
}

/// A run's deadline and cancellation; cheap to clone and to pass.
#[derive(Clone, Debug)]
pub struct Context {
    deadline: Instant,
    cancel: CancellationToken,
    stop: CancellationToken,
    watch: Watch,
}

impl Context {
    /// A run that ends at `deadline` or when `cancel` fires.
    pub fn new(deadline: Instant, cancel: CancellationToken) -> Self {
        Self { deadline, cancel, stop: CancellationToken::new(), watch: Watch::default() }
    }

    /// The same run, asked to come to an end early, without being cut off, when `stop` fires.
    #[must_use]
    pub fn with_stop(self, stop: CancellationToken) -> Self {
        Self { stop, ..self }
    }

    /// The same run, with somebody who looks on.
    #[must_use]
    pub fn with_watch(self, watch: Watch) -> Self {
        Self { watch, ..self }
    }

    /// Where the run notes how far it is.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Whether the run was asked to end after what it is doing.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled() || self.cancel.is_cancelled()
    }

    /// Waits until the run is asked to end.
    pub async fn stopping(&self) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.cancel.cancelled() => {}
        }
    }

    /// What follows the run gets this much time of its own, though the run's may be spent; cancelled as the run is. After a
    /// run that was cut off it gets a moment, for one request.
    #[must_use]
    pub fn after(&self, limit: Duration) -> Self {
        let now = Instant::now();
        if self.is_cancelled() {
            return Self::new(now + limit.min(AFTER_CUT_MAX), CancellationToken::new()).with_stop(self.stop.clone());
        }
        Self { deadline: now + limit, ..self.clone() }
    }

    /// The same run, of which no more than this is given away.
    #[must_use]
    pub fn within(&self, limit: Duration) -> Self {
        Self { deadline: self.deadline.min(Instant::now() + limit), ..self.clone() }
    }

    /// The time that is left, zero if none.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Whether the process was told to stop.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// `Err` if nothing new should begin.
    pub fn check(&self) -> Result<(), Interrupted> {
        if self.is_cancelled() {
            return Err(Interrupted::Cancelled);
        }
        if self.remaining().is_zero() {
            return Err(Interrupted::Budget);
        }
        Ok(())
    }

    /// Runs `call` for at most `limit`, the run's budget, or until the process stops.
    pub async fn limit<T>(&self, limit: Duration, call: impl Future<Output = T>) -> Result<T, Interrupted> {
        // a process that slept beyond its time must not send even one more request
        self.check()?;
        let remaining = self.remaining();
        let interrupted = if remaining < limit { Interrupted::Budget } else { Interrupted::TimedOut(limit) };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Interrupted::Cancelled),
            answer = tokio::time::timeout(limit.min(remaining), call) => answer.map_err(|_elapsed| interrupted),
        }
    }

    /// Runs `call` for at most `limit`, and for at most half of the time that is left, so that a peer that falls silent
    /// leaves time for another attempt.
    pub async fn attempt<T>(&self, limit: Duration, call: impl Future<Output = T>) -> Result<T, Interrupted> {
        self.limit(limit.min((self.remaining() / 2).max(ATTEMPT_MIN)), call).await
    }

    /// Sleeps, unless the run ends first.
    pub async fn sleep(&self, time: Duration) -> Result<(), Interrupted> {
        if time >= self.remaining() {
            return Err(Interrupted::Budget);
        }
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Interrupted::Cancelled),
            () = tokio::time::sleep(time) => Ok(()),
        }
    }
}
