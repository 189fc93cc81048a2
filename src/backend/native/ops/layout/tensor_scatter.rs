//! `TensorScatter`: new entries written into a cache.

use smallvec::smallvec;

use super::Group;
use super::common::{axis_of, no_sequence};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::math::own;
use crate::backend::native::value::{Value, typed};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("TensorScatter", build)];

#[derive(Debug)]
struct TensorScatter {
    axis: i64,
    /// Whether the cache begins anew behind its end.
    circular: bool,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let circular = match node.string_or("mode", "linear")? {
        "linear" => false,
        "circular" => true,
        other => return Err(node.malformed("an unknown `mode`").actual(other)),
    };
    Ok(Box::new(TensorScatter { axis: node.int_or("axis", -2)?, circular }))
}

impl Op for TensorScatter {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let cache = own(args, 0, cx)?;
        let update = args.get(1)?;
        let axis = axis_of(self.axis, cache.rank())?;
        let shape = cache.shape().to_vec();
        let fits = update.rank() == shape.len()
            && (0..shape.len())
                .all(|a| if a == axis { update.shape()[a] <= shape[a] } else { update.shape()[a] == shape[a] });
        if !fits || axis == 0 {
            return Err(Error::new(ErrorKind::WrongShape, "the update of TensorScatter does not fit its cache")
                .expected(shape_text(&shape))
                .actual(shape_text(update.shape())));
        }
        let (length, new) = (shape[axis], update.shape()[axis]);
        let batch = shape[0];
        let starts = match args.opt(2) {
            Some(starts) if starts.len() == batch => starts.to_i64s()?,
            Some(starts) => {
                return Err(Error::new(ErrorKind::WrongShape, "TensorScatter takes one place for each of the batch")
                    .expected(batch)
                    .actual(starts.len()));
            }
            None => vec![0; batch],
        };
        let bad =
            |start: i64| Error::new(ErrorKind::InvalidValue, "a place of TensorScatter is out of range").actual(start);
        let starts = starts
            .into_iter()
            .map(|start| match usize::try_from(start) {
                Ok(at) if self.circular || at.saturating_add(new) <= length => Ok(at % length.max(1)),
                _ => Err(bad(start)),
            })
            .collect::<Result<Vec<usize>>>()?;
        let after: usize = shape[axis + 1..].iter().product();
        let before: usize = shape[..axis].iter().product();
        let answer = typed!(cache.into_data(), T, items => {
            let mut items: Vec<T> = items.into_owned();
            let from = update.as_slice::<T>()?;
            for block in 0..before {
                let start = starts[block / (before / batch)];
                for i in 0..new {
                    let to = (block * length + (start + i) % length) * after;
                    items[to..to + after].clone_from_slice(&from[(block * new + i) * after..][..after]);
                }
            }
            Value::new(shape.as_slice(), items)
        }, _seq => return Err(no_sequence()));
        Ok(smallvec![answer])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.iter().any(|x| !x.only_first())
    }
}
