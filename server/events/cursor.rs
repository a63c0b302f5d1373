//! Cursors: a place in one journal as opaque text, safe in a URL, and hard to make up.
//!
//! The text is base64url of 27 bytes: version, journal id, sequence (big-endian), and the head of an HMAC-SHA256 of these three.
//! "Sequence n" means: everything up to n is dealt with; 0 is before the first event.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

use crate::error::{Error, Result};
use crate::journal::{ID_BYTES, Identity};
use crate::proto::ErrorReason;

const VERSION: u8 = 1;
/// 80 bits: no one guesses that online, and the whole is a multiple of three bytes, so that each cursor has one text only.
const TAG_BYTES: usize = 10;
const SIGNED_BYTES: usize = 1 + ID_BYTES + 8;
const CURSOR_BYTES: usize = SIGNED_BYTES + TAG_BYTES;

/// Writes and reads the cursors of one journal.
#[derive(Debug, Clone)]
pub struct Cursors {
    journal_id: [u8; ID_BYTES],
    key: hmac::Key,
}

impl Cursors {
    /// Those of the journal that `identity` names.
    pub fn new(identity: &Identity) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, identity.cursor_key());
        Self { journal_id: *identity.id_bytes(), key }
    }

    /// The cursor of a sequence.
    pub fn encode(&self, sequence: i64) -> String {
        let mut bytes = [0; CURSOR_BYTES];
        let (signed, tag) = bytes.split_at_mut(SIGNED_BYTES);
        signed[0] = VERSION;
        signed[1..=ID_BYTES].copy_from_slice(&self.journal_id);
        signed[1 + ID_BYTES..].copy_from_slice(&sequence.to_be_bytes());
        tag.copy_from_slice(&hmac::sign(&self.key, signed).as_ref()[..TAG_BYTES]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The sequence of a cursor, within a journal that goes from `earliest` to `head`.
    ///
    /// # Errors
    /// `CursorMalformed`, `CursorForeign`, `CursorInFuture`, or `CursorExpired` with `earliest_cursor` in its metadata.
    pub fn decode(&self, cursor: &str, earliest: i64, head: i64) -> Result<i64> {
        self.check(self.authentic(cursor)?, earliest, head)
    }

    /// The sequence, if it lies within a journal that goes from `earliest` to `head`.
    ///
    /// # Errors
    /// `CursorInFuture`, or `CursorExpired` with `earliest_cursor` in its metadata.
    pub(super) fn check(&self, sequence: i64, earliest: i64, head: i64) -> Result<i64> {
        if sequence > head {
            return Err(refused(ErrorReason::CursorInFuture, "the cursor is past the end of this event log"));
        }
        if sequence < earliest - 1 {
            return Err(refused(ErrorReason::CursorExpired, "the event log does not reach back to the cursor")
                .with("earliest_cursor", self.encode(earliest - 1)));
        }
        Ok(sequence)
    }

    fn authentic(&self, cursor: &str) -> Result<i64> {
        let mut bytes = [0; CURSOR_BYTES];
        let length = URL_SAFE_NO_PAD.decode_slice(cursor, &mut bytes).unwrap_or(0);
        let (signed, tag) = bytes.split_at(SIGNED_BYTES);
        if length != CURSOR_BYTES || signed[0] != VERSION {
            return Err(malformed());
        }
        if signed[1..=ID_BYTES] != self.journal_id {
            return Err(refused(ErrorReason::CursorForeign, "the cursor belongs to another event log"));
        }
        let expected = hmac::sign(&self.key, signed);
        if !bool::from(subtle::ConstantTimeEq::ct_eq(&expected.as_ref()[..TAG_BYTES], tag)) {
            return Err(malformed());
        }
        let sequence = signed[1 + ID_BYTES..].try_into().map(i64::from_be_bytes).map_err(|_| malformed())?;
        if sequence < 0 { Err(malformed()) } else { Ok(sequence) }
    }
}

fn malformed() -> Error {
    refused(ErrorReason::CursorMalformed, "the cursor is not one of this server's, or was cut short")
}

fn refused(reason: ErrorReason, message: &str) -> Error {
    Error::new(reason, message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reason(result: Result<i64>) -> ErrorReason {
        result.unwrap_err().reason()
    }

    proptest! {
        #[test]
        fn a_cursor_comes_back_as_it_went(sequence in 0..=i64::MAX) {
            let cursors = Cursors::new(&Identity::random());
            let text = cursors.encode(sequence);
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')));
            prop_assert_eq!(cursors.decode(&text, 1, i64::MAX).unwrap(), sequence);
        }

        #[test]
        fn a_cursor_that_was_tampered_with_is_refused(sequence in 0..=i64::MAX, at in 0..36_usize, with in "[A-Za-z0-9_-]") {
            let cursors = Cursors::new(&Identity::random());
            let mut text = cursors.encode(sequence);
            prop_assume!(text[at..=at] != with);
            text.replace_range(at..=at, &with);
            let refusal = reason(cursors.decode(&text, 1, i64::MAX));
            prop_assert!(matches!(refusal, ErrorReason::CursorMalformed | ErrorReason::CursorForeign));
        }

        #[test]
        fn no_text_is_too_odd_to_be_refused(text in ".{0,80}") {
            prop_assert_eq!(reason(Cursors::new(&Identity::random()).decode(&text, 1, 9)), ErrorReason::CursorMalformed);
        }
    }

    #[test]
    fn a_cursor_cut_short_or_prolonged_is_malformed() {
        let cursors = Cursors::new(&Identity::random());
        let text = cursors.encode(7);
        for odd in [&text[..35], &text[..32], "", &format!("{text}A"), &format!("{text}AAAA"), &format!("{text}=")] {
            assert_eq!(reason(cursors.decode(odd, 1, 9)), ErrorReason::CursorMalformed, "{odd}");
        }
    }

    #[test]
    fn a_cursor_of_another_journal_is_foreign() {
        let text = Cursors::new(&Identity::random()).encode(1);
        assert_eq!(reason(Cursors::new(&Identity::random()).decode(&text, 1, 9)), ErrorReason::CursorForeign);
    }

    #[test]
    fn a_cursor_outside_the_log_is_refused_with_the_way_back() {
        let cursors = Cursors::new(&Identity::random());
        assert_eq!(reason(cursors.decode(&cursors.encode(10), 4, 9)), ErrorReason::CursorInFuture);
        assert_eq!(cursors.decode(&cursors.encode(9), 4, 9).unwrap(), 9);
        assert_eq!(cursors.decode(&cursors.encode(3), 4, 9).unwrap(), 3);
        let expired = cursors.decode(&cursors.encode(2), 4, 9).unwrap_err();
        assert_eq!(expired.reason(), ErrorReason::CursorExpired);
        assert_eq!(expired.metadata(), [("earliest_cursor", cursors.encode(3))]);
    }
}
