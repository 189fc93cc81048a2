//! Heads of attention that can go: queries, keys and values in products of their own, cut into heads and put together again.

use std::collections::HashSet;

use super::chains::{Chain, View};
use super::structured::constant;
use crate::Result;
use crate::onnx::edit::Editor;
use crate::onnx::node::input;
use crate::onnx::{NodeProto, TensorData, TensorProto, builder, data_type};

/// A length in the shape that a `Reshape` is given: its heads, or the units of all of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Length {
    node: usize,
    axis: usize,
    /// How many units one of what the length counts has.
    each: usize,
}

/// The attention whose heads the layer at `second` puts together, and the nodes of queries and keys; nothing where the
/// graph is of another form.
pub(super) fn find(view: &View<'_>, second: usize) -> Option<(Chain, [usize; 2])> {
    let out = view.layer(&view.graph.node[second])?;
    let x = input(&view.graph.node[second], 0);
    let whole = alone(view, x, "Reshape")?;
    let mixed = alone(view, input(node(view, whole), 0), "Transpose").filter(|&at| turns(view, at, [0, 2, 1, 3]))?;
    let product = alone(view, input(node(view, mixed), 0), "MatMul")?;
    let value = Cut::of(view, input(node(view, product), 1), [0, 2, 1, 3])?;
    let softmax = alone(view, input(node(view, product), 0), "Softmax")?;
    let scores = scores(view, input(node(view, softmax), 0))?;
    let query = Cut::of(view, input(node(view, scores), 0), [0, 2, 1, 3])?;
    let key = Cut::of(view, input(node(view, scores), 1), [0, 2, 3, 1])?;
    let units = value.units;
    let same = |cut: &Cut| cut.units == units && cut.width == value.width;
    if !(same(&query) && same(&key)) || view.dims(out.weights)?.get(out.takes) != Some(&(units as i64)) {
        return None;
    }
    let mut trims = Vec::new();
    let mut lengths = Vec::new();
    for cut in [&value, &query, &key] {
        trims.extend(cut.trims.iter().cloned());
        lengths.extend(cut.length);
    }
    trims.push((out.weights.to_owned(), out.takes));
    match entry(view, whole, 2)? {
        -1 => {}
        n if n == units as i64 => lengths.push(Length { node: whole, axis: 2, each: 1 }),
        _ => return None,
    }
    let chain = Chain {
        first: value.layer,
        second,
        units,
        together: value.width,
        trims,
        grouped: Vec::new(),
        lengths,
        activation: x.to_owned(),
        images: false,
    };
    Some((chain, [query.layer, key.layer]))
}

/// Writes the lengths that shapes have with `units` units left.
///
/// # Errors
/// None but those of making a constant.
pub(super) fn shorten(editor: &mut Editor, chain: &Chain, units: usize) -> Result<()> {
    for length in &chain.lengths {
        let shape = input(&editor.graph().node[length.node], 1).to_owned();
        let left = (units / length.each) as i64;
        let concat = editor.graph().node.iter().position(|n| n.operator() == "Concat" && n.output[0] == shape);
        let name = editor.fresh(&format!("{shape}_left"));
        let (values, at, slot) = match concat {
            Some(at) => (vec![left], at, length.axis),
            None => {
                let known = constant(editor.graph(), &shape).map(|t| editor.dense(t)).transpose()?;
                let mut values = known.and_then(|d| integers(d.data)).unwrap_or_default();
                if let Some(value) = values.get_mut(length.axis) {
                    *value = left;
                }
                (values, length.node, 1)
            }
        };
        let made = builder::dense_tensor(&name, &[values.len()], values)?;
        let graph = editor.graph_mut();
        graph.initializer.push(made);
        graph.node[at].input[slot] = name;
    }
    Ok(())
}

fn node<'g>(view: &View<'g>, at: usize) -> &'g NodeProto {
    &view.graph.node[at]
}

/// The node of this operator that gives `name`, which one other node takes.
fn alone(view: &View<'_>, name: &str, operator: &str) -> Option<usize> {
    let at = *view.makers.get(name)?;
    let fits = node(view, at).operator() == operator && node(view, at).operator_domain().is_empty();
    (fits && !view.outputs.contains(name) && view.users.get(name).map_or(0, Vec::len) == 1).then_some(at)
}

fn turns(view: &View<'_>, at: usize, axes: [i64; 4]) -> bool {
    node(view, at).find_attribute("perm").is_some_and(|a| a.ints == axes)
}

fn integers(data: TensorData) -> Option<Vec<i64>> {
    match data {
        TensorData::I64(values) => Some(values),
        _ => None,
    }
}

/// The scores below `name`: what is added to them or scales them, over all heads alike, is passed over.
fn scores(view: &View<'_>, name: &str) -> Option<usize> {
    let mut name = name;
    for _ in 0..4 {
        if let Some(at) = alone(view, name, "MatMul") {
            return Some(at);
        }
        let at = ["Add", "Mul", "Div", "Where"].iter().find_map(|op| alone(view, name, op))?;
        let (below, beside): (Vec<&String>, Vec<&String>) =
            node(view, at).input.iter().partition(|x| leads(view, x, "MatMul", 3));
        let [below] = below[..] else { return None };
        if beside.iter().any(|x| learned(view, x)) {
            return None;
        }
        name = below;
    }
    None
}

/// Whether a node of this operator, of two computed values, lies so few steps behind `name`.
fn leads(view: &View<'_>, name: &str, operator: &str, steps: usize) -> bool {
    let Some(&at) = view.makers.get(name) else { return false };
    let made = node(view, at);
    if made.operator() == operator {
        return made.input.iter().all(|x| view.dims(x).is_none());
    }
    let passes = matches!(made.operator(), "Add" | "Mul" | "Div" | "Where");
    steps > 0 && passes && made.input.iter().any(|x| leads(view, x, operator, steps - 1))
}

/// Whether `name` comes of constants of more than one float, which may tell heads apart.
fn learned(view: &View<'_>, name: &str) -> bool {
    let (mut open, mut seen) = (vec![name], HashSet::new());
    while let Some(name) = open.pop() {
        if !seen.insert(name) {
            continue;
        }
        let maker = view.makers.get(name).map(|&at| node(view, at));
        // What a shape is read off tells nothing but lengths.
        if maker.is_some_and(|n| matches!(n.operator(), "Shape" | "Size")) {
            continue;
        }
        let floats = |t: &TensorProto| t.data_type == Some(data_type::FLOAT) && t.dims.iter().product::<i64>() > 1;
        if view.constants.get(name).is_some_and(|t| floats(t)) {
            return true;
        }
        open.extend(maker.into_iter().flat_map(|n| n.input.iter().map(String::as_str)));
    }
    false
}

/// A layer whose units are cut into heads.
struct Cut {
    layer: usize,
    units: usize,
    width: usize,
    trims: Vec<(String, usize)>,
    /// The number of heads in the shape, where it is spelt out.
    length: Option<Length>,
}

impl Cut {
    /// What gives `name` (m, heads, s, width), or with its last axes the other way round, of a layer's units.
    fn of(view: &View<'_>, name: &str, axes: [i64; 4]) -> Option<Self> {
        let single = |x: &str| view.dims(x).is_some_and(|d| d.iter().product::<i64>() == 1);
        // A number that scales all heads alike.
        let mut name = name;
        while let Some(at) = ["Mul", "Div"].iter().find_map(|op| alone(view, name, op)) {
            name = node(view, at).input.iter().find(|x| !single(x))?;
        }
        let turned = alone(view, name, "Transpose").filter(|&at| turns(view, at, axes))?;
        let cut = alone(view, input(node(view, turned), 0), "Reshape")?;
        let mut given = input(node(view, cut), 0);
        let mut trims = Vec::new();
        if let Some(at) = alone(view, given, "Add") {
            let [a, b] = [0, 1].map(|i| input(node(view, at), i));
            let (bias, product) = if view.dims(a).is_some() { (a, b) } else { (b, a) };
            trims.push(bias.to_owned());
            given = product;
        }
        let layer = ["MatMul", "Gemm"].iter().find_map(|op| alone(view, given, op))?;
        let found = view.layer(node(view, layer))?;
        let units = usize::try_from(*view.dims(found.weights)?.get(found.gives)?).ok()?;
        if !found.bias.is_empty() {
            trims.push(found.bias.to_owned());
        }
        let trims: Option<Vec<(String, usize)>> =
            trims.into_iter().map(|bias| view.beside(&bias, units, 0).flatten().map(|axis| (bias, axis))).collect();
        let mut trims = trims?;
        trims.push((found.weights.to_owned(), found.gives));
        let [heads, width] = [entry(view, cut, 2)?, entry(view, cut, 3)?];
        let width = if width == -1 && heads > 0 { units as i64 / heads } else { width };
        let width = usize::try_from(width).ok().filter(|&w| w > 0 && units.is_multiple_of(w))?;
        let length = match heads {
            -1 => None,
            heads if heads == (units / width) as i64 => Some(Length { node: cut, axis: 2, each: width }),
            _ => return None,
        };
        Some(Self { layer, units, width, trims, length })
    }
}

/// The constant length of an axis in the shape that the `Reshape` at `at` is given.
fn entry(view: &View<'_>, at: usize, axis: usize) -> Option<i64> {
    let shape = input(node(view, at), 1);
    let read = |name: &str, i: usize| {
        let dense = view.constants.get(name)?.to_dense(None, 64).ok()?;
        integers(dense.data)?.get(i).copied()
    };
    match alone(view, shape, "Concat") {
        Some(concat) => {
            let parts = &node(view, concat).input;
            let single = |name: &String| view.dims(name).is_none_or(|d| d.iter().product::<i64>() == 1);
            parts.iter().all(single).then(|| read(parts.get(axis)?, 0)).flatten()
        }
        None => read(shape, axis),
    }
}
