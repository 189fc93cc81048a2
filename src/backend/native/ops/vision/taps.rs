//! Along one axis of a resized image: which elements of the input make each of the answer, and with what weights.

use crate::backend::native::node::Node;
use crate::{Error, ErrorKind, Result};

/// Where an element of the answer stands on the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coordinates {
    HalfPixel,
    HalfPixelSymmetric,
    PytorchHalfPixel,
    AlignCorners,
    Asymmetric,
    TfHalfPixelForNn,
    TfCropAndResize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nearest {
    RoundPreferFloor,
    RoundPreferCeil,
    Floor,
    Ceil,
}

/// How the elements around a place are put together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mode {
    Nearest(Nearest),
    Linear,
    /// With the coefficient of the cubic.
    Cubic(f64),
}

/// What holds for all axes.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) coordinates: Coordinates,
    pub(super) mode: Mode,
    pub(super) antialias: bool,
    pub(super) exclude_outside: bool,
}

/// One axis: its length before and after, the scale between them, and the part of the input that is resized.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) scale: f64,
    pub(super) part: [f64; 2],
}

/// The elements of the input that make one of the answer, with their weights; none where it lies outside of the input and
/// is to be extrapolated.
pub(super) type Taps = Vec<(usize, f64)>;

impl Rule {
    /// By the attributes of `Resize`, or as `Upsample` and the first version of `Resize` have it.
    pub(super) fn of(node: &Node<'_>, old: bool) -> Result<Self> {
        let coordinates = match node.string_or("coordinate_transformation_mode", "half_pixel")? {
            _ if old => Coordinates::Asymmetric,
            "half_pixel" => Coordinates::HalfPixel,
            "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
            "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
            "align_corners" => Coordinates::AlignCorners,
            "asymmetric" => Coordinates::Asymmetric,
            "tf_half_pixel_for_nn" => Coordinates::TfHalfPixelForNn,
            "tf_crop_and_resize" => Coordinates::TfCropAndResize,
            other => return Err(node.malformed("an unknown `coordinate_transformation_mode`").actual(other)),
        };
        let nearest = match node.string_or("nearest_mode", "round_prefer_floor")? {
            _ if old => Nearest::Floor,
            "round_prefer_floor" | "" => Nearest::RoundPreferFloor,
            "round_prefer_ceil" => Nearest::RoundPreferCeil,
            "floor" => Nearest::Floor,
            "ceil" => Nearest::Ceil,
            other => return Err(node.malformed("an unknown `nearest_mode`").actual(other)),
        };
        let mode = match node.string_or("mode", "nearest")? {
            "nearest" => Mode::Nearest(nearest),
            // `bilinear` is the word of the first version of Upsample.
            "linear" | "bilinear" => Mode::Linear,
            "cubic" => Mode::Cubic(node.float_or("cubic_coeff_a", -0.75)?.into()),
            other => return Err(node.malformed("an unknown `mode`").actual(other)),
        };
        let antialias = node.flag("antialias", false)?;
        if antialias && matches!(mode, Mode::Nearest(_)) {
            return Err(node.malformed("`antialias` has no meaning in the mode `nearest`"));
        }
        Ok(Self { coordinates, mode, antialias, exclude_outside: node.flag("exclude_outside", false)? })
    }

    /// Where element `i` of the answer stands on the input.
    fn place(&self, axis: &Axis, i: usize) -> f64 {
        let (i, from, scale) = (i as f64, axis.from as f64, axis.scale);
        // Not rounded to a whole number, as the specification has it.
        let to = scale * from;
        match self.coordinates {
            Coordinates::HalfPixel => (i + 0.5) / scale - 0.5,
            Coordinates::HalfPixelSymmetric => {
                let adjustment = axis.to as f64 / to;
                from / 2.0 * (1.0 - adjustment) + (i + 0.5) / scale - 0.5
            }
            Coordinates::PytorchHalfPixel if axis.to > 1 => (i + 0.5) / scale - 0.5,
            Coordinates::PytorchHalfPixel => 0.0,
            Coordinates::AlignCorners if to == 1.0 => 0.0,
            Coordinates::AlignCorners => i * (from - 1.0) / (to - 1.0),
            Coordinates::Asymmetric => i / scale,
            Coordinates::TfHalfPixelForNn => (i + 0.5) / scale,
            Coordinates::TfCropAndResize => {
                let [start, end] = axis.part;
                let inner = if to == 1.0 {
                    (end - start) * (from - 1.0) / 2.0
                } else {
                    i * (end - start) * (from - 1.0) / (to - 1.0)
                };
                inner + start * (from - 1.0)
            }
        }
    }

    /// The taps of every element of the answer along an axis of the input that has elements.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`] for a scale that leads nowhere; [`ErrorKind::LimitExceeded`] for one that is so small
    /// that every element of the answer would be made of millions.
    pub(super) fn taps(&self, axis: &Axis) -> Result<Vec<Taps>> {
        let reach = match self.mode {
            Mode::Nearest(_) => 0.0,
            Mode::Linear => 1.0,
            Mode::Cubic(_) => 2.0,
        };
        // Smoothing widens what an element is made of where the image shrinks.
        let shrink = if self.antialias { axis.scale.min(1.0) } else { 1.0 };
        let first = (-reach / shrink).floor() + 1.0;
        const MOST: f64 = (1 << 22) as f64;
        if !axis.scale.is_finite() || axis.scale <= 0.0 {
            return Err(Error::new(ErrorKind::InvalidValue, "a scale of Resize is not positive").actual(axis.scale));
        }
        if first < -MOST {
            return Err(Error::new(ErrorKind::LimitExceeded, "a scale of Resize is too small").actual(axis.scale));
        }
        (0..axis.to)
            .map(|i| {
                let place = self.place(axis, i);
                if !place.is_finite() {
                    return Err(Error::new(ErrorKind::InvalidValue, "a place of Resize is not finite").actual(place));
                }
                let outside = self.coordinates == Coordinates::TfCropAndResize
                    && !(0.0..=axis.from as f64 - 1.0).contains(&place);
                Ok(if outside { Vec::new() } else { self.around(place, axis.from, shrink, first) })
            })
            .collect()
    }

    /// The taps around `place`, whose first stands `first` from it; offsets are scaled by `shrink`.
    fn around(&self, place: f64, length: usize, shrink: f64, first: f64) -> Taps {
        let last = length as f64 - 1.0;
        let whole = place.floor();
        if let Mode::Nearest(nearest) = self.mode {
            let rest = place - whole;
            let up = match nearest {
                Nearest::RoundPreferFloor => rest > 0.5,
                Nearest::RoundPreferCeil => rest >= 0.5,
                Nearest::Floor => false,
                Nearest::Ceil => rest > 0.0,
            };
            return vec![((whole + f64::from(u8::from(up))).clamp(0.0, last) as usize, 1.0)];
        }
        // A whole place counts as the right end of the interval before it.
        let (base, rest) = if place == whole { (whole - 1.0, 1.0) } else { (whole, place - whole) };
        let count = 2 - 2 * first as i64;
        let mut taps: Vec<(f64, f64)> = (0..count)
            .map(|k| {
                let offset = first + k as f64;
                (base + offset, self.weight((offset - rest) * shrink))
            })
            .collect();
        if self.exclude_outside {
            taps.retain(|(at, _)| (0.0..=last).contains(at));
        }
        let sum: f64 = taps.iter().map(|(_, w)| w).sum();
        let sum = if (self.exclude_outside || self.antialias) && sum != 0.0 { sum } else { 1.0 };
        taps.into_iter()
            .filter(|(_, weight)| *weight != 0.0)
            .map(|(at, weight)| (at.clamp(0.0, last) as usize, weight / sum))
            .collect()
    }

    /// The weight of an element at the distance `x`.
    fn weight(&self, x: f64) -> f64 {
        let x = x.abs();
        match self.mode {
            Mode::Cubic(a) if x <= 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
            Mode::Cubic(a) if x < 2.0 => ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a,
            Mode::Cubic(_) => 0.0,
            _ => (1.0 - x).max(0.0),
        }
    }
}
