//! `AffineGrid`: where the pixels of an image lie after an affine map.

use smallvec::smallvec;

use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::ops::layout::Ints;
use crate::backend::native::ops::wide::{floats, rounded};
use crate::backend::native::value::Shape;
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("AffineGrid", build)];

#[derive(Debug)]
struct AffineGrid {
    /// Whether -1 and 1 are the centres of the outermost pixels, not their outer edges.
    corners: bool,
    size: Ints,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(AffineGrid { corners: node.flag("align_corners", false)?, size: Ints::input(node, 1)? }))
}

impl AffineGrid {
    fn place(&self, i: usize, length: usize) -> f64 {
        match (self.corners, length) {
            (true, 1) => -1.0,
            (true, _) => -1.0 + 2.0 * i as f64 / (length - 1) as f64,
            (false, _) => -1.0 + (2.0 * i as f64 + 1.0) / length as f64,
        }
    }
}

impl Op for AffineGrid {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let theta = args.get(0)?;
        let size = self.size.get(args)?;
        let lengths = size.iter().map(|&n| usize::try_from(n).ok()).collect::<Option<Vec<_>>>();
        let (&[count, axes, columns], Some(lengths)) = (theta.shape(), lengths) else {
            return Err(Error::new(ErrorKind::WrongShape, "AffineGrid takes maps (n, 2, 3) or (n, 3, 4) and a size")
                .actual(shape_text(theta.shape())));
        };
        if !(2..=3).contains(&axes) || columns != axes + 1 || lengths.len() != axes + 2 || lengths[0] != count {
            return Err(Error::new(ErrorKind::WrongShape, "the maps of AffineGrid do not fit the size")
                .expected(shape_text(&lengths))
                .actual(shape_text(theta.shape())));
        }
        let lengths = &lengths[2..];
        let mut shape = Shape::from_slice(&[count]);
        shape.extend_from_slice(lengths);
        shape.push(axes);
        let mut out = Vec::with_capacity(cx.check_shape(&shape)?);
        let theta_items = floats(theta)?;
        let pixels: usize = lengths.iter().product();
        for map in theta_items.chunks_exact(axes * columns) {
            for pixel in 0..pixels {
                // The last axis of the image is the first coordinate.
                let (mut place, mut rest) = ([0.0; 3], pixel);
                for (k, &length) in lengths.iter().rev().enumerate() {
                    place[k] = self.place(rest % length, length);
                    rest /= length;
                }
                for row in map.chunks_exact(columns) {
                    out.push(row[..axes].iter().zip(&place).map(|(a, p)| a * p).sum::<f64>() + row[axes]);
                }
            }
        }
        Ok(smallvec![rounded(out, shape, theta.data())])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.first().is_none_or(|x| !x.only_first()) || inputs.iter().skip(1).any(Flow::any)
    }
}
