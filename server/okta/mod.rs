//! The only door to Okta: calls go out through here, answers come back raw and are read tolerantly.

pub mod record;
