//! Operators that make tensors out of little: ConstantOfShape, Range, EyeLike, OneHot.

use smallvec::smallvec;

use super::Group;
use super::common::{Ints, axis_of, no_sequence, one_expected, spreads, volume};
use crate::backend::native::analyze::dtype;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::value::{Data, Item, Shape, Value, typed};
use crate::tensor::shape_text;
use crate::{DType, Error, ErrorKind, Result};

pub(super) const GROUP: Group =
    &[("ConstantOfShape", constant_of_shape), ("Range", range), ("EyeLike", eye_like), ("OneHot", one_hot)];

/// The same value in every place of the shape in input 0.
#[derive(Debug)]
struct ConstantOfShape {
    shape: Ints,
    value: Value<'static>,
}

fn constant_of_shape(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let value = node.tensor("value")?.unwrap_or_else(|| Value::scalar(0.0f32));
    if value.len() != 1 {
        return Err(node.malformed("`value` of ConstantOfShape must hold one element"));
    }
    let shape = Ints::input(node, 0)?;
    if shape.known().is_some_and(|s| s.iter().any(|&d| d < 0)) {
        return Err(node.malformed("a dimension of ConstantOfShape is negative"));
    }
    Ok(Box::new(ConstantOfShape { shape, value }))
}

impl Op for ConstantOfShape {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let shape = self
            .shape
            .get(args)?
            .iter()
            .map(|&d| usize::try_from(d))
            .collect::<std::result::Result<Shape, _>>()
            .map_err(|_| Error::new(ErrorKind::InvalidValue, "a dimension of ConstantOfShape is negative"))?;
        let n = cx.check_shape(&shape)?;
        typed!(self.value.data(), T, items => {
            Ok(smallvec![Value::new(shape, repeated::<T>(&items[0], n, cx))])
        }, _seq => Err(no_sequence()))
    }

    fn mixes_rows(&self, _inputs: &[Flow], _outputs: &[Flow]) -> bool {
        false
    }
}

/// `item`, n times.
fn repeated<T: Item>(item: &T, n: usize, cx: &mut Scratch) -> Vec<T> {
    let mut out = cx.buffer::<T>(n);
    out.resize(n, item.clone());
    out
}

/// Writes `item` to some places.
fn put<T: Item>(out: &mut [T], places: impl Iterator<Item = usize>, item: &T) {
    places.for_each(|at| out[at] = item.clone());
}

/// The numbers from input 0 to before input 1, input 2 apart.
#[derive(Debug)]
struct Range;

fn range(_node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Range))
}

fn one<T: Item + Copy>(value: &Value<'_>) -> Result<T> {
    match value.as_slice::<T>()? {
        &[one] => Ok(one),
        _ => Err(one_expected(value)),
    }
}

/// The number of steps: the distance over the step, rounded up.
fn steps(distance: f64, step: f64) -> Result<usize> {
    let n = (distance / step).ceil();
    if step == 0.0 || !n.is_finite() {
        return Err(Error::new(ErrorKind::InvalidValue, "Range needs finite limits and a step that is not 0"));
    }
    Ok(if n > 0.0 { n as usize } else { 0 })
}

/// The same for whole numbers.
fn whole_steps(start: i64, limit: i64, step: i64) -> Result<usize> {
    if step == 0 {
        return Err(Error::new(ErrorKind::InvalidValue, "the step of Range is 0"));
    }
    let (distance, step) = (i128::from(limit) - i128::from(start), i128::from(step));
    let n = if (distance > 0) == (step > 0) { (distance.abs() + step.abs() - 1) / step.abs() } else { 0 };
    Ok(usize::try_from(n).unwrap_or(usize::MAX))
}

fn filled<T: Item>(n: usize, cx: &mut Scratch, f: impl FnMut(usize) -> T) -> Result<Value<'static>> {
    cx.check_shape(&[n])?;
    let mut out = cx.buffer::<T>(n);
    out.extend((0..n).map(f));
    Ok(Value::new([n].as_slice(), out))
}

impl Op for Range {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (start, limit, step) = (args.get(0)?, args.get(1)?, args.get(2)?);
        macro_rules! whole {
            ($t:ty) => {{
                let (a, b, d) = (one::<$t>(start)?, one::<$t>(limit)?, one::<$t>(step)?);
                let n = whole_steps(a.into(), b.into(), d.into())?;
                filled(n, cx, |i| a.wrapping_add((i as $t).wrapping_mul(d)))?
            }};
        }
        macro_rules! real {
            ($t:ty) => {{
                let (a, b, d) = (one::<$t>(start)?, one::<$t>(limit)?, one::<$t>(step)?);
                // Counted in the element type, and by repeated addition, as ONNX Runtime does.
                let n = steps((b - a).into(), d.into())?;
                let mut next = a;
                filled(n, cx, |_| {
                    let now = next;
                    next += d;
                    now
                })?
            }};
        }
        macro_rules! half {
            ($t:ty) => {{
                let [a, b, d] = [one::<$t>(start)?, one::<$t>(limit)?, one::<$t>(step)?].map(|x| x.to_f64());
                let n = steps(b - a, d)?;
                filled(n, cx, |i| <$t>::from_f64(a + i as f64 * d))?
            }};
        }
        Ok(smallvec![match start.data() {
            Data::F16(_) => half!(half::f16),
            Data::Bf16(_) => half!(half::bf16),
            Data::I64(_) => whole!(i64),
            Data::I32(_) => whole!(i32),
            Data::I16(_) => whole!(i16),
            Data::F32(_) => real!(f32),
            Data::F64(_) => real!(f64),
            _ => return Err(start.type_error("a float, i16, i32 or i64")),
        }])
    }

    fn mixes_rows(&self, _inputs: &[Flow], outputs: &[Flow]) -> bool {
        outputs.iter().any(Flow::any)
    }
}

/// Ones on a diagonal of zeros, in the shape of input 0.
#[derive(Debug)]
struct EyeLike {
    dtype: Option<DType>,
    k: i64,
}

fn eye_like(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let wanted = match node.int("dtype")? {
        None => None,
        Some(code) => Some(
            i32::try_from(code)
                .ok()
                .and_then(dtype)
                .ok_or_else(|| node.unsupported(format!("EyeLike in the element type of code {code}")))?,
        ),
    };
    if wanted == Some(DType::String) {
        return Err(node.malformed("EyeLike has no strings"));
    }
    Ok(Box::new(EyeLike { dtype: wanted, k: node.int_or("k", 0)? }))
}

/// The value 1 of an element type.
fn unit(dtype: DType) -> Option<Value<'static>> {
    Some(match dtype {
        DType::Bool => Value::scalar(true),
        DType::U8 => Value::scalar(1u8),
        DType::U16 => Value::scalar(1u16),
        DType::U32 => Value::scalar(1u32),
        DType::U64 => Value::scalar(1u64),
        DType::I8 => Value::scalar(1i8),
        DType::I16 => Value::scalar(1i16),
        DType::I32 => Value::scalar(1i32),
        DType::I64 => Value::scalar(1i64),
        DType::F16 => Value::scalar(half::f16::ONE),
        DType::Bf16 => Value::scalar(half::bf16::ONE),
        DType::F32 => Value::scalar(1f32),
        DType::F64 => Value::scalar(1f64),
        _ => return None,
    })
}

impl Op for EyeLike {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let like = args.get(0)?;
        let &[rows, columns] = like.shape() else {
            return Err(Error::new(ErrorKind::WrongShape, "EyeLike takes a matrix").actual(shape_text(like.shape())));
        };
        let one = self.dtype.or(like.dtype()).and_then(unit).ok_or_else(|| like.type_error("a number"))?;
        let n = cx.check_shape(&[rows, columns])?;
        typed!(one.data(), T, items => {
            let mut out = repeated::<T>(&T::default(), n, cx);
            let place = |row: usize| {
                let column = (row as i64).checked_add(self.k).and_then(|c| usize::try_from(c).ok());
                column.filter(|&c| c < columns).map(|column| row * columns + column)
            };
            put(&mut out, (0..rows).filter_map(place), &items[0]);
            Ok(smallvec![Value::new([rows, columns].as_slice(), out)])
        }, _seq => Err(no_sequence()))
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.iter().any(Flow::any)
    }
}

/// A new axis with one place for each of `depth` values, on where the index points and off elsewhere.
#[derive(Debug)]
struct OneHot {
    axis: i64,
}

fn one_hot(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(OneHot { axis: node.int_or("axis", -1)? }))
}

/// Numbers cut to whole ones.
fn whole(value: &Value<'_>) -> Result<Vec<i64>> {
    Ok(match value.data() {
        Data::F32(items) => items.iter().map(|&f| f as i64).collect(),
        Data::F64(items) => items.iter().map(|&f| f as i64).collect(),
        Data::F16(_) | Data::Bf16(_) => value.to_f32s()?.iter().map(|&f| f as i64).collect(),
        Data::U16(items) => items.iter().map(|&i| i.into()).collect(),
        Data::I16(items) => items.iter().map(|&i| i.into()).collect(),
        Data::U32(items) => items.iter().map(|&i| i.into()).collect(),
        Data::U64(items) => items.iter().map(|&i| i64::try_from(i).unwrap_or(i64::MAX)).collect(),
        _ => value.to_i64s()?,
    })
}

impl Op for OneHot {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (indices, depth, values) = (args.get(0)?, whole(args.get(1)?)?, args.get(2)?);
        let depth = match depth.as_slice() {
            [n] if *n > 0 => *n,
            _ => return Err(Error::new(ErrorKind::InvalidValue, "the depth of OneHot must be one positive number")),
        };
        if values.len() != 2 || values.rank() != 1 {
            return Err(one_expected(values).expected("the two values off and on"));
        }
        let axis = axis_of(self.axis, indices.rank() + 1)?;
        let mut shape = Shape::from_slice(indices.shape());
        shape.insert(axis, usize::try_from(depth).unwrap_or(usize::MAX));
        let n = cx.check_shape(&shape)?;
        let places = whole(indices)?;
        let inner = volume(&indices.shape()[axis..]);
        let depth_places = shape[axis];
        typed!(values.data(), T, items => {
            let mut out = repeated::<T>(&items[0], n, cx);
            let on = places.iter().enumerate().filter_map(|(at, &place)| {
                let place = if place < 0 { place.saturating_add(depth) } else { place };
                let (before, after) = (at / inner, at % inner);
                (0..depth).contains(&place).then(|| (before * depth_places + place as usize) * inner + after)
            });
            put(&mut out, on, &items[1]);
            Ok(smallvec![Value::new(shape, out)])
        }, _seq => Err(no_sequence()))
    }

    fn mixes_rows(&self, _inputs: &[Flow], outputs: &[Flow]) -> bool {
        spreads(outputs)
    }
}
