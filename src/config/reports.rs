//! The settings of what is kept of runs, and of who is told of troubles.

use std::time::Duration;

use url::Url;

use super::placeholders::Hidden;
use super::reader::Map;
use super::scalar;
use crate::model::{Code, Event, Hook, HookAddress, Notify, Secret};

/// The dataset of the table of runs, unless the settings say it.
const DATASET_DEFAULT: &str = "_highwater";
/// How often runs are loaded, unless the settings say it.
const EVERY_DEFAULT: Duration = Duration::from_secs(10 * 60);
/// The least: BigQuery takes 1,500 load jobs per table and day, failed ones included ("Quotas").
const EVERY_MIN: Duration = Duration::from_secs(60);
/// The most: within it the reports that are not loaded yet can all be looked at.
const EVERY_MAX: Duration = Duration::from_secs(24 * 3600);
/// How many days a row is kept, unless the settings say it.
const DAYS_DEFAULT: u32 = 90;
/// The most.
const DAYS_MAX: u64 = 3650;
/// How long failures that can pass must last before they are told, unless the settings say it.
const PATIENCE_DEFAULT: Duration = Duration::from_secs(15 * 60);
/// How often a failure that lasts is told again, unless the settings say it.
const REMIND_DEFAULT: Duration = Duration::from_secs(24 * 3600);
/// The most that are told.
const HOOKS_MAX: usize = 20;

const EVENTS: [(&str, Event); 3] =
    [("failure", Event::Failure), ("drift", Event::Drift), ("recovery", Event::Recovery)];

/// What is kept of runs besides their reports on the bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reports {
    /// Whether they become rows in BigQuery.
    pub bigquery: bool,
    /// The dataset of those.
    pub dataset: String,
    /// How often, at the most, they are loaded.
    pub every: Duration,
    /// For how many days a row is kept.
    pub days: u32,
}

impl Default for Reports {
    fn default() -> Self {
        let dataset = DATASET_DEFAULT.to_owned();
        Self { bigquery: true, dataset, every: EVERY_DEFAULT, days: DAYS_DEFAULT }
    }
}

/// `reports: {bigquery, dataset, every, days}`.
pub(super) fn read(root: &mut Map<'_>) -> Reports {
    let default = Reports::default();
    let Some(mut map) = root.map("reports") else { return default };
    let every = map.optional("every", |text| {
        let every = scalar::duration(text)?;
        let fits = (EVERY_MIN..=EVERY_MAX).contains(&every);
        if fits { Ok(every) } else { Err("must be within 1m and 24h".to_owned()) }
    });
    let days = map.optional("days", |text| scalar::number(text, 1, DAYS_MAX));
    let reports = Reports {
        bigquery: map.optional("bigquery", scalar::boolean).unwrap_or(default.bigquery),
        dataset: map.optional("dataset", scalar::dataset).unwrap_or(default.dataset),
        every: every.unwrap_or(default.every),
        days: days.and_then(|days| u32::try_from(days).ok()).unwrap_or(default.days),
    };
    map.finish();
    reports
}

/// `notify: [HOOK …]`, or `notify: {hooks: [HOOK …], patience, remind}`.
pub(super) fn read_notify(root: &mut Map<'_>) -> Notify {
    let mut notify = Notify { hooks: Vec::new(), patience: PATIENCE_DEFAULT, remind: REMIND_DEFAULT };
    if !root.is_map("notify") {
        notify.hooks = hooks(root, "notify");
        return notify;
    }
    let Some(mut map) = root.map("notify") else { return notify };
    notify.hooks = hooks(&mut map, "hooks");
    notify.patience = map.optional("patience", scalar::duration).unwrap_or(notify.patience);
    notify.remind = map.optional("remind", scalar::duration).unwrap_or(notify.remind);
    map.finish();
    notify
}

fn hooks(map: &mut Map<'_>, key: &'static str) -> Vec<Hook> {
    let items = map.maps(key);
    if items.len() > HOOKS_MAX {
        map.fault(Code::ConfigValue, key, &format!("has more than {HOOKS_MAX} entries"));
    }
    items.into_iter().filter_map(hook).collect()
}

/// `{webhook: URL}` or `{pubsub: projects/P/topics/T}`, and `on: [EVENT …]`.
fn hook(mut map: Map<'_>) -> Option<Hook> {
    if map.is_broken() {
        return None;
    }
    map.hide("webhook", Hidden::Whole);
    let webhook = map.optional("webhook", webhook);
    let topic = map.optional("pubsub", topic);
    if map.has("webhook") == map.has("pubsub") {
        map.fault(
            Code::ConfigMissing,
            "",
            "names nobody; say either `webhook: ${URL}` or `pubsub: projects/P/topics/T`",
        );
    }
    let mut on: Vec<Event> = Vec::new();
    for name in map.texts("on").unwrap_or_default() {
        match scalar::word(&name, &EVENTS) {
            Ok(event) => on.push(event),
            Err(problem) => map.fault(Code::ConfigValue, "on", &problem),
        }
    }
    if on.is_empty() {
        on.extend(Event::ALL);
    }
    map.finish();
    Some(Hook { address: webhook.or(topic)?, on })
}

/// No fault repeats the url.
fn webhook(text: &str) -> Result<HookAddress, String> {
    let fault = || "is not a url; say for example `${SLACK_URL}`".to_owned();
    let url = Url::parse(text).map_err(|_invalid| fault())?;
    let local = scalar::is_loopback(&url).ok_or_else(fault)?;
    match url.scheme() {
        "https" => {}
        "http" if local => {}
        _ => return Err("must begin with https://: who reads the url can write there".to_owned()),
    }
    Ok(HookAddress::Webhook(Secret::new(text.to_owned())))
}

fn topic(text: &str) -> Result<HookAddress, String> {
    let fault = || format!("{text:?} is not a topic; say projects/P/topics/T");
    let parts: Vec<&str> = text.split('/').collect();
    let ["projects", project, "topics", topic] = parts.as_slice() else { return Err(fault()) };
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~+%".contains(&byte);
    // "Guidelines to name a topic": 3 to 255 characters, a letter first
    let named = (3..=255).contains(&topic.len()) && topic.bytes().all(fine);
    if !named || !topic.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return Err(fault());
    }
    let project = scalar::project(project).map_err(|_invalid| fault())?;
    Ok(HookAddress::Topic { project, topic: (*topic).to_owned() })
}

#[cfg(test)]
mod tests;
