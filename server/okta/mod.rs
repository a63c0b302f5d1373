//! The only door to Okta: calls go out through here, answers come back raw and are read tolerantly.

mod answer;
mod call;
mod client;
mod context;
mod flights;
pub mod governor;
mod http;
mod oauth;
mod page;
mod probe;
pub mod record;
pub mod refusal;
mod retry;

pub use self::answer::Answer;
pub use self::call::{Accept, Call, Endpoint, HttpMethod, Page, Repeat};
pub use self::client::{Client, Trace};
pub use self::context::Context;
pub use self::governor::Governor;
pub use self::http::http_client;
pub use self::oauth::{AuthorizationRequest, CodeExchange, OAuthError, Tokens};
pub use self::probe::{Need, probe};
