//! Static int8: `QuantizeLinear` and `DequantizeLinear` around the layers, by ranges that calibration found.
//!
//! Quantised are the inputs of convolutions and of products with constant weights, what convolutions give, and what only
//! moves elements in between, so that a chain of layers stays in 8 bits; everything else stays in floats. The weights have a
//! scale a channel, biases are i32 in units of both scales.

use std::collections::{HashMap, HashSet};

use super::calibrate::Values;
use super::grid::Grid;
use super::layers::{Factor, Form, Kind, Made, Outcome, name, qualifies, sums_fit};
use super::settings::Settings;
use crate::backend::native::Tap;
use crate::onnx::edit::{Editor, Site};
use crate::onnx::node::{float, input, int};
use crate::onnx::{ExternalData, GraphProto, NodeProto, builder};
use crate::optimize::data::Data;
use crate::{Error, ErrorKind, Limits, ProgressMeter, Result, Signature};

/// Operators that give elements of what they are given, so that scale and zero point hold on both sides.
const MOVES: &[&str] = &["MaxPool", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten"];

/// What is quantised in a graph, by name.
struct Plan {
    /// Activations, and the one whose range each shares: itself as a rule.
    ranges: HashMap<String, String>,
    /// The layers, by what they give.
    layers: HashSet<String>,
}

impl Plan {
    fn new(graph: &GraphProto, layers: &[(usize, Kind)]) -> Self {
        let outputs: HashSet<&str> = graph.output.iter().filter_map(|o| o.name.as_deref()).collect();
        let mut users: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut makers: HashMap<&str, usize> = HashMap::new();
        for (i, node) in graph.node.iter().enumerate() {
            node.input.iter().for_each(|x| users.entry(x).or_default().push(i));
            node.output.iter().for_each(|y| _ = makers.insert(y, i));
        }
        let only = |name: &str| match users.get(name).map(Vec::as_slice) {
            Some(&[user]) if !outputs.contains(name) => Some(&graph.node[user]),
            _ => None,
        };
        let mut quantised: HashSet<&str> = HashSet::new();
        for &(at, kind) in layers {
            let node = &graph.node[at];
            quantised.insert(input(node, 0));
            // What a convolution gives, after the activation that is merged into it.
            if kind == Kind::Conv {
                let mut y = node.output[0].as_str();
                if let Some(next) = only(y).filter(|n| n.operator() == "Relu") {
                    y = &next.output[0];
                }
                if !outputs.contains(y) {
                    quantised.insert(y);
                }
            }
        }
        // Movements between quantised values: their inputs are quantised with their outputs.
        let mut ranges: HashMap<String, String> = HashMap::new();
        loop {
            let before = quantised.len();
            for node in graph.node.iter().rev().filter(|n| MOVES.contains(&n.operator()) && n.output.len() == 1) {
                let x = input(node, 0);
                let computed = makers.get(x).is_some_and(|&at| {
                    let maker = graph.node[at].operator();
                    MOVES.contains(&maker) || matches!(maker, "Relu" | "Conv" | "Gemm" | "MatMul")
                });
                if quantised.contains(node.output[0].as_str()) && (computed || quantised.contains(x)) {
                    quantised.insert(x);
                }
            }
            if quantised.len() == before {
                break;
            }
        }
        for node in graph.node.iter().filter(|n| MOVES.contains(&n.operator()) && n.output.len() == 1) {
            let (x, y) = (input(node, 0), node.output[0].as_str());
            if quantised.contains(x) && quantised.contains(y) {
                let root = ranges.get(x).cloned().unwrap_or_else(|| x.to_owned());
                ranges.insert(y.to_owned(), root);
            }
        }
        for name in quantised {
            ranges.entry(name.to_owned()).or_insert_with(|| name.to_owned());
        }
        let layers = layers.iter().map(|&(at, _)| graph.node[at].output[0].clone()).collect();
        Self { ranges, layers }
    }

    /// The activations whose ranges are looked for.
    fn roots(&self) -> Vec<String> {
        let mut roots: Vec<String> = self.ranges.values().cloned().collect();
        roots.sort_unstable();
        roots.dedup();
        roots
    }
}

/// Ranges that calibration found, by the name of the activation.
pub(super) type Ranges = HashMap<String, (f32, f32)>;

/// The layers of the outer graph that can be quantised; adds why others can't to `outcome`.
fn layers(editor: &mut Editor, settings: &Settings, outcome: &mut Outcome) -> Result<Vec<(usize, Kind)>> {
    let mut found = Vec::new();
    let mut at = 0;
    editor.rewrite(&mut |node, site| {
        if site.depth() > 0 {
            if super::layers::kind(&node).is_some() {
                outcome.skip(&node, "it stands in a subgraph, whose values calibration does not see");
            }
            return site.leave(node);
        }
        match qualifies(&node, site, settings) {
            Some(Ok(kind @ (Kind::MatMul | Kind::Gemm | Kind::Conv))) => {
                let dims = site.constant(input(&node, 1)).map(super::layers::dims).unwrap_or_default();
                let dense = super::layers::read(site, input(&node, 1))?;
                let biased = matches!(input(&node, 2), "") || site.constant(input(&node, 2)).is_some();
                match dense {
                    Err(reason) => outcome.skip(&node, reason),
                    Ok(_) if !sums_fit(kind, &node, &dims) => {
                        outcome.skip(&node, "its rows are too long for exact sums of 8-bit products");
                    }
                    Ok(_) if kind == Kind::Gemm && float(&node, "alpha", 1.0) != 1.0 => {
                        outcome.skip(&node, "its product is scaled by `alpha`");
                    }
                    Ok(_) if kind != Kind::MatMul && !biased => outcome.skip(&node, "its bias is computed"),
                    Ok(_) if site.constant(input(&node, 0)).is_some() => {
                        outcome.skip(&node, "both factors are constant")
                    }
                    Ok(_) => found.push((at, kind)),
                }
            }
            Some(Ok(Kind::Gather)) | None => {}
            Some(Ok(_)) => outcome.skip(&node, "no operator takes its activations in 8 bits by fixed ranges"),
            Some(Err(reason)) => outcome.skip(&node, reason),
        }
        at += 1;
        site.leave(node)
    })?;
    Ok(found)
}

/// Runs the float model over the data and gives the range of every activation that is to be quantised.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] for data without rows; [`ErrorKind::InvalidValue`] for NaN in them or in what they
/// lead to; [`ErrorKind::Unsupported`] for a graph that the backend `native` can't run.
pub(super) fn calibrate(
    editor: &mut Editor,
    external: Option<ExternalData>,
    settings: &Settings,
    data: &Data<'_>,
    signature: &Signature,
    progress: &dyn crate::Progress,
) -> Result<Ranges> {
    let layers = layers(editor, settings, &mut Outcome::default())?;
    let plan = Plan::new(editor.graph(), &layers);
    let roots = plan.roots();
    if roots.is_empty() {
        return Ok(Ranges::new());
    }
    let tap = Tap::new(&editor.model, external, &roots, &Limits::default()).map_err(|e| e.within("calibration"))?;
    let mut values: Vec<Values> = roots.iter().map(|_| Values::new(settings.calibration)).collect();
    let mut meter = ProgressMeter::new(progress, "calibrate", "rows", data.rows());
    data.each_batch(signature, &mut |inputs, rows| {
        for ((values, name), tensor) in values.iter_mut().zip(&roots).zip(tap.run(inputs)?) {
            values.add(name, &tensor)?;
        }
        meter.advance(rows as u64);
        Ok(())
    })?;
    meter.finish();
    if values.iter().any(Values::is_empty) {
        let what = "the calibration data have no rows; static int8 needs some hundred that are like those to come";
        return Err(Error::new(ErrorKind::InvalidArgument, what));
    }
    Ok(roots.into_iter().zip(values).map(|(name, v)| (name, v.range(settings.calibration))).collect())
}

struct Fixed<'s> {
    settings: &'s Settings,
    plan: Plan,
    ranges: &'s Ranges,
    outcome: Outcome,
    /// The names of scale and zero point of each range.
    parameters: HashMap<String, [String; 2]>,
    /// What stands for an activation once it went through 8 bits.
    through: HashMap<String, String>,
}

/// Quantises every layer that the settings let through, by the ranges that [`calibrate`] gave.
///
/// # Errors
/// Those of reading the weights.
pub(super) fn quantise(editor: &mut Editor, settings: &Settings, ranges: &Ranges) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    outcome.zeros = true;
    let layers = layers(editor, settings, &mut outcome)?;
    let plan = Plan::new(editor.graph(), &layers);
    let inputs: Vec<String> = editor.graph().input.iter().filter_map(|i| i.name.clone()).collect();
    let (through, parameters) = Default::default();
    let mut fixed = Fixed { settings, plan, ranges, outcome, parameters, through };
    let mut first = true;
    editor.rewrite(&mut |node, site| {
        if site.depth() > 0 {
            return site.leave(node);
        }
        if std::mem::take(&mut first) {
            for name in &inputs {
                fixed.pass(name, site)?;
            }
        }
        fixed.node(node, site)
    })?;
    Ok(fixed.outcome)
}

impl Fixed<'_> {
    fn node(&mut self, mut node: NodeProto, site: &mut Site<'_>) -> Result<()> {
        let layer = node.output.first().is_some_and(|y| self.plan.layers.contains(y));
        let moves = MOVES.contains(&node.operator())
            && node.output.iter().all(|y| self.plan.ranges.contains_key(y))
            && self.plan.ranges.contains_key(input(&node, 0));
        if layer {
            self.layer(&mut node, site)?;
        } else if moves && let Some(x) = self.through.get(input(&node, 0)) {
            node.input[0].clone_from(x);
        }
        let outputs = node.output.clone();
        site.push(node);
        for y in &outputs {
            self.pass(y, site)?;
        }
        Ok(())
    }

    /// Sends the activation `x` through 8 bits, if it is one of those that are to be.
    fn pass(&mut self, x: &str, site: &mut Site<'_>) -> Result<()> {
        let Some(root) = self.plan.ranges.get(x).cloned() else { return Ok(()) };
        let [scale, zero] = self.parameters(&root, site)?;
        let [bytes, floats] = ["quantized", "dequantized"].map(|what| site.fresh(&format!("{x}_{what}")));
        site.push(builder::node("QuantizeLinear", "", &[x, &scale, &zero], &[&bytes], []));
        site.push(builder::node("DequantizeLinear", "", &[&bytes, &scale, &zero], &[&floats], []));
        self.through.insert(x.to_owned(), floats);
        Ok(())
    }

    fn fit(&self, root: &str) -> (f32, i32) {
        let (low, high) = self.ranges.get(root).copied().unwrap_or((0.0, 0.0));
        Grid::activations(self.settings.activations_symmetric).fit(low, high)
    }

    fn parameters(&mut self, root: &str, site: &mut Site<'_>) -> Result<[String; 2]> {
        if let Some(names) = self.parameters.get(root) {
            return Ok(names.clone());
        }
        let (scale, zero) = self.fit(root);
        let names = ["scale", "zero_point"].map(|what| site.fresh(&format!("{root}_{what}")));
        site.add_beside(root, builder::f32_tensor(&names[0], &[], vec![scale])?);
        site.add_beside(root, builder::dense_tensor(&names[1], &[], vec![zero as i8])?);
        self.parameters.insert(root.to_owned(), names.clone());
        Ok(names)
    }

    /// The layer with dequantised inputs, weights and bias.
    fn layer(&mut self, node: &mut NodeProto, site: &mut Site<'_>) -> Result<()> {
        let original = node.clone();
        let axis = match node.operator() {
            "Conv" => 0,
            "Gemm" => usize::from(int(node, "transB", 0) == 0),
            _ => 1,
        };
        let (weights, grid) = (input(&original, 1), Grid::weights(true, self.settings.seven_bits));
        let form = if self.settings.per_channel { Form::Along(axis) } else { Form::Whole };
        let made = match self.outcome.weights(site, weights, form, grid, Factor::ONE)? {
            Ok(made) => made,
            Err(reason) => {
                // `layers` has seen that they can be read.
                self.outcome.skip(&original, reason);
                return Ok(());
            }
        };
        let Some(x) = self.through.get(input(&original, 0)).cloned() else { return Ok(()) };
        node.input[0] = x;
        node.input[1] = self.dequantised(&made, axis, weights, site);
        let bias = if node.operator() == "MatMul" { "" } else { input(&original, 2) };
        if !bias.is_empty() && float(node, "beta", 1.0) == 1.0 {
            self.bias(node, bias, input(&original, 0), &made, site)?;
        }
        self.outcome.done(&original, &[&made]);
        Ok(())
    }

    fn dequantised(&self, made: &Made, axis: usize, weights: &str, site: &mut Site<'_>) -> String {
        let floats = site.fresh(&format!("{weights}_dequantized"));
        let mut inputs = vec![made.numbers.as_str(), &made.scale];
        if !made.zero.is_empty() {
            inputs.push(&made.zero);
        }
        let axis = builder::int("axis", axis as i64);
        site.push(builder::node("DequantizeLinear", "", &inputs, &[&floats], [axis]));
        floats
    }

    /// The bias in i32, in units of the product of both scales; as it is where i32 can't hold it.
    fn bias(&self, node: &mut NodeProto, bias: &str, x: &str, made: &Made, site: &mut Site<'_>) -> Result<()> {
        let values = match super::layers::read(site, bias)? {
            Ok((values, dims)) if dims.len() == 1 => values,
            _ => return Ok(()),
        };
        let x_scale = self.plan.ranges.get(x).map_or(1.0, |root| self.fit(root).0);
        let scales: Vec<f32> = made.scales.iter().map(|s| s * x_scale).collect();
        let unit = |j: usize| f64::from(scales[if scales.len() == 1 { 0 } else { j }]);
        let whole: Vec<f64> =
            values.iter().enumerate().map(|(j, &b)| (f64::from(b) / unit(j)).round_ties_even()).collect();
        if (scales.len() != 1 && scales.len() != values.len()) || whole.iter().any(|b| b.abs() > f64::from(i32::MAX)) {
            return Ok(());
        }
        let base = name(node).to_owned();
        let [numbers, scale, floats] =
            ["quantized", "scale", "dequantized"].map(|what| site.fresh(&format!("{base}_{bias}_{what}")));
        let dims: &[usize] = if scales.len() == 1 { &[] } else { &[scales.len()] };
        let n = whole.len();
        let items: Vec<i32> = whole.into_iter().map(|b| b as i32).collect();
        site.add_beside(bias, builder::dense_tensor(&numbers, &[n], items)?);
        site.add_beside(bias, builder::f32_tensor(&scale, dims, scales)?);
        let axis = builder::int("axis", 0);
        site.push(builder::node("DequantizeLinear", "", &[&numbers, &scale], &[&floats], [axis]));
        site.replaced(bias);
        node.input[2] = floats;
        Ok(())
    }
}
