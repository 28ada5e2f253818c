//! Work that many wait for and that is done once. Pure of what the work is.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// What is under way, by what it is about.
pub(super) struct Shared<K, V> {
    under_way: Mutex<HashMap<K, watch::Sender<Option<V>>>>,
    many: usize,
}

/// How somebody who asks takes part.
pub(super) enum Part<V> {
    /// It is under way: wait.
    Wait(watch::Receiver<Option<V>>),
    /// Nobody does it yet: have it done, and wait.
    Begin(watch::Receiver<Option<V>>),
    /// As much is under way as may be.
    Full,
}

impl<K: Eq + Hash + Clone, V: Clone> Shared<K, V> {
    /// Nothing under way, and never more than so many.
    pub(super) fn new(many: usize) -> Self {
        Self { under_way: Mutex::default(), many }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, watch::Sender<Option<V>>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes part in it.
    pub(super) fn join(&self, key: &K) -> Part<V> {
        let mut under_way = self.lock();
        if let Some(sender) = under_way.get(key) {
            return Part::Wait(sender.subscribe());
        }
        if under_way.len() >= self.many {
            return Part::Full;
        }
        let (sender, receiver) = watch::channel(None);
        under_way.insert(key.clone(), sender);
        Part::Begin(receiver)
    }

    /// Whether nobody waits for it any more; then it is no longer under way.
    pub(super) fn is_left(&self, key: &K) -> bool {
        let mut under_way = self.lock();
        let is_left = under_way.get(key).is_some_and(|sender| sender.receiver_count() == 0);
        if is_left {
            under_way.remove(key);
        }
        is_left
    }

    /// It is no longer under way: gives it to who waits, or tells them that nothing came of it.
    pub(super) fn end(&self, key: &K, value: Option<V>) {
        if let Some(sender) = self.lock().remove(key) {
            sender.send_replace(value);
        }
    }
}

/// What comes of it; `None` if nothing does.
pub(super) async fn wait<V: Clone>(mut receiver: watch::Receiver<Option<V>>) -> Option<V> {
    // who ends without a value closes it
    receiver.wait_for(Option::is_some).await.ok().and_then(|value| value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_works_and_all_get_it() {
        let shared: Shared<u8, u8> = Shared::new(2);
        let Part::Begin(first) = shared.join(&1) else { unreachable!("nobody does it") };
        let Part::Wait(second) = shared.join(&1) else { unreachable!("somebody does it") };
        assert!(matches!(shared.join(&2), Part::Begin(_)));
        assert!(matches!(shared.join(&3), Part::Full));
        // nobody waits for the second, so there is room
        assert!(shared.is_left(&2) && !shared.is_left(&1));
        let Part::Begin(third) = shared.join(&3) else { unreachable!("there is room") };
        shared.end(&1, Some(7));
        shared.end(&3, None);
        assert_eq!((wait(first).await, wait(second).await, wait(third).await), (Some(7), Some(7), None));
        assert!(matches!(shared.join(&1), Part::Begin(_)));
    }
}
