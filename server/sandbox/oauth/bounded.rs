//! A map of so many things at most: the oldest make room for new ones.

use std::collections::{HashMap, VecDeque};

/// Things by name.
#[derive(Debug)]
pub(super) struct Bounded<T> {
    entries: HashMap<String, T>,
    /// Names, oldest first.
    order: VecDeque<String>,
    capacity: usize,
}

impl<T> Bounded<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), capacity }
    }

    pub(super) fn insert(&mut self, name: String, thing: T) {
        if self.entries.insert(name.clone(), thing).is_none() {
            self.order.push_back(name);
        }
        while self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&T> {
        self.entries.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        self.entries.get_mut(name)
    }

    pub(super) fn remove(&mut self, name: &str) {
        if self.entries.remove(name).is_some() {
            self.order.retain(|other| other != name);
        }
    }

    /// The names, oldest first.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.order.iter().map(String::as_str)
    }

    /// Keeps only what passes.
    pub(super) fn retain(&mut self, passes: impl Fn(&T) -> bool) {
        self.entries.retain(|_, thing| passes(thing));
        self.order.retain(|name| self.entries.contains_key(name));
    }

    pub(super) fn clear(&mut self) {
        self.retain(|_| false);
    }

    pub(super) fn is_full(&self) -> bool {
        self.order.len() >= self.capacity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room_and_a_name_counts_once() {
        let mut map = Bounded::new(2);
        for (name, value) in [("a", 1), ("b", 2), ("b", 3), ("c", 4)] {
            map.insert(name.to_owned(), value);
        }
        assert_eq!((map.get("a"), map.get("b"), map.get("c")), (None, Some(&3), Some(&4)));
        map.remove("b");
        map.insert("d".to_owned(), 5);
        assert_eq!((map.get("c"), map.get("d"), map.is_full()), (Some(&4), Some(&5), true));
    }
}
