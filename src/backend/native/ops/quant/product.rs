//! Products of two computed values of 8 bits.

use smallvec::smallvec;

use super::linear::{bytes_value, recycle};
use super::weights::{Weights, panels, small};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::linear::{pairs, product_mixes};
use crate::backend::native::value::{Data, Value};
use crate::kernel::bytes::{ByteMatrix, Bytes, Dot, ToBytes, ToSums};
use crate::kernel::{Left, Places};
use crate::{Error, ErrorKind, Result};

/// A product whose second matrix is packed at every call.
#[derive(Debug)]
pub(super) struct Product {
    /// Where the second value, and both zero points, stand among the inputs.
    second: usize,
    zeros: [usize; 2],
    /// Whether the answer is quantised by the scales and the zero point of a `QLinearMatMul`; the sums themselves else.
    quantised: bool,
}

/// `MatMulInteger` of computed values.
pub(super) fn integer(_node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Product { second: 1, zeros: [2, 3], quantised: false }))
}

/// `QLinearMatMul` of computed values.
pub(super) fn qlinear(_node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Product { second: 3, zeros: [2, 5], quantised: true }))
}

/// Factor, zero point and type of the answer of a `QLinearMatMul`.
fn answer(args: &Args<'_, '_>) -> Result<(f32, i32, bool)> {
    let scale = |i: usize| match args.get(i)?.to_f32s()?[..] {
        [one] => Ok(one),
        _ => Err(Error::new(ErrorKind::Unsupported, "scales for rows or columns of a computed product")),
    };
    let factor = scale(1)? * scale(4)? / scale(6)?;
    Ok((factor, zero(args, 7)?, args.opt(7).is_some_and(|z| z.try_slice::<i8>().is_some())))
}

/// The zero point at `input`, 0 where there is none.
fn zero(args: &Args<'_, '_>, input: usize) -> Result<i32> {
    match args.opt(input) {
        None => Ok(0),
        Some(value) if value.len() == 1 => small(value.to_i64s()?[0]),
        Some(value) => Err(Error::new(ErrorKind::Unsupported, "zero points for rows or columns of a computed product")
            .expected("one for all")
            .actual(value.len())),
    }
}

impl Op for Product {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (a, b) = (args.get(0)?, args.get(self.second)?);
        let zeros = [zero(args, self.zeros[0])?, zero(args, self.zeros[1])?];
        let quantised = if self.quantised { Some(answer(args)?) } else { None };
        let plan = pairs(a.shape(), b.shape())?;
        let (m, k, n) = (plan.m, plan.k, plan.n);
        let count = cx.check_shape(&plan.out)?;
        let dot = Dot::best();
        let mut x = Bytes::new(dot, cx.buffer(a.len() + 4), cx.buffer(0));
        match a.data() {
            Data::U8(items) => {
                x.start(zeros[0], false);
                x.push_unsigned(items);
            }
            Data::I8(items) => {
                x.start(zeros[0], true);
                x.push_signed(items);
            }
            _ => return Err(a.type_error("u8 or i8")),
        }
        x.end();
        let weights = Weights::of(b)?;
        let (bias, factors) = match quantised {
            Some((factor, ..)) => (panels(&vec![0; n], 0), panels(&vec![factor; n], 0.0)),
            None => Default::default(),
        };
        let mut sums = cx.buffer::<i32>(if quantised.is_none() { count } else { 0 });
        sums.resize(if quantised.is_none() { count } else { 0 }, 0);
        let mut bytes = cx.buffer::<u8>(if quantised.is_some() { count } else { 0 });
        bytes.resize(if quantised.is_some() { count } else { 0 }, 0);
        let mut packed: Option<(usize, ByteMatrix)> = None;
        for (i, (at_a, at_b)) in plan.matrices.iter().copied().enumerate().filter(|_| m * k * n > 0) {
            if packed.as_ref().is_none_or(|(at, _)| *at != at_b) {
                let at = |_: usize, i: usize, j: usize| weights.at(at_b * k * n + i * n + j);
                packed = Some((at_b, ByteMatrix::new(dot, [1, k, n], at, |_| zeros[1] - weights.moved())));
            }
            let Some((_, matrix)) = &packed else { continue };
            let first = [u32::try_from(at_a * m * k)
                .map_err(|_| Error::new(ErrorKind::LimitExceeded, "a product of more than 2^32 numbers"))?];
            let left = Left { m, places: Places::Every(k), pieces: &first };
            match quantised {
                None => matrix.multiply(&x, left, &mut ToSums { n, out: &mut sums[i * m * n..(i + 1) * m * n] }),
                Some((_, zero, signed)) => {
                    let low = if signed { -128 } else { 0 };
                    let out = &mut bytes[i * m * n..(i + 1) * m * n];
                    let (bias, factors) = (&*bias, &*factors);
                    let to = &mut ToBytes { n, bias, factors, bounds: [low, low + 255], zero, out };
                    matrix.multiply(&x, left, to);
                }
            }
        }
        recycle(x, cx);
        Ok(smallvec![match quantised {
            None => Value::new(plan.out, sums),
            Some((_, _, signed)) => bytes_value(plan.out, bytes, signed, cx),
        }])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        let [Some(a), Some(b)] = [0, self.second].map(|i| inputs.get(i)) else { return true };
        product_mixes(a, b) || (0..inputs.len()).any(|i| i != 0 && i != self.second && inputs[i].any())
    }
}
