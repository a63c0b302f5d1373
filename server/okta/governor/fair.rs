//! A queue that is fair among callers: each has a line of its own, and their heads take turns.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Whose turn it is next.
#[derive(Debug)]
pub struct Fair<T> {
    lines: HashMap<Arc<str>, VecDeque<T>>,
    /// Callers with a line that is not empty, in the order of their turns.
    turns: VecDeque<Arc<str>>,
    len: usize,
}

impl<T> Default for Fair<T> {
    fn default() -> Self {
        Self { lines: HashMap::new(), turns: VecDeque::new(), len: 0 }
    }
}

impl<T> Fair<T> {
    /// Puts an item at the end of a caller's line.
    pub fn push(&mut self, caller: &Arc<str>, item: T) {
        let line = self.lines.entry(caller.clone()).or_default();
        if line.is_empty() {
            self.turns.push_back(caller.clone());
        }
        line.push_back(item);
        self.len += 1;
    }

    /// Takes the item whose turn it is.
    pub fn pop(&mut self) -> Option<T> {
        let caller = self.turns.pop_front()?;
        let line = self.lines.get_mut(&caller)?;
        let item = line.pop_front();
        if line.is_empty() {
            self.lines.remove(&caller);
        } else {
            self.turns.push_back(caller);
        }
        self.len -= usize::from(item.is_some());
        item
    }

    /// Takes an item of a caller out of its line.
    pub fn remove(&mut self, caller: &Arc<str>, is_it: impl FnMut(&T) -> bool) -> Option<T> {
        let line = self.lines.get_mut(caller)?;
        let at = line.iter().position(is_it)?;
        let item = line.remove(at);
        if line.is_empty() {
            self.lines.remove(caller);
            self.turns.retain(|other| other != caller);
        }
        self.len -= usize::from(item.is_some());
        item
    }

    /// Takes all items of which this is true.
    pub fn take_if(&mut self, is_it: impl Fn(&T) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        for line in self.lines.values_mut() {
            let (out, kept): (VecDeque<T>, _) = std::mem::take(line).into_iter().partition(&is_it);
            *line = kept;
            taken.extend(out);
        }
        self.lines.retain(|_, line| !line.is_empty());
        self.turns.retain(|caller| self.lines.contains_key(caller));
        self.len -= taken.len();
        taken
    }

    /// How many items would be taken before one that `caller` puts in now.
    pub fn ahead_of(&self, caller: &Arc<str>) -> usize {
        let own = self.lines.get(caller).map_or(0, VecDeque::len);
        self.lines.iter().map(|(name, line)| if name == caller { own } else { line.len().min(own + 1) }).sum()
    }

    /// Items in all lines.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Items in the line of a caller.
    pub fn len_of(&self, caller: &Arc<str>) -> usize {
        self.lines.get(caller).map_or(0, VecDeque::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn queue(pushed: &[u8]) -> Fair<(u8, usize)> {
        let mut queue = Fair::default();
        for (number, caller) in pushed.iter().enumerate() {
            queue.push(&Arc::from(caller.to_string()), (*caller, number));
        }
        queue
    }

    #[test]
    fn a_thousand_calls_of_one_do_not_hold_up_the_one_of_another() {
        let mut queue = queue(&[0; 1000]);
        let other = Arc::from("1");
        assert_eq!(queue.ahead_of(&other), 1);
        queue.push(&other, (1, 1000));
        assert_eq!(std::iter::from_fn(|| queue.pop()).position(|(caller, _)| caller == 1), Some(1));
    }

    proptest! {
        #[test]
        fn everything_comes_out_once_in_the_order_of_each_and_evenly(pushed in proptest::collection::vec(0..5_u8, 0..60)) {
            let mut queue = queue(&pushed);
            prop_assert_eq!(queue.len(), pushed.len());
            let mut left = pushed.clone();
            let mut taken: Vec<(u8, usize)> = Vec::new();
            while let Some((caller, number)) = queue.pop() {
                prop_assert!(taken.iter().all(|(other, before)| *other != caller || *before < number));
                taken.push((caller, number));
                let at = left.iter().position(|other| *other == caller).unwrap();
                left.remove(at);
                // Whoever still waits has had at most one turn less than anybody else.
                let turns = |of: u8| taken.iter().filter(|(caller, _)| *caller == of).count();
                for waiting in &left {
                    prop_assert!(turns(*waiting) + 1 >= turns(caller));
                }
            }
            prop_assert!(queue.is_empty() && left.is_empty());
        }

        #[test]
        fn what_is_ahead_is_what_is_taken_before(pushed in proptest::collection::vec(0..5_u8, 0..60), caller in 0..5_u8) {
            let mut queue = queue(&pushed);
            let name = Arc::from(caller.to_string());
            let ahead = queue.ahead_of(&name);
            queue.push(&name, (caller, usize::MAX));
            let before = std::iter::from_fn(|| queue.pop()).position(|(_, number)| number == usize::MAX).unwrap();
            // Of those who have as many in line, some have their turn before and some after.
            prop_assert!(before <= ahead);
        }

        #[test]
        fn what_is_removed_does_not_come_out(pushed in proptest::collection::vec(0..5_u8, 1..60), at in any::<prop::sample::Index>()) {
            let mut queue = queue(&pushed);
            let gone = at.index(pushed.len());
            let name = Arc::from(pushed[gone].to_string());
            prop_assert!(queue.remove(&name, |(_, number)| *number == gone).is_some());
            prop_assert!(queue.remove(&name, |(_, number)| *number == gone).is_none());
            prop_assert_eq!(queue.len(), pushed.len() - 1);
            let rest: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
            prop_assert!(rest.len() == pushed.len() - 1 && rest.iter().all(|(_, number)| *number != gone));
        }
    }
}
