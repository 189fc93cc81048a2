//! Nodes that are packed by what the backend `native` answers for numbers of our own: those whose inputs are all known, those
//! that move numbers about, and those that sum shares of them.

use super::kind_of;
use super::learned::text;
use super::standard::is_plain;
use super::values::{Data, Packer, Value, unsupported};
use crate::backend::native::Tap;
use crate::backend::packed::{as_kind, floats};
use crate::edge::Kind;
use crate::onnx::{DenseTensor, GraphProto, ModelProto, NodeProto, TensorData, TensorProto, ValueInfoProto};
use crate::{Limits, Result, Tensor, Tensors};

/// The most numbers of an input whose shares are found one by one.
const MOST_SUMMED: usize = 4096;
/// The most numbers that a float can tell apart.
const MOST_MOVED: usize = 1 << 24;

/// The inputs whose numbers an operator moves, where every number of its answer is one of those or 0.
fn moving(node: &NodeProto) -> Option<&'static [usize]> {
    Some(match node.operator() {
        "DepthToSpace" | "SpaceToDepth" | "ReverseSequence" | "Trilu" | "GatherND" | "CenterCropPad" => &[0],
        "ScatterND" | "ScatterElements" | "Scatter" if text(node, "reduction", "none") == "none" => &[0, 2],
        "TensorScatter" => &[0, 1],
        "MaxUnpool" => &[0],
        _ => return None,
    })
}

/// The inputs of whose numbers every number of an operator's answer is a sum of shares.
fn summing(node: &NodeProto) -> Option<&'static [usize]> {
    Some(match node.operator() {
        "AffineGrid" | "Col2Im" | "DFT" | "STFT" | "DeformConv" => &[0],
        "RoiAlign" if text(node, "mode", "avg") == "avg" => &[0],
        _ => return None,
    })
}

impl Packer {
    /// The inputs of a node, as far as they are there.
    pub(super) fn inputs(&self, node: &NodeProto) -> Result<Vec<Option<Value>>> {
        (0..node.input.len()).map(|i| self.opt(node, i)).collect()
    }

    /// Packs a node in one of these ways, unless none of them is its own.
    pub(super) fn tried(&mut self, node: &NodeProto) -> Result<bool> {
        if node.attribute.iter().any(|a| a.g.is_some() || !a.graphs.is_empty()) {
            return Ok(false);
        }
        let is_known = |name: &String| match self.values.get(name) {
            Some(value) => matches!(value.data, Data::Known(_)),
            None => name.is_empty() || self.wide.contains_key(name),
        };
        if node.input.iter().all(is_known) {
            // What goes number by number is no more work here than there, and what `native` refuses may have a form of ours.
            return Ok(!is_plain(node) && self.answered(node).is_some());
        }
        if !node.operator_domain().is_empty() {
            return Ok(false);
        }
        if let Some(moving) = moving(node) {
            // To or from computed places.
            let others = node.input.iter().enumerate().filter(|(i, _)| !moving.contains(i));
            if matches!(node.operator(), "GatherND" | "ScatterND" | "ScatterElements" | "Scatter")
                && !others.map(|(_, name)| name).all(is_known)
            {
                return Ok(false);
            }
            self.moved(node, moving)?;
        } else if let Some(summing) = summing(node) {
            self.summed(node, summing)?;
        } else if node.operator() == "EyeLike" {
            // The shape alone counts.
            let zeros = self
                .inputs(node)?
                .into_iter()
                .flatten()
                .map(|x| Some(Value::known(&x.shape, x.kind, vec![0.0; x.len()])));
            let answers = self.answers(node, &zeros.collect::<Vec<_>>())?;
            self.give_all(node, &answers);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Gives what `native` answers for a node whose inputs are all known, where it answers.
    fn answered(&mut self, node: &NodeProto) -> Option<()> {
        let inputs: Vec<_> = node.input.iter().map(|name| self.values.get(name.as_str()).cloned()).collect();
        let answers = self.answers(node, &inputs).ok()?;
        // Whole numbers that are no floats are left to what may not need them.
        let exact = |answer: &Tensor<'_>| match answer.as_slice::<i64>() {
            Ok(items) => items.iter().all(|x| *x as f32 as i64 == *x),
            Err(_) => true,
        };
        answers.iter().all(exact).then(|| self.give_all(node, &answers))
    }

    fn give_all(&mut self, node: &NodeProto, answers: &[Tensor<'static>]) {
        let mut answers = answers.iter();
        for i in 0..node.output.len() {
            if node.output[i].is_empty() {
                continue;
            }
            if let Some(answer) = answers.next() {
                let value = self.read(answer);
                self.give(node, i, value);
            }
        }
    }

    fn read(&mut self, tensor: &Tensor<'_>) -> Value {
        let items = floats(tensor, |text| self.program.code(text)).unwrap_or_default();
        Value::known(tensor.shape(), kind_of(tensor.dtype()), items)
    }

    /// What `native` gives for the named outputs of a node with these inputs, all of them known.
    pub(super) fn answers(&self, node: &NodeProto, inputs: &[Option<Value>]) -> Result<Vec<Tensor<'static>>> {
        let mut lone = node.clone();
        let mut graph = GraphProto::default();
        for (i, (name, value)) in lone.input.iter_mut().zip(inputs).enumerate() {
            let tensor = match value {
                Some(value) => self.proto("", value)?,
                None => match self.wide.get(name.as_str()) {
                    Some(tensor) => tensor.clone(),
                    None => continue,
                },
            };
            *name = format!("x{i}");
            graph.initializer.push(TensorProto { name: Some(name.clone()), ..tensor });
        }
        let mut names = Vec::new();
        for (i, name) in lone.output.iter_mut().enumerate().filter(|(_, name)| !name.is_empty()) {
            *name = format!("y{i}");
            names.push(name.clone());
            graph.output.push(ValueInfoProto { name: Some(name.clone()), ..ValueInfoProto::default() });
        }
        graph.node.push(lone);
        let model =
            ModelProto { graph: Some(Box::new(graph)), opset_import: self.opsets.clone(), ..ModelProto::default() };
        let limits = Limits { max_elements: self.max_elements, ..Limits::default() };
        Tap::new(&model, None, &names, &limits)?.run(&Tensors::new())
    }

    /// A known value as a tensor of the file.
    fn proto(&self, name: &str, value: &Value) -> Result<TensorProto> {
        let Data::Known(items) = &value.data else { return Ok(TensorProto::default()) };
        let text = |x: f32| self.program.text(x).to_owned();
        let data = as_kind!(value.kind, items.iter().copied(), text, values => TensorData::from(values));
        Ok(TensorProto::from_dense(name, &DenseTensor::new(value.shape.clone(), data)?))
    }

    /// Packs an operator that moves the numbers of the inputs `moving`: numbered ones tell where each goes.
    fn moved(&mut self, node: &NodeProto, moving: &[usize]) -> Result<()> {
        let inputs = self.inputs(node)?;
        let mut numbered = inputs.clone();
        let (mut count, mut parts, mut kind) = (0, Vec::new(), Kind::F32);
        for (n, i) in moving.iter().enumerate() {
            let Some(value) = inputs.get(*i).and_then(Option::as_ref) else { continue };
            if n == 0 {
                kind = value.kind;
            }
            let items = (count + 1..=count + value.len()).map(|x| x as f32).collect();
            numbered[*i] = Some(Value::known(&value.shape, Kind::F32, items));
            count += value.len();
            parts.push(self.span(value));
        }
        if count >= MOST_MOVED || numbered.iter().flatten().any(|value| matches!(value.data, Data::Slot(_))) {
            return Err(unsupported(node, "an operator that moves so many numbers, or to computed places,"));
        }
        let whole = Value::slot(&[count], kind, self.program.join(&parts));
        let answers = self.answers(node, &numbered)?;
        for (i, answer) in (0..node.output.len()).filter(|i| !node.output[*i].is_empty()).zip(&answers) {
            let places: Vec<Option<usize>> =
                answer.as_slice::<f32>()?.iter().map(|x| (*x as usize).checked_sub(1)).collect();
            let value = self.windows(&whole, answer.shape(), &places, 0.0);
            self.give(node, i, value);
        }
        Ok(())
    }

    /// Packs an operator that sums shares of the numbers of the inputs `summing`: a matrix, a column of which it gives for each
    /// of them, besides what it gives for none.
    fn summed(&mut self, node: &NodeProto, summing: &[usize]) -> Result<()> {
        let inputs = self.inputs(node)?;
        let mut zeros = inputs.clone();
        let mut parts = Vec::new();
        for i in summing {
            let Some(value) = inputs.get(*i).and_then(Option::as_ref) else { continue };
            parts.push((*i, value.clone()));
            zeros[*i] = Some(Value::known(&value.shape, Kind::F32, vec![0.0; value.len()]));
        }
        let n: usize = parts.iter().map(|(_, value)| value.len()).sum();
        if n == 0 || n > MOST_SUMMED || zeros.iter().flatten().any(|value| matches!(value.data, Data::Slot(_))) {
            return Err(unsupported(node, "an operator over so many numbers, or with computed parameters,"));
        }
        let none = self.answers(node, &zeros)?;
        let Some(none) = none.first() else { return Err(unsupported(node, "an operator without an answer")) };
        let (shape, bias) = (none.shape().to_vec(), floats(none, |_| 0.0)?);
        self.check(node, &[n, bias.len()])?;
        let mut columns = Vec::with_capacity(n);
        for (i, value) in &parts {
            for at in 0..value.len() {
                let mut unit = vec![0.0; value.len()];
                unit[at] = 1.0;
                let mut given = zeros.clone();
                given[*i] = Some(Value::known(&value.shape, Kind::F32, unit));
                let answers = self.answers(node, &given)?;
                columns.push(floats(&answers[0], |_| 0.0)?);
            }
        }
        let weights: Vec<f32> = (0..bias.len())
            .flat_map(|row| columns.iter().map(move |column| (column, row)))
            .map(|(c, row)| c[row] - bias[row])
            .collect();
        let spans: Vec<_> = parts.iter().map(|(_, value)| self.span(value)).collect();
        let whole = self.program.join(&spans);
        let span = self.program.dense(whole, n, &weights, &bias);
        self.give(node, 0, Value::slot(&shape, parts[0].1.kind, span));
        Ok(())
    }
}
