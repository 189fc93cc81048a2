//! Units that can go: what a layer gives, followed through operators that keep units apart, to the layer that takes it.

use std::collections::{HashMap, HashSet};

use super::heads::{self, Length};
use crate::onnx::edit::{subgraphs, uses};
use crate::onnx::node::{input, int};
use crate::onnx::{GraphProto, NodeProto, TensorProto, data_type};

/// Operators that map each element on its own.
const ELEMENTWISE: &[&str] = &[
    "Relu",
    "LeakyRelu",
    "Tanh",
    "Sigmoid",
    "HardSwish",
    "HardSigmoid",
    "Elu",
    "Selu",
    "Gelu",
    "Erf",
    "Softplus",
    "Softsign",
    "Mish",
    "Clip",
    "Identity",
    "Dropout",
    "Sqrt",
    "Abs",
    "Neg",
    "Exp",
    "Pow",
    "Add",
    "Sub",
    "Mul",
    "Div",
];
/// Operators that keep the channels of images apart.
const WINDOWS: &[&str] = &["MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"];

/// Two layers and what lies between them: `units` of the first feed the second, each on its own.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    /// The nodes of both layers.
    pub(super) first: usize,
    pub(super) second: usize,
    pub(super) units: usize,
    /// How many units in a row go together: those of a head of attention.
    pub(super) together: usize,
    /// Constants with an entry for each unit, and the axis along which these stand.
    pub(super) trims: Vec<(String, usize)>,
    /// Convolutions of one channel each in between, whose groups are the units.
    pub(super) grouped: Vec<usize>,
    /// Lengths of shapes that follow the number of units.
    pub(super) lengths: Vec<Length>,
    /// What the second layer takes.
    pub(super) activation: String,
    /// Whether the units are channels of images.
    pub(super) images: bool,
}

/// What a layer's node says: its weights, the axis of its units in them, and of what it takes.
pub(super) struct Layer<'g> {
    pub(super) weights: &'g str,
    pub(super) bias: &'g str,
    pub(super) gives: usize,
    pub(super) takes: usize,
    images: bool,
}

/// A graph by its names.
pub(super) struct View<'g> {
    pub(super) graph: &'g GraphProto,
    pub(super) constants: HashMap<&'g str, &'g TensorProto>,
    uses: HashMap<String, usize>,
    pub(super) makers: HashMap<&'g str, usize>,
    pub(super) users: HashMap<&'g str, Vec<usize>>,
    pub(super) outputs: HashSet<&'g str>,
}

impl<'g> View<'g> {
    pub(super) fn dims(&self, name: &str) -> Option<&'g [i64]> {
        self.constants.get(name).map(|t| t.dims.as_slice())
    }

    /// The layer that a node is: constant weights of f32 that nobody else uses.
    pub(super) fn layer(&self, node: &'g NodeProto) -> Option<Layer<'g>> {
        if !node.operator_domain().is_empty() {
            return None;
        }
        let (gives, takes, images, rank) = match node.operator() {
            "MatMul" => (1, 0, false, 2),
            "Gemm" if int(node, "transA", 0) == 0 => match int(node, "transB", 0) {
                0 => (1, 0, false, 2),
                _ => (0, 1, false, 2),
            },
            "Conv" if int(node, "group", 1) == 1 => (0, 1, true, 4),
            _ => return None,
        };
        let weights = input(node, 1);
        let tensor = self.constants.get(weights)?;
        let own = tensor.dims.len() == rank
            && tensor.data_type == Some(data_type::FLOAT)
            && self.uses.get(weights) == Some(&1)
            && !self.constants.contains_key(input(node, 0));
        own.then(|| Layer {
            weights,
            bias: if node.operator() == "MatMul" { "" } else { input(node, 2) },
            gives,
            takes,
            images,
        })
    }

    /// The axis of the units in a constant that stands beside values with them along `behind` axes before the last.
    pub(super) fn beside(&self, name: &str, units: usize, behind: usize) -> Option<Option<usize>> {
        let dims = self.dims(name)?;
        if dims.iter().product::<i64>() == 1 {
            return Some(None);
        }
        let axis = dims.len().checked_sub(1 + behind)?;
        let alone = dims.iter().enumerate().all(|(i, &d)| if i == axis { d == units as i64 } else { d == 1 });
        (alone && self.uses.get(name) == Some(&1)).then_some(Some(axis))
    }
}

/// Every chain of the graph, in its order; why a layer has none goes to `skip`.
pub(super) fn find(graph: &GraphProto, skip: &mut dyn FnMut(&NodeProto, &str)) -> Vec<Chain> {
    let mut constants: HashMap<&str, &TensorProto> =
        graph.initializer.iter().filter_map(|t| Some((t.name.as_deref()?, t))).collect();
    let mut users: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut makers: HashMap<&str, usize> = HashMap::new();
    for (i, node) in graph.node.iter().enumerate() {
        makers.extend(node.output.iter().map(|y| (y.as_str(), i)));
        if let ("Constant", [name], Some(t)) =
            (node.operator(), &node.output[..], node.find_attribute("value").and_then(|a| a.t.as_deref()))
        {
            constants.insert(name, t);
        }
        node.input.iter().for_each(|x| users.entry(x).or_default().push(i));
    }
    let mut outputs: HashSet<&str> = graph.output.iter().filter_map(|o| o.name.as_deref()).collect();
    // What subgraphs see can't be followed.
    for inner in graph.node.iter().flat_map(subgraphs) {
        outputs.extend(inner.node.iter().flat_map(|n| n.input.iter().map(String::as_str)));
    }
    let view = View { graph, constants, uses: uses(graph), makers, users, outputs };
    let mut chains = Vec::new();
    // By the layer that heads begin with: that of the values, whose units are those of the chain.
    let mut heads: HashMap<usize, Option<Chain>> = HashMap::new();
    for (i, node) in graph.node.iter().enumerate() {
        if view.layer(node).is_some()
            && let Some((chain, others)) = heads::find(&view, i)
        {
            heads.extend(others.map(|at| (at, None)));
            heads.insert(chain.first, Some(chain));
        }
    }
    for (i, node) in graph.node.iter().enumerate() {
        let Some(layer) = view.layer(node) else { continue };
        if let Some(chain) = heads.remove(&i) {
            chains.extend(chain);
            continue;
        }
        match follow(&view, i, &layer) {
            Ok(chain) => chains.push(chain),
            Err(reason) => skip(node, &reason),
        }
    }
    chains
}

fn follow(view: &View<'_>, first: usize, layer: &Layer<'_>) -> Result<Chain, String> {
    let node = &view.graph.node[first];
    let dims = view.dims(layer.weights).ok_or("its weights are computed")?;
    let units = usize::try_from(dims[layer.gives]).map_err(|_| "its weights have no shape")?;
    let mut trims = vec![(layer.weights.to_owned(), layer.gives)];
    if !layer.bias.is_empty() {
        match view.beside(layer.bias, units, 0) {
            Some(Some(axis)) => trims.push((layer.bias.to_owned(), axis)),
            Some(None) => {}
            None => return Err("its bias is computed or shared".into()),
        }
    }
    let mut images = layer.images;
    let mut grouped = Vec::new();
    let mut values: HashSet<&str> = HashSet::from([node.output[0].as_str()]);
    let mut open = vec![node.output[0].as_str()];
    let mut done: HashSet<usize> = HashSet::new();
    let mut end: Option<(usize, &str)> = None;
    while let Some(value) = open.pop() {
        if view.outputs.contains(value) {
            return Err("its units are seen outside: they are an output, or a subgraph uses them".into());
        }
        for &at in view.users.get(value).map_or(&[][..], Vec::as_slice) {
            let next = &view.graph.node[at];
            let behind = if images { 2 } else { 0 };
            let op = next.operator();
            if let Some(second) = view.layer(next)
                && input(next, 0) == value
                && second.images == images
            {
                if end.is_some_and(|(e, _)| e != at) {
                    return Err("several layers take its units".into());
                }
                let takes = view.dims(second.weights).map(|d| d[second.takes]);
                if takes != Some(units as i64) {
                    return Err("the next layer takes another number of units".into());
                }
                end = Some((at, value));
                continue;
            }
            if !done.insert(at) {
                continue;
            }
            let stop = || Err(format!("{} mixes or moves its units", next.label()));
            if !next.operator_domain().is_empty() {
                return stop();
            }
            if ELEMENTWISE.contains(&op) {
                for other in next.input.iter().filter(|x| !x.is_empty() && !values.contains(x.as_str())) {
                    match view.beside(other, units, behind) {
                        Some(Some(axis)) => trims.push((other.clone(), axis)),
                        Some(None) => {}
                        // Another value of the same units, which is not met yet.
                        None if between(view, other, &values, units) => {}
                        None => return stop(),
                    }
                }
            } else if op == "BatchNormalization" && next.output.len() == 1 {
                for name in &next.input[1..] {
                    match view.beside(name, units, 0) {
                        Some(Some(axis)) => trims.push((name.clone(), axis)),
                        _ => return stop(),
                    }
                }
            } else if images && op == "Conv" && int(next, "group", 1) == units as i64 {
                let weights = input(next, 1);
                let fits = view.dims(weights).is_some_and(|d| d[0] == units as i64 && d[1] == 1);
                if !fits || view.uses.get(weights) != Some(&1) {
                    return stop();
                }
                trims.push((weights.to_owned(), 0));
                match input(next, 2) {
                    "" => {}
                    bias => match view.beside(bias, units, 0) {
                        Some(Some(axis)) => trims.push((bias.to_owned(), axis)),
                        _ => return stop(),
                    },
                }
                grouped.push(at);
            } else if images && WINDOWS.contains(&op) && next.output.len() == 1 {
            } else if images && op == "Flatten" && int(next, "axis", 1) == 1 && pooled(view, value) {
                images = false;
            } else {
                return stop();
            }
            let y = next.output[0].as_str();
            values.insert(y);
            open.push(y);
        }
    }
    let (second, activation) = end.ok_or("no layer takes its units")?;
    trims.push((input(&view.graph.node[second], 1).to_owned(), {
        view.layer(&view.graph.node[second]).map_or(0, |l| l.takes)
    }));
    let (together, lengths, activation) = (1, Vec::new(), activation.to_owned());
    Ok(Chain { first, second, units, together, trims, grouped, lengths, activation, images: layer.images })
}

/// Whether `name` comes, by elements, of values that carry the units.
fn between(view: &View<'_>, name: &str, values: &HashSet<&str>, depth: usize) -> bool {
    if values.contains(name) {
        return true;
    }
    let maker = view.graph.node.iter().find(|n| n.output.first().is_some_and(|y| y == name));
    depth > 0
        && maker.is_some_and(|n| {
            let constant = |x: &String| view.dims(x).is_some_and(|d| d.iter().product::<i64>() == 1);
            ELEMENTWISE.contains(&n.operator())
                && n.operator_domain().is_empty()
                && n.input.iter().filter(|x| !x.is_empty() && !constant(x)).count() > 0
                && n.input
                    .iter()
                    .all(|x| x.is_empty() || view.dims(x).is_some() || between(view, x, values, (depth - 1).min(16)))
        })
}

/// Whether `value` has one element a channel.
fn pooled(view: &View<'_>, value: &str) -> bool {
    let maker = view.graph.node.iter().find(|n| n.output.first().is_some_and(|y| y == value));
    maker.is_some_and(|n| matches!(n.operator(), "GlobalAveragePool" | "GlobalMaxPool"))
}
