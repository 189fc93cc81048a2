//! Dynamic int8: weights as 8-bit numbers, activations quantised while the graph runs.
//!
//! The operators are those that `onnxruntime.quantization.quantize_dynamic` writes: `DynamicQuantizeLinear` and
//! `MatMulInteger` or `ConvInteger`, `Cast`, `Mul` by both scales, `Add` of the bias; `DynamicQuantizeLSTM`; for
//! embeddings `Gather` of bytes. Where outliers make an activation coarse, a `Mul` divides its columns first.

use std::collections::HashMap;

use super::grid::Grid;
use super::layers::{Factor, Form, Kind, Made, Outcome, dims, name, qualifies, sums_fit};
use super::settings::Settings;
use super::smooth::Divisors;
use crate::Result;
use crate::onnx::edit::{Editor, Site};
use crate::onnx::node::{float, input, int};
use crate::onnx::{NodeProto, builder, data_type};

/// The names of a quantised activation, its scale and its zero point.
type Activation = [String; 3];

struct Dynamic<'s> {
    settings: &'s Settings,
    /// What the columns of activations are divided by before products take them.
    divisors: &'s Divisors,
    grid: Grid,
    outcome: Outcome,
    /// Activations that were quantised, by the graph they stand in and whether their columns were divided.
    activations: HashMap<(usize, String, bool), Activation>,
    microsoft: bool,
}

/// Quantises every layer that the settings let through.
///
/// # Errors
/// Those of reading the weights.
pub(super) fn quantise(editor: &mut Editor, settings: &Settings, divisors: &Divisors) -> Result<Outcome> {
    let mut dynamic = Dynamic {
        settings,
        divisors,
        grid: Grid::weights(settings.symmetric, settings.seven_bits),
        outcome: Outcome::default(),
        activations: HashMap::new(),
        microsoft: false,
    };
    editor.rewrite(&mut |node, site| dynamic.node(node, site))?;
    if dynamic.microsoft {
        editor.import("com.microsoft", 1);
    }
    Ok(dynamic.outcome)
}

impl Dynamic<'_> {
    fn node(&mut self, node: NodeProto, site: &mut Site<'_>) -> Result<()> {
        let made = match qualifies(&node, site, self.settings) {
            None => return site.leave(node),
            Some(Err(reason)) => Err(reason),
            Some(Ok(kind)) => match kind {
                Kind::MatMul | Kind::Gemm => self.product(&node, kind, site)?,
                Kind::Conv => self.convolution(&node, site)?,
                Kind::Gather => self.outcome.table(&node, site, self.settings)?,
                Kind::Lstm => self.lstm(&node, site)?,
                Kind::Recurrent => Err("no operator takes its activations in 8 bits".into()),
            },
        };
        if let Err(reason) = made {
            self.outcome.skip(&node, reason);
            site.push(node);
        }
        Ok(())
    }

    /// The activation `x` in 8 bits, quantised once for all that take it, its columns divided by `divisors`.
    fn activation(&mut self, x: &str, divisors: Option<&[f32]>, site: &mut Site<'_>) -> Result<Activation> {
        let key = (site.here(), x.to_owned(), divisors.is_some());
        if let Some(known) = self.activations.get(&key) {
            return Ok(known.clone());
        }
        let mut from = x.to_owned();
        if let Some(divisors) = divisors {
            let factor = site.fresh(&format!("{x}_factor"));
            let factors: Vec<f32> = divisors.iter().map(|d| d.recip()).collect();
            site.add_beside("", builder::f32_tensor(&factor, &[factors.len()], factors)?);
            from = site.fresh(&format!("{x}_smooth"));
            site.push(builder::node("Mul", "", &[x, &factor], &[&from], []));
        }
        let names = ["quantized", "scale", "zero_point"].map(|what| site.fresh(&format!("{x}_{what}")));
        let outputs: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut made = builder::node("DynamicQuantizeLinear", "", &[&from], &outputs, []);
        made.name = Some(site.fresh(&format!("{x}_QuantizeLinear")));
        site.push(made);
        self.activations.insert(key, names.clone());
        Ok(names)
    }

    /// Pushes the product in whole numbers and what brings it back to floats; gives what the result is called.
    fn integers(
        &mut self,
        node: &NodeProto,
        operator: &str,
        w: &Made,
        bias: Option<&str>,
        divisors: Option<&[f32]>,
        site: &mut Site<'_>,
    ) -> Result<()> {
        let [x, x_scale, x_zero] = self.activation(input(node, 0), divisors, site)?;
        let base = name(node).to_owned();
        let mut next = |what: &str| site.fresh(&format!("{base}_{what}"));
        let [sums, floats, scale, product] = ["sums", "floats", "scale", "product"].map(&mut next);
        let heart = next("quant");
        let y = &node.output[0];
        let mut inputs = vec![x.as_str(), &w.numbers, &x_zero];
        if !w.zero.is_empty() {
            inputs.push(&w.zero);
        }
        let attributes = if operator == "ConvInteger" { node.attribute.clone() } else { Vec::new() };
        let mut integer = builder::node(operator, "", &inputs, &[&sums], attributes);
        integer.name = Some(heart);
        integer.metadata_props.clone_from(&node.metadata_props);
        integer.doc_string.clone_from(&node.doc_string);
        integer.unknown.clone_from(&node.unknown);
        site.push(builder::node("Mul", "", &[&x_scale, &w.scale], &[&scale], []));
        site.push(integer);
        site.push(builder::node("Cast", "", &[&sums], &[&floats], [builder::int("to", data_type::FLOAT.into())]));
        let scaled = if bias.is_some() { &product } else { y };
        site.push(builder::node("Mul", "", &[&floats, &scale], &[scaled], []));
        if let Some(bias) = bias {
            site.push(builder::node("Add", "", &[&product, bias], &[y], []));
        }
        self.outcome.done(node, &[w]);
        Ok(())
    }

    fn product(&mut self, node: &NodeProto, kind: Kind, site: &mut Site<'_>) -> Result<Result<(), String>> {
        let weights = input(node, 1);
        let shape = site.constant(weights).map(dims).unwrap_or_default();
        if !sums_fit(kind, node, &shape) {
            return Ok(Err("its rows are too long for exact sums of 8-bit products".into()));
        }
        let columns = self.settings.per_channel;
        let form = match (kind, int(node, "transB", 0) != 0) {
            (Kind::Gemm, true) => Form::Transposed { columns },
            _ if columns => Form::Along(1),
            _ => Form::Whole,
        };
        let alpha = if kind == Kind::Gemm { float(node, "alpha", 1.0) } else { 1.0 };
        let all: &Divisors = self.divisors;
        let rows = all.get(input(node, 0)).filter(|_| site.depth() == 0).map(Vec::as_slice);
        let factor = Factor { all: alpha, rows: rows.map(|rows| (input(node, 0), rows)) };
        let made = match self.outcome.weights(site, weights, form, self.grid, factor)? {
            Ok(made) => made,
            Err(reason) => return Ok(Err(reason)),
        };
        let bias = if kind == Kind::Gemm { Some(input(node, 2)).filter(|b| !b.is_empty()) } else { None };
        self.integers(node, "MatMulInteger", &made, bias, rows, site).map(Ok)
    }

    fn convolution(&mut self, node: &NodeProto, site: &mut Site<'_>) -> Result<Result<(), String>> {
        let weights = input(node, 1);
        let shape = site.constant(weights).map(dims).unwrap_or_default();
        if !sums_fit(Kind::Conv, node, &shape) {
            return Ok(Err("its kernels are too large for exact sums of 8-bit products".into()));
        }
        // What stands beside the axes of the image in (1, channels, 1, ...).
        let mut beside = vec![1; shape.len()];
        beside[1] = shape[0];
        let bias = match input(node, 2) {
            "" => None,
            bias => {
                let Some(tensor) = site.constant(bias) else { return Ok(Err("its bias is computed".into())) };
                let mut tensor = tensor.clone();
                let name = site.fresh(&format!("{bias}_reshaped"));
                tensor.dims = beside.iter().map(|&d| d as i64).collect();
                tensor.name = Some(name.clone());
                site.add_beside(bias, tensor);
                site.replaced(bias);
                Some(name)
            }
        };
        let form = if self.settings.per_channel { Form::Leading(shape.len()) } else { Form::Whole };
        let made = match self.outcome.weights(site, weights, form, self.grid, Factor::ONE)? {
            Ok(made) => made,
            Err(reason) => return Ok(Err(reason)),
        };
        self.integers(node, "ConvInteger", &made, bias.as_deref(), None, site).map(Ok)
    }

    fn lstm(&mut self, node: &NodeProto, site: &mut Site<'_>) -> Result<Result<(), String>> {
        if int(node, "layout", 0) != 0 {
            return Ok(Err("its batch axis comes first".into()));
        }
        let state = input(node, 2);
        if site.constant(state).is_none() {
            return Ok(Err("its weights are computed".into()));
        }
        let form = Form::Recurrent { rows: self.settings.per_channel };
        let grid = Grid::weights(true, self.settings.seven_bits);
        let mut both = Vec::new();
        for weights in [input(node, 1), state] {
            match self.outcome.weights(site, weights, form, grid, Factor::ONE)? {
                Ok(made) => both.push(made),
                Err(reason) => return Ok(Err(reason)),
            }
        }
        let [w, r] = &both[..] else { return Ok(Err("it lacks weights".into())) };
        let mut made = node.clone();
        made.op_type = Some("DynamicQuantizeLSTM".into());
        made.domain = Some("com.microsoft".into());
        made.attribute.retain(|a| a.name.as_deref() != Some("layout"));
        made.input.resize(8, String::new());
        made.input[1].clone_from(&w.numbers);
        made.input[2].clone_from(&r.numbers);
        made.input.extend([w.scale.clone(), w.zero.clone(), r.scale.clone(), r.zero.clone()]);
        site.push(made);
        self.microsoft = true;
        self.outcome.done(node, &[w, r]);
        Ok(Ok(()))
    }
}
