//! `MatMul` and `Gemm`.

use smallvec::smallvec;

use super::dense::Dense;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::value::{Data, Item, Shape, Value};
use crate::kernel::{Packed, Real};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("MatMul", matmul), ("Gemm", gemm)];

fn matmul(node: &Node<'_>) -> Result<Box<dyn Op>> {
    if let Some(b) = node.constant(1) {
        match (b.data(), b.shape()) {
            (Data::F32(w), &[k, n]) => return Ok(Box::new(Dense::new(k, n, |i, j| w[i * n + j], None))),
            (Data::F64(w), &[k, n]) => return Ok(Box::new(Dense::new(k, n, |i, j| w[i * n + j], None))),
            (Data::F32(w), &[_]) => return Ok(Box::new(Dense::of_vector(w))),
            (Data::F64(w), &[_]) => return Ok(Box::new(Dense::of_vector(w))),
            _ => {}
        }
    }
    Ok(Box::new(MatMul))
}

/// A product of two computed values, with NumPy's rules for batches and vectors.
#[derive(Debug)]
struct MatMul;

/// The shapes of a product: batches, rows, inner length, columns.
struct Plan {
    batch: Shape,
    m: usize,
    k: usize,
    n: usize,
    out: Shape,
}

fn plan(a: &[usize], b: &[usize]) -> Result<Plan> {
    let bad = || {
        Error::new(ErrorKind::WrongShape, "these shapes have no matrix product").actual(format!(
            "{} times {}",
            shape_text(a),
            shape_text(b)
        ))
    };
    let (lead_a, m, k) = match a {
        [] => return Err(bad()),
        [k] => (&[][..], 1, *k),
        [lead @ .., m, k] => (lead, *m, *k),
    };
    let (lead_b, inner, n) = match b {
        [] => return Err(bad()),
        [k] => (&[][..], *k, 1),
        [lead @ .., k, n] => (lead, *k, *n),
    };
    if k != inner {
        return Err(bad());
    }
    let rank = lead_a.len().max(lead_b.len());
    let dim = |lead: &[usize], i: usize| (i + lead.len()).checked_sub(rank).map_or(1, |at| lead[at]);
    let batch = (0..rank)
        .map(|i| match (dim(lead_a, i), dim(lead_b, i)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => Err(bad()),
        })
        .collect::<Result<Shape>>()?;
    let mut out = batch.clone();
    if a.len() > 1 {
        out.push(m);
    }
    if b.len() > 1 {
        out.push(n);
    }
    Ok(Plan { batch, m, k, n, out })
}

/// A product of batches of matrices: rows, inner length, columns, and which matrix of each value makes each of the answer.
pub(in crate::backend::native::ops) struct Pairs {
    pub(in crate::backend::native::ops) m: usize,
    pub(in crate::backend::native::ops) k: usize,
    pub(in crate::backend::native::ops) n: usize,
    pub(in crate::backend::native::ops) out: Shape,
    pub(in crate::backend::native::ops) matrices: Vec<(usize, usize)>,
}

/// The product of values of these shapes.
pub(in crate::backend::native::ops) fn pairs(a: &[usize], b: &[usize]) -> Result<Pairs> {
    let Plan { batch, m, k, n, out } = plan(a, b)?;
    let count = if m * k * n == 0 { 0 } else { batch.iter().product() };
    let matrices = (0..count).map(|i| (matrix_at(i, &batch, lead(a)), matrix_at(i, &batch, lead(b)))).collect();
    Ok(Pairs { m, k, n, out, matrices })
}

/// Where matrix `index` of `batch` lies in a value of leading shape `lead`, counted in matrices.
fn matrix_at(mut index: usize, batch: &[usize], lead: &[usize]) -> usize {
    let (mut at, mut stride) = (0, 1);
    for (i, &size) in batch.iter().enumerate().rev() {
        let place = index % size;
        index /= size;
        if let Some(axis) = (i + lead.len()).checked_sub(batch.len()) {
            if lead[axis] != 1 {
                at += place * stride;
            }
            stride *= lead[axis];
        }
    }
    at
}

fn lead(shape: &[usize]) -> &[usize] {
    &shape[..shape.len().saturating_sub(2)]
}

fn floats<T: Real + Item>(a: &Value<'_>, b: &Value<'_>, cx: &mut Scratch) -> Result<Value<'static>> {
    let (x, y) = (a.as_slice::<T>()?, b.as_slice::<T>()?);
    let Plan { batch, m, k, n, out: shape } = plan(a.shape(), b.shape())?;
    let mut out = cx.buffer::<T>(cx.check_shape(&shape)?);
    let mut packed: Option<(usize, Packed<T>)> = None;
    for i in 0..batch.iter().product() {
        let (at_a, at_b) = (matrix_at(i, &batch, lead(a.shape())), matrix_at(i, &batch, lead(b.shape())));
        let rows = &x[at_a * m * k..(at_a + 1) * m * k];
        if packed.as_ref().is_none_or(|(at, _)| *at != at_b) {
            let matrix = &y[at_b * k * n..(at_b + 1) * k * n];
            packed = Some((at_b, Packed::new(k, n, |i, j| matrix[i * n + j], None)));
        }
        let Some((_, packed)) = &packed else { continue };
        packed.multiply(rows, m, &mut out);
    }
    Ok(Value::new(shape, out))
}

fn integers<T: Item + Copy>(
    a: &Value<'_>,
    b: &Value<'_>,
    cx: &mut Scratch,
    zero: T,
    step: fn(T, T, T) -> T,
) -> Result<Value<'static>> {
    let (x, y) = (a.as_slice::<T>()?, b.as_slice::<T>()?);
    let Plan { batch, m, k, n, out: shape } = plan(a.shape(), b.shape())?;
    let mut out = cx.buffer::<T>(cx.check_shape(&shape)?);
    for i in 0..batch.iter().product() {
        let (at_a, at_b) = (matrix_at(i, &batch, lead(a.shape())), matrix_at(i, &batch, lead(b.shape())));
        for r in 0..m {
            let row = &x[(at_a * m + r) * k..(at_a * m + r + 1) * k];
            for j in 0..n {
                let sum = row.iter().enumerate().fold(zero, |s, (t, &v)| step(s, v, y[(at_b * k + t) * n + j]));
                out.push(sum);
            }
        }
    }
    Ok(Value::new(shape, out))
}

/// The product of two computed values, with NumPy's rules for batches and vectors.
pub(in crate::backend::native::ops) fn product(
    a: &Value<'_>,
    b: &Value<'_>,
    cx: &mut Scratch,
) -> Result<Value<'static>> {
    match a.data() {
        Data::F32(_) => floats::<f32>(a, b, cx),
        Data::F64(_) => floats::<f64>(a, b, cx),
        Data::I32(_) => integers::<i32>(a, b, cx, 0, |s, x, y| s.wrapping_add(x.wrapping_mul(y))),
        Data::U32(_) => integers::<u32>(a, b, cx, 0, |s, x, y| s.wrapping_add(x.wrapping_mul(y))),
        Data::I64(_) => integers::<i64>(a, b, cx, 0, |s, x, y| s.wrapping_add(x.wrapping_mul(y))),
        Data::U64(_) => integers::<u64>(a, b, cx, 0, |s, x, y| s.wrapping_add(x.wrapping_mul(y))),
        _ => Err(a.type_error("f32, f64, i32, i64, u32 or u64")),
    }
}

/// Whether a product mixes the batch: it does where the batch is summed over, or where it is the columns of the
/// right-hand side.
pub(in crate::backend::native::ops) fn product_mixes(a: &Flow, b: &Flow) -> bool {
    let (ra, rb) = (a.rank(), b.rank());
    let inner = (ra > 0 && a.varies(ra - 1)) || (rb > 0 && b.varies(rb.saturating_sub(2)));
    let both = a.any() && b.any() && !(ra > 2 && rb > 2 && a.only_first() && b.only_first());
    inner || both
}

impl Op for MatMul {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        Ok(smallvec![product(args.get(0)?, args.get(1)?, cx)?])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        !matches!(inputs, [a, b, ..] if !product_mixes(a, b))
    }
}

fn gemm(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let (alpha, beta) = (node.float_or("alpha", 1.0)?, node.float_or("beta", 1.0)?);
    let (trans_a, trans_b) = (node.flag("transA", false)?, node.flag("transB", false)?);
    fn packed<T: Real + Item>(
        w: &[T],
        [rows, columns]: [usize; 2],
        trans_b: bool,
        alpha: f32,
        bias: Option<Vec<T>>,
    ) -> Box<dyn Op> {
        let (k, n) = if trans_b { (columns, rows) } else { (rows, columns) };
        let alpha = T::from_f64(alpha.into());
        let at = |i: usize, j: usize| alpha * if trans_b { w[j * columns + i] } else { w[i * columns + j] };
        Box::new(Dense::new(k, n, at, bias.as_deref()))
    }
    /// The bias of a row, where C is constant and the same for all rows. `Err` where it is neither absent nor that.
    fn row_bias<T: Real + Item>(node: &Node<'_>, beta: f32, n: usize) -> std::result::Result<Option<Vec<T>>, ()> {
        if !node.has_input(2) {
            return Ok(None);
        }
        let c = node.constant(2).ok_or(())?;
        let items = c.try_slice::<T>().ok_or(())?;
        let beta = T::from_f64(beta.into());
        match *c.shape() {
            [] | [1] | [1, 1] => Ok(Some(vec![beta * items[0]; n])),
            [d] | [1, d] if d == n => Ok(Some(items.iter().map(|&v| beta * v).collect())),
            _ => Err(()),
        }
    }
    if let (Some(b), false) = (node.constant(1), trans_a)
        && let &[rows, columns] = b.shape()
    {
        let n = if trans_b { rows } else { columns };
        match b.data() {
            Data::F32(w) => {
                if let Ok(bias) = row_bias::<f32>(node, beta, n) {
                    return Ok(packed(w, [rows, columns], trans_b, alpha, bias));
                }
            }
            Data::F64(w) => {
                if let Ok(bias) = row_bias::<f64>(node, beta, n) {
                    return Ok(packed(w, [rows, columns], trans_b, alpha, bias));
                }
            }
            _ => {}
        }
    }
    Ok(Box::new(Gemm { alpha, beta, trans_a, trans_b }))
}

/// alpha A' B' + beta C of computed values.
#[derive(Debug)]
struct Gemm {
    alpha: f32,
    beta: f32,
    trans_a: bool,
    trans_b: bool,
}

fn transposed<T: Item + Copy>(value: &Value<'_>, cx: &mut Scratch) -> Result<Value<'static>> {
    let &[rows, columns] = value.shape() else { return Err(value.type_error("a matrix")) };
    let items = value.as_slice::<T>()?;
    let mut out = cx.buffer::<T>(items.len());
    for j in 0..columns {
        out.extend((0..rows).map(|i| items[i * columns + j]));
    }
    Ok(Value::new([columns, rows].as_slice(), out))
}

impl Gemm {
    fn typed<T: Real + Item>(&self, args: &Args<'_, '_>, cx: &mut Scratch) -> Result<Value<'static>> {
        let (a, b) = (args.get(0)?, args.get(1)?);
        if a.rank() != 2 || b.rank() != 2 {
            return Err(Error::new(ErrorKind::WrongShape, "Gemm multiplies two matrices").actual(format!(
                "{} times {}",
                shape_text(a.shape()),
                shape_text(b.shape())
            )));
        }
        let a = if self.trans_a { transposed::<T>(a, cx)? } else { a.as_view() };
        let b = if self.trans_b { transposed::<T>(b, cx)? } else { b.as_view() };
        let product = floats::<T>(&a, &b, cx)?;
        let &[m, n] = product.shape() else { return Err(product.type_error("a matrix")) };
        let (alpha, beta) = (T::from_f64(self.alpha.into()), T::from_f64(self.beta.into()));
        let mut out = product.into_vec::<T>()?;
        out.iter_mut().for_each(|v| *v = alpha * *v);
        if let Some(c) = args.opt(2) {
            let items = c.as_slice::<T>()?;
            let (rows, columns) = match *c.shape() {
                [] => (1, 1),
                [d] => (1, d),
                [r, d] => (r, d),
                _ => (0, 0),
            };
            if !(rows == 1 || rows == m) || !(columns == 1 || columns == n) {
                return Err(Error::new(ErrorKind::WrongShape, "the third input of Gemm does not fit the product")
                    .expected(shape_text(&[m, n]))
                    .actual(shape_text(c.shape())));
            }
            for (i, v) in out.iter_mut().enumerate() {
                let (r, j) = (if rows == 1 { 0 } else { i / n }, if columns == 1 { 0 } else { i % n });
                *v += beta * items[r * columns + j];
            }
        }
        Ok(Value::new([m, n].as_slice(), out))
    }
}

impl Op for Gemm {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = match args.get(0)?.data() {
            Data::F32(_) => self.typed::<f32>(args, cx)?,
            Data::F64(_) => self.typed::<f64>(args, cx)?,
            _ => return Err(args.get(0)?.type_error("f32 or f64")),
        };
        Ok(smallvec![value])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        let [a, b, ..] = inputs else { return true };
        let inner_a = a.varies(usize::from(!self.trans_a));
        let inner_b = b.varies(usize::from(self.trans_b));
        inner_a || inner_b || (a.any() && b.any())
    }
}
