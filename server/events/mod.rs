//! Events on their way out: decoded from the journal, filtered, encoded once, and streamed.

mod frame;

pub use frame::Frame;
