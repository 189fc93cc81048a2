//! The steps of networks: products, convolutions and recurrences.

use super::format::Cell;
use super::read::floats;
use super::run::Around;
use super::step::{Convolve, Recurrent};

/// The product of a row with weights, in four sums, so that long rows lose little to rounding.
fn dot(row: &[f32], weights: &[[u8; 4]]) -> f32 {
    let mut sums = [0.0f32; 4];
    let (rows, weights) = (row.as_chunks::<4>(), weights.as_chunks::<4>());
    for (xs, ws) in rows.0.iter().zip(weights.0) {
        for ((sum, x), w) in sums.iter_mut().zip(xs).zip(ws) {
            *sum += x * f32::from_le_bytes(*w);
        }
    }
    for ((sum, x), w) in sums.iter_mut().zip(rows.1).zip(weights.1) {
        *sum += x * f32::from_le_bytes(*w);
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3])
}

/// Rows of `k` numbers times weights (n, k), plus the bias.
pub(super) fn dense(from: &[f32], to: &mut [f32], k: usize, weights: &[[u8; 4]], bias: &[[u8; 4]]) {
    for (row, to) in from.chunks_exact(k).zip(to.chunks_exact_mut(bias.len())) {
        for ((to, weights), bias) in to.iter_mut().zip(weights.chunks_exact(k)).zip(floats(bias)) {
            *to = dot(row, weights) + bias;
        }
    }
}

/// Numbers less their mean, over the root of their variance plus `epsilon`.
pub(super) fn normalise(from: &[f32], to: &mut [f32], epsilon: f32) {
    let n = from.len() as f32;
    let mean = from.iter().sum::<f32>() / n;
    let variance = from.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / n;
    let scale = 1.0 / libm::sqrtf(variance + epsilon);
    to.iter_mut().zip(from).for_each(|(to, x)| *to = (x - mean) * scale);
}

/// Matrices (m, k) times matrices (k, n), as many as `b` has.
pub(super) fn product(a: &[f32], b: &[f32], to: &mut [f32], k: usize, n: usize) {
    let batch = b.len() / (k * n);
    let m = a.len() / k / batch;
    to.fill(0.0);
    for (i, (row, to)) in a.chunks_exact(k).zip(to.chunks_exact_mut(n)).enumerate() {
        let b = b.chunks_exact(k * n).nth(i / m).unwrap_or_default();
        for (x, b) in row.iter().zip(b.chunks_exact(n)) {
            to.iter_mut().zip(b).for_each(|(to, b)| *to += x * b);
        }
    }
}

impl Convolve<'_> {
    pub(super) fn run(&self, from: &[f32], to: &mut [f32]) -> Option<()> {
        let [a, b, c] = self.axes;
        let plane = a.input * b.input * c.input;
        let kernel = a.kernel * b.kernel * c.kernel;
        let outputs = a.output * b.output * c.output;
        if outputs == 0 {
            return Some(());
        }
        for (filter, (to, bias)) in to.chunks_exact_mut(outputs).zip(floats(self.bias)).enumerate() {
            let group = from.get(filter / self.filters * self.channels * plane..)?;
            let weights = self.weights.get(filter * self.channels * kernel..)?;
            for (at, to) in to.iter_mut().enumerate() {
                let o = [at / (b.output * c.output), at / c.output % b.output, at % c.output];
                let mut sum = bias;
                for i in 0..a.kernel {
                    let Some(x) = a.meets(o[0], i) else { continue };
                    for j in 0..b.kernel {
                        let Some(y) = b.meets(o[1], j) else { continue };
                        for l in 0..c.kernel {
                            let Some(z) = c.meets(o[2], l) else { continue };
                            let place = (x * b.input + y) * c.input + z;
                            let own = (i * b.kernel + j) * c.kernel + l;
                            let xs = group.get(place..)?.iter().step_by(plane);
                            let ws = weights.get(own..)?.iter().step_by(kernel);
                            for (x, w) in xs.zip(ws).take(self.channels) {
                                sum += x * f32::from_le_bytes(*w);
                            }
                        }
                    }
                }
                *to = sum;
            }
        }
        Some(())
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + libm::expf(-x))
}

impl Recurrent<'_> {
    pub(super) fn run(&self, around: &Around<'_>, to: &mut [f32]) -> Option<()> {
        let h = self.hidden;
        let row = self.cell.gates() * h;
        let from = around.get(self.from)?;
        let (states, work) = to.split_at_mut_checked(from.len() / row * h)?;
        let (cell, work) = work.split_at_mut_checked(if self.cell == Cell::Lstm { h } else { 0 })?;
        cell.copy_from_slice(around.get(self.cell_state)?);
        for (t, x) in from.chunks_exact(row).enumerate() {
            let (before, now) = states.split_at_mut_checked(t * h)?;
            let now = now.get_mut(..h)?;
            let last = if t == 0 { around.get(self.state)? } else { before.get((t - 1) * h..)? };
            self.step(x, last, now, cell, work)?;
        }
        Some(())
    }

    /// What gate `gate` has of the state: its rows of the weights times that.
    fn gate<'g>(&'g self, gate: usize, state: &'g [f32]) -> impl Iterator<Item = f32> + 'g {
        let h = self.hidden;
        self.weights.chunks_exact(h).skip(gate * h).take(h).map(move |weights| dot(state, weights))
    }

    fn step(&self, x: &[f32], last: &[f32], now: &mut [f32], cell: &mut [f32], work: &mut [f32]) -> Option<()> {
        let h = self.hidden;
        match self.cell {
            Cell::Tanh | Cell::Relu => {
                for ((now, x), r) in now.iter_mut().zip(x).zip(self.gate(0, last)) {
                    let sum = x + r;
                    *now = if self.cell == Cell::Tanh {
                        libm::tanhf(sum)
                    } else if sum < 0.0 {
                        0.0
                    } else {
                        sum
                    };
                }
            }
            Cell::Lstm => {
                for gate in 0..4 {
                    let to = work.get_mut(gate * h..)?.iter_mut();
                    for ((to, x), r) in to.zip(x.get(gate * h..)?).zip(self.gate(gate, last)) {
                        *to = if gate == 3 { libm::tanhf(x + r) } else { sigmoid(x + r) };
                    }
                }
                let [i, o, f, c] = [0, 1, 2, 3].map(|gate| work.get(gate * h..(gate + 1) * h));
                let gates = i?.iter().zip(o?).zip(f?.iter().zip(c?));
                for ((now, cell), ((i, o), (f, c))) in now.iter_mut().zip(cell).zip(gates) {
                    *cell = f * *cell + i * c;
                    *now = o * libm::tanhf(*cell);
                }
            }
            Cell::GruBefore | Cell::GruBehind => {
                let (z, rest) = work.split_at_mut_checked(h)?;
                let (r, reset) = rest.split_at_mut_checked(h)?;
                for (gate, to) in [&mut *z, &mut *r].into_iter().enumerate() {
                    for ((to, x), own) in to.iter_mut().zip(x.get(gate * h..)?).zip(self.gate(gate, last)) {
                        *to = sigmoid(x + own);
                    }
                }
                let before = self.cell == Cell::GruBefore;
                for ((reset, r), last) in reset.iter_mut().zip(&*r).zip(last) {
                    *reset = if before { r * last } else { *last };
                }
                let mut bias = floats(self.bias);
                let rest = z.iter().zip(&*r).zip(last);
                for (((now, x), own), ((z, r), last)) in
                    now.iter_mut().zip(x.get(2 * h..)?).zip(self.gate(2, reset)).zip(rest)
                {
                    let own = if before { own } else { r * (own + bias.next().unwrap_or(0.0)) };
                    *now = (1.0 - z) * libm::tanhf(x + own) + z * last;
                }
            }
        }
        Some(())
    }
}
