//! Event hooks of Okta's: registered on the org, received here, and journalled before Okta is told so.

mod delivery;
mod hooks;
mod receiver;
mod registry;

pub use self::hooks::Hooks;
pub use self::receiver::router;
pub use self::registry::{Health, Registry};
