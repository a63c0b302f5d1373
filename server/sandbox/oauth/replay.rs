//! The memory of ids that may be used only once.

use super::bounded::Bounded;

/// Ids that are remembered.
const MAX_IDS: usize = 10_000;
/// The longest id that is taken.
pub(super) const MAX_ID: usize = 256;

/// Ids, each with the time until which it is remembered.
#[derive(Debug)]
pub(super) struct Replay(Bounded<i64>);

impl Default for Replay {
    fn default() -> Self {
        Self(Bounded::new(MAX_IDS))
    }
}

impl Replay {
    /// Whether this is the first time that the id is seen; it is remembered until `until`.
    pub(super) fn is_first(&mut self, id: String, until: i64, clock: i64) -> bool {
        if self.0.get(&id).is_some_and(|until| *until >= clock) {
            return false;
        }
        if self.0.is_full() {
            self.0.retain(|until| *until >= clock);
        }
        self.0.insert(id, until);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_new_again_once_its_time_is_over() {
        let mut seen = Replay::default();
        assert!(seen.is_first("a".to_owned(), 10, 0));
        assert!(!seen.is_first("a".to_owned(), 20, 10));
        assert!(seen.is_first("a".to_owned(), 20, 11));
    }
}
