//! What a check asks Cloud Storage: the bucket itself, and what the identity may do in it.

use serde::Deserialize;

use super::GcsBucket;
use crate::bucket::BucketError;
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
        /// Whether one of its lifecycle rules deletes what lies below our `staging/`.
        sweeps: bool,
        /// How many rules it has.
        rules: usize,
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
    condition: Condition,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Action {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "matchesPrefix")]
    prefixes: Vec<String>,
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
        let staging = format!("{}staging/", self.prefix);
        let sweeps = |rule: &Rule| {
            let covers = |prefix: &String| staging.starts_with(prefix.as_str());
            rule.action.kind == "Delete"
                && (rule.condition.prefixes.is_empty() || rule.condition.prefixes.iter().any(covers))
        };
        let rules = &body.lifecycle.rule;
        Ok(Seen::There { sweeps: rules.iter().any(sweeps), rules: rules.len(), location: body.location })
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
