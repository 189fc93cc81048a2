//! Where a graph is cut.

use std::collections::{HashMap, HashSet};

use crate::backend::file::used_names;
use crate::backend::{native, tract};
use crate::onnx::{GraphProto, NodeProto, data_type};
use crate::{Error, ErrorKind, Result};

/// The part of the graph that a node belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// In front of the network.
    Front,
    /// The network.
    Network,
    /// Behind the network.
    Back,
}

impl Place {
    pub(super) const ALL: [Self; 3] = [Self::Front, Self::Network, Self::Back];
}

/// A graph with a place for each node.
pub(super) struct Cut<'g> {
    graph: &'g GraphProto,
    /// Nothing for nodes that need no input of the graph; they are wherever they are used.
    places: Vec<Option<Place>>,
    producers: HashMap<&'g str, usize>,
}

/// Operators that give their strings on.
const CARRIERS: &[&str] = &[
    "Identity",
    "Reshape",
    "Concat",
    "Gather",
    "Slice",
    "Split",
    "Squeeze",
    "Unsqueeze",
    "Flatten",
    "Transpose",
    "Where",
];

impl<'g> Cut<'g> {
    /// Finds the places of the nodes.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where the graph can't be cut so that each part is one backend's.
    pub(super) fn of(graph: &'g GraphProto) -> Result<Self> {
        let mut producers = HashMap::new();
        for (i, node) in graph.node.iter().enumerate() {
            producers.extend(node.output.iter().filter(|o| !o.is_empty()).map(|o| (o.as_str(), i)));
        }
        let constants: HashSet<&str> = graph.initializer.iter().filter_map(|t| t.name.as_deref()).collect();
        let mut given: HashSet<&str> = HashSet::new();
        let mut texts: HashSet<&str> = HashSet::new();
        for input in &graph.input {
            let name = input.name.as_deref().unwrap_or_default();
            if !constants.contains(name) {
                given.insert(name);
                let tensor = input.r#type.as_deref().and_then(|t| t.tensor_type.as_deref());
                if tensor.is_some_and(|t| t.elem_type == Some(data_type::STRING)) {
                    texts.insert(name);
                }
            }
        }
        let count = graph.node.len();
        let (mut needs, mut lacking, mut below) = (vec![Vec::new(); count], vec![false; count], vec![false; count]);
        let mut dependent = vec![false; count];
        for (i, node) in graph.node.iter().enumerate() {
            let mut names = Vec::new();
            used_names(node, &mut names);
            for name in names {
                match producers.get(name) {
                    Some(&producer) if producer > i => {
                        let message = "the nodes of a graph that is to be cut must stand in order";
                        return Err(Error::new(ErrorKind::Unsupported, message).node(node.label()));
                    }
                    Some(&producer) if producer < i => {
                        needs[i].push(producer);
                        dependent[i] |= dependent[producer];
                        below[i] |= below[producer];
                    }
                    _ => dependent[i] |= given.contains(name),
                }
            }
            let takes_text = node.input.iter().any(|name| texts.contains(name.as_str()));
            if takes_text && CARRIERS.contains(&node.operator()) {
                texts.extend(node.output.iter().map(String::as_str));
            }
            lacking[i] = takes_text || !tract::has(node);
            below[i] |= !native::has(node);
        }
        let mut places: Vec<Option<Place>> = dependent.iter().map(|d| d.then_some(Place::Network)).collect();
        for i in (0..count).rev().filter(|&i| dependent[i]) {
            // What something in front needs is in front too.
            if places[i] == Some(Place::Front) || (lacking[i] && !below[i]) {
                places[i] = Some(Place::Front);
                for &need in needs[i].iter().filter(|&&need| dependent[need]) {
                    places[need] = Some(Place::Front);
                }
            }
        }
        for i in 0..count {
            let behind = lacking[i] && below[i] || needs[i].iter().any(|&need| places[need] == Some(Place::Back));
            if dependent[i] && behind {
                if !native::has(&graph.node[i]) {
                    let message = "neither `native` nor `tract` has all operators behind the network";
                    return Err(Error::new(ErrorKind::Unsupported, message).node(graph.node[i].label()));
                }
                places[i] = Some(Place::Back);
            }
        }
        if !places.contains(&Some(Place::Network)) || places.iter().flatten().all(|p| *p == Place::Network) {
            return Err(Error::new(ErrorKind::Unsupported, "the graph has no place where cutting it helps"));
        }
        Ok(Self { graph, places, producers })
    }

    /// The place where a value is made; nothing for inputs of the graph and what depends on none.
    fn place_of(&self, value: &str) -> Option<Place> {
        self.producers.get(value).and_then(|&i| self.places[i])
    }

    /// The values that `place` takes from other places or from outside, and those of its own that others or the
    /// `wanted` outputs take, each once and in order.
    pub(super) fn boundary(&self, place: Place, wanted: &[String]) -> (Vec<&'g str>, Vec<String>) {
        let mut takes: Vec<&'g str> = Vec::new();
        let mut gives: Vec<String> = Vec::new();
        for (i, node) in self.graph.node.iter().enumerate() {
            let Some(own) = self.places[i] else { continue };
            let mut names = Vec::new();
            used_names(node, &mut names);
            for name in names {
                let from = self.place_of(name);
                let outside = !self.producers.contains_key(name) && self.is_input(name);
                if own == place && (outside || from.is_some_and(|from| from != place)) && !takes.contains(&name) {
                    takes.push(name);
                }
                if own != place && from == Some(place) && !gives.iter().any(|g| g == name) {
                    gives.push(name.to_owned());
                }
            }
        }
        for name in wanted {
            if self.place_of(name) == Some(place) && !gives.contains(name) {
                gives.push(name.clone());
            }
        }
        (takes, gives)
    }

    fn is_input(&self, name: &str) -> bool {
        self.graph.input.iter().any(|i| i.name.as_deref() == Some(name))
            && !self.graph.initializer.iter().any(|t| t.name.as_deref() == Some(name))
    }

    /// The nodes of `place` and those that need no input, in order.
    pub(super) fn nodes(&self, place: Place) -> Vec<NodeProto> {
        let placed = self.graph.node.iter().zip(&self.places);
        placed.filter(|(_, own)| own.is_none_or(|own| own == place)).map(|(node, _)| node.clone()).collect()
    }
}
