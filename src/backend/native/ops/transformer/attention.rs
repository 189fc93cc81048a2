//! Attention: softmax(scale q k + mask) v, head by head, in buffers that stay in the cache.

use smallvec::smallvec;

use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::pool::Share;
use crate::backend::native::value::{Shape, Value};
use crate::kernel::{Isa, Left, Packed, Places, scaled_softmax_rows};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

/// Queries, keys, values and a mask that may be left out.
pub(super) const FUSED: Group = &[("Attention", attention)];

/// How matrices of heads lie in a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// (..., rows, columns): whole matrices.
    Plain,
    /// (..., columns, rows): their transposes.
    Transposed,
    /// (batch, rows, heads, columns).
    HeadsLast,
    /// The transposes of these.
    HeadsLastTransposed,
}

/// The matrices of all heads in a value.
struct Heads<'a> {
    items: &'a [f32],
    /// Batches and heads.
    count: [usize; 2],
    rows: usize,
    columns: usize,
    /// How far apart batches, heads, rows and columns lie.
    steps: [usize; 4],
}

impl<'a> Heads<'a> {
    fn of(value: &'a Value<'_>, form: Form) -> Result<Self> {
        let items = value
            .as_slice::<f32>()
            .map_err(|_| Error::new(ErrorKind::Unsupported, "merged attention takes f32").actual(value.type_text()))?;
        let wrong =
            || Error::new(ErrorKind::WrongShape, "attention takes matrices of heads").actual(shape_text(value.shape()));
        Ok(match (form, value.shape()) {
            (Form::Plain | Form::Transposed, &[ref lead @ .., a, b]) => {
                let (batches, heads) = match *lead {
                    [] => (1, 1),
                    [ref more @ .., heads] => (more.iter().product(), heads),
                };
                let (rows, columns, row, column) = if form == Form::Plain { (a, b, b, 1) } else { (b, a, 1, b) };
                Self { items, count: [batches, heads], rows, columns, steps: [heads * a * b, a * b, row, column] }
            }
            (Form::HeadsLast, &[batches, rows, heads, columns]) => {
                let row = heads * columns;
                Self { items, count: [batches, heads], rows, columns, steps: [rows * row, columns, row, 1] }
            }
            (Form::HeadsLastTransposed, &[batches, columns, heads, rows]) => {
                let column = heads * rows;
                Self { items, count: [batches, heads], rows, columns, steps: [columns * column, rows, 1, column] }
            }
            _ => return Err(wrong()),
        })
    }

    /// Where the matrix of a head begins.
    fn start(&self, batch: usize, head: usize) -> usize {
        batch * self.steps[0] + head * self.steps[1]
    }

    /// The matrix of a head, packed.
    fn packed(&self, batch: usize, head: usize) -> Packed<f32> {
        let items = &self.items[self.start(batch, head)..];
        let [.., row, column] = self.steps;
        Packed::strided(self.rows, self.columns, items, [row, column])
    }
}

#[derive(Debug)]
struct Attention {
    q: Form,
    k: Form,
    v: Form,
    out_heads_last: bool,
    scale: f32,
}

fn attention(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let form = |last: bool| if last { Form::HeadsLast } else { Form::Plain };
    let k = match node.int_or("k_form", 0)? {
        0 => Form::Plain,
        1 => Form::HeadsLastTransposed,
        _ => Form::Transposed,
    };
    Ok(Box::new(Attention {
        q: form(node.flag("q_heads_last", false)?),
        k,
        v: form(node.flag("v_heads_last", false)?),
        out_heads_last: node.flag("out_heads_last", false)?,
        scale: node.float_or("scale", 1.0)?,
    }))
}

/// A mask (..., rows or 1, columns or 1), spread over batches and heads.
struct Mask<'a> {
    items: &'a [f32],
    /// How far apart batches, heads, rows and columns lie; 0 where there is one for all.
    steps: [usize; 4],
}

impl<'a> Mask<'a> {
    fn of(value: &'a Value<'_>, dims: [usize; 4]) -> Result<Self> {
        let mut shape = [1; 4];
        let own = value.shape();
        let fits = own.len() <= 4;
        if fits {
            shape[4 - own.len()..].copy_from_slice(own);
        }
        if !fits || shape.iter().zip(dims).any(|(&s, d)| s != 1 && s != d) {
            return Err(Error::new(ErrorKind::Unsupported, "a mask that does not fit the scores of attention")
                .expected(shape_text(&dims))
                .actual(shape_text(own)));
        }
        let mut steps = [0; 4];
        let mut step = 1;
        for axis in (0..4).rev() {
            steps[axis] = if shape[axis] == 1 { 0 } else { step };
            step *= shape[axis];
        }
        Ok(Self { items: value.as_slice::<f32>()?, steps })
    }

    /// Adds the mask of a head to its scores (rows, columns).
    fn add(&self, batch: usize, head: usize, scores: &mut [f32], columns: usize, scale: f32) {
        let [of_batch, of_head, of_row, of_column] = self.steps;
        for (row, scores) in scores.chunks_exact_mut(columns).enumerate() {
            let from = &self.items[batch * of_batch + head * of_head + row * of_row..];
            if of_column == 1 {
                scores.iter_mut().zip(from).for_each(|(s, m)| *s = *s * scale + *m);
            } else {
                scores.iter_mut().for_each(|s| *s = *s * scale + from[0]);
            }
        }
    }
}

impl Op for Attention {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let q = Heads::of(args.get(0)?, self.q)?;
        let k = Heads::of(args.get(1)?, self.k)?;
        let v = Heads::of(args.get(2)?, self.v)?;
        let (m, n, e) = (q.rows, k.columns, v.columns);
        if q.count != k.count || q.count != v.count || q.columns != k.rows || v.rows != n {
            return Err(Error::new(ErrorKind::Unsupported, "attention whose heads are shared or do not fit")
                .actual(format!("{:?}", (q.count, k.count, v.count))));
        }
        let [batches, heads] = q.count;
        let mask = match args.opt(3) {
            Some(mask) => Some(Mask::of(mask, [batches, heads, m, n])?),
            None => None,
        };
        let mut shape: Shape = args.get(0)?.shape().into();
        let rank = shape.len();
        if rank == 4 {
            shape =
                Shape::from_slice(&if self.out_heads_last { [batches, m, heads, e] } else { [batches, heads, m, e] });
        } else {
            shape[rank - 1] = e;
        }
        cx.check_shape(&shape)?;
        let mut out = cx.stale::<f32>(batches * heads * m * e);
        let len = cx.check_shape(&[m, n])?;
        if len == 0 {
            out.fill(0.0);
        }
        let isa = Isa::best();
        let attend = |batch: usize, head: usize, scores: &mut [f32], out: &mut [f32]| {
            let rows = Left { m, places: Places::Every(q.steps[2]), pieces: &[0] };
            k.packed(batch, head).multiply_left(isa, &q.items[q.start(batch, head)..], rows, scores);
            let scale = match &mask {
                Some(mask) => {
                    mask.add(batch, head, scores, n, self.scale);
                    1.0
                }
                None => self.scale,
            };
            scaled_softmax_rows(isa, scores, n, scale);
            v.packed(batch, head).multiply_left(isa, scores, Left::rows(m, n), out);
        };
        // The answers of a batch stand together in either form.
        let of_batch = (heads * m * e).max(1);
        let share = Share { cost: heads * m * n * (k.rows + e), together: 1 };
        cx.threads.rows(&mut out, of_batch, share, |first, out| {
            let (mut scores, mut answer) = (vec![0.0; len], vec![0.0; m * e]);
            for (batch, out) in (first..).zip(out.chunks_exact_mut(of_batch)).filter(|_| len > 0) {
                for head in 0..heads {
                    if !self.out_heads_last {
                        attend(batch, head, &mut scores, &mut out[head * m * e..(head + 1) * m * e]);
                        continue;
                    }
                    attend(batch, head, &mut scores, &mut answer);
                    for (row, answer) in answer.chunks_exact(e.max(1)).enumerate() {
                        out[(row * heads + head) * e..][..e].copy_from_slice(answer);
                    }
                }
            }
        });
        Ok(smallvec![Value::new(shape, out)])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        let own = |x: &Flow| x.rank() > 2 && x.only_first();
        let [q, k, v, rest @ ..] = inputs else { return true };
        !(own(q) && own(k) && own(v)) || rest.iter().any(|mask| mask.any() && !(mask.rank() > 2 && mask.only_first()))
    }
}
