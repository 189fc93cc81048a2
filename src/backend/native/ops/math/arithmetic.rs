//! Arithmetic of two operands, and the same over any number of them.

use std::any::TypeId;
use std::fmt::Debug;
use std::marker::PhantomData;

use smallvec::smallvec;

use super::binary::{self, Align};
use super::broadcast::{self, Plan};
use super::dispatch::{self, numbers};
use super::num::Num;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, RowMap, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::value::{Data, Item, Shape, Value};
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[
    ("Add", build::<Add>),
    ("Sub", build::<Sub>),
    ("Mul", build::<Mul>),
    ("Div", build::<Div>),
    ("Mod", modulo),
    ("Sum", variadic::<Add>),
    ("Max", variadic::<Larger>),
    ("Min", variadic::<Smaller>),
    ("Mean", mean),
];

/// A function of two numbers of one type.
pub(crate) trait Pairing: Debug + Send + Sync + 'static {
    /// Whether the order does not matter.
    const COMMUTES: bool;
    /// Whether floats are taken.
    const FLOATS: bool = true;

    fn at<T: Num>(a: T, b: T) -> T;
}

macro_rules! pairings {
    ($($(#[$doc:meta])* $name:ident, $commutes:literal: ($a:ident, $b:ident) => $body:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name;

        impl Pairing for $name {
            const COMMUTES: bool = $commutes;

            #[inline(always)]
            fn at<T: Num>($a: T, $b: T) -> T {
                $body
            }
        }
    )*};
}

pairings! {
    /// The sum.
    Add, true: (a, b) => a.plus(b);
    /// The difference.
    Sub, false: (a, b) => a.minus(b);
    /// The product.
    Mul, true: (a, b) => a.times(b);
    /// The quotient; for integers towards zero, and 0 when the divisor is 0, as numpy has it.
    Div, false: (a, b) => a.over(b);
    /// The larger one; NaN when one is NaN.
    Larger, true: (a, b) => a.larger(b);
    /// The smaller one; NaN when one is NaN.
    Smaller, true: (a, b) => a.smaller(b);
    /// The remainder with the sign of the dividend.
    Remainder, false: (a, b) => a.remainder(b);
}

/// The remainder with the sign of the divisor.
#[derive(Debug)]
struct Modulo;

impl Pairing for Modulo {
    const COMMUTES: bool = false;
    const FLOATS: bool = false;

    #[inline(always)]
    fn at<T: Num>(a: T, b: T) -> T {
        let rest = a.remainder(b);
        if rest != T::ZERO && ((rest < T::ZERO) != (b < T::ZERO)) { rest.plus(b) } else { rest }
    }
}

/// [`Pairing`] over all pairs of elements.
#[derive(Debug)]
pub(crate) struct Binary<P> {
    align: Align,
    /// A small constant operand, on which side it stands, for operators that take this one in.
    constant: Option<(Value<'static>, Side)>,
    pairing: PhantomData<P>,
}

/// The side of an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

fn build<P: Pairing>(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let constant = match (binary::constant(node, 0), binary::constant(node, 1)) {
        (None, Some(right)) => Some((right, Side::Right)),
        (Some(left), None) => Some((left, Side::Left)),
        _ => None,
    };
    Ok(Box::new(Binary::<P> { align: Align::of(node)?, constant, pairing: PhantomData }))
}

fn modulo(node: &Node<'_>) -> Result<Box<dyn Op>> {
    if node.flag("fmod", false)? { build::<Remainder>(node) } else { build::<Modulo>(node) }
}

impl<P: Pairing> Binary<P> {
    /// The operand that is constant and not aligned in an old way, if one is.
    fn constant(&self) -> Option<(&Value<'static>, Side)> {
        self.constant.as_ref().filter(|_| self.align == Align::Both).map(|(value, side)| (value, *side))
    }
}

impl<P: Pairing> Op for Binary<P> {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let mut taken = args.take_owned(0);
        let mut other = 1;
        if P::COMMUTES && taken.is_none() && self.align == Align::Both {
            taken = args.take_owned(1);
            other = if taken.is_some() { 0 } else { 1 };
        }
        let out = match taken {
            Some(a) => paired::<P>(a, args.get(other)?, self.align, cx)?,
            None => fresh::<P>(args.get(0)?, args.get(1)?, self.align, cx)?,
        };
        Ok(smallvec![out])
    }

    fn mixes_rows(&self, _inputs: &[Flow], outputs: &[Flow]) -> bool {
        broadcast::crosses(outputs)
    }

    fn row_map(&self) -> Option<RowMap> {
        let (value, side) = self.constant()?;
        let (Some((_, lead)), Data::F32(_) | Data::F64(_)) = (value.shape().split_last(), value.data()) else {
            return None;
        };
        // More than one axis in front would add axes to the answer.
        if lead.len() > 1 || lead.iter().any(|&d| d != 1) {
            return None;
        }
        let operand = match value.data() {
            Data::F32(items) => items.iter().map(|&v| v.into()).collect(),
            Data::F64(items) => items.to_vec(),
            _ => return None,
        };
        let is = |id: TypeId| id == TypeId::of::<P>();
        match side {
            _ if is(TypeId::of::<Add>()) => Some(RowMap::Add(operand)),
            _ if is(TypeId::of::<Mul>()) => Some(RowMap::Multiply(operand)),
            Side::Right if is(TypeId::of::<Sub>()) => Some(RowMap::Subtract(operand)),
            _ => None,
        }
    }
}

/// a + b, with NumPy's rules for their shapes.
pub(crate) fn add<'v>(a: Value<'v>, b: &Value<'_>, cx: &mut Scratch) -> Result<Value<'v>> {
    paired::<Add>(a, b, Align::Both, cx)
}

/// a * b, with NumPy's rules for their shapes.
pub(crate) fn multiply<'v>(a: Value<'v>, b: &Value<'_>, cx: &mut Scratch) -> Result<Value<'v>> {
    paired::<Mul>(a, b, Align::Both, cx)
}

/// The elements of `a` paired with those of `b`, in place where `a` has the shape of the output.
pub(super) fn paired<'v, P: Pairing>(a: Value<'v>, b: &Value<'_>, align: Align, cx: &mut Scratch) -> Result<Value<'v>> {
    let (shape_b, shape) = align.shapes(a.shape(), b.shape())?;
    if shape[..] != *a.shape() {
        let out = fresh::<P>(&a, b, align, cx);
        cx.recycle(a);
        return out;
    }
    check_type::<P>(&a)?;
    numbers!(a.into_data(), T, items => {
        let mut items: Vec<T> = items.into_owned();
        let partners = b.as_slice::<T>()?;
        match partners {
            [y] => items.iter_mut().for_each(|x| *x = P::at(*x, *y)),
            _ if shape == shape_b => items.iter_mut().zip(partners).for_each(|(x, &y)| *x = P::at(*x, y)),
            _ => broadcast::zip_in_place(&Plan::new(&shape, [&shape, &shape_b]), &mut items, partners, P::at),
        }
        Ok(Value::new(shape, items))
    }, Ok(Value::default()))
}

/// The elements of `a` paired with those of `b`, in a free buffer.
fn fresh<P: Pairing>(a: &Value<'_>, b: &Value<'_>, align: Align, cx: &mut Scratch) -> Result<Value<'static>> {
    check_type::<P>(a)?;
    let (shape_b, shape) = align.shapes(a.shape(), b.shape())?;
    let count = cx.check_shape(&shape)?;
    numbers!(a.data(), T, left => {
        let right = b.as_slice::<T>()?;
        let mut out = cx.buffer::<T>(count);
        match right {
            [y] if count == left.len() => out.extend(left.iter().map(|&x| P::at(x, *y))),
            _ if *a.shape() == shape_b[..] => out.extend(left.iter().zip(right).map(|(&x, &y)| P::at(x, y))),
            _ => broadcast::zip(&Plan::new(&shape, [a.shape(), &shape_b]), (left, right), &mut out, P::at),
        }
        Ok(Value::new(shape, out))
    }, Err(a.type_error("a number")))
}

/// Whether the operator takes the elements of `a`.
fn check_type<P: Pairing>(a: &Value<'_>) -> Result<()> {
    match a.dtype() {
        Some(dtype) if dtype.is_float() && !P::FLOATS => {
            Err(Error::new(ErrorKind::Malformed, "Mod of floats needs the attribute `fmod` = 1"))
        }
        Some(dtype) if dtype.is_float() || dtype.is_integer() => Ok(()),
        _ => Err(a.type_error("a number")),
    }
}

/// [`Pairing`] over any number of operands, one after the other.
#[derive(Debug)]
struct Variadic<P> {
    /// Whether the result is divided by the number of operands.
    mean: bool,
    align: Align,
    pairing: PhantomData<P>,
}

fn variadic<P: Pairing>(node: &Node<'_>) -> Result<Box<dyn Op>> {
    over_all::<P>(node, false)
}

fn mean(node: &Node<'_>) -> Result<Box<dyn Op>> {
    over_all::<Add>(node, true)
}

fn over_all<P: Pairing>(node: &Node<'_>, mean: bool) -> Result<Box<dyn Op>> {
    if node.inputs() == 0 {
        return Err(node.malformed("the operator needs at least one input"));
    }
    // These broadcast since operator set 8; before, all shapes are the same.
    let align = if node.opset() >= 8 { Align::Both } else { Align::Same };
    Ok(Box::new(Variadic::<P> { mean, align, pairing: PhantomData }))
}

impl<P: Pairing> Op for Variadic<P> {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let mut all = dispatch::own(args, 0, cx)?;
        check_type::<P>(&all)?;
        for i in 1..args.len() {
            all = paired::<P>(all, args.get(i)?, self.align, cx)?;
        }
        if self.mean {
            all = divided(all, args.len());
        }
        Ok(smallvec![all])
    }

    fn mixes_rows(&self, _inputs: &[Flow], outputs: &[Flow]) -> bool {
        broadcast::crosses(outputs)
    }
}

/// Every element divided by `count`.
fn divided(value: Value<'_>, count: usize) -> Value<'_> {
    fn all<T: Num>(items: &mut [T], count: usize) {
        let count = T::from_double(count as f64);
        items.iter_mut().for_each(|x| *x = x.over(count));
    }
    let shape = Shape::from_slice(value.shape());
    let data: Data<'_> = numbers!(value.into_data(), T, items => {
        let mut items = items;
        all::<T>(items.to_mut(), count);
        T::data(items)
    }, return Value::default());
    Value::from_parts(shape, data)
}
