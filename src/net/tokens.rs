//! One identity for all of Google: gcp_auth's tokens serve BigQuery and, through a bridge, Cloud Storage.

use std::fmt;
use std::sync::Arc;

use tokio::sync::OnceCell;

use crate::model::Secret;

/// The scope that covers BigQuery and Cloud Storage.
const SCOPES: &[&str] = &["https://www.googleapis.com/auth/cloud-platform"];
/// The scope of a login at a database (Cloud SQL, "Log in using IAM database authentication"). Only a service account's key
/// makes a token of this scope alone: who else gives tokens gives the one that there is.
const LOGIN_SCOPES: &[&str] = &["https://www.googleapis.com/auth/sqlservice.login"];

/// Where bearer tokens come from.
#[derive(Clone)]
pub enum Tokens {
    /// From nowhere: an emulator is sent no credentials.
    Anonymous,
    /// One that the settings have.
    Fixed(Secret),
    /// From the metadata server, application default credentials or a service account key, found at the first use.
    Google(Arc<OnceCell<Arc<dyn gcp_auth::TokenProvider>>>),
}

/// No token could be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TokenError {
    message: String,
    /// Whether trying again can help: who gives tokens was found, and did not answer as it should.
    pub passes: bool,
}

impl Tokens {
    /// Google's, found at the first use.
    pub fn google() -> Self {
        Self::Google(Arc::default())
    }

    /// A token that is valid now; `None` where none is sent. gcp_auth caches it until it expires.
    ///
    /// # Errors
    /// There are no credentials, or Google gives no token for them.
    pub async fn bearer(&self) -> Result<Option<String>, TokenError> {
        self.of(SCOPES).await
    }

    /// A token that a database of Cloud SQL takes for a password, as [`Tokens::bearer`].
    ///
    /// # Errors
    /// As [`Tokens::bearer`].
    pub async fn login(&self) -> Result<Option<String>, TokenError> {
        self.of(LOGIN_SCOPES).await
    }

    async fn of(&self, scopes: &[&str]) -> Result<Option<String>, TokenError> {
        let provider = match self {
            Self::Anonymous => return Ok(None),
            Self::Fixed(token) => return Ok(Some(token.expose().to_owned())),
            Self::Google(provider) => provider,
        };
        let fault = |error: &gcp_auth::Error, passes| TokenError { message: error.to_string(), passes };
        let provider = provider.get_or_try_init(gcp_auth::provider).await.map_err(|error| fault(&error, false))?;
        let token = provider.token(scopes).await.map_err(|error| fault(&error, true))?;
        Ok(Some(token.as_str().to_owned()))
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Fixed(_) => "Fixed",
            Self::Google(_) => "Google",
        })
    }
}
