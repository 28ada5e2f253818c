//! Waits between attempts: exponential, with full jitter, bounded.

use std::time::Duration;

/// First wait at the most.
const FIRST: Duration = Duration::from_millis(300);
/// The longest wait, also where a server asks for a longer one.
const LONGEST: Duration = Duration::from_secs(32);

/// The waits of one call.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// The wait before the next attempt; at least `asked` (Retry-After), at most 32 s.
    pub fn wait(&mut self, asked: Option<Duration>) -> Duration {
        let wait = self.next.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.next = (self.next * 2).min(LONGEST);
        wait.max(asked.unwrap_or_default()).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end_and_heed_the_server() {
        let mut backoff = Backoff::default();
        let waits: Vec<Duration> = (0..12).map(|_| backoff.wait(None)).collect();
        assert!(waits[0] >= FIRST / 2 && waits[0] <= FIRST);
        assert!(waits[11] > LONGEST / 2 && waits.iter().all(|wait| *wait <= LONGEST));
        assert!(Backoff::default().wait(Some(Duration::from_secs(5))) >= Duration::from_secs(5));
        assert_eq!(Backoff::default().wait(Some(Duration::from_secs(3600))), LONGEST);
    }
}
