//! Reductions: sums, means, extremes and norms along axes.

use std::fmt::Debug;
use std::marker::PhantomData;

use smallvec::smallvec;

use super::axes::{self, Axes};
use super::broadcast::Plan;
use super::cast;
use super::dispatch::numbers;
use super::num::{Float, Num};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::value::{Data, Value};
use crate::{DType, Result};

pub(super) const GROUP: Group = &[
    ("ReduceSum", build::<Sum>),
    ("ReduceMean", build::<Mean>),
    ("ReduceMax", build::<Max>),
    ("ReduceMin", build::<Min>),
    ("ReduceProd", build::<Prod>),
    ("ReduceSumSquare", build::<SumSquare>),
    ("ReduceL1", build::<L1>),
    ("ReduceL2", build::<L2>),
    ("ReduceLogSum", build::<LogSum>),
    ("ReduceLogSumExp", build::<LogSumExp>),
];

/// How many sums run side by side, so that they fit the lanes of SIMD registers.
const LANES: usize = 16;

/// A way to make one number of many.
pub(super) trait Fold: Debug + Send + Sync + 'static {
    /// Whether booleans are taken.
    const BOOLEANS: bool = false;
    /// Whether the first element of a group stays when no other beats it: NaN there wins, and loses elsewhere, as in
    /// ONNX Runtime (where rows are too short for SIMD).
    const FROM_FIRST: bool = false;
    /// What no elements give.
    fn start<T: Num>() -> T {
        T::ZERO
    }
    /// What is done to each element first.
    fn map<T: Num>(x: T) -> T {
        x
    }
    fn join<T: Num>(a: T, b: T) -> T {
        a.plus(b)
    }
    /// What is done to the result for `n` elements.
    fn finish<T: Num>(all: T, _n: usize) -> T {
        all
    }
}

macro_rules! folds {
    ($($(#[$doc:meta])* $name:ident { $($body:item)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(super) struct $name;

        impl Fold for $name {
            $($body)*
        }
    )*};
}

folds! {
    /// The sum.
    Sum {}
    /// The mean; 0 of no elements.
    Mean {
        fn finish<T: Num>(all: T, n: usize) -> T {
            if n == 0 { all } else { all.over(T::from_double(n as f64)) }
        }
    }
    /// The largest element.
    Max {
        const BOOLEANS: bool = true;
        const FROM_FIRST: bool = true;
        fn start<T: Num>() -> T {
            T::LEAST
        }
        #[inline(always)]
        fn join<T: Num>(a: T, b: T) -> T {
            if b > a { b } else { a }
        }
    }
    /// The smallest element.
    Min {
        const BOOLEANS: bool = true;
        const FROM_FIRST: bool = true;
        fn start<T: Num>() -> T {
            T::GREATEST
        }
        #[inline(always)]
        fn join<T: Num>(a: T, b: T) -> T {
            if b < a { b } else { a }
        }
    }
    /// The product.
    Prod {
        fn start<T: Num>() -> T {
            T::ONE
        }
        #[inline(always)]
        fn join<T: Num>(a: T, b: T) -> T {
            a.times(b)
        }
    }
    /// The sum of squares.
    SumSquare {
        #[inline(always)]
        fn map<T: Num>(x: T) -> T {
            x.times(x)
        }
    }
    /// The sum of magnitudes.
    L1 {
        #[inline(always)]
        fn map<T: Num>(x: T) -> T {
            x.magnitude()
        }
    }
    /// The root of the sum of squares.
    L2 {
        #[inline(always)]
        fn map<T: Num>(x: T) -> T {
            x.times(x)
        }
        fn finish<T: Num>(all: T, _n: usize) -> T {
            T::from_double(all.to_double().sqrt())
        }
    }
    /// The logarithm of the sum.
    LogSum {
        fn finish<T: Num>(all: T, _n: usize) -> T {
            T::from_double(all.to_double().ln())
        }
    }
}

/// One reduction over numbers of one type.
trait Reduction: Debug + Send + Sync + 'static {
    /// Whether booleans are taken.
    const BOOLEANS: bool;
    /// Whether the logarithm is in it, so that integers are computed as floats.
    const FLOATS: bool;

    /// `items` of `shape` brought to `kept`, which has length 1 along the axes that are reduced, into `out`.
    fn reduce(value: &Value<'_>, kept: &[usize], cx: &mut Scratch) -> Result<Value<'static>>;
}

impl<F: Fold> Reduction for F {
    const BOOLEANS: bool = F::BOOLEANS;
    const FLOATS: bool = false;

    fn reduce(value: &Value<'_>, kept: &[usize], cx: &mut Scratch) -> Result<Value<'static>> {
        let count = cx.check_shape(kept)?;
        numbers!(value.data(), T, items => {
            let mut out = cx.buffer::<T>(count);
            fold::<T, F>(items, value.shape(), kept, count, &mut out);
            Ok(Value::new(kept, out))
        }, Err(value.type_error("a number")))
    }
}

/// The logarithm of the sum of the powers of e.
#[derive(Debug)]
struct LogSumExp;

impl Reduction for LogSumExp {
    const BOOLEANS: bool = false;
    const FLOATS: bool = true;

    fn reduce(value: &Value<'_>, kept: &[usize], cx: &mut Scratch) -> Result<Value<'static>> {
        let count = cx.check_shape(kept)?;
        Ok(match value.data() {
            Data::F32(items) => log_sum_exp(items, value.shape(), kept, count, cx),
            Data::F64(items) => log_sum_exp(items, value.shape(), kept, count, cx),
            _ => return Err(value.type_error("a number")),
        })
    }
}

fn log_sum_exp<F: Float>(
    items: &[F],
    shape: &[usize],
    kept: &[usize],
    count: usize,
    cx: &mut Scratch,
) -> Value<'static> {
    let mut largest = cx.buffer::<F>(count);
    fold::<F, Max>(items, shape, kept, count, &mut largest);
    // What is infinite or NaN says so without help.
    largest.iter_mut().for_each(|x| {
        if x.minus(*x) != F::ZERO {
            *x = F::ZERO;
        }
    });
    let mut sums = cx.buffer::<F>(count);
    sums.resize(count, F::ZERO);
    Plan::new(shape, [shape, kept]).runs(|[i, o], n, [_, step]| {
        let run = &items[i..i + n];
        if step == 0 {
            sums[o] = sums[o].plus(total(run, |x| x.minus(largest[o]).exp()));
        } else {
            let groups = sums[o..o + n].iter_mut().zip(&largest[o..o + n]);
            groups.zip(run).for_each(|((sum, &most), &x)| *sum = sum.plus(x.minus(most).exp()));
        }
    });
    sums.iter_mut().zip(&largest).for_each(|(sum, &most)| *sum = sum.ln().plus(most));
    cx.recycle_buffer(largest);
    Value::new(kept, sums)
}

/// The sum of `f` over a run.
#[inline(always)]
pub(super) fn total<T: Num>(run: &[T], f: impl Fn(T) -> T) -> T {
    let (chunks, rest) = run.as_chunks::<LANES>();
    let mut all = T::ZERO;
    if !chunks.is_empty() {
        let mut lanes = [T::ZERO; LANES];
        for chunk in chunks {
            for (lane, &x) in lanes.iter_mut().zip(chunk) {
                *lane = lane.plus(f(x));
            }
        }
        all = lanes.into_iter().fold(T::ZERO, T::plus);
    }
    rest.iter().fold(all, |all, &x| all.plus(f(x)))
}

/// All of a run made one.
#[inline(always)]
pub(super) fn fold_run<T: Num, F: Fold>(run: &[T]) -> T {
    let (chunks, rest) = run.as_chunks::<LANES>();
    let mut all = F::start::<T>();
    if !chunks.is_empty() {
        let mut lanes = [F::start::<T>(); LANES];
        for chunk in chunks {
            for (lane, &x) in lanes.iter_mut().zip(chunk) {
                *lane = F::join(*lane, F::map(x));
            }
        }
        all = lanes.into_iter().fold(all, F::join);
    }
    rest.iter().fold(all, |all, &x| F::join(all, F::map(x)))
}

/// `items` of `shape` brought to the `count` elements of `kept`, into `out`.
pub(super) fn fold<T: Num, F: Fold>(items: &[T], shape: &[usize], kept: &[usize], count: usize, out: &mut Vec<T>) {
    out.clear();
    if F::FROM_FIRST && T::IS_FLOAT && !items.is_empty() {
        firsts(items, shape, kept, out);
    } else {
        out.resize(count, F::start());
    }
    match one_block(shape, kept) {
        _ if items.is_empty() => {}
        Some([along, 1]) => {
            out.iter_mut()
                .zip(items.chunks_exact(along))
                .for_each(|(all, run)| *all = F::join(*all, fold_run::<T, F>(run)));
        }
        Some([along, after]) => {
            for (all, layers) in out.chunks_exact_mut(after).zip(items.chunks_exact(along * after)) {
                layers.chunks_exact(after).for_each(|run| join_all::<T, F>(all, run));
            }
        }
        None => Plan::new(shape, [shape, kept]).runs(|[i, o], n, [_, step]| {
            let run = &items[i..i + n];
            match step {
                0 => out[o] = F::join(out[o], fold_run::<T, F>(run)),
                _ => join_all::<T, F>(&mut out[o..o + n], run),
            }
        }),
    }
    let per_group = items.len().checked_div(count).unwrap_or(0);
    out.iter_mut().for_each(|all| *all = F::finish(*all, per_group));
}

/// Takes one more element into each of the results.
#[inline(always)]
fn join_all<T: Num, F: Fold>(all: &mut [T], run: &[T]) {
    all.iter_mut().zip(run).for_each(|(all, &x)| *all = F::join(*all, F::map(x)));
}

/// When the axes that are reduced lie side by side: the elements along them, and those after them.
fn one_block(shape: &[usize], kept: &[usize]) -> Option<[usize; 2]> {
    let gone = |axis: &usize| shape[*axis] != kept[*axis];
    let Some(first) = (0..shape.len()).find(gone) else { return Some([1, axes::product(shape)]) };
    let last = (first..shape.len()).rfind(gone)?;
    (first..last)
        .all(|axis| kept[axis] == 1)
        .then(|| [axes::product(&shape[first..=last]), axes::product(&shape[last + 1..])])
}

/// The first element of every group, at the end of `out`.
fn firsts<T: Num>(items: &[T], shape: &[usize], kept: &[usize], out: &mut Vec<T>) {
    let (mut size, mut axes) = (1, shape.iter().rev());
    let plan = Plan::with_steps(kept, |_| {
        let step = size;
        size *= axes.next().copied().unwrap_or(1);
        [step]
    });
    plan.runs(|[i], n, [step]| out.extend((0..n).map(|k| items[i + k * step])));
}

/// A reduction along some axes.
#[derive(Debug)]
struct Reduce<R> {
    axes: Axes,
    keep: bool,
    /// Whether no axes mean all of them, not none.
    all: bool,
    reduction: PhantomData<R>,
}

fn build<R: Reduction>(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let axes = Axes::of(node, 1)?;
    let (keep, all) = (node.flag("keepdims", true)?, !node.flag("noop_with_empty_axes", false)?);
    Ok(Box::new(Reduce::<R> { axes, keep, all, reduction: PhantomData }))
}

impl<R: Reduction> Op for Reduce<R> {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let mask = self.axes.mask(args, value.rank(), self.all)?;
        let out = in_type::<R>(value, &mask.ones_in(value.shape()), cx)?;
        Ok(smallvec![if self.keep { out } else { Value::from_parts(mask.out_of(value.shape()), out.into_data()) }])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        self.axes.vary(inputs.first(), self.all)
    }
}

/// The reduction of elements of any type, in the type that it is computed in.
fn in_type<R: Reduction>(value: &Value<'_>, kept: &[usize], cx: &mut Scratch) -> Result<Value<'static>> {
    let dtype = value.dtype().ok_or_else(|| value.type_error("a number"))?;
    let through = match dtype {
        DType::F16 | DType::Bf16 => DType::F32,
        DType::Bool if R::BOOLEANS => DType::U8,
        DType::Bool | DType::String => return Err(value.type_error("a number")),
        dtype if R::FLOATS && dtype.is_integer() => DType::F64,
        _ => return R::reduce(value, kept, cx),
    };
    let wide = cast::cast(value, through, cx)?;
    let reduced = R::reduce(&wide, kept, cx)?;
    cx.recycle(wide);
    cast::cast(&reduced, dtype, cx)
}
