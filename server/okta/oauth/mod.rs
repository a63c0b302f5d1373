//! Access tokens for connections that have OAuth credentials: asked for when needed, renewed ahead of time, one request at a time.

mod access_token;
mod assertion;
mod clock;
mod dpop;
mod endpoint;
mod keep_alive;
mod refusal;
mod renewal;
mod slot;
mod tokens;

pub use self::access_token::Authorization;
pub use self::endpoint::{AuthorizationRequest, CodeExchange};
pub use self::refusal::OAuthError;
pub use self::tokens::Tokens;
