//! Which nodes are layers with weights, and what a rewrite makes of them.

use std::collections::HashMap;

use super::grid::{Grid, Quantised, finite, transposed};
use super::settings::Settings;
use crate::Result;
use crate::onnx::edit::Site;
use crate::onnx::node::{float, input, int};
use crate::onnx::{NodeProto, TensorProto, builder, data_type};
use crate::optimize::report::{Layer, Skipped};

/// Rows of a product may have no more numbers: sums of 8-bit products stay exact in 32 bits.
pub(super) const MOST_TERMS: usize = 1 << 15;
/// Tables of embeddings with fewer numbers stay as they are.
const LEAST_TABLE: usize = 1024;

/// A layer that can be quantised: the operator and the constant weights it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    MatMul,
    Gemm,
    Conv,
    Gather,
    Lstm,
    /// GRU and RNN, whose weights alone can be quantised.
    Recurrent,
}

/// The kind of layer that `node` is by its operator.
pub(super) fn kind(node: &NodeProto) -> Option<Kind> {
    if !node.operator_domain().is_empty() {
        return None;
    }
    Some(match node.operator() {
        "MatMul" => Kind::MatMul,
        "Gemm" => Kind::Gemm,
        "Conv" => Kind::Conv,
        "Gather" => Kind::Gather,
        "LSTM" => Kind::Lstm,
        "GRU" | "RNN" => Kind::Recurrent,
        _ => return None,
    })
}

/// Operators of which one says that a file is quantised already.
pub(super) fn is_quantised(node: &NodeProto) -> bool {
    let op = node.operator();
    matches!(
        op,
        "QuantizeLinear"
            | "DequantizeLinear"
            | "DynamicQuantizeLinear"
            | "MatMulInteger"
            | "ConvInteger"
            | "MatMulNBits"
            | "DynamicQuantizeLSTM"
            | "DynamicQuantizeMatMul"
            | "MatMulIntegerToFloat"
            | "QGemm"
            | "QAttention"
            | "GatherBlockQuantized"
            | "MatMulBnb4"
    ) || op.starts_with("QLinear")
}

/// What layers are called by users: the name of the node, or what it gives.
pub(in crate::optimize) fn name(node: &NodeProto) -> &str {
    match node.name.as_deref() {
        Some(name) if !name.is_empty() => name,
        _ => node.output.first().map_or("", String::as_str),
    }
}

/// The dimensions of a constant.
pub(super) fn dims(tensor: &TensorProto) -> Vec<usize> {
    tensor.dims.iter().map(|&d| usize::try_from(d).unwrap_or(0)).collect()
}

/// What a rewrite did, and what it has made so far.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) layers: Vec<Layer>,
    pub(super) skipped: Vec<Skipped>,
    /// Whether zero points are written where they are zeros too.
    pub(super) zeros: bool,
    /// Weights that were quantised, by the graph that declares them, their name and the form.
    made: HashMap<(usize, String, Form), Made>,
}

/// How weights are laid out and scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Form {
    /// As they lie, with one scale.
    Whole,
    /// As they lie, with a scale for each index of this axis.
    Along(usize),
    /// As they lie, with a scale for each index of the first axis, in the shape (n, 1, ...) of one axis fewer than this.
    Leading(usize),
    /// A matrix (n, k) as (k, n), with one scale or one for each column.
    Transposed { columns: bool },
    /// (directions, rows, inputs) as (directions, inputs, rows), with one scale for a direction or for each of its rows.
    Recurrent { rows: bool },
}

/// What weights are multiplied by before they are quantised.
#[derive(Debug, Clone, Copy)]
pub(super) struct Factor<'f> {
    pub(super) all: f32,
    /// The activation whose columns are divided, and the factor of each row of a matrix (k, n) that takes it.
    pub(super) rows: Option<(&'f str, &'f [f32])>,
}

impl Factor<'static> {
    pub(super) const ONE: Self = Self { all: 1.0, rows: None };
}

/// The names of quantised weights.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) numbers: String,
    pub(super) scale: String,
    /// Empty where the zero points are zeros.
    pub(super) zero: String,
    pub(super) scales: Vec<f32>,
    pub(super) sqnr_db: Option<f64>,
    pub(super) bytes: u64,
    pub(super) parameters: u64,
}

/// The weights of a layer, or why it is none.
pub(super) type Weights = Result<(Vec<f32>, Vec<usize>), String>;

impl Outcome {
    pub(super) fn skip(&mut self, node: &NodeProto, reason: impl Into<String>) {
        self.skipped.push(Skipped::node(node, reason));
    }

    pub(super) fn done(&mut self, node: &NodeProto, weights: &[&Made]) {
        let worst = weights.iter().filter_map(|w| w.sqnr_db).fold(f64::INFINITY, f64::min);
        let parameters = weights.iter().map(|w| w.parameters).sum();
        self.layers.push(Layer {
            name: name(node).to_owned(),
            operator: node.operator().to_owned(),
            output: node.output.first().cloned().unwrap_or_default(),
            parameters,
            bytes_before: 4 * parameters,
            bytes_after: weights.iter().map(|w| w.bytes).sum(),
            weight_sqnr_db: worst.is_finite().then_some(worst),
            sqnr_db: None,
        });
    }

    /// The quantised form of the constant `weights`, made once for all that share it.
    ///
    /// # Errors
    /// Those of reading the weights.
    pub(super) fn weights(
        &mut self,
        site: &mut Site<'_>,
        weights: &str,
        form: Form,
        grid: Grid,
        factor: Factor<'_>,
    ) -> Result<Result<Made, String>> {
        let owner = site.owner(weights).unwrap_or(usize::MAX);
        let key = (owner, format!("{weights} {} {}", factor.all, factor.rows.map_or("", |(x, _)| x)), form);
        if let Some(made) = self.made.get(&key) {
            return Ok(Ok(made.clone()));
        }
        let (mut values, mut dims) = match read(site, weights)? {
            Ok(read) => read,
            Err(reason) => return Ok(Err(reason)),
        };
        if factor.all != 1.0 {
            values.iter_mut().for_each(|x| *x *= factor.all);
        }
        let (axis, scale_dims): (_, Vec<usize>) = match form {
            Form::Whole => (None, Vec::new()),
            Form::Along(axis) => (Some(axis), vec![dims[axis]]),
            Form::Leading(rank) => {
                let mut shape = vec![1; rank - 1];
                shape[0] = dims[0];
                (Some(0), shape)
            }
            Form::Transposed { columns } => {
                values = transposed(&values, dims[0], dims[1]);
                dims.swap(0, 1);
                (columns.then_some(1), vec![dims[1]])
            }
            Form::Recurrent { rows } => {
                let size = dims[1] * dims[2];
                values = values.chunks_exact(size).flat_map(|m| transposed(m, dims[1], dims[2])).collect();
                dims.swap(1, 2);
                return Ok(Ok(self.recurrent(site, weights, key, (&values, &dims), rows, grid)?));
            }
        };
        if let Some((_, rows)) = factor.rows {
            let width = (values.len() / rows.len().max(1)).max(1);
            for (row, factor) in values.chunks_exact_mut(width).zip(rows) {
                row.iter_mut().for_each(|x| *x *= factor);
            }
        }
        // Activations without outliers fill their range, and sums in 16 bits then overflow more often.
        let quantised = match factor.rows.is_some() && grid == Grid::weights(true, false) {
            true => Quantised::of_pairs(&values, &dims, axis, grid),
            false => Quantised::of(&values, &dims, axis, grid),
        };
        drop(values);
        let made = keep(site, weights, &quantised, &scale_dims, false, self.zeros)?;
        self.made.insert(key, made.clone());
        Ok(Ok(made))
    }

    /// An embedding: rows of bytes are gathered, and their scales with them where each row has its own.
    ///
    /// # Errors
    /// Those of reading the table.
    pub(super) fn table(
        &mut self,
        node: &NodeProto,
        site: &mut Site<'_>,
        settings: &Settings,
    ) -> Result<Result<(), String>> {
        let (table, ids) = (input(node, 0), input(node, 1));
        let rank = site.constant(table).map_or(0, |t| t.dims.len());
        let rows = settings.per_channel && rank == 2;
        let grid = if rows {
            Grid::weights(true, settings.seven_bits)
        } else {
            Grid::weights(settings.symmetric, settings.seven_bits)
        };
        // Scales of shape (rows, 1) are gathered to the rank of what is gathered with the rows.
        let form = if rows { Form::Leading(3) } else { Form::Whole };
        let made = match self.weights(site, table, form, grid, Factor::ONE)? {
            Ok(made) => made,
            Err(reason) => return Ok(Err(reason)),
        };
        let base = name(node).to_owned();
        let y = node.output[0].clone();
        let gathered = site.fresh(&format!("{base}_quantized"));
        let mut gather = node.clone();
        gather.input[0].clone_from(&made.numbers);
        gather.output[0].clone_from(&gathered);
        site.push(gather);
        if rows {
            let [floats, scale] = ["floats", "scale"].map(|what| site.fresh(&format!("{base}_{what}")));
            site.push(builder::node("Gather", "", &[&made.scale, ids], &[&scale], [builder::int("axis", 0)]));
            let to = [builder::int("to", data_type::FLOAT.into())];
            site.push(builder::node("Cast", "", &[&gathered], &[&floats], to));
            site.push(builder::node("Mul", "", &[&floats, &scale], &[&y], []));
        } else {
            let mut inputs = vec![gathered.as_str(), &made.scale];
            if !made.zero.is_empty() {
                inputs.push(&made.zero);
            }
            site.push(builder::node("DequantizeLinear", "", &inputs, &[&y], []));
        }
        self.done(node, &[&made]);
        Ok(Ok(()))
    }

    /// Weights of a recurrent layer, whose scales have an axis of directions whatever else they have.
    fn recurrent(
        &mut self,
        site: &mut Site<'_>,
        name: &str,
        key: (usize, String, Form),
        (values, dims): (&[f32], &[usize]),
        rows: bool,
        grid: Grid,
    ) -> Result<Made> {
        let mut all: Option<Quantised> = None;
        for direction in values.chunks_exact(dims[1] * dims[2]) {
            let part = Quantised::of(direction, &dims[1..], rows.then_some(1), grid);
            match &mut all {
                None => all = Some(part),
                Some(all) => {
                    all.numbers.extend(part.numbers);
                    all.scales.extend(part.scales);
                    all.zeros.extend(part.zeros);
                    all.noise.signal += part.noise.signal;
                    all.noise.noise += part.noise.noise;
                }
            }
        }
        let mut all = all.unwrap_or_else(|| Quantised::of(&[], &[0], None, grid));
        all.dims = dims.to_vec();
        let scale_dims = if rows { vec![dims[0], dims[2]] } else { vec![dims[0]] };
        let made = keep(site, name, &all, &scale_dims, true, true)?;
        self.made.insert(key, made.clone());
        Ok(made)
    }
}

/// Reads the constant weights called `name`.
///
/// # Errors
/// Those of reading them.
pub(super) fn read(site: &Site<'_>, name: &str) -> Result<Weights> {
    let Some(tensor) = site.constant(name) else { return Ok(Err("its weights are computed".into())) };
    let dense = site.dense(tensor)?;
    Ok(finite(dense.data).map(|values| (values, dense.dims)).map_err(Into::into))
}

/// Puts quantised weights into the graph that declares the float ones. Scales have the shape `dims` unless there is
/// one and `shaped` is not set.
fn keep(
    site: &mut Site<'_>,
    name: &str,
    quantised: &Quantised,
    dims: &[usize],
    shaped: bool,
    zeros: bool,
) -> Result<Made> {
    let numbers = site.fresh(&format!("{name}_quantized"));
    let scale = site.fresh(&format!("{name}_scale"));
    let mut tensors = vec![quantised.tensor(&numbers)?, quantised.scale_tensor(&scale, dims)?];
    let mut zero = String::new();
    if zeros || quantised.zeros.iter().any(|&z| z != 0) {
        zero = site.fresh(&format!("{name}_zero_point"));
        tensors.push(quantised.zero_tensor(&zero, dims)?);
    }
    if shaped {
        let dims: Vec<i64> = dims.iter().map(|&d| d as i64).collect();
        tensors[1..].iter_mut().for_each(|t| t.dims.clone_from(&dims));
    }
    let bytes = tensors.iter().map(|t| t.raw_data.as_ref().map_or(0, |raw| raw.len()) as u64).sum();
    for tensor in tensors {
        site.add_beside(name, tensor);
    }
    site.replaced(name);
    Ok(Made {
        numbers,
        scale,
        zero,
        scales: quantised.scales.clone(),
        sqnr_db: quantised.noise.decibels(),
        bytes,
        parameters: quantised.numbers.len() as u64,
    })
}

/// Whether `node` is a layer that the settings let through: its kind, and the reason why not where it is one that stays
/// as it is.
pub(super) fn qualifies(node: &NodeProto, site: &Site<'_>, settings: &Settings) -> Option<Result<Kind, String>> {
    let kind = kind(node)?;
    let weights = match kind {
        Kind::Gather => 0,
        _ => 1,
    };
    let Some(tensor) = site.constant(input(node, weights)) else {
        return match kind {
            Kind::Gather => None,
            Kind::MatMul if site.constant(input(node, 0)).is_some() => Some(Err("its left factor is constant".into())),
            Kind::MatMul | Kind::Gemm => Some(Err("both factors are computed".into())),
            _ => Some(Err("its weights are computed".into())),
        };
    };
    let dims = dims(tensor);
    if kind == Kind::Gather {
        // Tables of indices and shapes are no weights.
        if tensor.data_type != Some(data_type::FLOAT) || int(node, "axis", 0) != 0 || dims.len() < 2 {
            return None;
        }
        if dims.iter().product::<usize>() < LEAST_TABLE {
            return Some(Err(format!("its table has fewer than {LEAST_TABLE} numbers")));
        }
    }
    if tensor.data_type != Some(data_type::FLOAT) {
        return Some(Err("its weights are not f32".into()));
    }
    if settings.keeps(node) {
        return Some(Err("kept in f32 as asked for".into()));
    }
    let reason = match kind {
        Kind::MatMul | Kind::Gemm if dims.len() != 2 => "its weights are no matrix",
        Kind::Gemm if int(node, "transA", 0) != 0 => "it transposes what it is given",
        Kind::Gemm if float(node, "beta", 1.0) != 1.0 && !input(node, 2).is_empty() => "its bias is scaled by `beta`",
        Kind::Conv if dims.len() < 3 => "its weights are no kernel",
        Kind::Lstm | Kind::Recurrent if dims.len() != 3 => "its weights do not have three axes",
        _ => return Some(Ok(kind)),
    };
    Some(Err(reason.into()))
}

/// Whether the sums of a product over (k, n) weights, or of a kernel, stay exact.
pub(super) fn sums_fit(kind: Kind, node: &NodeProto, dims: &[usize]) -> bool {
    let terms = match kind {
        Kind::Gemm if int(node, "transB", 0) != 0 => dims[1],
        Kind::MatMul | Kind::Gemm => dims[0],
        Kind::Conv => dims[1..].iter().product(),
        _ => 1,
    };
    (1..=MOST_TERMS).contains(&terms)
}
