use super::dot::Dot;
use crate::kernel::Isa;
use crate::kernel::isa::dispatch;

/// 1.5 * 2^23: adding it rounds what is smaller than 2^22 to the nearest integer, ties to even, in the low bits.
const ROUNDER: f32 = 12_582_912.0;

/// What readers of [`Bytes`] may read beyond a row: it meets weights that are 0.
const SLACK: usize = 4;

/// What [`Bytes`] hold: numbers less their zero point, or with it.
#[derive(Debug)]
pub(crate) enum Held<W, N> {
    Wide(W),
    Narrow(N),
}

/// 8-bit numbers in the form in which a [`ByteMatrix`](super::ByteMatrix) reads them: less their zero point as i16, or as
/// u8 with it.
#[derive(Debug)]
pub(crate) struct Bytes {
    pub(super) dot: Dot,
    pub(super) wide: Vec<i16>,
    pub(super) narrow: Vec<u8>,
    /// The zero point of `narrow`, in which i8 are moved up by 128.
    pub(super) zero: i32,
}

impl Bytes {
    /// None yet, in the buffers given.
    pub(crate) fn new(dot: Dot, wide: Vec<i16>, narrow: Vec<u8>) -> Self {
        Self { dot, wide, narrow, zero: 0 }
    }

    /// None yet, with the zero point of `other`.
    pub(crate) fn like(other: &Self, mut wide: Vec<i16>, mut narrow: Vec<u8>) -> Self {
        wide.clear();
        narrow.clear();
        Self { dot: other.dot, wide, narrow, zero: other.zero }
    }

    /// The buffers.
    pub(crate) fn into_buffers(self) -> (Vec<i16>, Vec<u8>) {
        (self.wide, self.narrow)
    }

    /// Empties it for numbers of this zero point. `signed` says whether they are i8.
    pub(crate) fn start(&mut self, zero: i32, signed: bool) {
        self.zero = if signed { zero + 128 } else { zero };
        self.wide.clear();
        self.narrow.clear();
    }

    /// `len` zeros (numbers equal to the zero point), to be overwritten.
    pub(crate) fn grow(&mut self, len: usize) {
        if self.dot.by_fours() {
            self.narrow.resize(self.narrow.len() + len, self.zero as u8);
        } else {
            self.wide.resize(self.wide.len() + len, 0);
        }
    }

    /// What is read past the last row.
    pub(crate) fn end(&mut self) {
        self.grow(SLACK);
    }

    /// The elements, the slack included.
    pub(super) fn len(&self) -> usize {
        if self.dot.by_fours() { self.narrow.len() } else { self.wide.len() }
    }

    /// Room for `len` more numbers, and what turns floats into them.
    pub(crate) fn room(&mut self, len: usize) -> (Quantiser, Held<&mut [i16], &mut [u8]>) {
        let (at, zero) = (self.len(), self.zero);
        self.grow(len);
        let room = match self.held_mut() {
            Held::Wide(all) => Held::Wide(&mut all[at..]),
            Held::Narrow(all) => Held::Narrow(&mut all[at..]),
        };
        (Quantiser { zero }, room)
    }

    /// Adds floats, quantised as [`quantise`] does it to u8, or i8 where it was started with these.
    pub(crate) fn push_floats(&mut self, isa: Isa, x: &[f32], scale: f32) {
        match self.room(x.len()) {
            (by, Held::Wide(room)) => by.wide(isa, x, scale, room),
            (by, Held::Narrow(room)) => by.narrow(isa, x, scale, room),
        }
    }

    /// Adds u8.
    pub(crate) fn push_unsigned(&mut self, x: &[u8]) {
        if self.dot.by_fours() {
            self.narrow.extend_from_slice(x);
        } else {
            let zero = self.zero as i16;
            self.wide.extend(x.iter().map(|&v| i16::from(v) - zero));
        }
    }

    /// Adds i8.
    pub(crate) fn push_signed(&mut self, x: &[i8]) {
        if self.dot.by_fours() {
            self.narrow.extend(x.iter().map(|&v| (v as u8) ^ 0x80));
        } else {
            let zero = self.zero as i16 - 128;
            self.wide.extend(x.iter().map(|&v| i16::from(v) - zero));
        }
    }

    /// The numbers as they are held.
    pub(crate) fn held(&self) -> Held<&[i16], &[u8]> {
        if self.dot.by_fours() { Held::Narrow(&self.narrow) } else { Held::Wide(&self.wide) }
    }

    /// The numbers as they are held, to be overwritten.
    pub(crate) fn held_mut(&mut self) -> Held<&mut [i16], &mut [u8]> {
        if self.dot.by_fours() { Held::Narrow(&mut self.narrow) } else { Held::Wide(&mut self.wide) }
    }

    /// The number at `i` less the zero point.
    pub(super) fn at(&self, i: usize) -> i32 {
        if self.dot.by_fours() { i32::from(self.narrow[i]) - self.zero } else { i32::from(self.wide[i]) }
    }
}

/// Floats to 8-bit numbers of a zero point, as [`Bytes`] hold them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quantiser {
    zero: i32,
}

impl Quantiser {
    /// `x / scale`, rounded to nearest, ties to even, for [`Held::Wide`].
    pub(crate) fn wide(self, isa: Isa, x: &[f32], scale: f32, out: &mut [i16]) {
        to_wide(isa, x, scale, [-self.zero, 255 - self.zero], out);
    }

    /// The same for [`Held::Narrow`].
    pub(crate) fn narrow(self, isa: Isa, x: &[f32], scale: f32, out: &mut [u8]) {
        to_bytes(isa, x, scale, [-self.zero, 255 - self.zero], self.zero, out);
    }
}

dispatch! { fn to_wide(x: &[f32], scale: f32, bounds: [i32; 2], out: &mut [i16]) = to_wide_body }
dispatch! { fn to_bytes(x: &[f32], scale: f32, bounds: [i32; 2], zero: i32, out: &mut [u8]) = to_bytes_body }
dispatch! {
    /// The least and the greatest of the elements of `x` and 0.
    pub(crate) fn extremes(x: &[f32]) -> [f32; 2] = extremes_body
}

/// `x / scale` rounded to nearest, ties to even, within `bounds`; NaN gives the lower one.
#[inline(always)]
pub(super) fn rounded(x: f32, bounds: [f32; 2]) -> i32 {
    let x = if x > bounds[0] { x } else { bounds[0] };
    let x = if x < bounds[1] { x } else { bounds[1] };
    (x + ROUNDER).to_bits().wrapping_sub(ROUNDER.to_bits()) as i32
}

#[inline(always)]
fn to_wide_body<const FMA: bool>(x: &[f32], scale: f32, bounds: [i32; 2], out: &mut [i16]) {
    let bounds = bounds.map(|b| b as f32);
    for (o, v) in out.iter_mut().zip(x) {
        *o = rounded(*v / scale, bounds) as i16;
    }
}

#[inline(always)]
fn to_bytes_body<const FMA: bool>(x: &[f32], scale: f32, bounds: [i32; 2], zero: i32, out: &mut [u8]) {
    let bounds = bounds.map(|b| b as f32);
    for (o, v) in out.iter_mut().zip(x) {
        *o = (rounded(*v / scale, bounds) + zero) as u8;
    }
}

#[inline(always)]
fn extremes_body<const FMA: bool>(x: &[f32]) -> [f32; 2] {
    const LANES: usize = 16;
    let (mut low, mut high) = ([0.0f32; LANES], [0.0f32; LANES]);
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for i in 0..LANES {
            low[i] = if chunk[i] < low[i] { chunk[i] } else { low[i] };
            high[i] = if chunk[i] > high[i] { chunk[i] } else { high[i] };
        }
    }
    for (i, v) in rest.iter().enumerate() {
        low[i] = if *v < low[i] { *v } else { low[i] };
        high[i] = if *v > high[i] { *v } else { high[i] };
    }
    [low.into_iter().fold(0.0, f32::min), high.into_iter().fold(0.0, f32::max)]
}

/// The scale and zero point of u8 that cover the range of `x` and 0, as `DynamicQuantizeLinear` defines them.
pub(crate) fn range(isa: Isa, x: &[f32]) -> (f32, i32) {
    covering(extremes(isa, x))
}

/// The scale and zero point of u8 for numbers from `low` to `high`, which include 0.
pub(crate) fn covering([low, high]: [f32; 2]) -> (f32, i32) {
    let scale = if low == high { 1.0 } else { (high - low) / 255.0 };
    (scale, rounded(-low / scale, [0.0, 255.0]))
}

/// Floats as u8, or i8 whose bits are given: `x / scale` rounded to nearest, ties to even, plus `zero`.
pub(crate) fn quantise(isa: Isa, x: &[f32], scale: f32, zero: i32, signed: bool, out: &mut [u8]) {
    let low = if signed { -128 } else { 0 };
    to_bytes(isa, x, scale, [low - zero, low + 255 - zero], zero, out);
}
