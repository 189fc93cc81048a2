//! A graph as rules look at it.

use std::collections::{HashMap, HashSet};

use crate::Limits;
use crate::onnx::{DenseTensor, GraphProto, NodeProto, TensorData, TensorProto, data_type};

/// How many nodes a constant is followed through.
const DEEPEST: usize = 8;

/// Who gives and who takes each value of a graph.
pub(super) struct View<'g> {
    pub(super) graph: &'g GraphProto,
    limits: &'g Limits,
    producers: HashMap<&'g str, usize>,
    users: HashMap<&'g str, Vec<usize>>,
    /// What is needed besides by nodes: the outputs, and what subgraphs use.
    kept: HashSet<&'g str>,
    constants: HashMap<&'g str, &'g TensorProto>,
}

impl<'g> View<'g> {
    pub(super) fn new(graph: &'g GraphProto, limits: &'g Limits) -> Self {
        let mut view = Self {
            graph,
            limits,
            producers: HashMap::new(),
            users: HashMap::new(),
            kept: graph.output.iter().filter_map(|o| o.name.as_deref()).collect(),
            constants: graph.initializer.iter().filter_map(|t| Some((t.name.as_deref()?, t))).collect(),
        };
        for (i, node) in graph.node.iter().enumerate() {
            for name in node.output.iter().filter(|n| !n.is_empty()) {
                view.producers.insert(name, i);
            }
            for name in node.input.iter().filter(|n| !n.is_empty()) {
                view.users.entry(name).or_default().push(i);
            }
            for inner in node.attribute.iter().flat_map(|a| a.g.as_deref().into_iter().chain(&a.graphs)) {
                view.keep(inner);
            }
            if let ("Constant", [name], Some(tensor)) =
                (node.operator(), &node.output[..], node.find_attribute("value").and_then(|a| a.t.as_deref()))
            {
                view.constants.insert(name, tensor);
            }
        }
        view
    }

    fn keep(&mut self, graph: &'g GraphProto) {
        self.kept.extend(graph.output.iter().filter_map(|o| o.name.as_deref()));
        for node in &graph.node {
            self.kept.extend(node.input.iter().map(String::as_str));
            for inner in node.attribute.iter().flat_map(|a| a.g.as_deref().into_iter().chain(&a.graphs)) {
                self.keep(inner);
            }
        }
    }

    pub(super) fn node(&self, at: usize) -> &'g NodeProto {
        &self.graph.node[at]
    }

    /// The node, if it is this operator of the standard domain.
    pub(super) fn is(&self, at: usize, op: &str) -> Option<&'g NodeProto> {
        // A node that gives nothing, which only a broken file has, is of no use to a rule.
        let fits = |n: &&NodeProto| n.operator() == op && n.operator_domain().is_empty() && !n.output.is_empty();
        Some(self.node(at)).filter(fits)
    }

    /// The node that gives `name`.
    pub(super) fn producer(&self, name: &str) -> Option<usize> {
        self.producers.get(name).copied()
    }

    /// The node that gives `name`, if it is this operator of the standard domain.
    pub(super) fn made_by(&self, name: &str, op: &str) -> Option<&'g NodeProto> {
        self.is(self.producer(name)?, op)
    }

    /// Whether `name` is needed besides by nodes of this graph.
    pub(super) fn kept(&self, name: &str) -> bool {
        self.kept.contains(name)
    }

    /// The one node that uses `name`, once, if nothing else does.
    pub(super) fn only_user(&self, name: &str) -> Option<usize> {
        match self.users.get(name).map(Vec::as_slice) {
            Some(&[user]) if !self.kept.contains(name) => Some(user),
            _ => None,
        }
    }

    /// The one node that uses the first output of `node`, if it is this operator of the standard domain.
    pub(super) fn next(&self, node: &NodeProto, op: &str) -> Option<(usize, &'g NodeProto)> {
        let at = self.only_user(node.output.first()?)?;
        Some((at, self.is(at, op)?))
    }

    /// The constant called `name`.
    pub(super) fn constant(&self, name: &str) -> Option<&'g TensorProto> {
        self.constants.get(name).copied()
    }

    /// The number of elements of the constant called `name`.
    pub(super) fn len(&self, name: &str) -> Option<usize> {
        self.constant(name)?.dims.iter().try_fold(1usize, |n, &d| n.checked_mul(usize::try_from(d).ok()?))
    }

    /// The elements of a small constant.
    pub(super) fn values(&self, name: &str) -> Option<DenseTensor> {
        let tensor = self.constant(name)?;
        (self.len(name)? <= 1 << 16).then_some(())?;
        tensor.to_dense(None, self.limits.max_elements).ok()
    }

    /// The float that a constant of one element holds.
    pub(super) fn scalar(&self, name: &str) -> Option<f32> {
        match self.values(name)?.data {
            TensorData::F32(items) if items.len() == 1 => Some(items[0]),
            _ => None,
        }
    }

    /// Whether two names stand for one element of the same value, or neither for anything.
    pub(super) fn same(&self, a: &str, b: &str) -> bool {
        a == b
            || matches!((self.values(a), self.values(b)), (Some(x), Some(y)) if x.data == y.data && x.data.len() == 1)
    }

    /// The constant vector of `n` elements that stands along the axis `behind` axes before the last: a constant of such a
    /// shape, or one that was brought to it.
    pub(super) fn vector(&self, name: &'g str, n: usize, behind: usize) -> Option<&'g str> {
        if let Some(tensor) = self.constant(name) {
            let dims: Vec<usize> = tensor.dims.iter().map(|&d| usize::try_from(d).unwrap_or(0)).collect();
            let fits = self.len(name) == Some(n)
                && dims.len() > behind
                && dims[dims.len() - 1 - behind] == n
                && tensor.data_type == Some(data_type::FLOAT);
            return fits.then_some(name);
        }
        let mut name = name;
        let node = self.made_by(name, "Reshape")?;
        let shape = self.values(node.input.get(1)?)?;
        let TensorData::I64(shape) = shape.data else { return None };
        let place = shape.len().checked_sub(1 + behind)?;
        let fits = shape.iter().enumerate().all(|(i, &d)| if i == place { d == -1 || d == n as i64 } else { d == 1 });
        for _ in 0..DEEPEST {
            match self.producer(name) {
                Some(at) => name = self.is(at, "Reshape")?.input.first()?,
                None => break,
            }
        }
        let tensor = self.constant(name)?;
        (fits && self.len(name) == Some(n) && tensor.data_type == Some(data_type::FLOAT)).then_some(name)
    }
}
