//! TopK.

use smallvec::smallvec;

use super::Group;
use super::common::{Ints, around, axis_of};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::value::{Data, Item, Shape, Value};
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("TopK", build)];

/// The k largest or smallest elements along an axis and their indices. Among equals the lower index wins. The answer
/// is sorted, best first, also where the file does not insist.
#[derive(Debug)]
struct TopK {
    k: Ints,
    axis: i64,
    largest: bool,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let k = match node.int("k")? {
        Some(k) => Ints::Known(vec![k]),
        None => Ints::input(node, 1)?,
    };
    match k.known() {
        None if k.is_absent() => return Err(node.malformed("TopK has no k")),
        Some([k]) if *k < 0 => return Err(node.malformed("the k of TopK is negative")),
        Some(k) if k.len() != 1 => return Err(node.malformed("the k of TopK must be one number")),
        _ => {}
    }
    Ok(Box::new(TopK { k, axis: node.int_or("axis", -1)?, largest: node.flag("largest", true)? }))
}

/// The most elements kept in order while scanning; more are selected and then sorted.
const SCANNED: usize = 64;

/// Finds the best `k` of one lane at a time.
struct Finder<T> {
    k: usize,
    largest: bool,
    best: Vec<T>,
    places: Vec<usize>,
}

impl<T: Item + Copy + PartialOrd> Finder<T> {
    #[inline(always)]
    fn beats<const LARGEST: bool>(a: T, b: T) -> bool {
        if LARGEST { a > b } else { a < b }
    }

    /// Leaves the places of the best elements of `lane` in `self.places`.
    fn find(&mut self, lane: &[T]) {
        if self.largest { self.find_by::<true>(lane) } else { self.find_by::<false>(lane) }
    }

    fn find_by<const LARGEST: bool>(&mut self, lane: &[T]) {
        #[allow(clippy::eq_op, reason = "only NaN differs from itself")]
        let has_nan = lane.iter().fold(false, |found, v| found | (v != v));
        if has_nan || self.k > SCANNED {
            self.by_sorting::<LARGEST>(lane);
        } else if self.k == 1 {
            let mut place = 0;
            for (i, &v) in lane.iter().enumerate() {
                if Self::beats::<LARGEST>(v, lane[place]) {
                    place = i;
                }
            }
            self.places.clear();
            self.places.push(place);
        } else {
            self.by_scanning::<LARGEST>(lane);
        }
    }

    /// Selects, then sorts. NaN counts as larger than every number, as in ONNX Runtime.
    fn by_sorting<const LARGEST: bool>(&mut self, lane: &[T]) {
        #[allow(clippy::eq_op, reason = "only NaN differs from itself")]
        let is_nan = |v: T| v != v;
        let before = |&i: &usize, &j: &usize| {
            let (a, b) = (lane[i], lane[j]);
            let order = a.partial_cmp(&b).unwrap_or_else(|| is_nan(a).cmp(&is_nan(b)));
            if LARGEST { order.reverse() } else { order }.then(i.cmp(&j))
        };
        self.places.clear();
        self.places.extend(0..lane.len());
        if self.k < lane.len() {
            self.places.select_nth_unstable_by(self.k, before);
            self.places.truncate(self.k);
        }
        self.places.sort_unstable_by(before);
    }

    /// Keeps the best in order; a run of elements that do not beat the worst of them is passed over at once.
    fn by_scanning<const LARGEST: bool>(&mut self, lane: &[T]) {
        let k = self.k;
        self.best.clear();
        self.places.clear();
        let mut insert = |i: usize, v: T| {
            if self.best.len() == k {
                self.best.pop();
                self.places.pop();
            }
            let at = self.best.iter().rposition(|&b| !Self::beats::<LARGEST>(v, b)).map_or(0, |p| p + 1);
            self.best.insert(at, v);
            self.places.insert(at, i);
            self.best.last().copied().filter(|_| self.best.len() == k)
        };
        let mut worst = None;
        for (i, &v) in lane.iter().enumerate().take(k) {
            worst = insert(i, v);
        }
        let Some(mut worst) = worst else { return };
        const RUN: usize = 32;
        for (run, values) in lane[k..].chunks(RUN).enumerate() {
            if !values.iter().fold(false, |any, &v| any | Self::beats::<LARGEST>(v, worst)) {
                continue;
            }
            for (i, &v) in values.iter().enumerate() {
                if Self::beats::<LARGEST>(v, worst) {
                    worst = insert(k + run * RUN + i, v).unwrap_or(worst);
                }
            }
        }
    }
}

impl TopK {
    fn find<'v, T: Item + Copy + PartialOrd>(
        &self,
        value: &Value<'_>,
        items: &[T],
        k: usize,
        cx: &mut Scratch,
    ) -> Result<Outs<'v>> {
        let axis = axis_of(self.axis, value.rank())?;
        let (outer, n, inner) = around(value.shape(), axis);
        if k > n {
            return Err(Error::new(ErrorKind::InvalidValue, "TopK asks for more elements than there are")
                .expected(format!("at most {n}"))
                .actual(k));
        }
        let mut shape = Shape::from_slice(value.shape());
        shape[axis] = k;
        let count = outer * k * inner;
        let (mut values, mut indices) = (cx.buffer::<T>(count), cx.buffer::<i64>(count));
        let mut finder = Finder { k, largest: self.largest, best: Vec::new(), places: Vec::new() };
        if count == 0 {
        } else if inner == 1 {
            for lane in items.chunks_exact(n) {
                finder.find(lane);
                values.extend(finder.places.iter().map(|&p| lane[p]));
                indices.extend(finder.places.iter().map(|&p| p as i64));
            }
        } else {
            values.resize(count, T::default());
            indices.resize(count, 0);
            let mut lane = Vec::with_capacity(n);
            for (o, block) in items.chunks_exact(n * inner).enumerate() {
                for j in 0..inner {
                    lane.clear();
                    lane.extend(block[j..].iter().step_by(inner).copied());
                    finder.find(&lane);
                    for (l, &place) in finder.places.iter().enumerate() {
                        let at = (o * k + l) * inner + j;
                        (values[at], indices[at]) = (lane[place], place as i64);
                    }
                }
            }
        }
        Ok(smallvec![Value::new(shape.clone(), values), Value::new(shape, indices)])
    }
}

impl Op for TopK {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let k = match *self.k.get(args)? {
            [k] => usize::try_from(k).map_err(|_| Error::new(ErrorKind::InvalidValue, "the k of TopK is negative"))?,
            _ => return Err(Error::new(ErrorKind::WrongShape, "the k of TopK must be one number")),
        };
        let value = args.get(0)?;
        match value.data() {
            Data::F32(items) => self.find::<f32>(value, items, k, cx),
            Data::F64(items) => self.find::<f64>(value, items, k, cx),
            Data::F16(items) => self.find::<half::f16>(value, items, k, cx),
            Data::Bf16(items) => self.find::<half::bf16>(value, items, k, cx),
            Data::U8(items) => self.find::<u8>(value, items, k, cx),
            Data::U16(items) => self.find::<u16>(value, items, k, cx),
            Data::U32(items) => self.find::<u32>(value, items, k, cx),
            Data::U64(items) => self.find::<u64>(value, items, k, cx),
            Data::I8(items) => self.find::<i8>(value, items, k, cx),
            Data::I16(items) => self.find::<i16>(value, items, k, cx),
            Data::I32(items) => self.find::<i32>(value, items, k, cx),
            Data::I64(items) => self.find::<i64>(value, items, k, cx),
            _ => Err(value.type_error("a number")),
        }
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.first().is_some_and(|i| i.varies_signed(self.axis))
    }
}
