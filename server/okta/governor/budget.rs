//! How many requests may be sent again: a tenth of what is sent, and a few, so that an org in trouble is not hammered.

/// Repeats that can be saved up, and are there at first.
const MOST: f64 = 10.0;
/// What each request adds.
const A_REQUEST: f64 = 0.1;

/// The repeats that a connection may still make.
#[derive(Debug, Clone, Copy)]
pub struct Budget(f64);

impl Default for Budget {
    fn default() -> Self {
        Self(MOST)
    }
}

impl Budget {
    /// A request is sent for the first time.
    pub fn add(&mut self) {
        self.0 = (self.0 + A_REQUEST).min(MOST);
    }

    /// Takes a repeat; false when none is left.
    pub fn take(&mut self) -> bool {
        // It is a request too, and adds what each adds.
        let price = 1.0 + A_REQUEST;
        let can_pay = self.0 >= price;
        if can_pay {
            self.0 -= price;
        }
        can_pay
    }

    /// Repeats that are left.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 10")]
    pub fn left(self) -> u32 {
        self.0 as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn repeats_are_a_tenth_and_ten_at_most(wants in proptest::collection::vec(0_u8..4, 0..500)) {
            let (mut budget, mut repeats) = (Budget::default(), 0);
            for wanted in &wants {
                budget.add();
                for _ in 0..*wanted {
                    if budget.take() {
                        budget.add();
                        repeats += 1;
                    }
                }
            }
            prop_assert!(repeats <= 10 + wants.len() / 10);
            prop_assert!(budget.left() <= 10);
        }
    }
}
