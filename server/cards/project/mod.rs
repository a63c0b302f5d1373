//! From Okta's records to the API's: tolerant readings that lose nothing.

mod app_user;
mod application;
mod group;
mod schema;
mod user;

pub use self::app_user::{app_attribute_of, app_profile_to_json, app_user};
pub use self::application::application;
pub use self::group::group;
pub use self::schema::schema;
pub use self::user::{attribute_of, name_of, profile_to_json, standard, user};

use prost_types::Struct;

use crate::okta::record::to_value;

/// Adds an attribute that has no typed field.
fn add_custom(custom: &mut Option<Struct>, name: &str, raw: &str) {
    if let Some(value) = to_value(raw) {
        custom.get_or_insert_default().fields.insert(name.to_owned(), value);
    }
}
