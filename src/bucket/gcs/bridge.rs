//! gcp_auth's tokens in the form that Google's storage client asks for.

use google_cloud_auth::credentials::{CacheableResource, Credentials, CredentialsProvider, EntityTag, anonymous};
use google_cloud_auth::errors::CredentialsError;
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap, HeaderValue};

use crate::net::Tokens;

/// Credentials over these tokens.
pub(super) fn credentials(tokens: &Tokens) -> Credentials {
    match tokens {
        Tokens::Anonymous => anonymous::Builder::new().build(),
        Tokens::Google(_) | Tokens::Fixed(_) => Credentials::from(Bridge { tokens: tokens.clone() }),
    }
}

#[derive(Debug)]
struct Bridge {
    tokens: Tokens,
}

impl CredentialsProvider for Bridge {
    /// Always new headers: gcp_auth caches the token itself.
    async fn headers(&self, _: Extensions) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        let fault = |message: String| CredentialsError::from_msg(true, message);
        let mut headers = HeaderMap::new();
        if let Some(token) = self.tokens.bearer().await.map_err(|error| fault(error.to_string()))? {
            let mut bearer = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_invalid| fault("a token with odd characters".to_owned()))?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        Ok(CacheableResource::New { entity_tag: EntityTag::new(), data: headers })
    }

    async fn universe_domain(&self) -> Option<String> {
        None
    }
}
