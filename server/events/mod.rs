//! Events on their way out: decoded from the journal, filtered, encoded once, and streamed.

pub mod catalogue;
mod cursor;
mod decode;
mod filter;
mod frame;
mod hub;
mod subscription;

pub use self::cursor::Cursors;
pub use self::decode::{Decoded, decode, microseconds, timestamp};
pub use self::filter::Filters;
pub use self::frame::Frame;
pub use self::hub::Hub;
pub use self::subscription::{Options, Subscription};
