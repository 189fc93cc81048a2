//! The discrete Fourier transform of one signal.

use std::f64::consts::PI;

/// A complex number.
pub(super) type Complex = [f64; 2];

fn times(a: Complex, b: Complex) -> Complex {
    [a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]]
}

/// e^(i pi share)
fn turn(share: f64) -> Complex {
    let (sin, cos) = (PI * share).sin_cos();
    [cos, sin]
}

/// Transforms signals of one length.
pub(super) struct Fourier {
    length: usize,
    /// For lengths that are no power of two: the chirp, and its own transform in the next power of two.
    chirp: Option<(Vec<Complex>, Vec<Complex>)>,
}

impl Fourier {
    pub(super) fn new(length: usize) -> Self {
        if length.is_power_of_two() || length == 0 {
            return Self { length, chirp: None };
        }
        // Bluestein: i j = (i^2 + j^2 - (i - j)^2) / 2 makes a convolution of the transform.
        let chirp: Vec<Complex> = (0..length)
            .map(|i| {
                // Squares are taken modulo the period, where they are exact.
                let square = (i as u128 * i as u128 % (2 * length as u128)) as f64;
                turn(-square / length as f64)
            })
            .collect();
        let mut kernel = vec![[0.0; 2]; (2 * length - 1).next_power_of_two()];
        let whole = kernel.len();
        for (i, c) in chirp.iter().enumerate() {
            let conjugate = [c[0], -c[1]];
            kernel[i] = conjugate;
            kernel[(whole - i) % whole] = conjugate;
        }
        butterflies(&mut kernel);
        Self { length, chirp: Some((chirp, kernel)) }
    }

    /// sum over j of x_j e^(-2 pi i k j / length), for every k, in place.
    pub(super) fn forward(&self, x: &mut [Complex]) {
        debug_assert_eq!(x.len(), self.length);
        let Some((chirp, kernel)) = &self.chirp else { return butterflies(x) };
        let mut whole: Vec<Complex> = x.iter().zip(chirp).map(|(x, c)| times(*x, *c)).collect();
        whole.resize(kernel.len(), [0.0; 2]);
        butterflies(&mut whole);
        // The inverse transform is the forward one of the conjugate.
        whole.iter_mut().zip(kernel).for_each(|(x, k)| {
            let [re, im] = times(*x, *k);
            *x = [re, -im];
        });
        butterflies(&mut whole);
        let scale = 1.0 / kernel.len() as f64;
        for ((x, w), c) in x.iter_mut().zip(&whole).zip(chirp) {
            *x = times([w[0] * scale, -w[1] * scale], *c);
        }
    }

    /// The inverse of [`forward`](Self::forward), in place.
    pub(super) fn inverse(&self, x: &mut [Complex]) {
        x.iter_mut().for_each(|x| x[1] = -x[1]);
        self.forward(x);
        let scale = 1.0 / self.length.max(1) as f64;
        x.iter_mut().for_each(|x| *x = [x[0] * scale, -x[1] * scale]);
    }
}

/// The transform of a power of two of numbers, in place.
fn butterflies(x: &mut [Complex]) {
    let n = x.len();
    if n < 2 {
        return;
    }
    let bits = n.trailing_zeros();
    for i in 0..n {
        let j = i.reverse_bits() >> (usize::BITS - bits);
        if i < j {
            x.swap(i, j);
        }
    }
    let factors: Vec<Complex> = (0..n / 2).map(|i| turn(-2.0 * i as f64 / n as f64)).collect();
    let mut half = 1;
    while half < n {
        for block in x.chunks_exact_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            for (i, (a, b)) in low.iter_mut().zip(high).enumerate() {
                let [re, im] = times(*b, factors[i * (n / (2 * half))]);
                *b = [a[0] - re, a[1] - im];
                *a = [a[0] + re, a[1] + im];
            }
        }
        half *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_gives_the_sums_and_back() {
        for n in 1..40 {
            let x: Vec<Complex> = (0..n).map(|i| [(i * i % 7) as f64 - 2.0, (i % 5) as f64]).collect();
            let fourier = Fourier::new(n);
            let mut y = x.clone();
            fourier.forward(&mut y);
            for (k, y) in y.iter().enumerate() {
                let sum = x.iter().enumerate().fold([0.0; 2], |sum: Complex, (j, x)| {
                    let [re, im] = times(*x, turn(-2.0 * (k * j % n) as f64 / n as f64));
                    [sum[0] + re, sum[1] + im]
                });
                assert!((y[0] - sum[0]).abs() < 1e-9 && (y[1] - sum[1]).abs() < 1e-9, "{n}, {k}: {y:?} {sum:?}");
            }
            fourier.inverse(&mut y);
            assert!(x.iter().flatten().zip(y.iter().flatten()).all(|(a, b)| (a - b).abs() < 1e-9), "{n}");
        }
    }
}
