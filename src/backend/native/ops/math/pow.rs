//! Powers, of bases and exponents of different types.

use smallvec::smallvec;

use super::binary::Align;
use super::broadcast::{self, Plan};
use super::dispatch::{self, numbers};
use super::num::Num;
use crate::Result;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::value::{Data, Shape, Value};

pub(super) const GROUP: Group = &[("Pow", build)];

/// Input 0 to the power of input 1, with the type of input 0. Computed in single precision when both are f32, else in
/// double precision, as in ONNX Runtime.
#[derive(Debug)]
struct Pow {
    align: Align,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Pow { align: Align::of(node)? }))
}

impl Op for Pow {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        if let Some(exponent) = lone(args.get(1)?)
            && args.get(1)?.rank() <= args.get(0)?.rank()
            && let Some(simple) = Simple::of(exponent)
            && matches!(args.get(0)?.data(), Data::F32(_) | Data::F64(_))
        {
            let base = dispatch::own(args, 0, cx)?;
            return Ok(smallvec![simple.over(base)]);
        }
        let (a, b) = (args.get(0)?, args.get(1)?);
        let (shape_b, shape) = self.align.shapes(a.shape(), b.shape())?;
        let count = cx.check_shape(&shape)?;
        let plan = Plan::new(&shape, [a.shape(), &shape_b]);
        if let (Data::F32(base), Data::F32(exponents)) = (a.data(), b.data()) {
            let mut out = cx.buffer::<f32>(count);
            broadcast::zip(&plan, (base, exponents), &mut out, f32::powf);
            return Ok(smallvec![Value::new(shape, out)]);
        }
        let out = numbers!(a.data(), T, base => {
            let mut out = cx.buffer::<T>(count);
            numbers!(b.data(), E, exponents => {
                broadcast::zip(&plan, (base, exponents), &mut out, |x: T, y: E| power(x, y));
            }, return Err(b.type_error("a number")));
            Value::new(shape, out)
        }, return Err(a.type_error("a number")));
        Ok(smallvec![out])
    }

    fn mixes_rows(&self, _inputs: &[Flow], outputs: &[Flow]) -> bool {
        broadcast::crosses(outputs)
    }
}

/// The only element, as a double.
fn lone(value: &Value<'_>) -> Option<f64> {
    numbers!(value.data(), T, items => match items[..] {
        [x] => Some(x.to_double()),
        _ => None,
    }, None)
}

fn power<T: Num, E: Num>(x: T, y: E) -> T {
    T::from_double(x.to_double().powf(y.to_double()))
}

/// Exponents that need no logarithm, with the same results as the general way.
#[derive(Debug, Clone, Copy)]
enum Simple {
    One,
    Square,
    Root,
}

impl Simple {
    fn of(exponent: f64) -> Option<Self> {
        match exponent {
            1.0 => Some(Self::One),
            2.0 => Some(Self::Square),
            0.5 => Some(Self::Root),
            _ => None,
        }
    }

    /// The powers of floats; of other types, the elements as they are.
    fn over(self, base: Value<'_>) -> Value<'_> {
        macro_rules! all {
            ($items:ident) => {
                match self {
                    Self::One => {}
                    Self::Square => $items.to_mut().iter_mut().for_each(|x| *x *= *x),
                    // Minus zero and minus infinity have the roots zero and infinity here.
                    Self::Root => $items.to_mut().iter_mut().for_each(|x| {
                        *x = if x.is_infinite() { x.abs() } else { (*x + 0.0).sqrt() };
                    }),
                }
            };
        }
        let shape = Shape::from_slice(base.shape());
        let data = match base.into_data() {
            Data::F32(mut items) => {
                all!(items);
                Data::F32(items)
            }
            Data::F64(mut items) => {
                all!(items);
                Data::F64(items)
            }
            other => other,
        };
        Value::from_parts(shape, data)
    }
}
