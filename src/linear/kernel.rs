//! The arithmetic of one row. Without `std` too, so nothing here is chosen at run time.

/// Partial sums that are kept apart, so that the compiler can use vector registers and no addition waits for the last.
const LANES: usize = 8;

/// The dot product of two slices of the same length. The order of the sum depends on the length alone, so a row gets
/// the same bits alone and in any batch.
#[inline]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    debug_assert_eq!(a.len(), b.len());
    let (a_blocks, b_blocks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f32 = a_blocks.remainder().iter().zip(b_blocks.remainder()).map(|(x, w)| x * w).sum();
    let mut lanes = [0.0f32; LANES];
    for (x, w) in a_blocks.zip(b_blocks) {
        for i in 0..LANES {
            lanes[i] += x[i] * w[i];
        }
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h)) + tail
}

/// 1 / (1 + e^-x).
#[inline]
pub(super) fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + libm::expf(-x))
}

/// e^x_i / Σ e^x_j in place. The largest entry is subtracted first, so nothing overflows.
pub(super) fn softmax(row: &mut [f32]) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for x in row.iter_mut() {
        *x = libm::expf(*x - largest);
        sum += *x;
    }
    for x in row {
        *x /= sum;
    }
}

/// Where the first of the largest entries stands; 0 when the first entry is not a number, as in ONNX's `ArgMax`.
#[inline]
pub(super) fn argmax(row: &[f32]) -> usize {
    let mut best = 0;
    for (i, x) in row.iter().enumerate().skip(1) {
        if *x > row[best] {
            best = i;
        }
    }
    best
}
