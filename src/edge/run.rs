//! How steps are run.

use super::Error;
use super::format::{Aggregate, Binary, Reduction, Test, Unary};
use super::layers;
use super::read::{floats, index};
use super::step::{Node, Span, Step, Trees};
use crate::coupling::couple;

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
        Unary::Sin => libm::sinf(x),
        Unary::Cos => libm::cosf(x),
        Unary::Tan => libm::tanf(x),
        Unary::Asin => libm::asinf(x),
        Unary::Acos => libm::acosf(x),
        Unary::Atan => libm::atanf(x),
        Unary::Sinh => libm::sinhf(x),
        Unary::Cosh => libm::coshf(x),
        Unary::Asinh => libm::asinhf(x),
        Unary::Acosh => libm::acoshf(x),
        Unary::Atanh => libm::atanhf(x),
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
        Binary::Remainder => libm::fmodf(a, b),
        Binary::BitAnd => (a as i64 & b as i64) as f32,
        Binary::BitOr => (a as i64 | b as i64) as f32,
        Binary::BitXor => (a as i64 ^ b as i64) as f32,
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

/// The scratch without the numbers that a step writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around<'s> {
    before: &'s [f32],
    behind: &'s [f32],
    /// Where those behind begin.
    at: usize,
}

impl<'s> Around<'s> {
    pub(super) fn get(&self, span: Span) -> Option<&'s [f32]> {
        if span.len == 0 {
            return Some(&[]);
        }
        let (part, at) = if span.at < self.before.len() {
            (self.before, span.at)
        } else {
            (self.behind, span.at.checked_sub(self.at)?)
        };
        part.get(at..)?.get(..span.len)
    }
}

/// The numbers of `to`, and all others.
fn apart(scratch: &mut [f32], to: Span) -> Option<(Around<'_>, &mut [f32])> {
    let (before, rest) = scratch.split_at_mut_checked(to.at)?;
    let (to, behind) = rest.split_at_mut_checked(to.len)?;
    let at = before.len() + to.len();
    Some((Around { before, behind, at }, to))
}

/// The numbers of `from`, and those of `to`.
fn pair(scratch: &mut [f32], from: Span, to: Span) -> Option<(&[f32], &mut [f32])> {
    let (around, to) = apart(scratch, to)?;
    Some((around.get(from)?, to))
}

/// Which of `n` numbers a place means, counted from the end where it is negative.
fn place(x: f32, n: usize) -> Option<usize> {
    let x = if x < 0.0 { x + n as f32 } else { x };
    if x >= 0.0 && x < n as f32 { Some(x as usize) } else { None }
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
            Self::Copy { from, to } => {
                let (from, to) = pair(scratch, from, to)?;
                to.iter_mut().zip(from).for_each(|(to, x)| *to = *x);
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
                let (around, to) = apart(scratch, to)?;
                let (a, b) = (around.get(a)?.iter().cycle(), around.get(b)?.iter().cycle());
                to.iter_mut().zip(a.zip(b)).for_each(|(to, (a, b))| *to = binary(f, *a, *b));
            }
            Self::Select { condition, a, b, to } => {
                let (around, to) = apart(scratch, to)?;
                let [condition, a, b] =
                    [around.get(condition)?, around.get(a)?, around.get(b)?].map(|s| s.iter().cycle());
                for (to, (condition, (a, b))) in to.iter_mut().zip(condition.zip(a.zip(b))) {
                    *to = if *condition != 0.0 { *a } else { *b };
                }
            }
            Self::Dense { from, to, k, weights, bias } => {
                let (from, to) = pair(scratch, from, to)?;
                layers::dense(from, to, k, weights, bias);
            }
            Self::Product { a, b, to, k, n } => {
                let (around, to) = apart(scratch, to)?;
                layers::product(around.get(a)?, around.get(b)?, to, k, n);
            }
            Self::Convolve(convolve) => {
                let (from, to) = pair(scratch, convolve.from, convolve.to)?;
                convolve.run(from, to)?;
            }
            Self::Recurrent(recurrent) => {
                let (around, to) = apart(scratch, recurrent.to)?;
                recurrent.run(&around, to)?;
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
            Self::Normalise { from, to, len, epsilon } => {
                let (from, to) = pair(scratch, from, to)?;
                for (from, to) in from.chunks_exact(len).zip(to.chunks_exact_mut(len)) {
                    layers::normalise(from, to, epsilon);
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
            Self::Order { from, to, len, k, descending } => {
                let (from, to) = pair(scratch, from, to)?;
                for (from, to) in from.chunks_exact(len).zip(to.chunks_exact_mut(k.max(1))) {
                    order(from, to, descending);
                }
            }
            Self::Pick { from, places, to, len, inner } => {
                let (around, to) = apart(scratch, to)?;
                let (from, places) = (around.get(from)?, around.get(places)?);
                let outer = from.len() / (len * inner);
                let m = places.len() / outer;
                for (i, (to, x)) in to.chunks_exact_mut(inner).zip(places).enumerate() {
                    let row = from.get(i / m * len * inner..)?;
                    match place(*x, len) {
                        Some(at) => to.copy_from_slice(row.get(at * inner..)?.get(..inner)?),
                        None => to.fill(f32::NAN),
                    }
                }
            }
            Self::Rows { from, to, width, table } => {
                let (from, to) = pair(scratch, from, to)?;
                for (to, x) in to.chunks_exact_mut(width).zip(from) {
                    match place(*x, table.len() / width) {
                        Some(at) => {
                            let row = table.get(at * width..)?;
                            to.iter_mut().zip(floats(row)).for_each(|(to, x)| *to = x);
                        }
                        None => to.fill(f32::NAN),
                    }
                }
            }
            Self::Couple { from, to, n } => {
                let (from, to) = pair(scratch, from, to)?;
                let (p, work) = to.split_at_mut_checked(n)?;
                // The probability that i wins against j.
                let pair = |i: usize, j: usize| {
                    let (low, high) = (i.min(j), i.max(j));
                    let p = from.get(low * n + high - (low + 1) * (low + 2) / 2).copied()?;
                    Some(if i < j { p } else { 1.0 - p })
                };
                couple(pair, p, work)?;
            }
            Self::Trees(trees) => {
                let (from, to) = pair(scratch, trees.from, trees.to)?;
                trees.run(from, to)?;
            }
        }
        Some(())
    }
}

/// The places of the first of `xs` in order; NaN counts as greater than all numbers.
fn order(xs: &[f32], places: &mut [f32], descending: bool) {
    // Whether one comes before another; adding 0 makes both zeros one.
    let before = |(x, i): (f32, usize), (y, j): (f32, usize)| {
        let order = (x + 0.0).total_cmp(&(y + 0.0));
        let order = if descending { order.reverse() } else { order };
        order.then(i.cmp(&j)).is_lt()
    };
    let mut last: Option<(f32, usize)> = None;
    for place in places {
        let mut next: Option<(f32, usize)> = None;
        for (i, x) in xs.iter().enumerate() {
            let this = (*x, i);
            if last.is_none_or(|last| before(last, this)) && next.is_none_or(|next| before(this, next)) {
                next = Some(this);
            }
        }
        *place = next.map_or(f32::NAN, |(_, i)| i as f32);
        last = next;
    }
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
