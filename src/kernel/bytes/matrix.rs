use super::dot::Dot;

/// Columns of one panel.
pub(crate) const NR: usize = 16;
/// A matrix of at most so many elements is kept widened: it stays in a near cache all the same.
const WIDENED: usize = 1 << 17;

/// The elements of a [`ByteMatrix`] in panels of [`NR`] columns; in each panel steps of [`Dot::step`] rows, in each step
/// the columns one after the other.
#[derive(Debug, Clone)]
pub(super) enum Panels {
    Bytes(Vec<i8>),
    /// Widened, so that the multiplication need not.
    Wide(Vec<i16>),
}

/// A matrix (k, n) of 8-bit weights with a zero point for each column, laid out for multiplying many rows by it.
///
/// Its k rows are `segments` runs of `run` rows each: a row that it multiplies may lie in as many pieces, as a window of
/// an image does. Each run is filled up with zeros to whole steps.
#[derive(Debug, Clone)]
pub(crate) struct ByteMatrix {
    pub(super) dot: Dot,
    pub(super) segments: usize,
    pub(super) run: usize,
    pub(super) n: usize,
    pub(super) panels: Panels,
    /// The zero point of each column, filled up to whole panels; empty where all are 0.
    pub(super) zeros: Vec<i32>,
    /// The sum of each column, filled up; for steps of four alone.
    pub(super) sums: Vec<i32>,
}

impl ByteMatrix {
    /// Packs the matrix whose row `s * run + i`, column `j` is `at(s, i, j)`, within -128 and 127, less `zero(j)`.
    pub(crate) fn new(
        dot: Dot,
        [segments, run, n]: [usize; 3],
        at: impl Fn(usize, usize, usize) -> i8,
        zero: impl Fn(usize) -> i32,
    ) -> Self {
        let (step, count) = (dot.step(), n.div_ceil(NR));
        let steps = run.div_ceil(step);
        let mut bytes = vec![0i8; count * segments * steps * step * NR];
        let mut sums = vec![0i32; if dot.by_fours() { count * NR } else { 0 }];
        let mut to = bytes.chunks_exact_mut(step);
        for p in 0..count {
            for (s, t) in (0..segments).flat_map(|s| (0..steps).map(move |t| (s, t))) {
                for j in p * NR..(p + 1) * NR {
                    let lane = to.next().expect("as many lanes as were allocated");
                    for (i, byte) in (t * step..run).zip(lane).filter(|_| j < n) {
                        *byte = at(s, i, j);
                        if let Some(sum) = sums.get_mut(j) {
                            *sum += i32::from(*byte);
                        }
                    }
                }
            }
        }
        let mut zeros: Vec<i32> = (0..n).map(zero).collect();
        zeros.resize(count * NR, 0);
        if zeros.iter().all(|&z| z == 0) {
            zeros.clear();
        }
        let panels = if !dot.by_fours() && bytes.len() <= WIDENED {
            Panels::Wide(bytes.into_iter().map(i16::from).collect())
        } else {
            Panels::Bytes(bytes)
        };
        Self { dot, segments, run, n, panels, zeros, sums }
    }

    /// The instructions that it is packed for.
    pub(crate) fn dot(&self) -> Dot {
        self.dot
    }

    /// The length of a row that it multiplies.
    pub(crate) fn k(&self) -> usize {
        self.segments * self.run
    }

    /// The columns.
    pub(crate) fn n(&self) -> usize {
        self.n
    }
}
