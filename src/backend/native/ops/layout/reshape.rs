//! Operators that give the same elements another shape: nothing is copied.

use smallvec::smallvec;

use super::Group;
use super::common::{Ints, axes_of, axis_of, volume};
use crate::backend::native::chain::Filling;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::value::Shape;
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group =
    &[("Reshape", reshape), ("Flatten", flatten), ("Squeeze", squeeze), ("Unsqueeze", unsqueeze)];

/// Input 0 under another shape.
#[derive(Debug)]
pub(in crate::backend::native::ops) struct Reshaped {
    target: Target,
}

impl Reshaped {
    /// Whether this joins all axes but the first.
    pub(in crate::backend::native::ops) fn is_flatten(&self) -> bool {
        matches!(self.target, Target::Flat(1))
    }
}

/// How the new shape comes about.
#[derive(Debug)]
enum Target {
    /// Dimensions, of which one may be -1 and 0 stands for the input's own unless `allow_zero`.
    Dims { dims: Ints, allow_zero: bool },
    /// (dimensions before the axis, dimensions from it on).
    Flat(i64),
    /// Without these axes of length 1; without all such when not given.
    Without(Ints),
    /// With new axes of length 1 at these places of the output.
    With(Ints),
}

fn reshape(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let dims = Ints::either(node, "shape", 1)?;
    if dims.is_absent() {
        return Err(node.malformed("Reshape has no shape"));
    }
    let allow_zero = node.flag("allowzero", false)?;
    if let Some(known) = dims.known() {
        if known.iter().any(|&d| d < -1) || known.iter().filter(|&&d| d == -1).count() > 1 {
            return Err(node.malformed("the shape of a Reshape may have one -1 and no smaller dimension"));
        }
        if allow_zero && known.contains(&0) && known.contains(&-1) {
            return Err(node.malformed("the shape of a Reshape with `allowzero` can't have both 0 and -1"));
        }
    }
    Ok(Box::new(Reshaped { target: Target::Dims { dims, allow_zero } }))
}

fn flatten(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Reshaped { target: Target::Flat(node.int_or("axis", 1)?) }))
}

fn squeeze(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Reshaped { target: Target::Without(Ints::either(node, "axes", 1)?) }))
}

fn unsqueeze(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let axes = Ints::either(node, "axes", 1)?;
    if axes.is_absent() {
        return Err(node.malformed("Unsqueeze has no axes"));
    }
    Ok(Box::new(Reshaped { target: Target::With(axes) }))
}

impl Target {
    fn shape(&self, from: &[usize], args: &Args<'_, '_>) -> Result<Shape> {
        match self {
            Self::Dims { dims, allow_zero } => fill_in(&dims.get(args)?, from, *allow_zero),
            Self::Flat(axis) => {
                // Flatten takes an axis after the last as well.
                let axis = if *axis == from.len() as i64 { from.len() } else { axis_of(*axis, from.len())? };
                Ok(smallvec![volume(&from[..axis]), volume(&from[axis..])])
            }
            Self::Without(axes) => match axes.opt(args)? {
                Some(axes) if !axes.is_empty() => {
                    let axes = axes_of(&axes, from.len())?;
                    if let Some(&axis) = axes.iter().find(|&&a| from[a] != 1) {
                        return Err(Error::new(ErrorKind::WrongShape, "Squeeze can only leave out axes of length 1")
                            .expected(format!("1 along axis {axis}"))
                            .actual(shape_text(from)));
                    }
                    Ok(from.iter().enumerate().filter(|(a, _)| !axes.contains(a)).map(|(_, &d)| d).collect())
                }
                _ => Ok(from.iter().copied().filter(|&d| d != 1).collect()),
            },
            Self::With(axes) => {
                let axes = axes.get(args)?;
                let axes = axes_of(&axes, from.len() + axes.len())?;
                let mut shape = Shape::from_slice(from);
                for &axis in &axes {
                    shape.insert(axis, 1);
                }
                Ok(shape)
            }
        }
    }
}

/// The shape that `dims` stands for: 0 copied from the input, -1 inferred.
fn fill_in(dims: &[i64], from: &[usize], allow_zero: bool) -> Result<Shape> {
    let bad = |what: &str| {
        Error::new(ErrorKind::WrongShape, format!("Reshape {what}"))
            .expected(format!("{dims:?}"))
            .actual(shape_text(from))
    };
    let count = volume(from);
    let (mut shape, mut open, mut known) = (Shape::with_capacity(dims.len()), None, 1usize);
    for (axis, &dim) in dims.iter().enumerate() {
        let dim = match dim {
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            0 if !allow_zero => *from.get(axis).ok_or_else(|| bad("keeps a dimension that its input does not have"))?,
            dim => usize::try_from(dim).map_err(|_| bad("has a negative dimension"))?,
        };
        known = known.checked_mul(dim).ok_or_else(|| bad("has too large a shape"))?;
        shape.push(dim);
    }
    if let Some(axis) = open {
        if known == 0 || !count.is_multiple_of(known) {
            return Err(bad("can't infer its -1: the elements do not divide evenly"));
        }
        shape[axis] = count / known;
    } else if known != count {
        return Err(bad("asks for another number of elements than its input has"));
    }
    Ok(shape)
}

impl Op for Reshaped {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, _cx: &mut Scratch) -> Result<Outs<'v>> {
        let from = args.get(0)?;
        if from.dtype().is_none() {
            return Err(super::common::no_sequence());
        }
        let shape = self.target.shape(from.shape(), args)?;
        Ok(smallvec![args.take(0)?.with_shape(shape)?])
    }

    fn fill(&self, rows: Filling<'_, '_>, _cx: &mut Scratch) -> Option<Result<()>> {
        rows.pass_on()
    }

    fn mixes_rows(&self, inputs: &[Flow], outputs: &[Flow]) -> bool {
        match (inputs.first(), outputs.first()) {
            (Some(from), Some(to)) => regroups(from, to),
            _ => false,
        }
    }
}

/// Whether reading the elements of `from` under the shape of `to` lets pieces of the batch run into each other: they
/// do not where the axis that varies has as many elements before it on both sides.
fn regroups(from: &Flow, to: &Flow) -> bool {
    let varying = |flow: &Flow| -> Vec<usize> { (0..flow.rank()).filter(|&a| flow.varies(a)).collect() };
    match (varying(from).as_slice(), varying(to).as_slice()) {
        ([], []) => false,
        (&[a], &[b]) => {
            let before = |flow: &Flow, axis: usize| volume(&flow.shapes[0][..axis]);
            before(from, a) != before(to, b)
        }
        (several, same) => {
            // Axes of length 1 apart, pairs of rows may pass through.
            let dims = |flow: &Flow| flow.shapes[1].iter().copied().filter(|&d| d != 1).collect::<Vec<_>>();
            several.len() != same.len() || dims(from) != dims(to)
        }
    }
}
