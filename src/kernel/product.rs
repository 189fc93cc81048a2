//! Matrix products for networks, on the calling thread.
//!
//! candle multiplies with the same kernels, but asks the system for the number of its processors at every product (on
//! Linux it reads `/proc/cpuinfo`, which takes milliseconds on large machines), and divides the work among the threads
//! of whatever pool it is called in.

use gemm::{Parallelism, gemm};

/// How the right factor of a product lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    /// (k, n), row-major.
    Plain,
    /// (n, k), row-major: its transpose is the factor.
    Transposed,
}

/// The product (m, n) of `a` (m, k) and `b`, all row-major, written over `c`.
///
/// # Panics
/// When a length is not that of its shape.
pub(crate) fn product((m, k, n): (usize, usize, usize), a: &[f32], b: &[f32], right: Right, c: &mut [f32]) {
    let fits = |len: usize, rows: usize, columns: usize| rows.checked_mul(columns) == Some(len);
    assert!(fits(a.len(), m, k) && fits(b.len(), k, n) && fits(c.len(), m, n), "the shapes are ({m}, {k}, {n})");
    let (b_column, b_row) = match right {
        Right::Plain => (1, n as isize),
        Right::Transposed => (k as isize, 1),
    };
    // SAFETY: the slices hold as many elements as their shapes say, the strides stay inside of them, and `c`, which is
    // borrowed exclusively, overlaps neither factor.
    unsafe {
        gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            n as isize,
            false,
            a.as_ptr(),
            1,
            k as isize,
            b.as_ptr(),
            b_column,
            b_row,
            0.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
