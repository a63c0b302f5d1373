//! Events on their way out: decoded from the journal, filtered, encoded once, and streamed.

mod card;
pub mod catalogue;
mod closing;
mod consumers;
mod cursor;
mod decode;
mod filter;
mod frame;
mod groups;
mod hub;
mod intake;
mod list;
mod options;
mod project;
mod ring;
mod sources;
mod start;
mod subject;
mod subscription;

#[cfg(test)]
mod bookmark_tests;
#[cfg(test)]
mod consumer_tests;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod test_log;

pub use card::{CARDS, CardType, card_of, event_type_of};
pub use consumers::{Consumers, check_name};
pub use cursor::Cursors;
pub use decode::{Decoded, decode};
pub use filter::Filters;
pub use frame::Frame;
pub use groups::GroupLookup;
pub use hub::{Hub, HubLimits};
pub use intake::new_event;
pub use list::page;
pub use options::Options;
pub use sources::{Board, Org, Sources};
pub use start::{Bounds, Start};
pub use subject::Subject;
pub use subscription::Subscription;
