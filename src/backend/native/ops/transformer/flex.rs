//! `FlexAttention` of the preview domain: attention whose scores and probabilities go through subgraphs.

use smallvec::smallvec;

use super::scaled::{Heads, softmax};
use crate::backend::native::node::{Node, Subgraph};
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::ops::math::{cast, dtype};
use crate::backend::native::ops::wide::{floats, rounded};
use crate::backend::native::value::{Data, Value};
use crate::tensor::shape_text;
use crate::{DType, Error, ErrorKind, Result};

pub(super) const PREVIEW: Group = &[("FlexAttention", build)];

#[derive(Debug)]
struct FlexAttention {
    scale: Option<f64>,
    /// The type of scores and probabilities; single precision, or that of f64 queries, where none is named.
    precision: Option<DType>,
    scores: Option<Subgraph>,
    probabilities: Option<Subgraph>,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let subgraph = |name: &str| -> Result<Option<Subgraph>> {
        if !node.has(name) {
            return Ok(None);
        }
        let subgraph = node.subgraph(name)?;
        match (subgraph.inputs, subgraph.program.outputs.len()) {
            (1, 1) => Ok(Some(subgraph)),
            _ => Err(node.malformed(format!("`{name}` takes one tensor and gives one"))),
        }
    };
    let precision = match node.int("softmax_precision")? {
        Some(code) => {
            let precision = i32::try_from(code).ok().and_then(dtype).filter(|d| d.is_float());
            Some(precision.ok_or_else(|| node.unsupported("this `softmax_precision`").actual(code))?)
        }
        None => None,
    };
    Ok(Box::new(FlexAttention {
        scale: node.float("scale")?.map(f64::from),
        precision,
        scores: subgraph("score_mod")?,
        probabilities: subgraph("prob_mod")?,
    }))
}

/// What a subgraph makes of `value`, of the same shape.
fn changed(subgraph: &Subgraph, value: Value<'_>, args: &Args<'_, '_>, cx: &mut Scratch) -> Result<Value<'static>> {
    let shape = value.shape().to_vec();
    let mut inputs = vec![value];
    for &i in &subgraph.captured {
        inputs.push(args.get(i)?.as_view());
    }
    let mut outs = cx.nested(|cx| subgraph.program.run(inputs, cx))?;
    match outs.pop() {
        Some(out) if *out.shape() == shape[..] => Ok(out.into_static()),
        out => Err(Error::new(ErrorKind::WrongShape, "a subgraph of FlexAttention must keep the shape of its input")
            .expected(shape_text(&shape))
            .actual(out.map_or_else(String::new, |o| shape_text(o.shape())))),
    }
}

impl Op for FlexAttention {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (q_value, v_value) = (args.get(0)?, args.get(2)?);
        let (q, k, v) = (Heads::of(q_value, None)?, Heads::of(args.get(1)?, None)?, Heads::of(v_value, None)?);
        let fits = [k.batch, v.batch, k.size, v.length] == [q.batch, q.batch, q.size, k.length];
        if !fits || k.heads != v.heads || k.heads == 0 || q.heads % k.heads != 0 {
            return Err(Error::new(ErrorKind::WrongShape, "queries, keys and values of FlexAttention do not fit")
                .actual(shape_text(q_value.shape())));
        }
        let shape = [q.batch, q.heads, q.length, k.length];
        let mut scores = Vec::with_capacity(cx.check_shape(&shape)?);
        let scale = self.scale.unwrap_or(1.0 / (q.size as f64).sqrt());
        let group = q.heads / k.heads;
        let rows = || {
            (0..q.batch)
                .flat_map(|b| (0..q.heads).map(move |h| (b, h)))
                .flat_map(|(b, h)| (0..q.length).map(move |i| (b, h, i)))
        };
        for (b, h, i) in rows() {
            let query = q.row(b, h, i);
            scores.extend(
                (0..k.length)
                    .map(|j| scale * query.iter().zip(k.row(b, h / group, j)).map(|(a, b)| a * b).sum::<f64>()),
            );
        }
        let precision = match (self.precision, q_value.data()) {
            (Some(precision), _) => precision,
            (None, Data::F64(_)) => DType::F64,
            _ => DType::F32,
        };
        let step = |items: Vec<f64>, subgraph: Option<&Subgraph>, cx: &mut Scratch| -> Result<Vec<f64>> {
            let value = cast(&Value::new(shape.as_slice(), items), precision, cx)?;
            match subgraph {
                Some(subgraph) => floats(&changed(subgraph, value, args, cx)?),
                None => floats(&value),
            }
        };
        let mut shares = step(scores, self.scores.as_ref(), cx)?;
        shares.chunks_exact_mut(k.length.max(1)).for_each(softmax);
        let shares = step(shares, self.probabilities.as_ref(), cx)?;
        let to = [q.batch, q.heads, q.length, v.size];
        let mut out = vec![0.0; cx.check_shape(&to)?];
        let answers = out.chunks_exact_mut(v.size.max(1)).zip(shares.chunks_exact(k.length.max(1)));
        for ((b, h, _), (answer, shares)) in rows().zip(answers) {
            for (j, share) in shares.iter().enumerate() {
                answer.iter_mut().zip(v.row(b, h / group, j)).for_each(|(o, v)| *o += share * v);
            }
        }
        Ok(smallvec![rounded(out, to.as_slice(), v_value.data())])
    }

    /// The subgraphs may do anything.
    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        let changed = self.scores.is_some() || self.probabilities.is_some();
        inputs.iter().any(|x| changed && x.any() || !x.only_first())
    }
}
