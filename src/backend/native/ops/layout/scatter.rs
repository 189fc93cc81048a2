//! Operators that put elements at given places: ScatterElements and its older name Scatter.

use half::{bf16, f16};
use smallvec::smallvec;

use super::Group;
use super::common::{axis_of, each, no_sequence, strides};
use super::gather::element_places;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::value::{Item, Shape, Value, typed};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("ScatterElements", build), ("Scatter", build)];

/// What becomes of an element that is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reduction {
    Replace,
    Add,
    Multiply,
    Max,
    Min,
}

impl Reduction {
    /// Reads the attribute `reduction`.
    pub(super) fn of(node: &Node<'_>) -> Result<Self> {
        Ok(match node.string_or("reduction", "none")? {
            "none" => Self::Replace,
            "add" => Self::Add,
            "mul" => Self::Multiply,
            "max" => Self::Max,
            "min" => Self::Min,
            other => return Err(node.malformed(format!("there is no reduction `{other}`"))),
        })
    }

    /// Writes `new` over `old`, combined with it.
    #[inline]
    pub(super) fn apply<T: Item + Combine>(self, old: &mut T, new: &T) -> Result<()> {
        *old = match self {
            Self::Replace => new.clone(),
            Self::Add => T::add(old, new)?,
            Self::Multiply => T::multiply(old, new)?,
            Self::Max | Self::Min if !T::NUMBER => return Err(not_a_number()),
            // NaN goes before every number.
            #[allow(clippy::eq_op, reason = "only NaN differs from itself")]
            Self::Max if *old < *new || *new != *new => new.clone(),
            #[allow(clippy::eq_op, reason = "only NaN differs from itself")]
            Self::Min if *new < *old || *new != *new => new.clone(),
            Self::Max | Self::Min => return Ok(()),
        };
        Ok(())
    }
}

#[cold]
fn not_a_number() -> Error {
    Error::new(ErrorKind::WrongType, "only numbers can be combined when they are scattered")
}

/// Elements that reductions combine.
pub(super) trait Combine: Sized + PartialOrd {
    /// Whether the type is one of numbers.
    const NUMBER: bool = true;
    /// The sum.
    fn add(a: &Self, b: &Self) -> Result<Self>;
    /// The product.
    fn multiply(a: &Self, b: &Self) -> Result<Self>;
}

macro_rules! combine {
    ($($t:ty: $add:expr, $multiply:expr;)*) => {$(
        impl Combine for $t {
            fn add(a: &Self, b: &Self) -> Result<Self> {
                let f: fn($t, $t) -> $t = $add;
                Ok(f(*a, *b))
            }
            fn multiply(a: &Self, b: &Self) -> Result<Self> {
                let f: fn($t, $t) -> $t = $multiply;
                Ok(f(*a, *b))
            }
        }
    )*};
}

combine! {
    u8: |a, b| a.wrapping_add(b), |a, b| a.wrapping_mul(b);
    u16: |a, b| a.wrapping_add(b), |a, b| a.wrapping_mul(b);
    u32: |a, b| a.wrapping_add(b), |a, b| a.wrapping_mul(b);
    u64: |a, b| a.wrapping_add(b), |a, b| a.wrapping_mul(b);
    i8: |a, b| a.wrapping_add(b), |a, b| a.wrapping_mul(b);
    i16: |a, b| a.wrapping_add(b), |a, b| a.wrapping_mul(b);
    i32: |a, b| a.wrapping_add(b), |a, b| a.wrapping_mul(b);
    i64: |a, b| a.wrapping_add(b), |a, b| a.wrapping_mul(b);
    f16: |a, b| a + b, |a, b| a * b;
    bf16: |a, b| a + b, |a, b| a * b;
    f32: |a, b| a + b, |a, b| a * b;
    f64: |a, b| a + b, |a, b| a * b;
    bool: |a, b| a | b, |a, b| a & b;
}

impl Combine for String {
    const NUMBER: bool = false;

    fn add(_: &Self, _: &Self) -> Result<Self> {
        Err(not_a_number())
    }

    fn multiply(_: &Self, _: &Self) -> Result<Self> {
        Err(not_a_number())
    }
}

/// Input 0 with the elements of input 2 at the places that input 1 names along an axis.
#[derive(Debug)]
struct ScatterElements {
    axis: i64,
    reduction: Reduction,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(ScatterElements { axis: node.int_or("axis", 0)?, reduction: Reduction::of(node)? }))
}

impl Op for ScatterElements {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, _cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.take(0)?;
        let (indices, updates) = (args.get(1)?, args.get(2)?);
        let axis = axis_of(self.axis, value.rank())?;
        if indices.shape() != updates.shape() {
            return Err(Error::new(ErrorKind::WrongShape, "indices and updates must have the same shape")
                .expected(shape_text(indices.shape()))
                .actual(shape_text(updates.shape())));
        }
        let shape = Shape::from_slice(value.shape());
        let (_, places) = element_places(indices, &shape, axis)?;
        let mut steps = strides(&shape);
        let along = std::mem::take(&mut steps[axis]) as usize;
        typed!(value.data(), T, _items => {
            let new = updates.as_slice::<T>()?;
            let mut out = value.into_vec::<T>()?;
            let (mut next, mut done) = (places.iter().zip(new), Ok(()));
            if !places.is_empty() {
                each(indices.shape(), &steps, 0, |at| {
                    if let (Some((&place, new)), true) = (next.next(), done.is_ok()) {
                        done = self.reduction.apply(&mut out[at + place * along], new);
                    }
                });
            }
            done.map(|()| smallvec![Value::new(shape, out)])
        }, _seq => Err(no_sequence()))
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        let [data, rest @ ..] = inputs else { return true };
        let apart = |a: usize| rest.iter().all(|r| r.varies(a) == data.varies(a));
        data.varies_signed(self.axis) || (0..data.rank()).any(|a| !apart(a))
    }
}
