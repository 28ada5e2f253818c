//! What a check asks Cloud Storage: the bucket itself, and what the identity may do in it.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::GcsBucket;
use crate::bucket::BucketError;
use crate::model::Rules;
use crate::net::{Context, Method, Request};

/// A bucket as far as it may be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// There is none of that name.
    Missing,
    /// It may not be looked at (`storage.buckets.get`).
    Hidden,
    /// It is there.
    There {
        /// Its location.
        location: String,
        /// Its lifecycle rules.
        rules: Rules,
    },
}

/// The parts of a bucket that are looked at.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    kind: String,
    location: String,
    lifecycle: Lifecycle,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Lifecycle {
    rule: Vec<Rule>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Rule {
    action: Action,
    condition: Map<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Action {
    #[serde(rename = "type")]
    kind: String,
}

const PREFIXES: &str = "matchesPrefix";

impl Lifecycle {
    /// What it does to what lies below `prefix`.
    fn judge(&self, prefix: &str) -> Rules {
        let (staging, state) = (format!("{prefix}staging/"), format!("{prefix}state/"));
        Rules {
            count: self.rule.len(),
            sweeps: self.rule.iter().any(|rule| rule.sweeps(&staging)),
            endangers: self.rule.iter().position(|rule| rule.endangers(&state)).map(|at| at + 1),
        }
    }
}

impl Rule {
    fn deletes(&self) -> bool {
        self.action.kind == "Delete"
    }

    /// The beginnings of names that it is limited to; `None` takes every name, also where they cannot be told.
    fn prefixes(&self) -> Option<Vec<&str>> {
        let prefixes = self.condition.get(PREFIXES)?.as_array().filter(|prefixes| !prefixes.is_empty())?;
        prefixes.iter().map(Value::as_str).collect()
    }

    /// Whether it deletes all that is old enough below `staging`. Each further condition may spare something.
    fn sweeps(&self, staging: &str) -> bool {
        let by_age = self.condition.contains_key("age");
        let alone = self.condition.keys().all(|key| key == "age" || key == PREFIXES);
        let covers = self.prefixes().is_none_or(|prefixes| prefixes.iter().any(|prefix| staging.starts_with(prefix)));
        self.deletes() && by_age && alone && covers
    }

    /// Whether it may delete something of `state` that is no older version (Cloud Storage, "Lifecycle conditions"). Other
    /// conditions can come true for a state, or cannot be told, so they do not save it.
    fn endangers(&self, state: &str) -> bool {
        let spares_live = self.condition.get("isLive") == Some(&Value::Bool(false))
            || ["numNewerVersions", "daysSinceNoncurrentTime", "noncurrentTimeBefore"]
                .iter()
                .any(|key| self.condition.contains_key(*key));
        let meets = |prefix: &&str| state.starts_with(prefix) || prefix.starts_with(state);
        let reaches = self.prefixes().is_none_or(|prefixes| prefixes.iter().any(meets));
        self.deletes() && !spares_live && reaches
    }
}

/// The answer of `iam/testPermissions`: without any permission it has no list.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Tested {
    kind: String,
    permissions: Vec<String>,
}

const BUCKET_KIND: &str = "storage#bucket";
const TESTED_KIND: &str = "storage#testIamPermissionsResponse";

impl GcsBucket {
    /// The bucket's name.
    pub fn name(&self) -> &str {
        &self.bucket
    }

    /// Where everything of ours lies in it; empty or ending in `/`.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Looks at the bucket (Cloud Storage, "Buckets: get").
    ///
    /// # Errors
    /// Cloud Storage does not answer.
    pub async fn look(&self, cx: &Context) -> Result<Seen, BucketError> {
        let mut url = self.base(&["storage", "v1", "b", &self.bucket], "")?;
        url.query_pairs_mut().append_pair("fields", "kind,location,lifecycle");
        let request = Request { method: Method::GET, url, body: None, if_match: None };
        let is_own = |body: &[u8]| serde_json::from_slice::<Body>(body).is_ok_and(|body| body.kind == BUCKET_KIND);
        let answer = match self.call(cx, "looking at", "", &request, is_own).await {
            Ok(answer) => answer,
            Err(BucketError::Refused { status: 403, .. }) => return Ok(Seen::Hidden),
            Err(error) => return Err(error),
        };
        if answer.status == 404 {
            return Ok(Seen::Missing);
        }
        let body: Body = serde_json::from_slice(&answer.body).unwrap_or_default();
        Ok(Seen::There { rules: body.lifecycle.judge(&self.prefix), location: body.location })
    }

    /// Those of the permissions that the identity has (Cloud Storage, "Buckets: testIamPermissions"); `None` where the
    /// service has no such call.
    ///
    /// # Errors
    /// Cloud Storage does not answer.
    pub async fn granted(&self, cx: &Context, permissions: &[&str]) -> Result<Option<Vec<String>>, BucketError> {
        let mut url = self.base(&["storage", "v1", "b", &self.bucket, "iam", "testPermissions"], "")?;
        url.query_pairs_mut().extend_pairs(permissions.iter().map(|permission| ("permissions", permission)));
        let request = Request { method: Method::GET, url, body: None, if_match: None };
        let is_own = |body: &[u8]| serde_json::from_slice::<Tested>(body).is_ok_and(|body| body.kind == TESTED_KIND);
        let answer = self.call(cx, "asking for the rights to", "", &request, is_own).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        Ok(Some(serde_json::from_slice::<Tested>(&answer.body).unwrap_or_default().permissions))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use serde_json::json;

    use super::*;

    fn judged(prefix: &str, action: &str, condition: Value) -> (bool, bool) {
        let rule = json!({"rule": [{"action": {"type": action}, "condition": condition}]});
        let rules = serde_json::from_value::<Lifecycle>(rule).unwrap().judge(prefix);
        assert_eq!(rules.count, 1);
        (rules.sweeps, rules.endangers.is_some())
    }

    #[test]
    fn rules_that_sweep_parts_and_rules_that_delete_states() {
        let (both, sweeps, endangers, neither) = ((true, true), (true, false), (false, true), (false, false));
        for (condition, wanted) in [
            (json!({"age": 7, "matchesPrefix": ["hw/staging/"]}), sweeps),
            (json!({"age": 7, "matchesPrefix": ["hw/staging/", "hw/check/"]}), sweeps),
            (json!({"age": 7, "matchesPrefix": ["hw/stag"]}), sweeps),
            (json!({"age": 7}), both),
            (json!({"age": 7, "matchesPrefix": []}), both),
            (json!({"age": 7, "matchesPrefix": [""]}), both),
            (json!({"age": 7, "matchesPrefix": ["hw/st"]}), both),
            (json!({"age": 7, "matchesPrefix": ["hw/"]}), both),
            (json!({"age": 7, "matchesPrefix": ["x/", "hw/state/"]}), endangers),
            // of one source alone
            (json!({"age": 7, "matchesPrefix": ["hw/state/shop/"]}), endangers),
            (json!({"age": 7, "matchesSuffix": [".json"]}), endangers),
            (json!({"age": 7, "isLive": true}), endangers),
            (json!({"createdBefore": "2024-01-01"}), endangers),
            (json!({"age": 7, "matchesStorageClass": ["STANDARD"]}), endangers),
            (json!({"age": 7, "matchesPrefix": ["staging/"]}), neither),
            (json!({"age": 7, "matchesPrefix": ["hw/staging/x/"]}), neither),
            (json!({"age": 7, "matchesPrefix": ["hw/staging/"], "matchesSuffix": [".x"]}), neither),
            (json!({"age": 7, "matchesPrefix": ["hw/staging/"], "isLive": false}), neither),
            (json!({"matchesPrefix": ["hw/staging/"], "createdBefore": "2024-01-01"}), neither),
            (json!({"isLive": false}), neither),
            (json!({"age": 7, "numNewerVersions": 3}), neither),
            (json!({"daysSinceNoncurrentTime": 3}), neither),
            (json!({"noncurrentTimeBefore": "2024-01-01"}), neither),
        ] {
            assert_eq!(judged("hw/", "Delete", condition.clone()), wanted, "{condition}");
            assert_eq!(judged("hw/", "SetStorageClass", condition.clone()), neither, "{condition}");
        }
        assert_eq!(judged("", "Delete", json!({"age": 7, "matchesPrefix": ["sta"]})), both);
        assert_eq!(judged("", "Delete", json!({"age": 7, "matchesPrefix": ["staging/"]})), sweeps);
    }

    #[test]
    fn the_rule_that_endangers_is_named() {
        let rules = json!({"rule": [
            {"action": {"type": "Delete"}, "condition": {"age": 7, "matchesPrefix": ["staging/"]}},
            {"action": {"type": "Delete"}, "condition": {"age": 365}},
        ]});
        let rules = serde_json::from_value::<Lifecycle>(rules).unwrap().judge("");
        assert_eq!(rules, Rules { count: 2, sweeps: true, endangers: Some(2) });
        assert_eq!(Lifecycle::default().judge(""), Rules::default());
    }
}
