//! `DeformConv`: a convolution whose places are moved by offsets.

use smallvec::smallvec;

use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::ops::wide::{floats, rounded};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("DeformConv", build)];

#[derive(Debug)]
struct DeformConv {
    strides: [usize; 2],
    dilations: [usize; 2],
    /// Above, left, below, right.
    pads: [usize; 4],
    groups: usize,
    offset_groups: usize,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    fn list<const N: usize>(node: &Node<'_>, name: &str, least: i64) -> Result<[usize; N]> {
        let items = node.ints(name)?.map_or_else(|| vec![least; N], <[i64]>::to_vec);
        let unsupported = || node.unsupported(format!("these `{name}`")).actual(format!("{items:?}"));
        if items.iter().any(|i| !(least..=1 << 16).contains(i)) {
            return Err(unsupported());
        }
        <[i64; N]>::try_from(items.as_slice()).map(|all| all.map(|i| i as usize)).map_err(|_| unsupported())
    }
    let count = |name: &str| -> Result<usize> {
        usize::try_from(node.int_or(name, 1)?)
            .ok()
            .filter(|&n| n > 0)
            .ok_or_else(|| node.malformed(format!("`{name}` is at least one")))
    };
    Ok(Box::new(DeformConv {
        strides: list(node, "strides", 1)?,
        dilations: list(node, "dilations", 1)?,
        pads: list(node, "pads", 0)?,
        groups: count("group")?,
        offset_groups: count("offset_group")?,
    }))
}

/// The element at a place between pixels, zero outside of the image.
fn sample(image: &[f64], [height, width]: [usize; 2], y: f64, x: f64) -> f64 {
    if !(y > -1.0 && x > -1.0 && y < height as f64 && x < width as f64) {
        return 0.0;
    }
    let (top, left) = (y.floor(), x.floor());
    let mut sum = 0.0;
    for (row, a) in [(top, 1.0 - (y - top)), (top + 1.0, y - top)] {
        for (column, b) in [(left, 1.0 - (x - left)), (left + 1.0, x - left)] {
            if row >= 0.0 && column >= 0.0 && row < height as f64 && column < width as f64 {
                sum += a * b * image[row as usize * width + column as usize];
            }
        }
    }
    sum
}

impl Op for DeformConv {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (value, weights, offset) = (args.get(0)?, args.get(1)?, args.get(2)?);
        let wrong = |what: &str, shape: &[usize]| Error::new(ErrorKind::WrongShape, what).actual(shape_text(shape));
        let (&[count, channels, height, width], &[answers, taken, kh, kw]) = (value.shape(), weights.shape()) else {
            return Err(wrong("DeformConv takes images of two axes", value.shape()));
        };
        if channels != taken * self.groups || answers % self.groups != 0 || channels % self.offset_groups != 0 {
            return Err(wrong("the weights of DeformConv do not fit its groups", weights.shape()));
        }
        let places = kh * kw;
        let room = |axis: usize, length: usize, kernel: usize| {
            let reach = kernel.saturating_sub(1).saturating_mul(self.dilations[axis]) + 1;
            let whole = length + self.pads[axis] + self.pads[axis + 2];
            whole.checked_sub(reach).map(|room| room / self.strides[axis] + 1)
        };
        let (Some(rows), Some(columns)) = (room(0, height, kh), room(1, width, kw)) else {
            return Err(wrong("a window is larger than the image with its border", value.shape()));
        };
        let windows = rows * columns;
        if offset.shape() != [count, self.offset_groups * places * 2, rows, columns] {
            return Err(wrong("the offsets of DeformConv do not fit its windows", offset.shape()));
        }
        let mask = args.opt(4).filter(|m| m.len() > 0);
        if mask.is_some_and(|m| *m.shape() != [count, self.offset_groups * places, rows, columns]) {
            return Err(wrong("the mask of DeformConv does not fit its windows", mask.map_or(&[], |m| m.shape())));
        }
        let bias = args.opt(3).filter(|b| b.len() > 0).map(floats).transpose()?;
        if bias.as_ref().is_some_and(|b| b.len() != answers) {
            return Err(wrong("DeformConv takes one bias for each answer", &[answers]));
        }
        let shape = [count, answers, rows, columns];
        let mut out = vec![0.0; cx.check_shape(&shape)?];
        cx.check_shape(&[channels, places])?;
        let (items, w, offset) = (floats(value)?, floats(weights)?, floats(offset)?);
        let mask = mask.map(floats).transpose()?;
        let (per_offset, per_group) = (channels / self.offset_groups, answers / self.groups);
        let mut window = vec![0.0; channels * places];
        for image in 0..count {
            for at in 0..windows {
                let [top, left] = [at / columns * self.strides[0], at % columns * self.strides[1]];
                for channel in 0..channels {
                    let group = channel / per_offset;
                    let pixels = &items[(image * channels + channel) * height * width..][..height * width];
                    for place in 0..places {
                        let slot = (image * self.offset_groups + group) * places + place;
                        let moved = |axis: usize| offset[(slot * 2 + axis) * windows + at];
                        let y = (top + place / kw * self.dilations[0]) as f64 - self.pads[0] as f64 + moved(0);
                        let x = (left + place % kw * self.dilations[1]) as f64 - self.pads[1] as f64 + moved(1);
                        let share = mask.as_ref().map_or(1.0, |m| m[slot * windows + at]);
                        window[channel * places + place] = share * sample(pixels, [height, width], y, x);
                    }
                }
                for answer in 0..answers {
                    let from = &window[answer / per_group * taken * places..][..taken * places];
                    let weights = &w[answer * taken * places..][..taken * places];
                    let sum: f64 = from.iter().zip(weights).map(|(a, b)| a * b).sum();
                    out[(image * answers + answer) * windows + at] = sum + bias.as_ref().map_or(0.0, |b| b[answer]);
                }
            }
        }
        Ok(smallvec![rounded(out, shape.as_slice(), value.data())])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        let own = |i: usize| i == 0 || i == 2 || i == 4;
        inputs.iter().enumerate().any(|(i, x)| if own(i) { !x.only_first() } else { x.any() })
    }
}
