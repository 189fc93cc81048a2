//! How steps are run.

use super::Error;
use super::format::{Aggregate, Binary, Reduction, Test, Unary};
use super::read::{floats, index};
use super::step::{Node, Span, Step, Trees};

/// What a unary function gives.
pub(crate) fn unary(f: Unary, x: f32) -> f32 {
    let truth = |b: bool| f32::from(u8::from(b));
    match f {
        Unary::Negate => -x,
        Unary::Absolute => libm::fabsf(x),
        // Not `max`, which drops NaN.
        Unary::Relu => {
            if x < 0.0 {
                0.0
            } else {
                x
            }
        }
        Unary::Sigmoid => 1.0 / (1.0 + libm::expf(-x)),
        Unary::Tanh => libm::tanhf(x),
        Unary::Exp => libm::expf(x),
        Unary::Log => libm::logf(x),
        Unary::Sqrt => libm::sqrtf(x),
        Unary::Reciprocal => 1.0 / x,
        Unary::Not => truth(x == 0.0),
        Unary::IsNan => truth(x.is_nan()),
        Unary::Floor => libm::floorf(x),
        Unary::Ceil => libm::ceilf(x),
        Unary::Round => libm::rintf(x),
        Unary::Erf => libm::erff(x),
        Unary::Sign => truth(x > 0.0) - truth(x < 0.0),
        Unary::Truncate => libm::truncf(x),
        Unary::Truth => truth(x != 0.0),
    }
}

/// What a function of two numbers gives.
pub(crate) fn binary(f: Binary, a: f32, b: f32) -> f32 {
    let truth = |b: bool| f32::from(u8::from(b));
    match f {
        Binary::Add => a + b,
        Binary::Subtract => a - b,
        Binary::Multiply => a * b,
        Binary::Divide => a / b,
        Binary::Power => libm::powf(a, b),
        Binary::Minimum | Binary::Maximum if a.is_nan() || b.is_nan() => f32::NAN,
        Binary::Minimum => a.min(b),
        Binary::Maximum => a.max(b),
        Binary::Equal => truth(a == b),
        Binary::Less => truth(a < b),
        Binary::LessOrEqual => truth(a <= b),
        Binary::Greater => truth(a > b),
        Binary::GreaterOrEqual => truth(a >= b),
        Binary::And => truth(a != 0.0 && b != 0.0),
        Binary::Or => truth(a != 0.0 || b != 0.0),
        Binary::Xor => truth((a != 0.0) != (b != 0.0)),
    }
}

/// What is made of `xs`, of which there is one at least.
fn reduced(f: Reduction, xs: impl Iterator<Item = f32> + Clone) -> f32 {
    let sum = |xs: &mut dyn Iterator<Item = f32>| xs.fold(0.0f32, |sum, x| sum + x);
    let greatest = |sign: f32| {
        // The first stays unless a later one is greater, so that NaN in front stays too.
        let mut best = (0usize, sign * xs.clone().next().unwrap_or(f32::NAN));
        for (i, x) in xs.clone().enumerate() {
            if sign * x > best.1 {
                best = (i, sign * x);
            }
        }
        best
    };
    match f {
        Reduction::Sum => sum(&mut xs.clone()),
        Reduction::Mean => sum(&mut xs.clone()) / xs.count() as f32,
        Reduction::Product => xs.fold(1.0, |product, x| product * x),
        Reduction::L1 => sum(&mut xs.map(libm::fabsf)),
        Reduction::L2 => libm::sqrtf(sum(&mut xs.map(|x| x * x))),
        Reduction::SumSquare => sum(&mut xs.map(|x| x * x)),
        Reduction::Maximum | Reduction::Minimum if xs.clone().any(f32::is_nan) => f32::NAN,
        Reduction::Maximum => greatest(1.0).1,
        Reduction::Minimum => -greatest(-1.0).1,
        Reduction::LogSumExp => {
            let most = greatest(1.0).1;
            let most = if most.is_finite() { most } else { 0.0 };
            most + libm::logf(sum(&mut xs.map(|x| libm::expf(x - most))))
        }
        Reduction::ArgMax => greatest(1.0).0 as f32,
        Reduction::ArgMin => greatest(-1.0).0 as f32,
    }
}

fn same(x: f32, key: f32) -> bool {
    x == key || (x.is_nan() && key.is_nan())
}

/// The numbers of `from`, which lie before those of `to`, and those.
fn pair(scratch: &mut [f32], from: Span, to: Span) -> Option<(&[f32], &mut [f32])> {
    let (before, rest) = scratch.split_at_mut_checked(to.at)?;
    Some((before.get(from.at..)?.get(..from.len)?, rest.get_mut(..to.len)?))
}

impl Step<'_> {
    /// Runs the step, which was checked against a scratch no longer than this one.
    pub(super) fn run(&self, scratch: &mut [f32]) -> Result<(), Error> {
        self.run_checked(scratch).ok_or(Error::Malformed)
    }

    fn run_checked(&self, scratch: &mut [f32]) -> Option<()> {
        match *self {
            Self::Constant { to, values } => {
                let to = scratch.get_mut(to.at..)?.get_mut(..to.len)?;
                to.iter_mut().zip(floats(values)).for_each(|(to, value)| *to = value);
            }
            Self::Gather { from, to, places } => {
                let (from, to) = pair(scratch, from, to)?;
                for (to, place) in to.iter_mut().zip(places) {
                    *to = *from.get(index(*place))?;
                }
            }
            Self::Map { f, from, to } => {
                let (from, to) = pair(scratch, from, to)?;
                to.iter_mut().zip(from).for_each(|(to, x)| *to = unary(f, *x));
            }
            Self::Zip { f, a, b, to } => {
                let (before, rest) = scratch.split_at_mut_checked(to.at)?;
                let (a, b) = (before.get(a.at..)?.get(..a.len)?, before.get(b.at..)?.get(..b.len)?);
                rest.iter_mut().zip(a.iter().zip(b)).for_each(|(to, (a, b))| *to = binary(f, *a, *b));
            }
            Self::Select { condition, a, b, to } => {
                let (before, rest) = scratch.split_at_mut_checked(to.at)?;
                for (i, to) in rest.get_mut(..to.len)?.iter_mut().enumerate() {
                    let from = if *before.get(condition.at + i)? != 0.0 { a } else { b };
                    *to = *before.get(from.at + i)?;
                }
            }
            Self::Dense { from, to, k, weights, bias } => {
                let (from, to) = pair(scratch, from, to)?;
                for (row, to) in from.chunks_exact(k).zip(to.chunks_exact_mut(bias.len())) {
                    for ((to, weights), bias) in to.iter_mut().zip(weights.chunks_exact(k)).zip(floats(bias)) {
                        *to = dot(row, weights) + bias;
                    }
                }
            }
            Self::Reduce { f, from, to, len, inner } => {
                let (from, to) = pair(scratch, from, to)?;
                for (from, to) in from.chunks_exact(len * inner).zip(to.chunks_exact_mut(inner)) {
                    for (i, to) in to.iter_mut().enumerate() {
                        *to = reduced(f, from.get(i..)?.iter().step_by(inner).copied());
                    }
                }
            }
            Self::Softmax { from, to, len } => {
                let (from, to) = pair(scratch, from, to)?;
                for (from, to) in from.chunks_exact(len).zip(to.chunks_exact_mut(len)) {
                    let most = reduced(Reduction::Maximum, from.iter().copied());
                    let mut sum = 0.0;
                    for (to, x) in to.iter_mut().zip(from) {
                        *to = libm::expf(*x - most);
                        sum += *to;
                    }
                    to.iter_mut().for_each(|to| *to /= sum);
                }
            }
            Self::Lookup { from, to, keys, values, other } => {
                let (from, to) = pair(scratch, from, to)?;
                for (to, x) in to.iter_mut().zip(from) {
                    let at = floats(keys).position(|key| same(*x, key));
                    *to = at.and_then(|at| values.get(at)).map_or(other, |value| f32::from_le_bytes(*value));
                }
            }
            Self::OneHot { from, to, keys } => {
                let (from, to) = pair(scratch, from, to)?;
                for (x, to) in from.iter().zip(to.chunks_exact_mut(keys.len().max(1))) {
                    for (to, key) in to.iter_mut().zip(floats(keys)) {
                        *to = f32::from(u8::from(same(*x, key)));
                    }
                }
            }
            Self::Distances { from, to, points } => {
                let (from, to) = pair(scratch, from, to)?;
                for (to, point) in to.iter_mut().zip(points.chunks_exact(from.len())) {
                    *to = from.iter().zip(floats(point)).map(|(x, p)| (x - p) * (x - p)).sum();
                }
            }
            Self::Trees(trees) => {
                let (from, to) = pair(scratch, trees.from, trees.to)?;
                trees.run(from, to)?;
            }
        }
        Some(())
    }
}

/// The product of a row with weights, in four sums, so that long rows lose little to rounding.
fn dot(row: &[f32], weights: &[[u8; 4]]) -> f32 {
    let mut sums = [0.0f32; 4];
    for (i, (x, w)) in row.iter().zip(floats(weights)).enumerate() {
        sums[i % 4] += x * w;
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3])
}

impl Trees<'_> {
    fn run(&self, row: &[f32], to: &mut [f32]) -> Option<()> {
        let start = match self.aggregate {
            Aggregate::Sum | Aggregate::Average => 0.0,
            Aggregate::Minimum => f32::INFINITY,
            Aggregate::Maximum => f32::NEG_INFINITY,
        };
        to.fill(start);
        for root in self.roots {
            let mut at = index(*root);
            loop {
                match self.node(at).ok()? {
                    Node::Branch { feature, test, nan_passes, threshold, other } => {
                        let passes = passes(*row.get(feature)?, test, threshold, nan_passes);
                        at = if passes { at + 1 } else { other };
                    }
                    Node::Leaf { first, count } => {
                        for [target, value] in self.votes.as_chunks::<2>().0.get(first..)?.iter().take(count) {
                            let (to, value) = (to.get_mut(index(*target))?, f32::from_le_bytes(*value));
                            *to = match self.aggregate {
                                Aggregate::Sum | Aggregate::Average => *to + value,
                                Aggregate::Minimum => to.min(value),
                                Aggregate::Maximum => to.max(value),
                            };
                        }
                        break;
                    }
                }
            }
        }
        for (to, base) in to.iter_mut().zip(floats(self.base)) {
            match self.aggregate {
                Aggregate::Average => *to /= self.roots.len().max(1) as f32,
                // No tree had anything to say.
                Aggregate::Minimum | Aggregate::Maximum if to.is_infinite() && *to == start => *to = 0.0,
                _ => {}
            }
            *to += base;
        }
        Some(())
    }
}

fn passes(x: f32, test: Test, threshold: f32, nan_passes: bool) -> bool {
    if x.is_nan() {
        return nan_passes;
    }
    match test {
        Test::LessOrEqual => x <= threshold,
        Test::Less => x < threshold,
        Test::GreaterOrEqual => x >= threshold,
        Test::Greater => x > threshold,
        Test::Equal => x == threshold,
        Test::NotEqual => x != threshold,
    }
}
