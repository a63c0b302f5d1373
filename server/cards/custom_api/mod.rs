//! The card for every endpoint that has no card.

mod custom_api_action;
mod relative_url;

pub use self::custom_api_action::CustomApiAction;
