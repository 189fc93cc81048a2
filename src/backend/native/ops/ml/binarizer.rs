//! `Binarizer`.

use smallvec::smallvec;

use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::value::{Data, Item, Shape, Value};
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("Binarizer", build)];

/// 1 above the threshold, else 0, in the type of the input.
#[derive(Debug, Clone)]
struct Binarizer {
    threshold: f32,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Binarizer { threshold: node.float_or("threshold", 0.0)? }))
}

/// The elements with `f` applied, out of `x` where it is owned.
fn map<T: Item + Copy>(value: &Value<'_>, x: &[T], cx: &mut Scratch, f: impl Fn(T) -> T) -> Value<'static> {
    let mut out = cx.buffer::<T>(x.len());
    out.extend(x.iter().map(|&x| f(x)));
    Value::new(Shape::from_slice(value.shape()), out)
}

/// ONNX Runtime refuses NaN, which is neither above nor below.
fn no_nan(nan_at: Option<usize>) -> Result<()> {
    match nan_at {
        None => Ok(()),
        Some(at) => Err(Error::new(ErrorKind::InvalidValue, "Binarizer can't place NaN; impute it before")
            .actual(format!("NaN at element {at}"))),
    }
}

impl Op for Binarizer {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.take(0)?;
        let t = self.threshold;
        let out = match value.data() {
            Data::F32(x) => {
                no_nan(x.iter().position(|x| x.is_nan()))?;
                map(&value, x, cx, |x| f32::from(u8::from(x > t)))
            }
            Data::F64(x) => {
                no_nan(x.iter().position(|x| x.is_nan()))?;
                map(&value, x, cx, |x| f64::from(u8::from(x > f64::from(t))))
            }
            Data::I64(x) => map(&value, x, cx, |x| i64::from(x as f64 > f64::from(t))),
            Data::I32(x) => map(&value, x, cx, |x| i32::from(f64::from(x) > f64::from(t))),
            _ => return Err(value.type_error("f32, f64, i64 or i32")),
        };
        cx.recycle(value);
        Ok(smallvec![out])
    }

    fn mixes_rows(&self, _inputs: &[Flow], _outputs: &[Flow]) -> bool {
        false
    }
}
