//! Sums over the columns of rows.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::booster::{Linear, LinearLeaf, Scorer, Trees};
use super::link::Answer;
use super::narrow::narrowed;
use crate::backend::native::trees::{Engine, Engines, Forest, Number, Options};
use crate::{Result, TreeEngine};

/// The columns of rows: (m, n), row-major.
#[derive(Debug, Clone, Copy)]
pub(super) enum Block<'x> {
    F32(&'x [f32]),
    F64(&'x [f64]),
}

/// What sums in `W`.
pub(super) trait Score<W>: Debug + Send + Sync {
    /// Whether columns given as f64 are compared as such; else they must come as f32.
    fn compares_f64(&self) -> bool {
        false
    }

    /// The number of trees.
    fn trees(&self) -> usize;

    /// Adds the sums of rows of `n` columns to `sums` (m, targets).
    fn add(&self, x: Block<'_>, n: usize, sums: &mut [W]);

    /// The library's numbers of the leaves that rows of `n` columns reach, (m, trees).
    fn leaves(&self, x: Block<'_>, n: usize, leaves: &mut [i32]);

    /// The engine and why it is this one, in words.
    fn describe(&self) -> String;
}

/// Trees that compare in `T` and sum in `W`.
#[derive(Debug)]
struct OneType<T: Engines, W> {
    engine: Engine<T, W>,
    extra: Arc<Extra>,
    targets: usize,
}

/// What is only there for some models, by node of the forest.
#[derive(Debug)]
struct Extra {
    leaf_numbers: Vec<u32>,
    linear: Vec<Option<LinearLeaf>>,
    /// The weight and the target of each leaf, where leaves are linear.
    weights: Vec<(f64, u32)>,
}

impl Extra {
    fn of<T: Number, W: Answer>(trees: &Trees<T, W>, numbers: bool) -> Arc<Self> {
        let forest = &trees.forest;
        let weights = if trees.linear.is_empty() {
            Vec::new()
        } else {
            let of_node =
                |node: usize| forest.votes_of(node as u32).first().map_or((0.0, 0), |v| (v.weight.to_f64(), v.target));
            (0..forest.nodes.len()).map(of_node).collect()
        };
        let leaf_numbers = if numbers { trees.leaf_numbers.clone() } else { Vec::new() };
        Arc::new(Self { leaf_numbers, linear: trees.linear.clone(), weights })
    }
}

impl<T: Engines, W: Answer> OneType<T, W> {
    fn new(forest: &Forest<T, W>, extra: Arc<Extra>, engine: TreeEngine) -> Result<Self> {
        let engine = Engine::new(forest, Options { engine, ..Options::default() })?;
        Ok(Self { engine, extra, targets: forest.targets })
    }

    fn add(&self, x: &[T], n: usize, sums: &mut [W]) {
        if self.extra.linear.is_empty() {
            return self.engine.sums(x, n, sums);
        }
        self.engine.leaves(x, n, |row, _, leaf| {
            let node = self.engine.node_of(leaf) as usize;
            let (weight, target) = self.extra.weights[node];
            let of_leaf = self.extra.linear[node].as_ref();
            let answer = of_leaf.and_then(|l| l.answer(&x[row * n..(row + 1) * n])).unwrap_or(weight);
            sums[row * self.targets + target as usize] += W::from_f64(answer);
        });
    }

    fn leaves(&self, x: &[T], n: usize, trees: usize, leaves: &mut [i32]) {
        self.engine.leaves(x, n, |row, tree, leaf| {
            leaves[row * trees + tree] = self.extra.leaf_numbers[self.engine.node_of(leaf) as usize] as i32;
        });
    }
}

impl LinearLeaf {
    /// The answer for a row of columns; none where one of its columns is missing.
    fn answer<T: Engines>(&self, row: &[T]) -> Option<f64> {
        let mut sum = self.constant;
        for &(column, coefficient) in &self.terms {
            let x = row[column as usize].to_f64();
            if x.is_nan() {
                return None;
            }
            sum += coefficient * x;
        }
        Some(sum)
    }
}

/// Trees that compare in f32 whatever the rows are.
#[derive(Debug)]
struct Narrow<W> {
    trees: OneType<f32, W>,
    count: usize,
}

/// What a scorer that compares in f32 is given.
fn narrow(x: Block<'_>) -> &[f32] {
    match x {
        Block::F32(x) => x,
        Block::F64(_) => unreachable!("f64 columns are only made for scorers that compare in f64"),
    }
}

impl<W: Answer> Score<W> for Narrow<W> {
    fn trees(&self) -> usize {
        self.count
    }

    fn add(&self, x: Block<'_>, n: usize, sums: &mut [W]) {
        self.trees.add(narrow(x), n, sums);
    }

    fn leaves(&self, x: Block<'_>, n: usize, leaves: &mut [i32]) {
        self.trees.leaves(narrow(x), n, self.count, leaves);
    }

    fn describe(&self) -> String {
        self.trees.engine.describe()
    }
}

/// Trees that compare in f64, with their twin for f32 rows. A host gives rows of one type, mostly f32: the engine for f64
/// rows is made when the first come, since it takes as long as reading the file.
#[derive(Debug)]
struct Twins {
    f32: OneType<f32, f64>,
    f64: OnceLock<OneType<f64, f64>>,
    /// What `f64` is made of, until it is there.
    forest: Mutex<Option<Forest<f64, f64>>>,
    engine: TreeEngine,
    count: usize,
}

impl Twins {
    fn new(trees: &Trees<f64, f64>, numbers: bool, engine: TreeEngine) -> Result<Self> {
        Ok(Self {
            f32: OneType::new(&narrowed(&trees.forest), Extra::of(trees, numbers), engine)?,
            f64: OnceLock::new(),
            forest: Mutex::new(Some(trees.forest.clone())),
            engine,
            count: trees.forest.roots.len(),
        })
    }

    /// The engine for f64 rows.
    fn wide(&self) -> &OneType<f64, f64> {
        self.f64.get_or_init(|| {
            let forest = self.forest.lock().unwrap_or_else(PoisonError::into_inner).take();
            let forest = forest.expect("it is taken once, here");
            OneType::new(&forest, Arc::clone(&self.f32.extra), self.engine)
                .expect("what was packed for f32 rows can be packed")
        })
    }
}

impl Score<f64> for Twins {
    fn compares_f64(&self) -> bool {
        true
    }

    fn trees(&self) -> usize {
        self.count
    }

    fn add(&self, x: Block<'_>, n: usize, sums: &mut [f64]) {
        match x {
            Block::F32(x) => self.f32.add(x, n, sums),
            Block::F64(x) => self.wide().add(x, n, sums),
        }
    }

    fn leaves(&self, x: Block<'_>, n: usize, leaves: &mut [i32]) {
        match x {
            Block::F32(x) => self.f32.leaves(x, n, self.count, leaves),
            Block::F64(x) => self.wide().leaves(x, n, self.count, leaves),
        }
    }

    fn describe(&self) -> String {
        format!("f32 rows: {}; f64 rows: the like, made when the first come", self.f32.engine.describe())
    }
}

impl Score<f32> for Linear {
    fn trees(&self) -> usize {
        0
    }

    fn add(&self, x: Block<'_>, n: usize, sums: &mut [f32]) {
        let targets = self.bias.len();
        for (row, sums) in narrow(x).chunks_exact(n.max(1)).zip(sums.chunks_exact_mut(targets.max(1))) {
            for (sum, bias) in sums.iter_mut().zip(&self.bias) {
                *sum += *bias;
            }
            for (x, weights) in row.iter().zip(self.weights.chunks_exact(targets)).filter(|(x, _)| !x.is_nan()) {
                for (sum, weight) in sums.iter_mut().zip(weights) {
                    *sum += *x * *weight;
                }
            }
        }
    }

    fn leaves(&self, _: Block<'_>, _: usize, _: &mut [i32]) {}

    fn describe(&self) -> String {
        "one weighted sum a target".to_owned()
    }
}

/// A scorer ready to score, in the number type of its answers.
#[derive(Debug)]
pub(super) enum Ready {
    F32(Box<dyn Score<f32>>),
    F64(Box<dyn Score<f64>>),
}

impl Ready {
    /// Makes an engine of what `scorer` says; `numbers` keeps the library's numbers of leaves.
    ///
    /// # Errors
    /// As [`Engine::new`].
    pub(super) fn new(scorer: &Scorer, numbers: bool, engine: TreeEngine) -> Result<Self> {
        fn one<W: Answer>(trees: &Trees<f32, W>, numbers: bool, engine: TreeEngine) -> Result<Box<dyn Score<W>>> {
            let count = trees.forest.roots.len();
            Ok(Box::new(Narrow { trees: OneType::new(&trees.forest, Extra::of(trees, numbers), engine)?, count }))
        }
        Ok(match scorer {
            Scorer::F32(trees) => Self::F32(one(trees, numbers, engine)?),
            Scorer::Mixed(trees) => Self::F64(one(trees, numbers, engine)?),
            Scorer::F64(trees) => Self::F64(Box::new(Twins::new(trees, numbers, engine)?)),
            Scorer::Linear(linear) => Self::F32(Box::new(linear.clone())),
        })
    }
}
