use super::isa::dispatch;
use super::{Isa, Real};

/// Points of one panel, measured together.
const LANES: usize = 16;

/// How far apart two points are: the sum over their coordinates of a power of the magnitude of the difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metric {
    /// The first power.
    Manhattan,
    /// The second.
    SquaredEuclidean,
    /// The third.
    Cubic,
}

/// Points (n, k) laid out for measuring many rows against them.
///
/// Among points at nearly the same distance the order in which the terms are added decides which comes out as the
/// nearer one, so it is that of ONNX Runtime, with every product rounded: squares one after the other, magnitudes and
/// cubes as 128-bit vectors add them, in four (f32) or two (f64) chains, two vectors in turn.
#[derive(Debug, Clone)]
pub(crate) struct Points<T> {
    n: usize,
    k: usize,
    panels: Vec<[T; LANES]>,
}

impl<T: Real> Points<T> {
    /// Packs `points`, (n, k).
    ///
    /// # Panics
    /// When `points` does not hold n rows.
    pub(crate) fn new(points: &[T], n: usize, k: usize) -> Self {
        assert_eq!(points.len(), n * k, "{n} points of {k} coordinates");
        let mut panels = vec![[T::ZERO; LANES]; n.div_ceil(LANES) * k];
        for (j, point) in points.chunks_exact(k.max(1)).enumerate() {
            for (i, &coordinate) in point.iter().enumerate() {
                panels[j / LANES * k + i][j % LANES] = coordinate;
            }
        }
        Self { n, k, panels }
    }

    /// The number of points.
    pub(crate) fn n(&self) -> usize {
        self.n
    }

    /// The number of coordinates.
    pub(crate) fn k(&self) -> usize {
        self.k
    }

    /// The distances of the rows of `x`, (m, k), from all points, appended to `out` as (m, n). `m` counts where rows
    /// have no coordinates.
    ///
    /// # Panics
    /// When `x` does not hold m rows.
    pub(crate) fn distances(&self, isa: Isa, metric: Metric, x: &[T], m: usize, out: &mut Vec<T>) {
        assert_eq!(x.len(), m * self.k, "rows of {} coordinates", self.k);
        let start = out.len();
        out.resize(start + m * self.n, T::ZERO);
        if self.k > 0 && self.n > 0 {
            measure(isa, self, metric, x, &mut out[start..]);
        }
    }
}

dispatch! { fn measure[T: Real](points: &Points<T>, metric: Metric, x: &[T], out: &mut [T]) = measure_body }

#[inline(always)]
fn measure_body<const FMA: bool, T: Real>(points: &Points<T>, metric: Metric, x: &[T], out: &mut [T]) {
    match metric {
        Metric::Manhattan => panels(points, x, out, magnitude),
        Metric::SquaredEuclidean => squares(points, x, out),
        Metric::Cubic => panels(points, x, out, |d: T| {
            let d = magnitude(d);
            d * d * d
        }),
    }
}

#[inline(always)]
fn magnitude<T: Real>(d: T) -> T {
    if d < T::ZERO { T::ZERO - d } else { d }
}

#[inline(always)]
fn store<T: Real>(sums: &[T; LANES], out: &mut [T]) {
    if out.len() == LANES {
        out.copy_from_slice(sums);
    } else {
        out.iter_mut().zip(sums).for_each(|(o, s)| *o = *s);
    }
}

/// Squared distances, several rows at a time.
#[inline(always)]
fn squares<T: Real>(points: &Points<T>, x: &[T], out: &mut [T]) {
    /// Rows measured together: as many chains of additions run side by side.
    const ROWS: usize = 6;
    let Points { n, k, .. } = *points;
    for (p, panel) in points.panels.chunks_exact(k).enumerate() {
        let columns = p * LANES..n.min((p + 1) * LANES);
        let mut blocks = x.chunks_exact(ROWS * k);
        let mut answers = out.chunks_exact_mut(n);
        for block in blocks.by_ref() {
            for (sums, out) in squares_of::<ROWS, T>(block, panel).iter().zip(&mut answers) {
                store(sums, &mut out[columns.clone()]);
            }
        }
        for (row, out) in blocks.remainder().chunks_exact(k).zip(answers) {
            let [sums] = squares_of::<1, T>(row, panel);
            store(&sums, &mut out[columns.clone()]);
        }
    }
}

#[inline(always)]
fn squares_of<const ROWS: usize, T: Real>(x: &[T], panel: &[[T; LANES]]) -> [[T; LANES]; ROWS] {
    let k = panel.len();
    let mut sums = [[T::ZERO; LANES]; ROWS];
    let rows: [&[T]; ROWS] = std::array::from_fn(|r| &x[r * k..(r + 1) * k]);
    for (i, points) in panel.iter().enumerate() {
        for (sum, row) in sums.iter_mut().zip(rows) {
            let value = row[i];
            for (s, p) in sum.iter_mut().zip(points) {
                let d = value - *p;
                *s += d * d;
            }
        }
    }
    sums
}

#[inline(always)]
fn panels<T: Real>(points: &Points<T>, x: &[T], out: &mut [T], term: impl Fn(T) -> T + Copy) {
    let Points { n, k, .. } = *points;
    for (p, panel) in points.panels.chunks_exact(k).enumerate() {
        let columns = p * LANES..n.min((p + 1) * LANES);
        for (row, out) in x.chunks_exact(k).zip(out.chunks_exact_mut(n)) {
            let sums = sums(row, panel, term);
            store(&sums, &mut out[columns.clone()]);
        }
    }
}

/// The sums of the terms of one row against the points of a panel.
#[inline(always)]
fn sums<T: Real>(row: &[T], panel: &[[T; LANES]], term: impl Fn(T) -> T + Copy) -> [T; LANES] {
    // Elements of a 128-bit vector: 4 or 2.
    let width = 16 / size_of::<T>();
    let add = |sum: &mut [T; LANES], x: T, points: &[T; LANES]| {
        for (s, p) in sum.iter_mut().zip(points) {
            *s += term(x - *p);
        }
    };
    let (mut a, mut b) = ([[T::ZERO; LANES]; 4], [[T::ZERO; LANES]; 4]);
    let pairs = row.len() / (2 * width) * (2 * width);
    let mut at = 0;
    if width == 4 {
        for (x, points) in row.chunks_exact(8).zip(panel.chunks_exact(8)) {
            for i in 0..4 {
                add(&mut a[i], x[i], &points[i]);
                add(&mut b[i], x[i + 4], &points[i + 4]);
            }
        }
    } else {
        for (x, points) in row.chunks_exact(4).zip(panel.chunks_exact(4)) {
            for i in 0..2 {
                add(&mut a[i], x[i], &points[i]);
                add(&mut b[i], x[i + 2], &points[i + 2]);
            }
        }
    }
    at += pairs;
    for (a, b) in a.iter_mut().zip(&b) {
        a.iter_mut().zip(b).for_each(|(a, b)| *a += *b);
    }
    if row.len() - at >= width {
        for i in 0..width {
            add(&mut a[i], row[at + i], &panel[at + i]);
        }
        at += width;
    }
    let mut total = [T::ZERO; LANES];
    for (lane, t) in total.iter_mut().enumerate() {
        *t = if width == 4 { (a[0][lane] + a[2][lane]) + (a[1][lane] + a[3][lane]) } else { a[0][lane] + a[1][lane] };
    }
    for (x, points) in row[at..].iter().zip(&panel[at..]) {
        add(&mut total, *x, points);
    }
    total
}
