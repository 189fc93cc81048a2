//! Trilu.

use smallvec::smallvec;

use super::Group;
use super::common::{no_sequence, scalar_i64};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::value::{Shape, Value, typed};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("Trilu", build)];

/// The upper or lower triangle of each matrix along the last two axes, zero elsewhere.
#[derive(Debug)]
struct Trilu {
    upper: bool,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Trilu { upper: node.flag("upper", true)? }))
}

impl Op for Trilu {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, _cx: &mut Scratch) -> Result<Outs<'v>> {
        let k = args.opt(1).map(scalar_i64).transpose()?.unwrap_or(0);
        let value = args.take(0)?;
        let shape = Shape::from_slice(value.shape());
        let &[.., rows, columns] = &*shape else {
            return Err(Error::new(ErrorKind::WrongShape, "Trilu takes matrices").actual(shape_text(&shape)));
        };
        typed!(value.data(), T, _items => {
            let mut out = value.into_vec::<T>()?;
            for (i, row) in out.chunks_exact_mut(columns.max(1)).enumerate() {
                // The first column of the upper triangle; the lower one ends with it.
                let first = ((i % rows) as i64).saturating_add(k);
                let cut = usize::try_from(if self.upper { first } else { first.saturating_add(1) });
                let cut = cut.map_or(0, |c| c.min(row.len()));
                let zeros = if self.upper { &mut row[..cut] } else { &mut row[cut..] };
                zeros.fill(T::default());
            }
            Ok(smallvec![Value::new(shape, out)])
        }, _seq => Err(no_sequence()))
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.first().is_some_and(|i| i.varies_signed(-1) || i.varies_signed(-2))
    }
}
