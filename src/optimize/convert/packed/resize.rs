//! `Resize` and `Upsample`: one axis after the other, each a matrix that `native` tells.

use super::network::misfit;
use super::values::{Data, Packer, Value, axis_of, unsupported};
use crate::Result;
use crate::backend::packed::floats;
use crate::edge::Kind;
use crate::onnx::{NodeProto, builder};

impl Packer {
    pub(super) fn resized(&mut self, node: &NodeProto) -> Result<Value> {
        let x = self.input(node, 0)?;
        let rank = x.shape.len();
        let mut inputs = self.inputs(node)?;
        if inputs.iter().skip(1).flatten().any(|value| matches!(value.data, Data::Slot(_))) || x.len() == 0 {
            return Err(unsupported(node, "an image of computed size"));
        }
        // `native` knows how large the answer is.
        inputs[0] = Some(Value::known(&x.shape, Kind::F32, vec![0.0; x.len()]));
        let shape = match self.answers(node, &inputs)?.first() {
            Some(answer) if answer.shape().len() == rank => answer.shape().to_vec(),
            _ => return Err(misfit(node, "an image of another number of axes")),
        };
        let named: Vec<usize> = match node.find_attribute("axes") {
            Some(axes) => axes.ints.iter().map(|axis| axis_of(node, *axis, rank)).collect::<Result<_>>()?,
            None => (0..rank).collect(),
        };
        // Where the scales, the lengths and the part stand.
        let old = node.operator() == "Upsample" || self.opset < 11;
        let list = |i: usize| match inputs.get(i) {
            Some(Some(Value { data: Data::Known(items), .. })) if !items.is_empty() => Some(items.clone()),
            _ => None,
        };
        let attribute = node.find_attribute("scales").map(|a| a.floats.clone());
        let scales = attribute.clone().or_else(|| list(if old { 1 } else { 2 }));
        let part = if old { None } else { list(1) };
        let policy = super::learned::text(node, "keep_aspect_ratio_policy", "stretch");
        if scales.is_none() && policy != "stretch" {
            return self.in_proportion(node, x, &shape, &inputs);
        }
        let mut lone = node.clone();
        lone.attribute.retain(|a| !matches!(a.name.as_deref(), Some("axes" | "scales")));
        let mut value = Value { kind: Kind::F32, ..x.clone() };
        for (i, axis) in named.iter().enumerate() {
            let n = x.shape[*axis];
            let scale = scales.as_ref().and_then(|scales| scales.get(i).copied());
            let ends = part.as_ref().and_then(|part| Some([*part.get(i)?, *part.get(named.len() + i)?]));
            if n == shape[*axis] && scale.is_none_or(|scale| scale == 1.0) && ends.is_none_or(|ends| ends == [0.0, 1.0])
            {
                continue;
            }
            let mut node = lone.clone();
            if attribute.is_some() {
                node.attribute.push(builder::floats("scales", [1.0, scale.unwrap_or(1.0)]));
            }
            let floats = |items: Vec<f32>| Some(Value::known(&[items.len()], Kind::F32, items));
            let mut given: Vec<Option<Value>> = vec![None; inputs.len()];
            if let (Some(ends), Some(slot)) = (ends, given.get_mut(1)) {
                *slot = floats(vec![0.0, ends[0], 1.0, ends[1]]);
            }
            if let (Some(scale), None) = (scale, &attribute) {
                given[if old { 1 } else { 2 }] = floats(vec![1.0, scale]);
            } else if attribute.is_none() {
                let sizes = Value::known(&[2], Kind::I64, vec![n as f32, shape[*axis] as f32]);
                *given.get_mut(3).ok_or_else(|| misfit(&node, "an image without a size"))? = Some(sizes);
            }
            for (name, value) in node.input.iter_mut().zip(&given).skip(1) {
                if value.is_none() {
                    name.clear();
                }
            }
            value = self.mixed_along(&node, value, *axis, given)?;
        }
        Ok(Value { kind: x.kind, ..value })
    }

    /// An image whose proportions are kept: `native` is given all of it, one row of one axis after the other.
    fn in_proportion(
        &mut self,
        node: &NodeProto,
        x: Value,
        shape: &[usize],
        inputs: &[Option<Value>],
    ) -> Result<Value> {
        if super::learned::text(node, "coordinate_transformation_mode", "") == "tf_crop_and_resize" {
            return Err(unsupported(node, "a part of an image whose proportions are kept"));
        }
        let mut value = Value { kind: Kind::F32, ..x.clone() };
        for axis in (0..shape.len()).filter(|axis| shape[*axis] != x.shape[*axis]) {
            let (n, m) = (x.shape[axis], shape[axis]);
            let behind = |shape: &[usize]| shape[axis + 1..].iter().product::<usize>();
            let mut weights = vec![0.0; m * n];
            let mut given = inputs.to_vec();
            for i in 0..n {
                let row = (0..x.len()).map(|at| f32::from(u8::from(at / behind(&x.shape) % n == i))).collect();
                given[0] = Some(Value::known(&x.shape, Kind::F32, row));
                let answers = self.answers(node, &given)?;
                let answer = answers.first().ok_or_else(|| misfit(node, "an image without a size"))?;
                let answer = floats(answer, |_| 0.0)?;
                (0..m).for_each(|j| weights[j * n + i] = answer[j * behind(shape)]);
            }
            value = self.weighed_along(value, axis, &weights, &vec![0.0; m]);
        }
        Ok(Value { kind: x.kind, ..value })
    }

    /// `value` with each number along `axis` replaced by what the node, with these other inputs, makes of all of them.
    fn mixed_along(
        &mut self,
        node: &NodeProto,
        value: Value,
        axis: usize,
        mut given: Vec<Option<Value>>,
    ) -> Result<Value> {
        let n = value.shape[axis];
        self.check(node, &[n, n])?;
        let unit = (0..n * n).map(|i| f32::from(u8::from(i % (n + 1) == 0))).collect();
        given[0] = Some(Value::known(&[n, n], Kind::F32, unit));
        let shares = self.answers(node, &given)?;
        given[0] = Some(Value::known(&[n, n], Kind::F32, vec![0.0; n * n]));
        let none = self.answers(node, &given)?;
        let (Some(shares), Some(none)) = (shares.first(), none.first()) else {
            return Err(misfit(node, "an image without a size"));
        };
        let m = shares.len() / n;
        let (shares, none) = (floats(shares, |_| 0.0)?, floats(none, |_| 0.0)?);
        let bias = &none[..m];
        let weights: Vec<f32> =
            (0..m).flat_map(|j| (0..n).map(move |i| (i * m + j, j))).map(|(at, j)| shares[at] - bias[j]).collect();
        Ok(self.weighed_along(value, axis, &weights, bias))
    }

    /// `value` with the numbers along `axis` replaced by sums of them with weights (m, n), plus a bias of m.
    fn weighed_along(&mut self, value: Value, axis: usize, weights: &[f32], bias: &[f32]) -> Value {
        let (n, m) = (value.shape[axis], bias.len());
        // Where each number is one of those that were there, they are only moved.
        let source = |row: &[f32]| {
            let at = row.iter().position(|w| *w != 0.0)?;
            (row[at] == 1.0 && row[at + 1..].iter().all(|w| *w == 0.0)).then_some(at)
        };
        let sources: Option<Vec<usize>> = weights.chunks_exact(n).map(source).collect();
        if let Some(sources) = sources.filter(|_| bias.iter().all(|b| *b == 0.0)) {
            let mut kept: Vec<Vec<usize>> = value.shape.iter().map(|n| (0..*n).collect()).collect();
            kept[axis] = sources;
            return self.picked(&value, &kept);
        }
        let rows = self.axis_last(&value, axis);
        let span = self.span(&rows);
        let span = self.program.dense(span, n, weights, bias);
        let mut shape = rows.shape.clone();
        if let Some(last) = shape.last_mut() {
            *last = m;
        }
        self.axis_back(&Value::slot(&shape, Kind::F32, span), axis)
    }
}
