//! Least squares from rows that stream by.

/// The normal equations of fitting errors (m, n) by activations (m, k), with a constant or without.
pub(super) struct Normal {
    /// The rows of the unknowns: k, and one of constants.
    rows: usize,
    n: usize,
    constant: bool,
    /// (rows, rows), the upper half.
    squares: Vec<f64>,
    /// (rows, n).
    products: Vec<f64>,
    count: usize,
}

impl Normal {
    pub(super) fn new(k: usize, n: usize, constant: bool) -> Self {
        let rows = k + usize::from(constant);
        Self { rows, n, constant, squares: vec![0.0; rows * rows], products: vec![0.0; rows * n], count: 0 }
    }

    /// Adds activations (m, k) and what they should give (m, n).
    pub(super) fn add(&mut self, x: &[f32], y: &[f32]) {
        let k = self.rows - usize::from(self.constant);
        let mut row = vec![1.0; self.rows];
        for (x, y) in x.chunks_exact(k).zip(y.chunks_exact(self.n)) {
            row.iter_mut().zip(x).for_each(|(r, &x)| *r = f64::from(x));
            for (i, &a) in row.iter().enumerate().filter(|(_, a)| **a != 0.0) {
                let squares = &mut self.squares[i * self.rows + i..(i + 1) * self.rows];
                squares.iter_mut().zip(&row[i..]).for_each(|(s, b)| *s += a * b);
                let products = &mut self.products[i * self.n..(i + 1) * self.n];
                products.iter_mut().zip(y).for_each(|(p, &y)| *p += a * f64::from(y));
            }
            self.count += 1;
        }
    }

    /// The unknowns (rows, n) of least squared error plus `ridge` times the mean square of the activations times their own
    /// squares; nothing where there are no rows. The constant is free. By Cholesky's decomposition.
    pub(super) fn solve(mut self, ridge: f64) -> Option<Vec<f64>> {
        let (rows, n) = (self.rows, self.n);
        let k = rows - usize::from(self.constant);
        let trace: f64 = (0..k).map(|i| self.squares[i * rows + i]).sum();
        if self.count == 0 || trace <= 0.0 {
            return None;
        }
        let held = ridge * trace / k as f64;
        (0..k).for_each(|i| self.squares[i * rows + i] += held);
        // The upper half becomes the factor R of R'R.
        for i in 0..rows {
            for p in 0..i {
                let factor = self.squares[p * rows + i];
                if factor != 0.0 {
                    for j in i..rows {
                        self.squares[i * rows + j] -= factor * self.squares[p * rows + j];
                    }
                }
            }
            let pivot = self.squares[i * rows + i];
            if pivot <= 0.0 || !pivot.is_finite() {
                return None;
            }
            let root = pivot.sqrt();
            (i..rows).for_each(|j| self.squares[i * rows + j] /= root);
        }
        let (r, mut x) = (self.squares, self.products);
        for i in 0..rows {
            for c in 0..n {
                let known: f64 = (0..i).map(|p| r[p * rows + i] * x[p * n + c]).sum();
                x[i * n + c] = (x[i * n + c] - known) / r[i * rows + i];
            }
        }
        for i in (0..rows).rev() {
            for c in 0..n {
                let known: f64 = (i + 1..rows).map(|p| r[i * rows + p] * x[p * n + c]).sum();
                x[i * n + c] = (x[i * n + c] - known) / r[i * rows + i];
            }
        }
        x.iter().all(|v| v.is_finite()).then_some(x)
    }
}
