//! Which runs are under way in this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::TableId;

/// Counts of runs by table; there are no more than runs.
#[derive(Debug, Default)]
pub(super) struct UnderWay(Mutex<HashMap<TableId, usize>>);

/// A run that is under way for as long as this lives.
#[derive(Debug)]
pub(super) struct Mark {
    of: Arc<UnderWay>,
    id: TableId,
}

impl UnderWay {
    /// A run of that table begins.
    pub(super) fn begin(self: &Arc<Self>, id: &TableId) -> Mark {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(id.clone()).or_default() += 1;
        Mark { of: self.clone(), id: id.clone() }
    }

    /// How many runs of each table are under way.
    pub(super) fn counts(&self) -> HashMap<TableId, usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let mut counts = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_counted_as_long_as_they_last() {
        let name =
            |name: &str| name.parse().ok().zip("t".parse().ok()).map(|(source, table)| TableId { source, table });
        let (Some(one), Some(other)) = (name("a"), name("b")) else { unreachable!("names") };
        let under_way = Arc::new(UnderWay::default());
        let marks = [under_way.begin(&one), under_way.begin(&one), under_way.begin(&other)];
        assert_eq!(under_way.counts(), HashMap::from([(one, 2), (other, 1)]));
        drop(marks);
        assert!(under_way.counts().is_empty());
    }
}
