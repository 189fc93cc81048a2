//! Sequences and optional values, whose lengths are known when a model is packed.

use super::values::{Packer, Value, axis_of, unsupported};
use crate::edge::Kind;
use crate::onnx::NodeProto;
use crate::onnx::node::{input, int};
use crate::{Error, ErrorKind, Result};

impl Packer {
    /// Packs a node that takes or gives a sequence or an optional value; `false` where it is of another kind.
    pub(super) fn sequenced(&mut self, node: &NodeProto) -> Result<bool> {
        if !node.operator_domain().is_empty() {
            return Ok(false);
        }
        let sequence = self.sequences.get(input(node, 0)).cloned();
        let values = match (node.operator(), sequence) {
            ("SequenceEmpty", _) => Vec::new(),
            ("SequenceConstruct", _) => (0..node.input.len()).map(|i| self.input(node, i)).collect::<Result<_>>()?,
            ("SplitToSequence", _) => self.split_apart(node)?,
            ("SequenceInsert", Some(mut values)) => {
                let at = self.place(node, 2, values.len(), values.len())?;
                values.insert(at, self.input(node, 1)?);
                values
            }
            ("SequenceErase", Some(mut values)) => {
                let last = values.len().checked_sub(1).ok_or_else(|| beyond(node))?;
                values.remove(self.place(node, 1, last, last)?);
                values
            }
            ("Identity" | "Optional" | "OptionalGetElement", Some(values)) => values,
            ("SequenceAt", Some(values)) => {
                let last = values.len().checked_sub(1).ok_or_else(|| beyond(node))?;
                let at = self.place(node, 1, last, last)?;
                self.give(node, 0, values[at].clone());
                return Ok(true);
            }
            ("SequenceLength", Some(values)) => {
                self.give(node, 0, Value::known(&[], Kind::I64, vec![values.len() as f32]));
                return Ok(true);
            }
            ("ConcatFromSequence", Some(values)) => {
                let whole = self.join_sequence(node, values)?;
                self.give(node, 0, whole);
                return Ok(true);
            }
            ("Optional" | "OptionalGetElement", None) => {
                let value = self.input(node, 0)?;
                self.give(node, 0, value);
                return Ok(true);
            }
            ("OptionalHasElement", sequence) => {
                let there = sequence.is_some() || self.opt(node, 0)?.is_some();
                self.give(node, 0, Value::known(&[], Kind::Bool, vec![f32::from(u8::from(there))]));
                return Ok(true);
            }
            (_, Some(_)) => return Err(unsupported(node, "this operator on a sequence")),
            _ => return Ok(false),
        };
        if let Some(name) = node.output.first() {
            self.sequences.insert(name.clone(), values);
        }
        Ok(true)
    }

    /// The place in input `i`, at most `most`, which may count from the end of a sequence: `default` where it is left out.
    fn place(&self, node: &NodeProto, i: usize, most: usize, default: usize) -> Result<usize> {
        let Some(at) = self.ints(node, i)?.and_then(|at| at.first().copied()) else { return Ok(default) };
        let count = if node.operator() == "SequenceInsert" { most } else { most + 1 };
        let at = if at < 0 { at + count as i64 } else { at };
        usize::try_from(at).ok().filter(|at| *at <= most).ok_or_else(|| beyond(node))
    }

    fn split_apart(&mut self, node: &NodeProto) -> Result<Vec<Value>> {
        let x = self.input(node, 0)?;
        let axis = axis_of(node, int(node, "axis", 0), x.shape.len())?;
        let n = x.shape[axis];
        let size = |n: i64| usize::try_from(n).map_err(|_| beyond(node));
        let single = self.opt(node, 1)?.is_none();
        let sizes: Vec<usize> = match (self.ints(node, 1)?, self.opt(node, 1)?.map(|sizes| sizes.shape.len())) {
            (Some(sizes), Some(0)) => {
                let each = size(sizes[0])?.max(1);
                (0..n.div_ceil(each)).map(|i| each.min(n - i * each)).collect()
            }
            (Some(sizes), _) => sizes.into_iter().map(size).collect::<Result<_>>()?,
            _ => vec![1; n],
        };
        if sizes.iter().try_fold(0usize, |sum, n| sum.checked_add(*n)) != Some(n) {
            return Err(beyond(node));
        }
        let mut from = 0;
        let mut values = Vec::new();
        for size in sizes {
            let mut kept: Vec<Vec<usize>> = x.shape.iter().map(|n| (0..*n).collect()).collect();
            kept[axis] = (from..from + size).collect();
            from += size;
            let mut part = self.picked(&x, &kept);
            if single && int(node, "keepdims", 1) == 0 {
                part.shape.remove(axis);
            }
            values.push(part);
        }
        Ok(values)
    }

    fn join_sequence(&mut self, node: &NodeProto, mut values: Vec<Value>) -> Result<Value> {
        let rank = values.first().map_or(0, |value| value.shape.len());
        let axis = int(node, "axis", 0);
        if int(node, "new_axis", 0) == 0 {
            return self.concat(node, &values, axis);
        }
        let axis = axis_of(node, axis, rank + 1)?;
        if values.iter().any(|value| value.shape.len() != rank) {
            return Err(beyond(node));
        }
        values.iter_mut().for_each(|value| value.shape.insert(axis, 1));
        self.concat(node, &values, axis as i64)
    }
}

#[cold]
fn beyond(node: &NodeProto) -> Error {
    Error::new(ErrorKind::WrongShape, "places or sizes that a sequence does not have").node(node.label())
}
