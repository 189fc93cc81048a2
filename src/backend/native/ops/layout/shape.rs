//! Operators that tell about a tensor's form: Shape and Size.

use smallvec::smallvec;

use super::Group;
use crate::Result;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::value::Value;

pub(super) const GROUP: Group = &[("Shape", shape), ("Size", size)];

/// The dimensions of input 0 from `start` to before `end`.
#[derive(Debug)]
struct Dims {
    start: i64,
    end: Option<i64>,
}

fn shape(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Dims { start: node.int_or("start", 0)?, end: node.int("end")? }))
}

impl Op for Dims {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let dims = args.get(0)?.shape();
        let rank = dims.len() as i64;
        let place = |axis: i64| if axis < 0 { axis.saturating_add(rank) } else { axis }.clamp(0, rank) as usize;
        let (start, end) = (place(self.start), self.end.map_or(dims.len(), place));
        let dims = dims.get(start..end).unwrap_or_default();
        let mut out = cx.buffer::<i64>(dims.len());
        out.extend(dims.iter().map(|&d| d as i64));
        Ok(smallvec![Value::new([dims.len()].as_slice(), out)])
    }

    fn mixes_rows(&self, _inputs: &[Flow], _outputs: &[Flow]) -> bool {
        false
    }
}

/// The number of elements of input 0.
#[derive(Debug)]
struct Size;

fn size(_node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Size))
}

impl Op for Size {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, _cx: &mut Scratch) -> Result<Outs<'v>> {
        Ok(smallvec![Value::scalar(args.get(0)?.len() as i64)])
    }

    fn mixes_rows(&self, _inputs: &[Flow], _outputs: &[Flow]) -> bool {
        false
    }
}
