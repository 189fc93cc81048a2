//! `FeatureVectorizer`.

use smallvec::smallvec;

use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::value::{Data, Value};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("FeatureVectorizer", build)];

/// Tables side by side, as f32.
#[derive(Debug)]
struct FeatureVectorizer {
    /// How many columns each input takes: longer rows are cut, shorter ones filled with zeros.
    widths: Option<Vec<usize>>,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let widths = match node.ints("inputdimensions")? {
        None => None,
        Some(ints) => {
            if ints.len() != node.inputs() {
                return Err(node
                    .malformed("the attribute `inputdimensions` needs one number for each input")
                    .expected(node.inputs())
                    .actual(ints.len()));
            }
            let widths = ints.iter().map(|&w| usize::try_from(w)).collect::<Result<Vec<_>, _>>();
            Some(widths.map_err(|_| node.malformed("the attribute `inputdimensions` holds a negative number"))?)
        }
    };
    Ok(Box::new(FeatureVectorizer { widths }))
}

/// Copies rows of `have` elements to columns `at..at + width` of rows of `total`.
fn place<T: Copy>(x: &[T], have: usize, width: usize, at: usize, total: usize, out: &mut [f32], f: impl Fn(T) -> f32) {
    let take = have.min(width);
    if take == 0 {
        return;
    }
    for (row, out) in x.chunks_exact(have).zip(out.chunks_exact_mut(total)) {
        for (x, y) in row[..take].iter().zip(&mut out[at..at + take]) {
            *y = f(*x);
        }
    }
}

impl Op for FeatureVectorizer {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let mut rows = None;
        let mut total = 0usize;
        let mut columns = Vec::with_capacity(args.len());
        for i in 0..args.len() {
            let value = args.get(i)?;
            let (m, n) = match value.shape() {
                [] => {
                    return Err(Error::new(
                        ErrorKind::WrongShape,
                        "FeatureVectorizer can't take a number without axes",
                    ));
                }
                [n] => (1, *n),
                [m, rest @ ..] => (*m, rest.iter().product()),
            };
            if *rows.get_or_insert(m) != m {
                return Err(Error::new(ErrorKind::WrongShape, "the inputs of FeatureVectorizer differ in their rows")
                    .expected(rows.unwrap_or_default())
                    .actual(shape_text(value.shape())));
            }
            let width = self.widths.as_ref().and_then(|w| w.get(i).copied()).unwrap_or(n);
            columns.push((n, width));
            total = total.saturating_add(width);
        }
        let m = rows.ok_or_else(|| Error::new(ErrorKind::Malformed, "FeatureVectorizer has no inputs"))?;
        let count = cx.check_shape(&[m, total])?;
        let mut out = cx.buffer::<f32>(count);
        out.resize(count, 0.0);
        let mut at = 0;
        for (i, (have, width)) in columns.into_iter().enumerate() {
            let value = args.get(i)?;
            match value.data() {
                Data::F32(x) => place(x, have, width, at, total, &mut out, |v| v),
                Data::F64(x) => place(x, have, width, at, total, &mut out, |v| v as f32),
                Data::I64(x) => place(x, have, width, at, total, &mut out, |v| v as f32),
                Data::I32(x) => place(x, have, width, at, total, &mut out, |v| v as f32),
                _ => return Err(value.type_error("f32, f64, i64 or i32")),
            }
            at += width;
        }
        Ok(smallvec![Value::new([m, total].as_slice(), out)])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.iter().any(|x| x.rank() < 2 && x.any())
    }
}
