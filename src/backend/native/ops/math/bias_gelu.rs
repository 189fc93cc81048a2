//! Activations of ONNX Runtime that add a bias first: what its optimiser and its exporters write.

use smallvec::smallvec;

use super::activations::{Gelu, TanhGelu};
use super::arithmetic::{self, Add};
use super::binary::Align;
use super::dispatch;
use super::unary::{self, FloatMap};
use crate::Result;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;

pub(super) const MICROSOFT: Group =
    &[("BiasGelu", |_| Ok(Box::new(Biased { map: Gelu }))), ("FastGelu", |_| Ok(Box::new(Biased { map: TanhGelu })))];

/// A function of the sum of input 0 and, if it is there, input 1, which is stretched to its shape.
#[derive(Debug)]
struct Biased<M> {
    map: M,
}

impl<M: FloatMap> Op for Biased<M> {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let mut value = dispatch::own(args, 0, cx)?;
        if let Some(bias) = args.opt(1) {
            value = arithmetic::paired::<Add>(value, bias, Align::Right { axis: None }, cx)?;
        }
        Ok(smallvec![unary::map_floats(&self.map, value, &cx.threads)?])
    }

    fn mixes_rows(&self, _inputs: &[Flow], outputs: &[Flow]) -> bool {
        super::broadcast::crosses(outputs)
    }
}
