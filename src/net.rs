//! What every remote call shares: the run's deadline and its cancelling, retry with backoff, tokens, HTTP.

mod attempts;
mod backoff;
mod context;
mod http;
mod tokens;

pub use self::attempts::{Attempts, Tried};
pub use self::backoff::Backoff;
pub use self::context::{Context, Interrupted};
pub use self::http::{Answer, CallError, Http, Method, Request, install_tls, retry_after};
pub use self::tokens::{TokenError, Tokens};
