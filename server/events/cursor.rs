//! Cursors: a place in a journal, opaque to callers, signed, and bound to that journal.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use subtle::ConstantTimeEq;

use crate::error::{Error, Result};
use crate::journal::Identity;
use crate::proto::ErrorReason;

const VERSION: u8 = 1;
const ID_LEN: usize = 8;
const TAG_LEN: usize = 12;
const LENGTH: usize = 1 + ID_LEN + 8 + TAG_LEN;

/// Writes and reads the cursors of one journal.
#[derive(Debug, Clone)]
pub struct Cursors(Identity);

impl Cursors {
    /// The cursors of the journal with this identity.
    pub fn new(identity: &Identity) -> Self {
        Self(identity.clone())
    }

    /// The cursor of the place after the event `sequence`.
    pub fn encode(&self, sequence: u64) -> String {
        let mut bytes = [0; LENGTH];
        bytes[0] = VERSION;
        bytes[1..=ID_LEN].copy_from_slice(&self.0.id);
        bytes[1 + ID_LEN..LENGTH - TAG_LEN].copy_from_slice(&sequence.to_be_bytes());
        let tag = self.tag(&bytes[..LENGTH - TAG_LEN]);
        bytes[LENGTH - TAG_LEN..].copy_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The sequence that a cursor stands after.
    ///
    /// # Errors
    /// `CURSOR_MALFORMED`, or `CURSOR_FOREIGN` when it belongs to another journal.
    pub fn decode(&self, cursor: &str) -> Result<u64> {
        let malformed = || {
            let message = "the cursor is not one of ours, or was cut short; give one as a frame carried it";
            Error::new(ErrorReason::CursorMalformed, message)
        };
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| malformed())?;
        let bytes: [u8; LENGTH] = bytes.try_into().map_err(|_| malformed())?;
        if bytes[0] != VERSION {
            return Err(malformed());
        }
        if bytes[1..=ID_LEN] != self.0.id {
            let message = "the cursor belongs to another journal; start at EARLIEST or at a time";
            return Err(Error::new(ErrorReason::CursorForeign, message));
        }
        let (signed, tag) = bytes.split_at(LENGTH - TAG_LEN);
        if !bool::from(self.tag(signed).as_slice().ct_eq(tag)) {
            return Err(malformed());
        }
        let mut sequence = [0; 8];
        sequence.copy_from_slice(&signed[1 + ID_LEN..]);
        Ok(u64::from_be_bytes(sequence))
    }

    /// Decodes a cursor to start after, in a journal that holds what is after `earliest` and ends with `head`.
    ///
    /// # Errors
    /// As [`Cursors::decode`]; `CURSOR_IN_FUTURE` past the head; `CURSOR_EXPIRED` before the earliest.
    pub fn decode_within(&self, cursor: &str, earliest: u64, head: u64) -> Result<u64> {
        let sequence = self.decode(cursor)?;
        if sequence > head {
            let message = "the cursor is past the end of this journal, which may have been restored from a backup; \
                           start at LATEST or at a time";
            return Err(Error::new(ErrorReason::CursorInFuture, message));
        }
        if sequence < earliest {
            let message = "the log does not reach back to the cursor; start at EARLIEST";
            let error = Error::new(ErrorReason::CursorExpired, message);
            return Err(error.with("earliest_cursor", self.encode(earliest)));
        }
        Ok(sequence)
    }

    fn tag(&self, signed: &[u8]) -> [u8; TAG_LEN] {
        let mut tag = [0; TAG_LEN];
        tag.copy_from_slice(&hmac::sign(&self.0.cursor_key, signed).as_ref()[..TAG_LEN]);
        tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cursors(id: u8) -> Cursors {
        Cursors(Identity { id: [id; 8], cursor_key: hmac::Key::new(hmac::HMAC_SHA256, &[id; 32]) })
    }

    #[test]
    fn each_refusal_has_its_reason() {
        let ours = cursors(1);
        let reason = |cursor: &str| ours.decode_within(cursor, 5, 10).expect_err("refused").reason();
        assert_eq!(reason(&cursors(2).encode(7)), ErrorReason::CursorForeign);
        assert_eq!(reason(&ours.encode(11)), ErrorReason::CursorInFuture);
        assert_eq!(reason(&ours.encode(4)), ErrorReason::CursorExpired);
        assert_eq!(reason("not a cursor"), ErrorReason::CursorMalformed);
        assert_eq!(reason(""), ErrorReason::CursorMalformed);
        assert_eq!(ours.decode_within(&ours.encode(5), 5, 10).expect("within"), 5);
        assert_eq!(ours.decode_within(&ours.encode(10), 5, 10).expect("within"), 10);
    }

    proptest! {
        #[test]
        fn a_cursor_comes_back_as_it_went_out_and_is_safe_in_a_url(sequence: u64) {
            let cursor = cursors(1).encode(sequence);
            prop_assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
            prop_assert_eq!(cursors(1).decode(&cursor).unwrap(), sequence);
        }

        #[test]
        fn a_changed_cursor_is_refused(sequence: u64, at in 0_usize..LENGTH, bit in 0_u32..8) {
            let mut bytes = URL_SAFE_NO_PAD.decode(cursors(1).encode(sequence)).unwrap();
            bytes[at] ^= 1 << bit;
            prop_assert!(cursors(1).decode(&URL_SAFE_NO_PAD.encode(bytes)).is_err());
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}") {
            let _ = cursors(1).decode(&text);
        }
    }
}
