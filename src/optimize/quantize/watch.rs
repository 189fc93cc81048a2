//! What products are given: seen on the data there are, or on ids that are made up for a graph which takes whole numbers
//! alone, as encoders of text do.

use super::grid::{finite, transposed};
use super::layers::{Kind, dims, qualifies};
use super::settings::Settings;
use super::smooth::Weights;
use crate::backend::native::Tap;
use crate::onnx::edit::Editor;
use crate::onnx::node::{input, int};
use crate::onnx::{DimensionValue, ExternalData, GraphProto, NodeProto, data_type};
use crate::optimize::data::Data;
use crate::validate::Random;
use crate::{ErrorKind, Limits, Progress, ProgressMeter, Result, Signature, Tensor, Tensors};

/// The batches that are made up, which bound the memory that they take.
const BATCHES: u64 = 16;
/// The rows of one, and the length of their other axes.
const MADE_UP: [usize; 2] = [4, 32];
/// Tables with fewer rows than this hold kinds of tokens, the first of which is the common one.
const LEAST_IDS: usize = 16;

/// A product with constant weights in the graph that is run.
pub(super) struct Product {
    /// What it is given: (..., k).
    pub(super) x: String,
    pub(super) weights: String,
    /// Whether the weights lie as (n, k), and not (k, n).
    pub(super) across: bool,
    pub(super) k: usize,
}

impl Product {
    /// The weights, where they are finite floats that the graph declares.
    ///
    /// # Errors
    /// Those of reading them.
    pub(super) fn weights(&self, editor: &Editor) -> Result<Option<Weights>> {
        let declared = editor.graph().initializer.iter().find(|t| t.name.as_deref() == Some(&self.weights));
        let Some(Ok(values)) = declared.map(|t| editor.dense(t).map(|d| finite(d.data))).transpose()? else {
            return Ok(None);
        };
        let n = values.len() / self.k.max(1);
        Ok(Some(Weights::new(if self.across { transposed(&values, n, self.k) } else { values }, n)))
    }
}

/// The products that the settings let through.
///
/// # Errors
/// None of its own; what walks a graph gives a result.
pub(super) fn products(editor: &mut Editor, settings: &Settings) -> Result<Vec<Product>> {
    let mut found = Vec::new();
    editor.rewrite(&mut |node, site| {
        let kind = qualifies(&node, site, settings).and_then(Result::ok);
        if let Some(Kind::MatMul | Kind::Gemm) = kind
            && site.depth() == 0
            && site.constant(input(&node, 0)).is_none()
            && let Some(tensor) = site.constant(input(&node, 1))
        {
            let across = kind == Some(Kind::Gemm) && int(&node, "transB", 0) != 0;
            let (x, weights) = (input(&node, 0).to_owned(), input(&node, 1).to_owned());
            found.push(Product { x, weights, across, k: dims(tensor)[usize::from(across)] });
        }
        site.leave(node)
    })?;
    Ok(found)
}

/// What a graph is run on.
pub(super) enum Rows<'r, 'd> {
    Data(&'r Data<'d>, &'r Signature),
    MadeUp(Vec<Tensors<'static>>),
}

impl<'r, 'd> Rows<'r, 'd> {
    /// The data, or what can be made up.
    pub(super) fn of(data: Option<(&'r Data<'d>, &'r Signature)>, graph: &GraphProto) -> Option<Self> {
        match data {
            Some((data, signature)) => Some(Self::Data(data, signature)),
            None => (0..BATCHES).map(|seed| made_up(graph, seed)).collect::<Option<_>>().map(Self::MadeUp),
        }
    }

    /// Shows `see` the values called `names`, a batch at a time, until it has seen enough; `false` where the graph can't
    /// be run for them.
    ///
    /// # Errors
    /// Those of the data, of running the model on them, and of `see`.
    pub(super) fn watch(
        &self,
        editor: &Editor,
        external: Option<ExternalData>,
        names: &[String],
        progress: &dyn Progress,
        see: &mut dyn FnMut(Vec<Tensor<'static>>) -> Result<bool>,
    ) -> Result<bool> {
        let tap = match Tap::new(&editor.model, external, names, &Limits::default()) {
            Ok(tap) => tap,
            Err(e) if e.kind() == ErrorKind::Unsupported => return Ok(false),
            Err(e) => return Err(e.within("a look at the activations")),
        };
        match self {
            Self::MadeUp(batches) => {
                for inputs in batches {
                    // What was made up need not be what the model takes.
                    let Ok(values) = tap.run(inputs) else { return Ok(false) };
                    see(values)?;
                }
                Ok(true)
            }
            Self::Data(data, signature) => {
                let mut meter = ProgressMeter::new(progress, "calibrate", "rows", data.rows());
                let mut enough = false;
                data.each_batch(signature, &mut |inputs, rows| {
                    if !enough {
                        enough = see(tap.run(inputs)?)?;
                    }
                    meter.advance(rows as u64);
                    Ok(())
                })?;
                meter.finish();
                Ok(true)
            }
        }
    }
}

/// Inputs for a graph that takes nothing but whole numbers: any rows of the tables that they choose from, ones elsewhere.
fn made_up(graph: &GraphProto, seed: u64) -> Option<Tensors<'static>> {
    let constant = |name: &str| graph.initializer.iter().find(|t| t.name.as_deref() == Some(name));
    let mut random = Random::new(seed, 0);
    let mut made = Tensors::new();
    for declared in &graph.input {
        let name = declared.name.as_deref()?;
        if constant(name).is_some() {
            continue;
        }
        let tensor = declared.r#type.as_deref()?.tensor_type.as_deref()?;
        let mut shape = Vec::new();
        for (i, dimension) in tensor.shape.as_deref()?.dim.iter().enumerate() {
            shape.push(match dimension.value() {
                DimensionValue::Fixed(length) => usize::try_from(length).ok()?,
                _ => MADE_UP[i.min(1)],
            });
        }
        let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).filter(|&n| n <= 1 << 20)?;
        let chooses = |n: &&NodeProto| n.operator() == "Gather" && input(n, 1) == name && int(n, "axis", 0) == 0;
        let tables = graph.node.iter().filter(chooses).filter_map(|n| constant(input(n, 0)));
        let rows = tables.map(|t| dims(t).first().copied().unwrap_or(0)).min();
        let values: Vec<i64> = match rows {
            Some(rows) if rows >= LEAST_IDS => (0..count).map(|_| random.below(rows) as i64).collect(),
            Some(_) => vec![0; count],
            None => vec![1; count],
        };
        let values = match tensor.elem_type? {
            data_type::INT64 => Tensor::from_vec(&shape, values),
            data_type::INT32 => Tensor::from_vec(&shape, values.into_iter().map(|i| i as i32).collect()),
            _ => return None,
        };
        made.insert(name, values.ok()?).ok()?;
    }
    (!made.is_empty()).then_some(made)
}
