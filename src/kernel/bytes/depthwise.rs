use super::finish::Finish;
use super::matrix::NR;
use super::rows::Bytes;
use crate::kernel::isa::dispatch;
use crate::kernel::{Isa, Left};

/// One filter of 8-bit weights for each channel, less their zero points, in panels of [`NR`] channels.
#[derive(Debug, Clone)]
pub(crate) struct ByteFilters {
    places: usize,
    channels: usize,
    /// Panel by panel, place by place.
    weights: Vec<[i16; NR]>,
}

impl ByteFilters {
    /// The filters whose weight at place `p` of channel `c` is `at(p, c)`.
    pub(crate) fn new(places: usize, channels: usize, at: impl Fn(usize, usize) -> i16) -> Self {
        let of = |panel: usize, p: usize| {
            let mut weights = [0; NR];
            for (c, w) in (panel * NR..channels).zip(&mut weights) {
                *w = at(p, c);
            }
            weights
        };
        let weights = (0..channels.div_ceil(NR)).flat_map(|panel| (0..places).map(move |p| (panel, p)));
        Self { places, channels, weights: weights.map(|(panel, p)| of(panel, p)).collect() }
    }

    /// Learned numbers.
    pub(crate) fn parameters(&self) -> usize {
        self.places * self.channels
    }

    /// Hands `finish` the exact sums of each window of `left` in `x`, less its zero point, by channels.
    ///
    /// # Panics
    /// When windows reach past the end of `x` or have another number of places.
    pub(crate) fn multiply<F: Finish>(&self, isa: Isa, x: &Bytes, left: Left<'_>, finish: &mut F) {
        assert_eq!(left.pieces.len(), self.places, "a weight for each place of a window");
        assert!(left.end(self.channels) <= x.len(), "windows end within the numbers");
        if x.dot.by_fours() {
            filters(isa, self, &x.narrow, x.zero, left, finish);
        } else {
            filters(isa, self, &x.wide, 0, left, finish);
        }
    }
}

dispatch! {
    fn filters[T: Number, F: Finish](all: &ByteFilters, x: &[T], zero: i32, left: Left<'_>, finish: &mut F) = filters_body
}

/// A number as [`Bytes`] hold it.
trait Number: Copy + Into<i32> {}
impl Number for u8 {}
impl Number for i16 {}

#[inline(always)]
fn filters_body<const FMA: bool, T: Number, F: Finish>(
    all: &ByteFilters,
    x: &[T],
    zero: i32,
    left: Left<'_>,
    finish: &mut F,
) {
    for row in 0..left.m {
        let start = left.place(row);
        for (panel, weights) in all.weights.chunks_exact(all.places).enumerate() {
            let first = panel * NR;
            let width = NR.min(all.channels - first);
            let mut sums = [0i32; NR];
            for (piece, w) in left.pieces.iter().zip(weights) {
                let at = start + *piece as usize + first;
                if let Ok(x) = <&[T; NR]>::try_from(&x[at..at + width]) {
                    for i in 0..NR {
                        sums[i] += (x[i].into() - zero) * i32::from(w[i]);
                    }
                } else {
                    for ((sum, x), w) in sums.iter_mut().zip(&x[at..at + width]).zip(w) {
                        *sum += ((*x).into() - zero) * i32::from(*w);
                    }
                }
            }
            finish.finish(row, panel, &sums);
        }
    }
}
