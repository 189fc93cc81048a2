//! Regression trees of several targets, grown on rows in memory (Breiman et al. 1984), alone or as a forest (Breiman 2001).
//!
//! Written here since no published crate grows trees of several targets and lets the finished nodes be read, which an
//! export needs.

use super::ensemble::{Mode, Node, Tree};
use crate::validate::Random;

/// Features are cut at so many quantiles at most.
const CUTS: usize = 255;

/// How trees grow.
#[derive(Debug, Clone, Copy)]
pub(in crate::optimize) struct Growth {
    pub(in crate::optimize) trees: usize,
    pub(in crate::optimize) depth: usize,
    /// The fewest rows of a leaf.
    pub(in crate::optimize) leaf: usize,
    pub(in crate::optimize) seed: u64,
}

/// Rows to grow on: features (m, n) and targets (m, k), row by row.
pub(in crate::optimize) struct Rows<'r> {
    pub(in crate::optimize) x: &'r [f32],
    pub(in crate::optimize) n: usize,
    pub(in crate::optimize) y: &'r [f32],
    pub(in crate::optimize) k: usize,
}

/// Features as the numbers of their bins.
struct Bins {
    /// (n, m), feature by feature.
    numbers: Vec<u8>,
    /// The last value of each bin but the last, by feature.
    cuts: Vec<Vec<f32>>,
    rows: usize,
}

impl Bins {
    fn of(rows: &Rows<'_>) -> Self {
        let m = rows.x.len() / rows.n;
        let mut numbers = Vec::with_capacity(rows.x.len());
        let mut cuts = Vec::with_capacity(rows.n);
        for feature in 0..rows.n {
            let column: Vec<f32> = (0..m).map(|i| rows.x[i * rows.n + feature]).collect();
            let mut sorted: Vec<f32> = column.iter().copied().filter(|x| x.is_finite()).collect();
            sorted.sort_unstable_by(f32::total_cmp);
            sorted.dedup();
            let step = (sorted.len() as f64 / (CUTS + 1) as f64).max(1.0);
            // Between neighbours, so that values of other rows fall to the nearer side.
            let mut of_feature: Vec<f32> = (1..sorted.len().min(CUTS + 1))
                .map(|i| (i as f64 * step) as usize)
                .filter(|&i| i > 0 && i < sorted.len())
                .map(|i| sorted[i - 1] + (sorted[i] - sorted[i - 1]) / 2.0)
                .collect();
            of_feature.dedup();
            // NaN stands behind the last cut: `x <= cut` never holds for it.
            numbers.extend(column.iter().map(|x| {
                if x.is_nan() { of_feature.len() as u8 } else { of_feature.partition_point(|cut| cut < x) as u8 }
            }));
            cuts.push(of_feature);
        }
        Self { numbers, cuts, rows: m }
    }
}

/// The trees, whose answers are to be summed: each adds its mean target divided by the number of trees.
pub(in crate::optimize) fn grow(rows: &Rows<'_>, growth: &Growth, grown: &mut dyn FnMut()) -> Vec<Tree> {
    let bins = Bins::of(rows);
    let mut random = Random::new(growth.seed, 0);
    (0..growth.trees)
        .map(|_| {
            let all: Vec<u32> = if growth.trees == 1 {
                (0..bins.rows as u32).collect()
            } else {
                (0..bins.rows).map(|_| random.below(bins.rows) as u32).collect()
            };
            // A forest's trees look at a third of the features at each branch.
            let tried = if growth.trees == 1 { rows.n } else { rows.n.div_ceil(3) };
            let mut growing = Growing { rows, bins: &bins, growth, tried, random: &mut random, tree: Tree::default() };
            growing.node(all, 0);
            grown();
            growing.tree
        })
        .collect()
}

struct Growing<'g> {
    rows: &'g Rows<'g>,
    bins: &'g Bins,
    growth: &'g Growth,
    tried: usize,
    random: &'g mut Random,
    tree: Tree,
}

impl Growing<'_> {
    /// Grows a node on these rows; its place.
    fn node(&mut self, members: Vec<u32>, depth: usize) -> u32 {
        let place = self.tree.nodes.len() as u32;
        let k = self.rows.k;
        let mut sums = vec![0.0f64; k];
        for &i in &members {
            let y = &self.rows.y[i as usize * k..(i as usize + 1) * k];
            sums.iter_mut().zip(y).for_each(|(s, &y)| *s += f64::from(y));
        }
        let mean = |sums: &[f64]| {
            let scale = 1.0 / (members.len().max(1) * self.growth.trees) as f64;
            sums.iter().enumerate().map(|(t, s)| (t as u32, (s * scale) as f32)).collect()
        };
        self.tree.nodes.push(Node::Leaf(mean(&sums)));
        if depth >= self.growth.depth || members.len() < 2 * self.growth.leaf.max(1) {
            return place;
        }
        let Some((feature, bin)) = self.split(&members, &sums) else { return place };
        let column = &self.bins.numbers[feature * self.bins.rows..(feature + 1) * self.bins.rows];
        let (yes, no): (Vec<u32>, Vec<u32>) =
            members.into_iter().partition(|&i| usize::from(column[i as usize]) <= bin);
        let yes = self.node(yes, depth + 1);
        let no = self.node(no, depth + 1);
        self.tree.nodes[place as usize] = Node::Branch {
            feature: feature as u32,
            mode: Mode::Leq,
            value: self.bins.cuts[feature][bin],
            missing_true: false,
            yes,
            no,
        };
        place
    }

    /// The feature and the last bin of its lower side that lessen the squared error most: the sum of squared sums of
    /// targets over the rows of each side grows by what the error falls.
    fn split(&mut self, members: &[u32], sums: &[f64]) -> Option<(usize, usize)> {
        let (k, n) = (self.rows.k, self.rows.n);
        let mut features: Vec<usize> = (0..n).collect();
        for i in 0..self.tried {
            let other = i + self.random.below(n - i);
            features.swap(i, other);
        }
        let score = |sums: &[f64], count: f64| sums.iter().map(|s| s * s).sum::<f64>() / count;
        let whole = score(sums, members.len() as f64);
        let mut best = (whole * (1.0 + 1e-9) + 1e-12, None);
        let least = self.growth.leaf.max(1);
        for &feature in &features[..self.tried] {
            let bins = self.bins.cuts[feature].len() + 1;
            if bins < 2 {
                continue;
            }
            let column = &self.bins.numbers[feature * self.bins.rows..(feature + 1) * self.bins.rows];
            let (mut of_bin, mut counts) = (vec![0.0f64; bins * k], vec![0usize; bins]);
            for &i in members {
                let bin = usize::from(column[i as usize]);
                counts[bin] += 1;
                let y = &self.rows.y[i as usize * k..(i as usize + 1) * k];
                of_bin[bin * k..(bin + 1) * k].iter_mut().zip(y).for_each(|(s, &y)| *s += f64::from(y));
            }
            let (mut low, mut count) = (vec![0.0f64; k], 0);
            for bin in 0..bins - 1 {
                low.iter_mut().zip(&of_bin[bin * k..(bin + 1) * k]).for_each(|(s, x)| *s += x);
                count += counts[bin];
                let rest = members.len() - count;
                if count < least || counts[bin] == 0 {
                    continue;
                }
                if rest < least {
                    break;
                }
                let high: f64 = sums.iter().zip(&low).map(|(s, l)| (s - l) * (s - l)).sum::<f64>() / rest as f64;
                let score = score(&low, count as f64) + high;
                if score > best.0 {
                    best = (score, Some((feature, bin)));
                }
            }
        }
        best.1
    }
}
