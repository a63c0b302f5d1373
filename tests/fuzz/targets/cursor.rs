//! A cursor that somebody made up or changed: refused, unless it is, to the letter, one that was given out.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use okta_connector::events::Cursors;
use okta_connector::journal::Identity;

static CURSORS: LazyLock<Cursors> = LazyLock::new(|| Cursors::new(&Identity::random()));

// A cursor that was given out keeps its first characters; the rest is what the fuzzer would have there.
fuzz_target!(|input: (i64, u8, &str)| {
    let (sequence, kept, rest) = input;
    let given_out = CURSORS.encode(sequence & i64::MAX);
    let cursor = format!("{}{rest}", &given_out[..usize::from(kept) % (given_out.len() + 1)]);
    match CURSORS.decode(&cursor, 1, i64::MAX) {
        Ok(sequence) => assert_eq!(CURSORS.encode(sequence), cursor, "two ways to write a cursor"),
        Err(error) => assert!(cursor != given_out, "one that was given out: {error}"),
    }
});
