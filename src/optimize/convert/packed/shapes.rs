//! Operators that arrange what is there: shapes, parts, joins, and elements at places.

use super::values::{Data, Packer, Value, axis_of, common_shape, strided, unsupported};
use crate::edge::Kind;
use crate::onnx::NodeProto;
use crate::onnx::node::int;
use crate::{Error, ErrorKind, Result};

/// For each element of an answer, its place in a value of `shape`: along each axis those in `kept`, some of which are none.
pub(super) fn crossed(kept: &[Vec<Option<usize>>], shape: &[usize]) -> Vec<Option<usize>> {
    let mut places = vec![Some(0)];
    for (kept, n) in kept.iter().zip(shape) {
        let next = |place: &Option<usize>| {
            let place = *place;
            kept.iter().map(move |at| Some(place? * n + (*at)?))
        };
        places = places.iter().flat_map(next).collect();
    }
    places
}

impl Packer {
    /// Packs a node that arranges values, unless it is of another kind.
    pub(super) fn shaped(&mut self, node: &NodeProto) -> Result<Option<Value>> {
        Ok(Some(match node.operator() {
            "Shape" => {
                let shape = self.input(node, 0)?.shape;
                let (from, to) = (int(node, "start", 0), int(node, "end", shape.len() as i64));
                let end =
                    |at: i64| (if at < 0 { at + shape.len() as i64 } else { at }).clamp(0, shape.len() as i64) as usize;
                let items: Vec<f32> =
                    shape.get(end(from)..end(to)).unwrap_or_default().iter().map(|n| *n as f32).collect();
                Value::known(&[items.len()], Kind::I64, items)
            }
            "Size" => Value::known(&[], Kind::I64, vec![self.input(node, 0)?.len() as f32]),
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => self.reshaped(node)?,
            "Concat" => self.joined(node)?,
            "Slice" => self.sliced(node)?,
            "Gather" => self.gathered(node)?,
            "GatherElements" => self.elements(node)?,
            "Compress" => self.compressed(node)?,
            "NonZero" => {
                let (shape, items) = (self.input(node, 0)?.shape, self.known(node, 0)?.unwrap_or_default());
                let found: Vec<usize> = (0..items.len()).filter(|i| items[*i] != 0.0).collect();
                let along = |axis: usize| -> (usize, usize) { (shape[axis + 1..].iter().product(), shape[axis]) };
                let places = (0..shape.len()).map(along).flat_map(|(step, n)| found.iter().map(move |i| i / step % n));
                Value::known(&[shape.len(), found.len()], Kind::I64, places.map(|place| place as f32).collect())
            }
            "Transpose" => self.transposed(node)?,
            "Tile" => self.tiled(node)?,
            "Pad" => self.padded(node)?,
            "ConstantOfShape" => self.filled(node)?,
            "Range" => {
                let bound = |i: usize| -> Result<f32> {
                    Ok(self.known(node, i)?.and_then(|items| items.first().copied()).unwrap_or(0.0))
                };
                let [start, end, step] = [bound(0)?, bound(1)?, bound(2)?];
                let count = ((end - start) / step).ceil().max(0.0);
                self.check(node, &[count as usize])?;
                let items: Vec<f32> = (0..count as usize).map(|i| start + i as f32 * step).collect();
                Value::known(&[items.len()], self.input(node, 0)?.kind, items)
            }
            "Expand" => {
                let x = self.input(node, 0)?;
                let wanted = self.sizes(node, 1)?;
                let shape = common_shape(node, &x.shape, &wanted)?;
                self.check(node, &shape)?;
                self.spread(&x, &shape)
            }
            _ => return Ok(None),
        }))
    }

    /// Input `i` as sizes.
    pub(super) fn sizes(&self, node: &NodeProto, i: usize) -> Result<Vec<usize>> {
        let sizes = self.ints(node, i)?.unwrap_or_default();
        sizes.into_iter().map(|n| usize::try_from(n).map_err(|_| unsupported(node, "a negative size"))).collect()
    }

    /// The attribute `name`, or input `i`, as axes.
    pub(super) fn axes(&self, node: &NodeProto, name: &str, i: usize, rank: usize) -> Result<Option<Vec<usize>>> {
        let axes = match node.find_attribute(name) {
            Some(a) => Some(a.ints.clone()),
            None => self.ints(node, i)?,
        };
        axes.map(|axes| axes.into_iter().map(|axis| axis_of(node, axis, rank)).collect()).transpose()
    }

    fn reshaped(&mut self, node: &NodeProto) -> Result<Value> {
        let x = self.input(node, 0)?;
        let shape = match node.operator() {
            "Reshape" => {
                let wanted = match node.find_attribute("shape") {
                    Some(a) => a.ints.clone(),
                    None => self.ints(node, 1)?.unwrap_or_default(),
                };
                let size = |(i, n): (usize, &i64)| match *n {
                    0 if int(node, "allowzero", 0) == 0 => x.shape.get(i).copied(),
                    -1 => Some(1),
                    n => usize::try_from(n).ok(),
                };
                let mut shape: Vec<usize> = wanted
                    .iter()
                    .enumerate()
                    .map(size)
                    .collect::<Option<_>>()
                    .ok_or_else(|| unsupported(node, "this shape"))?;
                if let Some(open) = wanted.iter().position(|n| *n == -1) {
                    shape[open] = x.len() / self.check(node, &shape)?.max(1);
                }
                shape
            }
            "Flatten" => {
                let axis = int(node, "axis", 1);
                let at = if axis == x.shape.len() as i64 { x.shape.len() } else { axis_of(node, axis, x.shape.len())? };
                vec![x.shape[..at].iter().product(), x.shape[at..].iter().product()]
            }
            "Squeeze" => {
                let axes = self.axes(node, "axes", 1, x.shape.len())?;
                let gone = |axis: usize| axes.as_ref().map_or(x.shape[axis] == 1, |axes| axes.contains(&axis));
                (0..x.shape.len()).filter(|axis| !gone(*axis)).map(|axis| x.shape[axis]).collect()
            }
            _ => {
                let count =
                    node.find_attribute("axes").map_or(self.ints(node, 1)?.unwrap_or_default().len(), |a| a.ints.len());
                let rank = x.shape.len() + count;
                let axes = self.axes(node, "axes", 1, rank)?.unwrap_or_default();
                let mut rest = x.shape.iter();
                (0..rank).map(|axis| if axes.contains(&axis) { 1 } else { rest.next().copied().unwrap_or(1) }).collect()
            }
        };
        if self.check(node, &shape)? != x.len() {
            return Err(Error::new(ErrorKind::Malformed, "a shape of another number of elements").node(node.label()));
        }
        Ok(Value { shape, ..x })
    }

    /// Several values along an axis.
    fn joined(&mut self, node: &NodeProto) -> Result<Value> {
        let parts = (0..node.input.len()).map(|i| self.input(node, i)).collect::<Result<Vec<_>>>()?;
        self.concat(node, &parts, int(node, "axis", -1))
    }

    /// `parts` along `axis`.
    pub(super) fn concat(&mut self, node: &NodeProto, parts: &[Value], axis: i64) -> Result<Value> {
        let Some(first) = parts.first() else { return Err(unsupported(node, "a join of nothing")) };
        let axis = axis_of(node, axis, first.shape.len())?;
        let mut shape = first.shape.clone();
        shape[axis] = 0;
        for part in parts {
            let mut like = part.shape.clone();
            let same = like.len() == shape.len() && {
                shape[axis] += like[axis];
                like[axis] = shape[axis];
                like == shape
            };
            if !same {
                return Err(
                    Error::new(ErrorKind::WrongShape, "parts of a join that do not fit each other").node(node.label())
                );
            }
        }
        self.check(node, &shape)?;
        let inner: usize = shape[axis + 1..].iter().product();
        let outer: usize = shape[..axis].iter().product();
        // Where each element of the whole lies: in which part, and where in it.
        let mut places = Vec::with_capacity(shape.iter().product());
        for o in 0..outer {
            for (p, part) in parts.iter().enumerate() {
                let run = part.shape[axis] * inner;
                places.extend((0..run).map(|i| (p, o * run + i)));
            }
        }
        let known: Option<Vec<&Vec<f32>>> =
            parts.iter().map(|p| if let Data::Known(items) = &p.data { Some(items) } else { None }).collect();
        if let Some(known) = known {
            return Ok(Value::known(&shape, first.kind, places.iter().map(|(p, i)| known[*p][*i]).collect()));
        }
        let spans: Vec<_> = parts.iter().map(|part| self.span(part)).collect();
        let mut span = self.program.join(&spans);
        if outer > 1 {
            let starts: Vec<usize> = parts
                .iter()
                .scan(0, |end, part| {
                    *end += part.len();
                    Some(*end - part.len())
                })
                .collect();
            let places: Vec<usize> = places.into_iter().map(|(p, i)| starts[p] + i).collect();
            span = self.program.gather(span, &places);
        }
        Ok(Value::slot(&shape, first.kind, span))
    }

    fn sliced(&mut self, node: &NodeProto) -> Result<Value> {
        let x = self.input(node, 0)?;
        let list = |name: &str, i: usize| -> Result<Option<Vec<i64>>> {
            match node.find_attribute(name) {
                Some(a) => Ok(Some(a.ints.clone())),
                None => self.ints(node, i),
            }
        };
        let (starts, ends) = (list("starts", 1)?.unwrap_or_default(), list("ends", 2)?.unwrap_or_default());
        let axes = list("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = self.ints(node, 4)?.unwrap_or_else(|| vec![1; starts.len()]);
        let mut kept: Vec<Vec<usize>> = x.shape.iter().map(|n| (0..*n).collect()).collect();
        for (i, axis) in axes.iter().enumerate() {
            let axis = axis_of(node, *axis, x.shape.len())?;
            let n = x.shape[axis] as i64;
            let (Some(start), Some(end), Some(step)) = (starts.get(i), ends.get(i), steps.get(i)) else {
                return Err(unsupported(node, "a slice whose lists differ in length"));
            };
            let at = |v: i64| if v < 0 { v.saturating_add(n) } else { v };
            let (mut from, to) = if *step > 0 {
                (at(*start).clamp(0, n), at(*end).clamp(0, n))
            } else {
                (at(*start).clamp(-1, n - 1), if *end < -n { -1 } else { at(*end).clamp(-1, n - 1) })
            };
            if *step == 0 {
                return Err(unsupported(node, "a slice with steps of 0"));
            }
            kept[axis].clear();
            while (*step > 0 && from < to) || (*step < 0 && from > to) {
                kept[axis].push(from as usize);
                from += step;
            }
        }
        Ok(self.picked(&x, &kept))
    }

    /// The elements of `x` at the places `kept` along each axis.
    pub(super) fn picked(&mut self, x: &Value, kept: &[Vec<usize>]) -> Value {
        let mut places = vec![0];
        for (kept, dim) in kept.iter().zip(&x.shape) {
            places = places.iter().flat_map(|place| kept.iter().map(move |i| place * dim + i)).collect();
        }
        let shape: Vec<usize> = kept.iter().map(Vec::len).collect();
        self.arranged(x, &shape, &places)
    }

    fn gathered(&mut self, node: &NodeProto) -> Result<Value> {
        let (x, at) = (self.input(node, 0)?, self.input(node, 1)?);
        let axis = axis_of(node, int(node, "axis", 0), x.shape.len())?;
        self.taken(node, &x, &at, axis)
    }

    /// The elements of `x` at the places `at` along `axis`, whose place the axes of `at` take.
    pub(super) fn taken(&mut self, node: &NodeProto, x: &Value, at: &Value, axis: usize) -> Result<Value> {
        let n = x.shape[axis];
        let mut shape = x.shape.clone();
        shape.splice(axis..=axis, at.shape.iter().copied());
        self.check(node, &shape)?;
        if let Data::Known(places) = &at.data {
            let mut kept: Vec<Vec<usize>> = x.shape.iter().map(|n| (0..*n).collect()).collect();
            kept[axis] = places
                .iter()
                .map(|place| {
                    let place = if *place < 0.0 { *place as i64 + n as i64 } else { *place as i64 };
                    usize::try_from(place).ok().filter(|place| *place < n)
                })
                .collect::<Option<_>>()
                .ok_or_else(|| unsupported(node, "an index past the end"))?;
            return Ok(Value { shape, ..self.picked(x, &kept) });
        }
        let outer: usize = x.shape[..axis].iter().product();
        let inner: usize = x.shape[axis + 1..].iter().product();
        if x.len() == 0 {
            return Err(unsupported(node, "an element of nothing"));
        }
        let span = match &x.data {
            Data::Known(items) if outer == 1 => {
                let places = self.span(at);
                self.program.rows(places, inner, items)
            }
            _ => {
                let from = self.span(x);
                let places: Vec<usize> = (0..outer).flat_map(|_| 0..at.len()).collect();
                let places = self.arranged(at, &[outer, at.len()], &places);
                let places = self.span(&places);
                self.program.pick(from, places, n, inner)
            }
        };
        Ok(Value::slot(&shape, x.kind, span))
    }

    /// `GatherElements`: each place stands for one element of its own row along the axis.
    fn elements(&mut self, node: &NodeProto) -> Result<Value> {
        let (x, at) = (self.input(node, 0)?, self.input(node, 1)?);
        let axis = axis_of(node, int(node, "axis", 0), x.shape.len())?;
        let same = x.shape.len() == at.shape.len()
            && (0..x.shape.len()).all(|other| other == axis || x.shape[other] == at.shape[other]);
        if !same || x.len() == 0 {
            return Err(unsupported(node, "elements at places of another shape"));
        }
        let (rows, places) = (self.axis_last(&x, axis), self.axis_last(&at, axis));
        let (from, at) = (self.span(&rows), self.span(&places));
        let span = self.program.pick(from, at, x.shape[axis], 1);
        Ok(self.axis_back(&Value::slot(&places.shape, x.kind, span), axis))
    }

    /// `Compress`: the places where a known condition holds.
    fn compressed(&mut self, node: &NodeProto) -> Result<Value> {
        let (mut x, condition) = (self.input(node, 0)?, self.known(node, 1)?.unwrap_or_default());
        let axis = match node.find_attribute("axis").and_then(|a| a.i) {
            Some(axis) => axis_of(node, axis, x.shape.len())?,
            None => {
                x.shape = vec![x.len()];
                0
            }
        };
        let places: Vec<f32> = (0..condition.len()).filter(|i| condition[*i] != 0.0).map(|i| i as f32).collect();
        self.taken(node, &x, &Value::known(&[places.len()], Kind::I64, places), axis)
    }

    fn transposed(&mut self, node: &NodeProto) -> Result<Value> {
        let x = self.input(node, 0)?;
        let rank = x.shape.len();
        let order = match node.find_attribute("perm") {
            Some(a) => a.ints.iter().map(|axis| axis_of(node, *axis, rank)).collect::<Result<Vec<_>>>()?,
            None => (0..rank).rev().collect(),
        };
        let mut seen = order.clone();
        seen.sort_unstable();
        if !seen.into_iter().eq(0..rank) {
            return Err(unsupported(node, "a transposition of some of the axes"));
        }
        Ok(self.permuted(&x, &order))
    }

    /// `x` with its axes in another order.
    pub(super) fn permuted(&mut self, x: &Value, order: &[usize]) -> Value {
        let step = |axis: usize| -> usize { x.shape[axis + 1..].iter().product() };
        let shape: Vec<usize> = order.iter().map(|axis| x.shape[*axis]).collect();
        let steps: Vec<usize> = order.iter().map(|axis| step(*axis)).collect();
        self.arranged(x, &shape, &strided(&shape, &steps))
    }

    /// `x` with `axis` behind the others.
    pub(super) fn axis_last(&mut self, x: &Value, axis: usize) -> Value {
        let order: Vec<usize> = (0..x.shape.len()).filter(|other| *other != axis).chain([axis]).collect();
        self.permuted(x, &order)
    }

    /// `x` with its last axis at `axis` again.
    pub(super) fn axis_back(&mut self, x: &Value, axis: usize) -> Value {
        let last = x.shape.len() - 1;
        let order: Vec<usize> = (0..axis).chain([last]).chain(axis..last).collect();
        self.permuted(x, &order)
    }

    /// `Split`, which gives several values.
    pub(super) fn split(&mut self, node: &NodeProto) -> Result<()> {
        let x = self.input(node, 0)?;
        let axis = axis_of(node, int(node, "axis", 0), x.shape.len())?;
        let count = node.output.len().max(1);
        let given = match node.find_attribute("split") {
            Some(a) => Some(a.ints.clone()),
            None => self.ints(node, 1)?,
        };
        let sizes: Vec<usize> = match given {
            Some(sizes) => sizes.iter().map(|n| usize::try_from(*n).unwrap_or(usize::MAX)).collect(),
            None => {
                let each = x.shape[axis].div_ceil(count);
                (0..count).map(|i| each.min(x.shape[axis].saturating_sub(i * each))).collect()
            }
        };
        let all = sizes.iter().try_fold(0usize, |sum, n| sum.checked_add(*n));
        if sizes.len() != count || all != Some(x.shape[axis]) {
            return Err(Error::new(ErrorKind::WrongShape, "parts that do not make up the whole").node(node.label()));
        }
        let mut from = 0;
        for (i, size) in sizes.into_iter().enumerate() {
            let mut kept: Vec<Vec<usize>> = x.shape.iter().map(|n| (0..*n).collect()).collect();
            kept[axis] = (from..from + size).collect();
            from += size;
            let part = self.picked(&x, &kept);
            self.give(node, i, part);
        }
        Ok(())
    }

    fn tiled(&mut self, node: &NodeProto) -> Result<Value> {
        let x = self.input(node, 0)?;
        let repeats = self.sizes(node, 1)?;
        if repeats.len() != x.shape.len() {
            return Err(Error::new(ErrorKind::WrongShape, "a repetition for each axis is needed").node(node.label()));
        }
        let shape = x.shape.iter().zip(&repeats).map(|(n, by)| n.saturating_mul(*by)).collect::<Vec<_>>();
        self.check(node, &shape)?;
        let kept: Vec<Vec<usize>> =
            x.shape.iter().zip(&shape).map(|(n, all)| (0..*all).map(|i| i % n).collect()).collect();
        Ok(self.picked(&x, &kept))
    }

    fn padded(&mut self, node: &NodeProto) -> Result<Value> {
        let x = self.input(node, 0)?;
        let rank = x.shape.len();
        let pads = match node.find_attribute("pads") {
            Some(a) => a.ints.clone(),
            None => self.ints(node, 1)?.unwrap_or_default(),
        };
        let axes = self.axes(node, "axes", 3, rank)?.unwrap_or_else(|| (0..rank).collect());
        if pads.len() != 2 * axes.len() {
            return Err(Error::new(ErrorKind::WrongShape, "two numbers for each axis are needed").node(node.label()));
        }
        let with = match node.find_attribute("value").and_then(|a| a.f) {
            Some(with) => with,
            None => self.known(node, 2)?.and_then(|items| items.first().copied()).unwrap_or(0.0),
        };
        let mode = super::learned::text(node, "mode", "constant");
        // For each axis, the element that stands at each place of the answer.
        let mut kept: Vec<Vec<Option<usize>>> = x.shape.iter().map(|n| (0..*n).map(Some).collect()).collect();
        for (i, axis) in axes.iter().enumerate() {
            let (n, before, behind) = (x.shape[*axis] as i64, pads[i], pads[axes.len() + i]);
            if before.max(behind).saturating_add(n) > self.max_elements as i64 {
                return Err(
                    Error::new(ErrorKind::LimitExceeded, "an axis is padded beyond the limits").node(node.label())
                );
            }
            let stands = |at: i64| match mode.as_str() {
                _ if (0..n).contains(&at) => Ok(Some(at as usize)),
                "constant" => Ok(None),
                "edge" if n > 0 => Ok(Some(at.clamp(0, n - 1) as usize)),
                "wrap" if n > 0 => Ok(Some(at.rem_euclid(n) as usize)),
                "reflect" if n > 1 => {
                    let at = at.rem_euclid(2 * (n - 1));
                    Ok(Some(if at < n { at } else { 2 * (n - 1) - at } as usize))
                }
                _ => Err(unsupported(node, "a padding of this mode")),
            };
            kept[*axis] = (-before..n + behind).map(stands).collect::<Result<_>>()?;
        }
        let shape: Vec<usize> = kept.iter().map(Vec::len).collect();
        self.check(node, &shape)?;
        Ok(self.windows(&x, &shape, &crossed(&kept, &x.shape), with))
    }

    /// Elements of `x`, or `with` where there is no place.
    pub(super) fn windows(&mut self, x: &Value, shape: &[usize], places: &[Option<usize>], with: f32) -> Value {
        let behind = x.len();
        let all: Vec<usize> = places.iter().map(|place| place.unwrap_or(behind)).collect();
        let whole = match &x.data {
            Data::Known(items) => Value::known(&[behind + 1], x.kind, items.iter().copied().chain([with]).collect()),
            Data::Slot(span) if all.contains(&behind) => {
                let with = self.program.constant(&[with]);
                Value::slot(&[behind + 1], x.kind, self.program.join(&[*span, with]))
            }
            Data::Slot(_) => x.clone(),
        };
        self.arranged(&whole, shape, &all)
    }

    fn filled(&mut self, node: &NodeProto) -> Result<Value> {
        let shape = self.sizes(node, 0)?;
        let count = self.check(node, &shape)?;
        let item = match node.find_attribute("value").and_then(|a| a.t.as_deref()) {
            Some(tensor) => self.tensor(tensor)?,
            None => Value::known(&[1], Kind::F32, vec![0.0]),
        };
        let Data::Known(items) = &item.data else { return Err(unsupported(node, "this value")) };
        Ok(Value::known(&shape, item.kind, vec![items.first().copied().unwrap_or(0.0); count]))
    }
}
