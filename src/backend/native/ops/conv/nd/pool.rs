//! Pools over any number of axes: `MaxPool` with its indices, `AveragePool`, `LpPool`, `GlobalLpPool`.

use smallvec::smallvec;

use super::grid::{Grid, OUTSIDE, Windows, image_shape, images};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::ops::math::Num;
use crate::backend::native::ops::math::dispatch::numbers;
use crate::backend::native::value::Value;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("LpPool", lp), ("GlobalLpPool", whole_lp)];

/// The most pixels of a window.
const MOST_PIXELS: usize = 1 << 16;

/// What a window becomes.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Max {
        /// Whether the places of the largest count the first axis of an image fastest.
        column_major: bool,
    },
    /// Whether the border counts as zeros.
    Mean { border: bool },
    /// The norm of this order.
    Norm(f64),
}

#[derive(Debug)]
pub(in crate::backend::native::ops::conv) struct Pool {
    kind: Kind,
    /// None is the whole image.
    windows: Option<Windows>,
}

fn windows(node: &Node<'_>) -> Result<Option<Windows>> {
    let windows = Windows::of(node)?;
    // Every pixel of every window is looked at, whatever the file says.
    match windows.kernel.iter().try_fold(1usize, |all, &k| all.checked_mul(k)) {
        _ if windows.kernel.is_empty() => Err(node.malformed("a pool needs its `kernel_shape`")),
        Some(pixels) if pixels <= MOST_PIXELS => Ok(Some(windows)),
        _ => Err(node.unsupported("pools over windows of more than 65,536 pixels")),
    }
}

pub(in crate::backend::native::ops::conv) fn max(node: &Node<'_>) -> Result<Pool> {
    Ok(Pool { kind: Kind::Max { column_major: node.flag("storage_order", false)? }, windows: windows(node)? })
}

pub(in crate::backend::native::ops::conv) fn average(node: &Node<'_>) -> Result<Pool> {
    Ok(Pool { kind: Kind::Mean { border: node.flag("count_include_pad", false)? }, windows: windows(node)? })
}

/// The order of a norm, a float in the first version.
fn order(node: &Node<'_>) -> Result<Kind> {
    let p = match node.int("p") {
        Ok(p) => p.unwrap_or(2) as f64,
        Err(_) => node.float_or("p", 2.0)?.into(),
    };
    if p > 0.0 { Ok(Kind::Norm(p)) } else { Err(node.malformed("the order of a norm is positive").actual(p)) }
}

fn lp(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Pool { kind: order(node)?, windows: windows(node)? }))
}

fn whole_lp(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Pool { kind: order(node)?, windows: None }))
}

impl Pool {
    fn grid(&self, size: &[usize]) -> Result<Grid> {
        match &self.windows {
            Some(windows) => windows.grid(&windows.kernel, size),
            None => {
                let ones = || vec![1; size.len()];
                let none = vec![0; size.len()];
                Ok(Grid {
                    size: size.to_vec(),
                    windows: ones(),
                    kernel: size.to_vec(),
                    strides: ones(),
                    dilations: ones(),
                    before: none.clone(),
                    after: none,
                })
            }
        }
    }

    /// The answers for every channel of every image, and for the largest also where they stand.
    fn pooled<'v, T: Num>(&self, items: &[T], shape: &[usize], cx: &mut Scratch) -> Result<Outs<'v>> {
        let (count, channels, size) = images(shape)?;
        let grid = self.grid(size)?;
        let to = image_shape(count, channels, &grid.windows);
        let all = cx.check_shape(&to)?;
        let (pixels, windows) = (grid.pixels(), grid.count());
        let mut out = cx.buffer::<T>(all);
        out.resize(all, T::ZERO);
        let mut at = cx.buffer::<i64>(0);
        if let Kind::Max { .. } = self.kind {
            at.resize(all, -1);
        }
        let mut number = 0;
        grid.each(|window, places| {
            let inside = || places.iter().copied().filter(|&p| p != OUTSIDE);
            let bordered = match self.kind {
                Kind::Mean { border: true } => grid.bordered(window),
                _ => inside().count(),
            };
            for channel in 0..count * channels {
                let image = &items[channel * pixels..][..pixels];
                let slot = channel * windows + number;
                match self.kind {
                    Kind::Max { .. } => {
                        let best = inside().reduce(|a, b| if image[b] > image[a] { b } else { a });
                        out[slot] = best.map_or(T::LEAST, |p| image[p]);
                        at[slot] = best.map_or(-1, |p| (channel * pixels + p) as i64);
                    }
                    Kind::Mean { .. } => {
                        let sum: f64 = inside().map(|p| image[p].to_double()).sum();
                        let mean = sum / bordered.max(1) as f64;
                        out[slot] = T::from_double(if T::IS_FLOAT { mean } else { mean.round_ties_even() });
                    }
                    Kind::Norm(p) => {
                        let sum: f64 = inside().map(|i| image[i].to_double().abs().powf(p)).sum();
                        out[slot] = T::from_double(sum.powf(1.0 / p));
                    }
                }
            }
            number += 1;
            Ok(())
        })?;
        if let Kind::Max { column_major: true } = self.kind {
            at.iter_mut().filter(|p| **p >= 0).for_each(|p| *p = turned(*p as usize, pixels, size) as i64);
        }
        let answer = Value::new(to.as_slice(), out);
        Ok(match self.kind {
            Kind::Max { .. } => smallvec![answer, Value::new(to, at)],
            _ => smallvec![answer],
        })
    }

    /// The outputs for the value at input 0.
    pub(in crate::backend::native::ops::conv) fn outputs<'v>(
        &self,
        value: &Value<'_>,
        cx: &mut Scratch,
    ) -> Result<Outs<'v>> {
        numbers!(value.data(), T, items => self.pooled::<T>(items, value.shape(), cx), {
            Err(Error::new(ErrorKind::WrongType, "pools take numbers").actual(value.type_text()))
        })
    }
}

/// The place `at` of a value whose images have the lengths `size`, counted with the first axis of an image fastest.
fn turned(at: usize, pixels: usize, size: &[usize]) -> usize {
    let (channel, mut rest) = (at / pixels, at % pixels);
    let mut index = vec![0; size.len()];
    for axis in (0..size.len()).rev() {
        index[axis] = rest % size[axis];
        rest /= size[axis];
    }
    let place = index.iter().zip(size).rev().fold(0, |place, (i, n)| place * n + i);
    channel * pixels + place
}

impl Op for Pool {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        self.outputs(args.get(0)?, cx)
    }

    /// The places of the largest count from the first image on.
    fn mixes_rows(&self, inputs: &[Flow], outputs: &[Flow]) -> bool {
        inputs.first().is_none_or(|x| !x.only_first()) || (outputs.len() > 1 && inputs.iter().any(Flow::any))
    }
}
