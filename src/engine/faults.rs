//! Fault points: places between the steps of a run where a test lets it die, fail or wait.
//!
//! A value that the engine is given. Without the feature `testing` it holds nothing and every point does nothing.

use crate::net::Interrupted;

macro_rules! points {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A place between two steps of a run.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Point {
            $($(#[$doc])* $name,)*
        }

        impl Point {
            /// Every point, in the order in which a run passes them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// As it is named in `HIGHWATER_FAULTS` and in logs.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

points! {
    /// The state is read, leftovers are listed.
    StateRead = "state-read",
    /// A source connection is open.
    Connected = "connected",
    /// The catalog is read and the ceiling fixed; the target may have been looked at, nothing was decided by it.
    Described = "described",
    /// The target is there and in line with the source.
    Prepared = "prepared",
    /// A block of rows was handed on, inside a read.
    Extract = "extract",
    /// A part is about to be sent.
    Upload = "upload",
    /// A part is stored.
    Uploaded = "uploaded",
    /// All parts of a chunk are stored, its intent is not written.
    Staged = "staged",
    /// The intent is written.
    IntentWritten = "intent-written",
    /// A pending intent is found.
    IntentFound = "intent-found",
    /// The staging table is created, its load not submitted.
    StagingCreated = "staging-created",
    /// The load job is submitted.
    LoadSubmitted = "load-submitted",
    /// The load job was looked at.
    LoadPolled = "load-polled",
    /// The staging table has the chunk's rows, the merge is not submitted.
    Loaded = "loaded",
    /// The merge job is submitted.
    MergeSubmitted = "merge-submitted",
    /// The merge job was looked at.
    MergePolled = "merge-polled",
    /// The rows are in the target, the watermark is not moved.
    Merged = "merged",
    /// The watermark is moved, nothing is cleaned up.
    Committed = "committed",
    /// The staging table is deleted, the parts are not.
    StagingDeleted = "staging-deleted",
    /// A part is deleted.
    PartDeleted = "part-deleted",
    /// Staging table and parts of a chunk are deleted.
    Cleaned = "cleaned",
    /// Nobody can use the leftovers of others any more; none is deleted yet.
    Fenced = "fenced",
}

/// What happens at which points; by default nothing at any.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    #[cfg(feature = "testing")]
    hook: Option<std::sync::Arc<dyn testing::Hook>>,
}

impl Faults {
    /// Passes a point.
    ///
    /// # Errors
    /// A test lets the step fail here; it looks like a call that was not answered.
    #[cfg(not(feature = "testing"))]
    #[inline]
    #[expect(clippy::unused_async, reason = "a test's point may wait")]
    pub(super) async fn at(&self, _: Point) -> Result<(), Interrupted> {
        Ok(())
    }

    /// Passes a point.
    ///
    /// # Errors
    /// A test lets the step fail here; it looks like a call that was not answered.
    #[cfg(feature = "testing")]
    pub(super) async fn at(&self, point: Point) -> Result<(), Interrupted> {
        let Some(hook) = &self.hook else { return Ok(()) };
        testing::act(point, hook.at(point)).await
    }
}

#[cfg(feature = "testing")]
pub mod testing {
    //! What a test can do at a point.

    use std::fmt;
    use std::sync::{Arc, Mutex, PoisonError};
    use std::time::Duration;

    use super::{Faults, Point};
    use crate::net::Interrupted;

    /// What happens at a point.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Action {
        /// Nothing.
        Go,
        /// The process is gone at once: nothing is flushed, closed or answered.
        Crash,
        /// The step fails.
        Error,
        /// The step takes this much longer.
        Delay(Duration),
    }

    /// Decides what happens, each time that a point is passed.
    pub trait Hook: fmt::Debug + Send + Sync {
        /// What happens at `point` now.
        fn at(&self, point: Point) -> Action;
    }

    impl Faults {
        /// Faults by that hook.
        pub fn new(hook: Arc<dyn Hook>) -> Self {
            Self { hook: Some(hook) }
        }

        /// Faults from text: `POINT:ACTION` separated by commas, where ACTION is `crash`, `error` or `delay=MS`, and `@N`
        /// behind it means the N-th time that the point is passed (default 1); `@*` means every time.
        ///
        /// # Errors
        /// What cannot be read.
        pub fn parse(text: &str) -> Result<Self, String> {
            let armed: Result<Vec<Armed>, String> =
                text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(Armed::parse).collect();
            let armed = armed?;
            if armed.is_empty() { Ok(Self::default()) } else { Ok(Self::new(Arc::new(Plan(Mutex::new(armed))))) }
        }
    }

    /// What is to happen at one point.
    #[derive(Debug)]
    struct Armed {
        point: Point,
        action: Action,
        /// At which passage, counted down; `None` at each.
        left: Option<u32>,
    }

    impl Armed {
        fn parse(text: &str) -> Result<Self, String> {
            let fault =
                || format!("HIGHWATER_FAULTS: {text:?} is not POINT:crash, POINT:error or POINT:delay=MS, with @N");
            let (point, action) = text.split_once(':').ok_or_else(fault)?;
            let (action, nth) = action.split_once('@').unwrap_or((action, "1"));
            let point = Point::ALL.iter().find(|known| known.name() == point).ok_or_else(fault)?;
            let action = match (action, action.strip_prefix("delay=")) {
                ("crash", _) => Action::Crash,
                ("error", _) => Action::Error,
                (_, Some(ms)) => Action::Delay(Duration::from_millis(ms.parse().map_err(|_not_a_number| fault())?)),
                _ => return Err(fault()),
            };
            let left = if nth == "*" { None } else { Some(nth.parse().map_err(|_not_a_number| fault())?) };
            Ok(Self { point: *point, action, left })
        }

        fn passed(&mut self) -> bool {
            match &mut self.left {
                None => true,
                Some(0) => false,
                Some(left) => {
                    *left -= 1;
                    *left == 0
                }
            }
        }
    }

    #[derive(Debug)]
    struct Plan(Mutex<Vec<Armed>>);

    impl Hook for Plan {
        fn at(&self, point: Point) -> Action {
            let mut armed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let due =
                armed.iter_mut().filter(|one| one.point == point).find_map(|one| one.passed().then_some(one.action));
            due.unwrap_or(Action::Go)
        }
    }

    pub(super) async fn act(point: Point, action: Action) -> Result<(), Interrupted> {
        let name = point.name();
        match action {
            Action::Go => Ok(()),
            Action::Crash => {
                tracing::warn!(point = name, "a test's fault: crash");
                std::process::abort()
            }
            Action::Error => {
                tracing::warn!(point = name, "a test's fault: error");
                Err(Interrupted::TimedOut(Duration::ZERO))
            }
            Action::Delay(time) => {
                tracing::warn!(point = name, ms = time.as_millis(), "a test's fault: delay");
                tokio::time::sleep(time).await;
                Ok(())
            }
        }
    }
}
