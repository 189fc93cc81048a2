//! Operators that make, change and read sequences.

use smallvec::smallvec;

use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::ops::layout::{Ints, axis_of, concat, index_of, pieces, scalar_i64};
use crate::backend::native::value::{Data, Shape, Value};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[
    ("SequenceConstruct", |node| {
        if node.inputs() == 0 {
            return Err(node.malformed("SequenceConstruct has no inputs"));
        }
        Ok(Box::new(Sequence::Construct))
    }),
    ("SequenceEmpty", |_| Ok(Box::new(Sequence::Empty))),
    ("SequenceInsert", |_| Ok(Box::new(Sequence::Insert))),
    ("SequenceErase", |_| Ok(Box::new(Sequence::Erase))),
    ("SequenceAt", |_| Ok(Box::new(Sequence::At))),
    ("SequenceLength", |_| Ok(Box::new(Sequence::Length))),
    ("SplitToSequence", split),
    ("ConcatFromSequence", concatenate),
];

/// The operators that need no attributes.
#[derive(Debug, Clone, Copy)]
enum Sequence {
    /// The inputs as a sequence.
    Construct,
    /// No elements.
    Empty,
    /// Input 0 with input 1 put in before the place in input 2, or at the end.
    Insert,
    /// Input 0 without the element at the place in input 1, or the last one.
    Erase,
    /// The element of input 0 at the place in input 1.
    At,
    /// The number of elements.
    Length,
}

/// The elements of the sequence in argument `i`.
fn elements<'v>(args: &mut Args<'_, 'v>, i: usize) -> Result<Vec<Value<'v>>> {
    let value = args.take(i)?;
    let error = value.type_error("a sequence");
    match value.into_data() {
        Data::Sequence(values) => Ok(values),
        _ => Err(error),
    }
}

impl Op for Sequence {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, _cx: &mut Scratch) -> Result<Outs<'v>> {
        Ok(smallvec![match self {
            Self::Construct => Value::sequence((0..args.len()).map(|i| args.take(i)).collect::<Result<_>>()?),
            Self::Empty => Value::sequence(Vec::new()),
            Self::Insert => {
                let (mut values, new) = (elements(args, 0)?, args.take(1)?);
                let end = values.len();
                // The place after the last counts as well, and -1 is still the last element.
                let at = match args.opt(2).map(scalar_i64).transpose()? {
                    Some(at) if at == end as i64 => end,
                    Some(at) => index_of(at, end)?,
                    None => end,
                };
                values.insert(at, new);
                Value::sequence(values)
            }
            Self::Erase => {
                let mut values = elements(args, 0)?;
                let at = args.opt(1).map(scalar_i64).transpose()?.unwrap_or(-1);
                values.remove(index_of(at, values.len())?);
                Value::sequence(values)
            }
            Self::At => {
                let at = scalar_i64(args.get(1)?)?;
                let mut values = elements(args, 0)?;
                let at = index_of(at, values.len())?;
                values.swap_remove(at)
            }
            Self::Length => Value::scalar(args.get(0)?.as_sequence()?.len() as i64),
        }])
    }

    fn mixes_rows(&self, _inputs: &[Flow], _outputs: &[Flow]) -> bool {
        false
    }
}

/// The pieces of input 0 along an axis, as a sequence.
#[derive(Debug)]
struct SplitToSequence {
    axis: i64,
    lengths: Ints,
    /// Whether pieces of length 1 keep the axis where no lengths are given.
    keep: bool,
}

fn split(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let lengths = Ints::input(node, 1)?;
    Ok(Box::new(SplitToSequence { axis: node.int_or("axis", 0)?, lengths, keep: node.flag("keepdims", true)? }))
}

impl Op for SplitToSequence {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let axis = axis_of(self.axis, value.rank())?;
        let dim = value.shape()[axis];
        let bad = || {
            Error::new(ErrorKind::WrongShape, "SplitToSequence can't divide the axis this way")
                .actual(shape_text(value.shape()))
        };
        let given = self.lengths.opt(args)?;
        let lengths = match &given {
            None => vec![1; dim],
            // A scalar is the length of all pieces but the last.
            Some(each) if args.opt(1).is_some_and(|v| v.rank() == 0) => {
                let each = each.first().and_then(|&n| usize::try_from(n).ok()).filter(|&n| n > 0).ok_or_else(bad)?;
                (0..dim.div_ceil(each)).map(|i| each.min(dim - i * each)).collect()
            }
            Some(lengths) => {
                let lengths = lengths.iter().map(|&n| usize::try_from(n).ok().filter(|&n| n <= dim));
                let lengths = lengths.collect::<Option<Vec<_>>>().ok_or_else(bad)?;
                let sum = lengths.iter().try_fold(0usize, |sum, &n| sum.checked_add(n));
                if sum == Some(dim) { lengths } else { return Err(bad()) }
            }
        };
        let mut values = pieces(value, axis, &lengths, cx)?.into_vec();
        if given.is_none() && !self.keep {
            let mut shape = Shape::from_slice(value.shape());
            shape.remove(axis);
            values = values.into_iter().map(|v| v.with_shape(shape.clone())).collect::<Result<_>>()?;
        }
        Ok(smallvec![Value::sequence(values)])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.first().is_some_and(|i| i.varies_signed(self.axis))
    }
}

/// The elements of a sequence one after the other along an axis, or along a new one.
#[derive(Debug)]
struct ConcatFromSequence {
    axis: i64,
    new_axis: bool,
}

fn concatenate(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let axis = node.int("axis")?.ok_or_else(|| node.malformed("ConcatFromSequence has no `axis`"))?;
    Ok(Box::new(ConcatFromSequence { axis, new_axis: node.flag("new_axis", false)? }))
}

impl Op for ConcatFromSequence {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let values = args.get(0)?.as_sequence()?;
        if !self.new_axis {
            return Ok(smallvec![concat(&values.iter().collect::<Vec<_>>(), self.axis, cx)?]);
        }
        let mut widened = Vec::with_capacity(values.len());
        for value in values {
            let axis = axis_of(self.axis, value.rank() + 1)?;
            let mut shape = Shape::from_slice(value.shape());
            shape.insert(axis, 1);
            widened.push(value.as_view().with_shape(shape)?);
        }
        Ok(smallvec![concat(&widened.iter().collect::<Vec<_>>(), self.axis, cx)?])
    }

    fn mixes_rows(&self, _inputs: &[Flow], outputs: &[Flow]) -> bool {
        outputs.first().is_some_and(|o| o.varies_signed(self.axis))
    }
}
