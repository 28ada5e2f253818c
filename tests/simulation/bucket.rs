//! The bucket: objects with generations, conditional writes, a lifecycle rule; over a network that loses answers.

use std::collections::BTreeMap;

use bytes::Bytes;
use highwater::bucket::{Bucket, BucketError, ContentType, Generation, LISTED_MAX, Object, Precondition, Put};
use highwater::net::Context;
use highwater::state::codec;

use super::planted::Plant;
use super::process::OPERATOR;
use super::world::{Failed, Lost, Shared, World};
use crate::tell;

/// Parts older than this are deleted by the lifecycle rule.
const LIFE_US: i64 = 7 * 86_400 * 1_000_000;
const ROOT: &str = "gs://sim/";

/// The objects.
#[derive(Default)]
pub struct Objects {
    last: i64,
    objects: BTreeMap<String, Stored>,
}

struct Stored {
    object: Object,
    written_us: i64,
}

impl Objects {
    /// The content of the part at that address, if it is there.
    pub fn part(&self, address: &str) -> Option<Bytes> {
        self.objects.get(address.strip_prefix(ROOT)?).map(|stored| stored.object.bytes.clone())
    }

    /// Names of all parts.
    pub fn parts(&self) -> impl Iterator<Item = &String> {
        self.objects.keys().filter(|name| name.starts_with("staging/"))
    }

    /// What the lifecycle rule does.
    pub fn expire(&mut self, now_us: i64) -> usize {
        let before = self.objects.len();
        self.objects.retain(|name, stored| !name.starts_with("staging/") || now_us - stored.written_us < LIFE_US);
        before - self.objects.len()
    }
}

/// One process's client of the bucket.
#[derive(Clone)]
pub struct SimBucket {
    pub world: Shared,
    /// Who it is, for the log.
    pub name: &'static str,
    pub operator: bool,
}

fn is_state(name: &str) -> bool {
    name.starts_with("state/")
}

/// `staging/sim/t/<intent>/part-…`: the intent.
pub fn intent_of(part: &str) -> &str {
    part.rsplit('/').nth(1).unwrap_or_default()
}

impl World {
    fn put(&mut self, who: &str, operator: bool, name: &str, bytes: Bytes, precondition: Precondition) -> Put {
        let found = self.objects.objects.get(name).map(|stored| stored.object.generation);
        let holds = match precondition {
            Precondition::Absent => found.is_none(),
            Precondition::Generation(wanted) => found == Some(wanted),
        };
        let careless = self.plant == Some(Plant::StateWithoutPrecondition) && is_state(name);
        if !holds && !careless {
            tell!(self, "{who}: 412 for {name}");
            self.count(if is_state(name) { "fault: 412 on the state" } else { "fault: 412 on a part" });
            return Put::Mismatch;
        }
        self.objects.last += 1;
        let (generation, written_us) = (Generation(self.objects.last), self.now_us());
        tell!(self, "{who}: wrote {name}, generation {}", generation.0);
        let object = Object { bytes: bytes.clone(), generation };
        self.objects.objects.insert(name.to_owned(), Stored { object, written_us });
        if is_state(name) {
            self.state_written(name, operator, &bytes);
        }
        Put::Stored(generation)
    }

    fn delete(&mut self, who: &str, name: &str) {
        if self.objects.objects.remove(name).is_some() {
            tell!(self, "{who}: deleted {name}");
            self.part_deleted(who, name);
        }
    }
}

impl SimBucket {
    fn failed(&self, what: &'static str, name: &str, failed: Failed) -> BucketError {
        let (bucket, name) = ("sim".to_owned(), name.to_owned());
        match failed {
            Failed::Unavailable(attempts) => BucketError::Unavailable {
                what,
                bucket,
                name,
                attempts,
                elapsed: std::time::Duration::ZERO,
                message: "HTTP 503".to_owned(),
                after_seconds: None,
            },
            Failed::Interrupted(cause) => BucketError::Interrupted { what, cause },
        }
    }

    /// What a planted bug makes of what is read.
    fn misread(&self, name: &str, mut object: Object) -> Object {
        let plant = self.world.with(|world| world.plant);
        if plant == Some(Plant::BegunTakenForComplete)
            && name.contains("/windows/")
            && let Ok(mut state) = codec::decode(&object.bytes)
            && let Some(window) = state.window.as_mut().filter(|_| state.intent.is_none())
        {
            window.complete = true;
            object.bytes = codec::encode(&state).unwrap().into();
        }
        object
    }

    /// What a planted bug makes of an outcome.
    fn mistake(&self, name: &str, outcome: Result<Put, BucketError>) -> Result<Put, BucketError> {
        let plant = self.world.with(|world| world.plant);
        let guess = || {
            self.world.with(|world| {
                let found = world.objects.objects.get(name).map(|stored| stored.object.generation);
                Put::Stored(found.unwrap_or(Generation(1)))
            })
        };
        match (plant, outcome) {
            (Some(Plant::LostAnswerTakenForRefusal), Err(BucketError::Unsettled { .. })) => Ok(Put::Mismatch),
            (Some(Plant::LostAnswerTakenForSuccess), Err(BucketError::Unsettled { .. })) => Ok(guess()),
            (Some(Plant::CommitIgnores412), Ok(Put::Mismatch)) if is_state(name) => Ok(guess()),
            (_, outcome) => outcome,
        }
    }
}

impl Bucket for SimBucket {
    fn address(&self, name: &str) -> String {
        format!("{ROOT}{name}")
    }

    async fn get(&self, cx: &Context, name: &str, _: u64) -> Result<Option<Object>, BucketError> {
        let wanted = name.to_owned();
        let get = move |world: &mut World| world.objects.objects.get(&wanted).map(|stored| stored.object.clone());
        let found = self.world.call(cx, get).await.map_err(|failed| self.failed("reading", name, failed))?;
        Ok(found.map(|object| self.misread(name, object)))
    }

    async fn put(
        &self,
        cx: &Context,
        name: &str,
        bytes: Bytes,
        _: ContentType,
        precondition: Precondition,
    ) -> Result<Put, BucketError> {
        let (object, who, operator) = (name.to_owned(), self.name, self.operator);
        let put = move |world: &mut World| world.put(who, operator, &object, bytes, precondition);
        let outcome = match self.world.attempt(cx, put).await {
            Ok(put) => Ok(put),
            Err(Lost::Refused) => Err(self.failed("writing", name, Failed::Unavailable(1))),
            Err(Lost::Unanswered) => Err(BucketError::Unsettled {
                bucket: "sim".to_owned(),
                name: name.to_owned(),
                attempts: 1,
                elapsed: std::time::Duration::ZERO,
                message: "no answer".to_owned(),
                after_seconds: None,
            }),
            Err(Lost::Interrupted(cause)) => Err(self.failed("writing", name, Failed::Interrupted(cause))),
        };
        self.mistake(name, outcome)
    }

    async fn list_from(&self, cx: &Context, prefix: &str, from: &str) -> Result<Vec<String>, BucketError> {
        let (folder, from, who) = (prefix.to_owned(), from.to_owned(), self.name);
        let list = move |world: &mut World| {
            let names = world.objects.objects.keys().filter(|name| name.starts_with(&folder) && **name >= from);
            let names: Vec<String> = names.take(LISTED_MAX).cloned().collect();
            if world.plant == Some(Plant::SweepWithoutFence) {
                let nobodys = names.iter().filter(|name| !world.check.is_pending(intent_of(name)));
                for name in nobodys.collect::<Vec<_>>() {
                    world.delete_table(who, &format!("hw_staging_{}", intent_of(name)));
                    world.delete(who, name);
                }
            }
            names
        };
        self.world.call(cx, list).await.map_err(|failed| self.failed("listing", prefix, failed))
    }

    async fn delete(&self, cx: &Context, name: &str) -> Result<(), BucketError> {
        let (object, who) = (name.to_owned(), self.name);
        let delete = move |world: &mut World| {
            if world.plant != Some(Plant::ResetLeavesChunk) || who != OPERATOR {
                world.delete(who, &object);
            }
        };
        self.world.call(cx, delete).await.map_err(|failed| self.failed("deleting", name, failed))
    }
}

/// Deletes an intent's parts as a bug would.
pub fn delete_parts_of(world: &mut World, intent: &str) {
    let names: Vec<String> = world.objects.parts().filter(|name| intent_of(name) == intent).cloned().collect();
    for name in names {
        world.delete("a planted bug", &name);
    }
}
