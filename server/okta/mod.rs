//! The only door to Okta: calls go out through here, answers come back raw and are read tolerantly.

mod answer;
mod call;
mod client;
mod page;
mod probe;
pub mod record;
mod refusal;
mod retry;

pub use self::answer::Answer;
pub use self::call::{Accept, Call, Endpoint, HttpMethod, Page, Repeat};
pub use self::client::{Client, Trace};
pub use self::probe::probe;
