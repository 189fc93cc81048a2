//! Back from windows to images: `Col2Im` and `MaxUnpool`.

use smallvec::smallvec;

use super::grid::{Grid, OUTSIDE, Windows, counts, each_axis, image_shape, images};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::ops::layout::Ints;
use crate::backend::native::ops::math::Num;
use crate::backend::native::ops::math::dispatch::numbers;
use crate::backend::native::value::{Item, Value, typed};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("Col2Im", col2im), ("MaxUnpool", unpool)];

/// Windows (n, channels * places, windows) added up where they lie on an image.
#[derive(Debug)]
struct Col2Im {
    windows: Windows,
    image: Ints,
    block: Ints,
}

fn col2im(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Col2Im { windows: Windows::of(node)?, image: Ints::input(node, 1)?, block: Ints::input(node, 2)? }))
}

fn lengths(ints: &[i64], what: &str) -> Result<Vec<usize>> {
    let lengths = ints.iter().map(|&n| usize::try_from(n).ok().filter(|&n| n <= 1 << 40)).collect::<Option<Vec<_>>>();
    lengths.ok_or_else(|| Error::new(ErrorKind::InvalidValue, what).actual(format!("{ints:?}")))
}

impl Col2Im {
    fn added<T: Num>(&self, items: &[T], shape: &[usize], grid: &Grid, cx: &mut Scratch) -> Result<Value<'static>> {
        let (places, windows) = (grid.places(), grid.count());
        let &[count, rows, columns] = shape else {
            return Err(Error::new(ErrorKind::WrongShape, "Col2Im takes three axes").actual(shape_text(shape)));
        };
        if columns != windows || rows % places != 0 {
            return Err(Error::new(ErrorKind::WrongShape, "the windows of Col2Im do not fit the image")
                .expected(format!("(n, a multiple of {places}, {windows})"))
                .actual(shape_text(shape)));
        }
        let (channels, pixels) = (rows / places, grid.pixels());
        let to = image_shape(count, channels, &grid.size);
        let all = cx.check_shape(&to)?;
        let mut out = cx.buffer::<T>(all);
        out.resize(all, T::ZERO);
        let mut window = 0;
        grid.each(|_, at| {
            for channel in 0..count * channels {
                for (place, &at) in at.iter().enumerate().filter(|(_, at)| **at != OUTSIDE) {
                    let slot = &mut out[channel * pixels + at];
                    *slot = slot.plus(items[(channel * places + place) * windows + window]);
                }
            }
            window += 1;
            Ok(())
        })?;
        Ok(Value::new(to, out))
    }
}

impl Op for Col2Im {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let size = lengths(&self.image.get(args)?, "these lengths of an image")?;
        let block = lengths(&self.block.get(args)?, "these lengths of a window")?;
        let grid = self.windows.grid(&block, &size)?;
        // Before memory is taken for a window.
        cx.check_shape(&block)?;
        cx.check_shape(&size)?;
        let value = args.get(0)?;
        let answer = numbers!(value.data(), T, items => self.added::<T>(items, value.shape(), &grid, cx)?, {
            return Err(value.type_error("a number"));
        });
        Ok(smallvec![answer])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.first().is_none_or(|x| !x.only_first()) || inputs.iter().skip(1).any(Flow::any)
    }
}

/// Every element of input 0 at the place that input 1 tells, zero elsewhere.
#[derive(Debug)]
struct MaxUnpool {
    kernel: Vec<usize>,
    strides: Vec<usize>,
    pads: Vec<usize>,
    shape: Ints,
}

fn unpool(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(MaxUnpool {
        kernel: counts(node, "kernel_shape", 1)?,
        strides: counts(node, "strides", 1)?,
        pads: counts(node, "pads", 0)?,
        shape: Ints::input(node, 2)?,
    }))
}

impl MaxUnpool {
    /// The shape that the pooled value of `shape` had.
    fn pooled(&self, shape: &[usize]) -> Result<Vec<usize>> {
        let (count, channels, size) = images(shape)?;
        let axes = size.len();
        let kernel = each_axis(&self.kernel, 1, axes)?;
        let (strides, pads) = (each_axis(&self.strides, 1, axes)?, each_axis(&self.pads, 0, 2 * axes)?);
        let length = |axis: usize| {
            let whole = size[axis].saturating_sub(1).saturating_mul(strides[axis]).saturating_add(kernel[axis]);
            whole.saturating_sub(pads[axis] + pads[axes + axis])
        };
        Ok(image_shape(count, channels, &(0..axes).map(length).collect::<Vec<_>>()))
    }
}

impl Op for MaxUnpool {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (value, places) = (args.get(0)?, args.get(1)?);
        let natural = self.pooled(value.shape())?;
        let wanted = match self.shape.opt(args)? {
            Some(shape) => lengths(&shape, "this shape of an answer")?,
            None => natural.clone(),
        };
        let places = places.to_i64s()?;
        if places.len() != value.len() || wanted.len() != natural.len() {
            return Err(Error::new(ErrorKind::WrongShape, "MaxUnpool takes one place for each element")
                .expected(value.len())
                .actual(places.len()));
        }
        let all = cx.check_shape(&wanted)?;
        cx.check_shape(&natural)?;
        fn put<T: Item>(items: &[T], places: &[i64], [from, to]: [&[usize]; 2], all: usize) -> Result<Value<'static>> {
            let mut out = vec![T::default(); all];
            for (item, &place) in items.iter().zip(places) {
                // The place counts in the shape that was pooled, at whose front the answer's begins.
                let (mut rest, mut at, mut step, mut inside) = (usize::try_from(place).ok(), 0, 1, true);
                for (&f, &t) in from.iter().zip(to).rev() {
                    let index = rest.filter(|_| f > 0).map(|r| r % f);
                    rest = rest.filter(|_| f > 0).map(|r| r / f);
                    inside &= index.is_some_and(|i| i < t);
                    at += index.unwrap_or(0) * step;
                    step *= t;
                }
                if rest != Some(0) {
                    return Err(
                        Error::new(ErrorKind::InvalidValue, "a place of MaxUnpool is out of range").actual(place)
                    );
                }
                if inside {
                    out[at] = item.clone();
                }
            }
            Ok(Value::new(to, out))
        }
        let answer = typed!(value.data(), T, items => put::<T>(items, &places, [&natural, &wanted], all)?, _seq => {
            return Err(value.type_error("a tensor"));
        });
        Ok(smallvec![answer])
    }

    /// Places count from the first image on.
    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.iter().any(Flow::any)
    }
}
