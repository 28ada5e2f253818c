//! The attempts at one call: how long each may take, how many there are, the waits in between, and what is said of
//! them when the call is given up.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::context::ATTEMPT_MIN;
use super::{Backoff, Context, Interrupted};

/// The most time for one attempt, however often the ones before were not answered.
const ATTEMPT_MAX: Duration = Duration::from_secs(60);

/// How often something was tried, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tried {
    /// How often.
    pub attempts: u32,
    /// From the beginning of the first attempt to the end of the last.
    pub elapsed: Duration,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.attempts == 1 { "" } else { "s" };
        write!(f, "{} attempt{plural} in {:.1?}", self.attempts, self.elapsed)
    }
}

/// The attempts at one call.
#[derive(Debug)]
pub struct Attempts {
    begun: Instant,
    made: u32,
    made_max: u32,
    limit: Duration,
    /// Whether the last attempt was not answered in time.
    silent: bool,
    backoff: Backoff,
}

impl Attempts {
    /// At most `made_max` attempts that have a limit of their own: [`Attempts::count`] them.
    pub fn counted(made_max: u32) -> Self {
        Self::new(made_max, ATTEMPT_MAX)
    }

    /// At most `made_max` attempts; the first may take `limit`. One that is not answered in time doubles it for the
    /// next, up to 60 s, so that a connection that is dead costs little and a service that is slow is waited for.
    pub fn new(made_max: u32, limit: Duration) -> Self {
        Self { begun: Instant::now(), made: 0, made_max, limit, silent: false, backoff: Backoff::default() }
    }

    /// Makes an attempt, within what [`Context::attempt`] gives it.
    pub async fn make<T>(&mut self, cx: &Context, call: impl Future<Output = T>) -> Result<T, Interrupted> {
        self.made += 1;
        let answer = cx.attempt(self.limit, call).await;
        self.silent = matches!(answer, Err(Interrupted::TimedOut(_)));
        if self.silent {
            self.limit = (self.limit * 2).min(ATTEMPT_MAX);
        }
        answer
    }

    /// Counts an attempt that has a limit of its own.
    pub fn count(&mut self) {
        self.made += 1;
    }

    /// Waits before another attempt, at least `asked` (Retry-After); `false` if there is none: as many as may be were
    /// made, or the run has no time for the wait and another.
    ///
    /// # Errors
    /// The process is stopping. Or the run's time is up, and the one attempt that it was enough for was not answered in
    /// what was left: that says nothing of the peer.
    pub async fn again(&mut self, cx: &Context, asked: Option<Duration>) -> Result<bool, Interrupted> {
        if self.made >= self.made_max {
            return Ok(false);
        }
        let wait = self.backoff.wait(asked);
        if cx.remaining() < wait + ATTEMPT_MIN {
            return if self.silent && self.made == 1 { Err(Interrupted::Budget) } else { Ok(false) };
        }
        cx.sleep(wait).await.map(|()| true)
    }

    /// What was done so far.
    pub fn tried(&self) -> Tried {
        Tried { attempts: self.made, elapsed: self.begun.elapsed() }
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;

    async fn silent(budget: Duration, limit: Duration, made_max: u32) -> (Tried, Duration) {
        let cx = Context::new(Instant::now() + budget, CancellationToken::new());
        let mut attempts = Attempts::new(made_max, limit);
        loop {
            let answer = attempts.make(&cx, std::future::pending::<()>()).await;
            assert!(matches!(answer, Err(Interrupted::TimedOut(_))), "{answer:?} after {}", attempts.tried());
            if attempts.again(&cx, None).await != Ok(true) {
                return (attempts.tried(), cx.remaining());
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silence_leaves_time_for_another_attempt_and_never_outlives_the_run() {
        // half of the time that is left, again and again
        let (tried, left) = silent(Duration::from_secs(8), Duration::from_secs(10), 10).await;
        assert!((3..=4).contains(&tried.attempts) && left < Duration::from_secs(3), "{tried} {left:?}");
        // with time enough, each may take twice as long as the one before
        let (tried, left) = silent(Duration::from_secs(3600), Duration::from_secs(10), 4).await;
        assert_eq!(tried.attempts, 4);
        let waits = Duration::from_secs(10 + 20 + 40 + 60)..Duration::from_secs(10 + 20 + 40 + 60 + 4);
        assert!(waits.contains(&tried.elapsed) && left > Duration::from_secs(3000), "{tried} {left:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_has_no_time_for_more_than_one_attempt_blames_nobody() {
        let cx = Context::new(Instant::now() + Duration::from_millis(1500), CancellationToken::new());
        let mut attempts = Attempts::new(10, Duration::from_secs(10));
        assert!(attempts.make(&cx, std::future::pending::<()>()).await.is_err());
        assert_eq!(attempts.again(&cx, None).await, Err(Interrupted::Budget));
        // what was answered was answered
        let mut attempts = Attempts::new(10, Duration::from_secs(10));
        assert_eq!(attempts.make(&cx, std::future::ready(503)).await, Ok(503));
        assert_eq!(attempts.again(&cx, None).await, Ok(false));
    }

    #[test]
    fn it_is_said_in_words() {
        let tried = |attempts, millis| Tried { attempts, elapsed: Duration::from_millis(millis) }.to_string();
        assert_eq!(tried(1, 40), "1 attempt in 40.0ms");
        assert_eq!(tried(6, 12_345), "6 attempts in 12.3s");
    }
}
