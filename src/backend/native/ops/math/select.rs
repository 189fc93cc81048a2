//! Choice between two operands, and values kept within bounds.

use smallvec::smallvec;

use super::broadcast::{self, Plan};
use super::dispatch::{self, numbers};
use super::num::Num;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::value::{Item, Shape, Value, typed};
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group =
    &[("Where", |_| Ok(Box::new(Where))), ("Clip", clip), ("PRelu", |_| Ok(Box::new(PRelu)))];

/// Input 1 where input 0 holds, else input 2.
#[derive(Debug)]
struct Where;

impl Op for Where {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (condition, yes, no) = (args.get(0)?, args.get(1)?, args.get(2)?);
        let shapes = [condition.shape(), yes.shape(), no.shape()];
        let holds = condition.as_slice::<bool>()?;
        let shape = broadcast::broadcast(shapes)?;
        let count = cx.check_shape(&shape)?;
        let plan = Plan::new(&shape, shapes);
        Ok(smallvec![typed!(yes.data(), T, yes => {
            let mut out = cx.buffer::<T>(count);
            choose::<T>(&plan, holds, yes, no.as_slice::<T>()?, &mut out);
            Value::new(shape, out)
        }, _seq => return Err(yes.type_error("a tensor")))])
    }

    fn mixes_rows(&self, _inputs: &[Flow], outputs: &[Flow]) -> bool {
        broadcast::crosses(outputs)
    }
}

/// The chosen elements at the end of `out`.
fn choose<T: Item>(plan: &Plan<3>, holds: &[bool], yes: &[T], no: &[T], out: &mut Vec<T>) {
    let pick = |c: bool, y: &T, n: &T| if c { y.clone() } else { n.clone() };
    plan.runs(|[i, j, k], n, steps| match steps {
        [1, 1, 1] => {
            let pairs = yes[j..j + n].iter().zip(&no[k..k + n]);
            out.extend(holds[i..i + n].iter().zip(pairs).map(|(&c, (y, n))| pick(c, y, n)));
        }
        [1, 1, _] => out.extend(holds[i..i + n].iter().zip(&yes[j..j + n]).map(|(&c, y)| pick(c, y, &no[k]))),
        [1, _, 1] => out.extend(holds[i..i + n].iter().zip(&no[k..k + n]).map(|(&c, n)| pick(c, &yes[j], n))),
        [1, _, _] => out.extend(holds[i..i + n].iter().map(|&c| pick(c, &yes[j], &no[k]))),
        [_, s, t] => {
            let (from, at, step) = if holds[i] { (yes, j, s) } else { (no, k, t) };
            match step {
                1 => out.extend_from_slice(&from[at..at + n]),
                _ => out.extend(std::iter::repeat_n(&from[at], n).cloned()),
            }
        }
    });
}

/// Every element brought between two bounds; NaN stays.
#[derive(Debug)]
struct Clip {
    /// The bounds of operator sets before 11; since then they are inputs 1 and 2.
    attributes: Option<[f32; 2]>,
}

fn clip(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let attributes = match node.opset() < 11 {
        true => Some([node.float_or("min", f32::MIN)?, node.float_or("max", f32::MAX)?]),
        false => None,
    };
    Ok(Box::new(Clip { attributes }))
}

impl Op for Clip {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = dispatch::own(args, 0, cx)?;
        if value.dtype().is_none_or(|d| !d.is_float() && !d.is_integer()) {
            return Err(value.type_error("a number"));
        }
        let shape = Shape::from_slice(value.shape());
        let value = numbers!(value.into_data(), T, items => {
            let [low, high] = match self.attributes {
                Some(bounds) => bounds.map(|b| T::from_double(b.into())),
                None => [bound::<T>(args.opt(1), T::FINITE[0])?, bound::<T>(args.opt(2), T::FINITE[1])?],
            };
            let mut items: Vec<T> = items.into_owned();
            items.iter_mut().for_each(|x| *x = clipped(*x, low, high));
            Value::new(shape, items)
        }, Value::default());
        Ok(smallvec![value])
    }

    fn mixes_rows(&self, _inputs: &[Flow], _outputs: &[Flow]) -> bool {
        false
    }
}

/// `x` between `low` and `high`, which is the stronger one; a bound that is NaN is none.
#[inline(always)]
fn clipped<T: Num>(x: T, low: T, high: T) -> T {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// The one element of a bound.
fn bound<T: Num>(value: Option<&Value<'_>>, default: T) -> Result<T> {
    let Some(value) = value else { return Ok(default) };
    match value.as_slice::<T>()? {
        [bound] => Ok(*bound),
        more => Err(Error::new(ErrorKind::WrongShape, "a bound of Clip must be one number").actual(more.len())),
    }
}

/// Input 0, multiplied by input 1 below zero.
#[derive(Debug)]
struct PRelu;

impl Op for PRelu {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = dispatch::own(args, 0, cx)?;
        let slope = args.get(1)?;
        if value.dtype().is_none_or(|d| !d.is_float() && !d.is_integer()) {
            return Err(value.type_error("a number"));
        }
        let shape = Shape::from_slice(value.shape());
        let aligned = slopes(&shape, slope.shape())?;
        let plan = Plan::new(&shape, [&shape, &aligned]);
        let value = numbers!(value.into_data(), T, items => {
            let mut items: Vec<T> = items.into_owned();
            broadcast::zip_in_place(&plan, &mut items, slope.as_slice::<T>()?, |x: T, s: T| {
                if x.is_negative_number() { x.times(s) } else { x }
            });
            Value::new(shape, items)
        }, Value::default());
        Ok(smallvec![value])
    }

    fn mixes_rows(&self, _inputs: &[Flow], outputs: &[Flow]) -> bool {
        broadcast::crosses(outputs)
    }
}

/// The shape of the slopes, stretched to `shape`; before broadcasting came, one slope a channel stood without the axes
/// after it.
fn slopes(shape: &[usize], slope: &[usize]) -> Result<Shape> {
    if broadcast::fits(slope, shape) {
        return Ok(Shape::from_slice(slope));
    }
    match *slope {
        [channels] if shape.get(1) == Some(&channels) => {
            let mut aligned = Shape::from_slice(&[channels]);
            aligned.extend(std::iter::repeat_n(1, shape.len() - 2));
            Ok(aligned)
        }
        _ => Err(Error::new(ErrorKind::WrongShape, "the slopes of PRelu do not fit the input")
            .expected(crate::tensor::shape_text(shape))
            .actual(crate::tensor::shape_text(slope))),
    }
}
