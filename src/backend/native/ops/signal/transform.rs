//! `DFT` and `STFT`.

use smallvec::smallvec;

use super::fourier::{Complex, Fourier};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::ops::layout::{axis_of, scalar_i64};
use crate::backend::native::ops::wide::{floats, rounded};
use crate::backend::native::value::{Shape, Value};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("DFT", dft), ("STFT", stft)];

/// The transform along one axis of signals whose last axis holds real numbers, or real and imaginary parts.
#[derive(Debug)]
struct Dft {
    axis: i64,
    /// The input that holds the axis, in later versions.
    axis_input: Option<usize>,
    inverse: bool,
    /// Whether only the first half is given, or taken, since the other is its mirror image.
    onesided: bool,
}

fn dft(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let late = node.opset() >= 20;
    Ok(Box::new(Dft {
        axis: if late { -2 } else { node.int_or("axis", 1)? },
        axis_input: (late && node.has_input(2)).then_some(2),
        inverse: node.flag("inverse", false)?,
        onesided: node.flag("onesided", false)?,
    }))
}

/// A length that an input gives.
fn length_of(value: &Value<'_>) -> Result<usize> {
    let length = scalar_i64(value)?;
    usize::try_from(length)
        .ok()
        .filter(|&n| n > 0 && n <= 1 << 32)
        .ok_or_else(|| Error::new(ErrorKind::InvalidValue, "the length of a transform is positive").actual(length))
}

/// The numbers along an axis of `items`, whose last axis holds `parts`.
fn complex(items: &[f64], at: impl Fn(usize) -> usize, count: usize, parts: usize) -> Vec<Complex> {
    (0..count).map(|i| [items[at(i)], if parts == 2 { items[at(i) + 1] } else { 0.0 }]).collect()
}

/// The number of parts that the last axis of signals holds, of `rank` axes at least.
fn parts_of(value: &Value<'_>, rank: usize) -> Result<usize> {
    match value.shape() {
        [.., parts @ 1..=2] if value.rank() >= rank => Ok(*parts),
        shape => Err(Error::new(ErrorKind::WrongShape, "the last axis of a signal holds one or two parts of a number")
            .actual(shape_text(shape))),
    }
}

impl Op for Dft {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let parts = parts_of(value, 2)?;
        let named = match self.axis_input.and_then(|i| args.opt(i)) {
            Some(axis) => scalar_i64(axis)?,
            None => self.axis,
        };
        let axis = axis_of(named, value.rank())?;
        if axis + 1 == value.rank() {
            return Err(Error::new(
                ErrorKind::InvalidValue,
                "the last axis of a signal holds its parts, and is not one to transform",
            )
            .actual(named));
        }
        let halved = self.inverse && self.onesided;
        let given = value.shape()[axis];
        let natural = if halved { (2 * given).saturating_sub(2) } else { given };
        let length = args.opt(1).map(length_of).transpose()?.unwrap_or(natural);
        let kept = if self.onesided && !self.inverse { length / 2 + 1 } else { length };
        let out_parts = if halved { 1 } else { 2 };
        let mut shape = Shape::from_slice(value.shape());
        shape[axis] = kept;
        *shape.last_mut().expect("a signal has axes") = out_parts;
        let count = cx.check_shape(&shape)?;
        cx.check_shape(&[length, 8])?;
        if count == 0 || length == 0 {
            return Ok(smallvec![rounded(vec![0.0; count], shape, value.data())]);
        }
        let items = floats(value)?;
        let inner: usize = value.shape()[axis + 1..value.rank() - 1].iter().product();
        let outer: usize = value.shape()[..axis].iter().product();
        let fourier = Fourier::new(length);
        let mut out = vec![0.0; count];
        for (before, after) in (0..outer).flat_map(|o| (0..inner).map(move |i| (o, i))) {
            let at = |i: usize| ((before * given + i) * inner + after) * parts;
            let taken = if halved { given.min(length / 2 + 1) } else { given.min(length) };
            let mut signal = complex(&items, at, taken, parts);
            signal.resize(length, [0.0; 2]);
            if halved {
                for i in 1..length.div_ceil(2) {
                    signal[length - i] = [signal[i][0], -signal[i][1]];
                }
                // What is its own mirror image has no imaginary part.
                signal[0][1] = 0.0;
                if length % 2 == 0 {
                    signal[length / 2][1] = 0.0;
                }
            }
            if self.inverse {
                fourier.inverse(&mut signal)
            } else {
                fourier.forward(&mut signal)
            }
            for (i, number) in signal.iter().take(kept).enumerate() {
                let to = ((before * kept + i) * inner + after) * out_parts;
                out[to..to + out_parts].copy_from_slice(&number[..out_parts]);
            }
        }
        Ok(smallvec![rounded(out, shape, value.data())])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        let Some(x) = inputs.first() else { return true };
        let along = if self.axis_input.is_some() { x.any() } else { x.varies_signed(self.axis) };
        along || !x.only_first() || inputs.iter().skip(1).any(Flow::any)
    }
}

/// The transforms of pieces of signals (batch, length, parts), each weighted by a window.
#[derive(Debug)]
struct Stft {
    onesided: bool,
}

fn stft(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Stft { onesided: node.flag("onesided", true)? }))
}

impl Op for Stft {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let parts = parts_of(value, 3)?;
        let &[batch, whole, _] = value.shape() else {
            return Err(Error::new(ErrorKind::WrongShape, "STFT takes signals (batch, length, parts)")
                .actual(shape_text(value.shape())));
        };
        let step = length_of(args.get(1)?)?;
        let window = args.opt(2).map(floats).transpose()?;
        let length = match (args.opt(3), &window) {
            (Some(length), _) => length_of(length)?,
            (None, Some(window)) => window.len(),
            (None, None) => whole,
        };
        if window.as_ref().is_some_and(|w| w.len() != length) || length == 0 || length > whole {
            return Err(Error::new(ErrorKind::WrongShape, "the frames of STFT do not fit its window or its signal")
                .expected(format!("1 to {whole}"))
                .actual(length));
        }
        let frames = (whole - length) / step + 1;
        let kept = if self.onesided { length / 2 + 1 } else { length };
        let shape = [batch, frames, kept, 2];
        let mut out = Vec::with_capacity(cx.check_shape(&shape)?);
        let items = floats(value)?;
        let fourier = Fourier::new(length);
        for signal in items.chunks_exact(whole * parts) {
            for frame in 0..frames {
                let mut piece = complex(signal, |i| (frame * step + i) * parts, length, parts);
                if let Some(window) = &window {
                    piece.iter_mut().zip(window).for_each(|(x, w)| *x = [x[0] * w, x[1] * w]);
                }
                fourier.forward(&mut piece);
                out.extend(piece.iter().take(kept).flatten());
            }
        }
        Ok(smallvec![rounded(out, shape.as_slice(), value.data())])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.first().is_none_or(|x| !x.only_first()) || inputs.iter().skip(1).any(Flow::any)
    }
}
