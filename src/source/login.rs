//! What a user proves with who it is: the password of the configuration, or a token of Google's that is asked for anew for
//! each connection.

use std::time::Duration;

use super::SourceError;
use crate::model::{Connection, Login, Secret};
use crate::net::{Context, Tokens};

/// The most time for a token.
const TOKEN_MAX: Duration = Duration::from_secs(10);

/// What is sent as the password; `None` for a user that has none.
pub(super) async fn password(
    config: &Connection,
    tokens: &Tokens,
    cx: &Context,
) -> Result<Option<Secret>, SourceError> {
    if config.login == Login::Password {
        return Ok(config.password.clone());
    }
    let asked = cx.attempt(TOKEN_MAX, tokens.login()).await;
    let asked = asked.map_err(|cause| SourceError::Interrupted { what: "asking for a token of the login", cause })?;
    let failed = |cause| SourceError::Token { address: config.address.to_string(), user: config.user.clone(), cause };
    Ok(asked.map_err(failed)?.map(Secret::new))
}
