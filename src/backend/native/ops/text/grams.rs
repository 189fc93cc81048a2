//! A dictionary of n-grams.

use std::collections::HashMap;
use std::hash::Hash;

/// N-grams of items, each with its place in the output. An n-gram is found by walking from item to item.
#[derive(Debug)]
pub(super) struct Grams<T> {
    /// A small number for every item that occurs in an n-gram.
    items: HashMap<T, u32>,
    /// The node that follows a node along an item.
    next: HashMap<(u32, u32), u32>,
    /// For single items, which are the most frequent by far, the node that follows the root.
    first: Vec<u32>,
    /// For each node, the place of the n-gram that ends there.
    places: Vec<Option<Place>>,
}

/// Where the n-gram counts, and how much.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    pub(super) column: usize,
    pub(super) weight: f32,
}

/// No node.
const NONE: u32 = u32::MAX;

impl<T: Hash + Eq + Clone> Grams<T> {
    /// No n-grams; the root is node 0.
    pub(super) fn new() -> Self {
        Self { items: HashMap::new(), next: HashMap::new(), first: Vec::new(), places: vec![None] }
    }

    /// Adds an n-gram; `false` when it is there already.
    pub(super) fn insert(&mut self, gram: &[T], place: Place) -> bool {
        let mut node = 0;
        for item in gram {
            let count = self.items.len() as u32;
            let item = *self.items.entry(item.clone()).or_insert(count);
            let new = self.places.len() as u32;
            node = *self.next.entry((node, item)).or_insert(new);
            if node == new {
                self.places.push(None);
            }
        }
        self.places[node as usize].replace(place).is_none()
    }

    /// Makes walks from the root quick; called once all n-grams are in.
    pub(super) fn finish(&mut self) {
        self.first = (0..self.items.len() as u32).map(|i| self.next.get(&(0, i)).copied().unwrap_or(NONE)).collect();
    }

    /// The number of an item that some n-gram has.
    pub(super) fn item<Q: Hash + Eq + ?Sized>(&self, item: &Q) -> Option<u32>
    where
        T: std::borrow::Borrow<Q>,
    {
        self.items.get(item).copied()
    }

    /// The node after the root along an item.
    pub(super) fn start(&self, item: u32) -> Option<u32> {
        self.first.get(item as usize).copied().filter(|&node| node != NONE)
    }

    /// The node after `node` along an item.
    pub(super) fn follow(&self, node: u32, item: u32) -> Option<u32> {
        self.next.get(&(node, item)).copied()
    }

    /// The place of the n-gram that ends at `node`.
    pub(super) fn place(&self, node: u32) -> Option<Place> {
        self.places[node as usize]
    }
}
