//! The operators: `TreeEnsembleClassifier`, `TreeEnsembleRegressor` and `TreeEnsemble`.

use std::borrow::Cow;
use std::sync::OnceLock;

use smallvec::smallvec;

use super::finish::{Aggregate, Classification, Regression, Score};
use super::scored::Scored;
use super::{attributes, ensemble};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::ops::ml::labels::Labels;
use crate::backend::native::ops::post::PostTransform;
use crate::backend::native::trees::{Engine, Forest, Node as ForestNode, Options};
use crate::backend::native::value::{Data, Value};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result, TreeEngine};

pub(super) const GROUP: Group =
    &[("TreeEnsembleClassifier", classifier), ("TreeEnsembleRegressor", regressor), ("TreeEnsemble", tree_ensemble)];

/// Trees in the number type of the file.
#[derive(Debug)]
enum Plain {
    F32(Forest<f32>),
    F64(Forest<f64>),
}

/// A tree ensemble with what becomes of its votes.
#[derive(Debug)]
struct Trees {
    plain: Plain,
    /// The engine for f32 rows, which files of f32 numbers have.
    narrow: Option<Engine<f32>>,
    /// The engine for f64 rows, made when the first such rows come.
    wide: OnceLock<Engine<f64>>,
    options: Options,
    targets: usize,
    features: usize,
    parameters: usize,
    finish: Finish,
    /// For each target or class whether every row, no row or some row has votes for it.
    voted: Vec<Voted>,
    /// Whether the answers have the type of the rows; else they are f32.
    keeps_type: bool,
}

#[derive(Debug)]
enum Finish {
    Regression(Regression),
    Classification {
        classification: Classification,
        labels: Labels,
        /// The names of the classes.
        names: Vec<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Voted {
    Always,
    Never,
    Sometimes,
}

impl Trees {
    fn new(plain: Plain, finish: Finish, voted: Vec<Voted>, keeps_type: bool, engine: TreeEngine) -> Result<Self> {
        let extreme =
            matches!(&finish, Finish::Regression(r) if matches!(r.aggregate, Aggregate::Min | Aggregate::Max));
        // Votes are kept apart where their sums are not enough.
        let each_vote = extreme || voted.contains(&Voted::Sometimes);
        let options = Options { engine, each_vote, ..Options::default() };
        fn count<T>(f: &Forest<T>) -> usize {
            f.nodes.len() + f.votes.len()
        }
        let (targets, features, parameters) = match &plain {
            Plain::F32(f) => (f.targets, f.features(), count(f)),
            Plain::F64(f) => (f.targets, f.features(), count(f)),
        };
        let narrow = match &plain {
            Plain::F32(f) => Some(Engine::new(f, options)?),
            Plain::F64(_) => None,
        };
        let this = Self {
            plain,
            narrow,
            wide: OnceLock::new(),
            options,
            targets,
            features,
            parameters,
            finish,
            voted,
            keeps_type,
        };
        if this.narrow.is_none() {
            this.wide()?;
        }
        Ok(this)
    }

    /// The engine for f64 rows.
    fn wide(&self) -> Result<&Engine<f64>> {
        if let Some(engine) = self.wide.get() {
            return Ok(engine);
        }
        let engine = match &self.plain {
            Plain::F32(f) => Engine::new(&f.widened(), self.options)?,
            Plain::F64(f) => Engine::new(f, self.options)?,
        };
        Ok(self.wide.get_or_init(|| engine))
    }
}

fn aggregate(node: &Node<'_>) -> Result<Aggregate> {
    Ok(match node.string_or("aggregate_function", "SUM")? {
        "SUM" => Aggregate::Sum,
        "AVERAGE" => Aggregate::Average,
        "MIN" => Aggregate::Min,
        "MAX" => Aggregate::Max,
        other => {
            return Err(node
                .malformed("the attribute `aggregate_function` names no function")
                .expected("SUM, AVERAGE, MIN or MAX")
                .actual(other));
        }
    })
}

/// The number of targets of a regressor.
fn targets(node: &Node<'_>) -> Result<usize> {
    let n = node.int_or("n_targets", 0)?;
    usize::try_from(n)
        .ok()
        .filter(|&n| n > 0 && n < u32::MAX as usize)
        .ok_or_else(|| node.malformed("the attribute `n_targets` must be positive").actual(n))
}

/// One base value for each of `n` targets, or none.
fn check_base(node: &Node<'_>, base: &[f64], n: usize) -> Result<()> {
    if base.is_empty() || base.len() == n {
        return Ok(());
    }
    Err(node
        .malformed("the attribute `base_values` needs one number for each target or class")
        .expected(n)
        .actual(base.len()))
}

fn regressor(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let n = targets(node)?;
    let aggregate = aggregate(node)?;
    let attributes = attributes::Attributes::of(node, "target")?;
    let base = attributes.base.to::<f64>();
    check_base(node, &base, n)?;
    let plain =
        if attributes.is_wide() { Plain::F64(attributes.forest(n)?) } else { Plain::F32(attributes.forest(n)?) };
    regression(plain, aggregate, PostTransform::of(node)?, base, false, node.tree_engine())
}

fn tree_ensemble(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let n = targets(node)?;
    let aggregate = match node.int_or("aggregate_function", 1)? {
        0 => Aggregate::Average,
        1 => Aggregate::Sum,
        2 => Aggregate::Min,
        3 => Aggregate::Max,
        other => {
            return Err(node
                .malformed("the attribute `aggregate_function` names no function")
                .expected("0 to 3")
                .actual(other));
        }
    };
    let post = match node.int_or("post_transform", 0)? {
        0 => PostTransform::None,
        1 => PostTransform::Softmax,
        2 => PostTransform::Logistic,
        3 => PostTransform::SoftmaxZero,
        4 => PostTransform::Probit,
        other => {
            return Err(node
                .malformed("the attribute `post_transform` names no transform")
                .expected("0 to 4")
                .actual(other));
        }
    };
    let attributes = ensemble::Attributes::of(node)?;
    let plain =
        if attributes.is_wide() { Plain::F64(attributes.forest(n)?) } else { Plain::F32(attributes.forest(n)?) };
    regression(plain, aggregate, post, Vec::new(), true, node.tree_engine())
}

fn regression(
    plain: Plain,
    aggregate: Aggregate,
    post: PostTransform,
    base: Vec<f64>,
    keeps_type: bool,
    engine: TreeEngine,
) -> Result<Box<dyn Op>> {
    let trees = match &plain {
        Plain::F32(f) => f.roots.len(),
        Plain::F64(f) => f.roots.len(),
    };
    // Without base values a target without votes is zero anyhow.
    let votes = if base.is_empty() { Vec::new() } else { plain.voted() };
    let finish = Finish::Regression(Regression { aggregate, post, base, trees });
    Ok(Box::new(Trees::new(plain, finish, votes, keeps_type, engine)?))
}

fn classifier(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let labels = Labels::of(node, "classlabels_int64s", "classlabels_strings")?;
    let n = labels.len();
    let attributes = attributes::Attributes::of(node, "class")?;
    let base = attributes.base.to::<f64>();
    if !(n == 2 && base.len() == 1) {
        check_base(node, &base, n)?;
    }
    let one_class = matches!(attributes.targets(), [first, rest @ ..] if rest.iter().all(|target| target == first));
    let all_positive = attributes.weights.to::<f64>().iter().all(|&w| w >= 0.0 || w.is_nan());
    let plain =
        if attributes.is_wide() { Plain::F64(attributes.forest(n)?) } else { Plain::F32(attributes.forest(n)?) };
    let mut votes = plain.voted();
    if !base.is_empty() && n > 2 {
        // A base value counts as a vote.
        votes.fill(Voted::Always);
    }
    let classification = Classification {
        classes: n,
        post: PostTransform::of(node)?,
        base,
        one_of_two: n == 2 && one_class,
        all_positive,
    };
    let names = labels.names();
    // A lone label stands for class 1 in ONNX Runtime, beside an unnamed class 0.
    let labels = match labels {
        Labels::Ints(_) if n == 1 => Labels::Ints(vec![0, 1]),
        Labels::Strings(l) if n == 1 => Labels::Strings(vec![l[0].clone(), l[0].clone()]),
        labels => labels,
    };
    let finish = Finish::Classification { classification, labels, names };
    Ok(Box::new(Trees::new(plain, finish, votes, false, node.tree_engine())?))
}

impl Plain {
    fn voted(&self) -> Vec<Voted> {
        match self {
            Self::F32(f) => voted(f),
            Self::F64(f) => voted(f),
        }
    }
}

/// Whether every row, no row or some row has votes for each target or class, for trees that share no nodes.
fn voted<T>(forest: &Forest<T>) -> Vec<Voted> {
    let mut all = vec![Voted::Never; forest.targets];
    let mut seen = vec![false; forest.nodes.len()];
    // How many leaves of the tree at hand vote for a class, and the last leaf that did.
    let mut counts = vec![(0usize, u32::MAX); forest.targets];
    let mut stack = Vec::new();
    for &root in &forest.roots {
        counts.fill((0, u32::MAX));
        let mut leaves = 0;
        stack.push(root);
        while let Some(at) = stack.pop() {
            if std::mem::replace(&mut seen[at as usize], true) {
                continue;
            }
            match &forest.nodes[at as usize] {
                ForestNode::Branch(b) => stack.extend([b.yes, b.no]),
                ForestNode::Leaf { votes } => {
                    leaves += 1;
                    for vote in &forest.votes[votes.0 as usize..votes.1 as usize] {
                        let count = &mut counts[vote.target as usize];
                        if count.1 != at {
                            *count = (count.0 + 1, at);
                        }
                    }
                }
            }
        }
        for (voted, (count, _)) in all.iter_mut().zip(&counts) {
            match *count {
                0 => {}
                n if n == leaves => *voted = Voted::Always,
                _ if *voted == Voted::Never => *voted = Voted::Sometimes,
                _ => {}
            }
        }
    }
    all
}

/// Rows (m, n) of the type an engine takes.
struct Rows<'x, T: Clone> {
    x: Cow<'x, [T]>,
    m: usize,
    n: usize,
}

impl<'x, T: Scored> Rows<'x, T> {
    fn new(x: Cow<'x, [T]>, m: usize, n: usize) -> Self {
        // Trees that are leaves need no features, but rows must be there to be walked.
        if n == 0 { Self { x: vec![T::ZERO; m].into(), m, n: 1 } } else { Self { x, m, n } }
    }
}

impl Trees {
    /// The outputs for rows that `engine` takes; `narrow` brings the answers to the type of the outputs.
    fn answers<'v, T: Scored>(
        &self,
        engine: &Engine<T>,
        rows: &Rows<'_, T>,
        cx: &mut Scratch,
        typed: impl Fn(Vec<T>, [usize; 2], &mut Scratch) -> Value<'static>,
    ) -> Result<Outs<'v>> {
        let (m, k) = (rows.m, self.targets);
        let count = cx.check_shape(&[m, k])?;
        let mut sums = cx.buffer::<T>(count);
        sums.resize(count, T::ZERO);
        match &self.finish {
            Finish::Regression(regression) => {
                if self.options.each_vote {
                    let mut voted = vec![false; count];
                    engine.votes(&rows.x, rows.n, |row, vote| {
                        let at = row * k + vote.target as usize;
                        let mut score = Score { value: sums[at], voted: voted[at] };
                        regression.aggregate.add(&mut score, vote.weight);
                        (sums[at], voted[at]) = (score.value, score.voted);
                    });
                    regression.finish(&mut sums, k, |row, target| voted[row * k + target]);
                } else {
                    engine.sums(&rows.x, rows.n, &mut sums);
                    regression.finish(&mut sums, k, |_, target| self.voted[target] == Voted::Always);
                }
                Ok(smallvec![typed(sums, [m, k], cx)])
            }
            Finish::Classification { classification, labels, .. } => {
                let mut winners = cx.buffer::<u32>(m);
                if self.options.each_vote {
                    let mut had = vec![false; count];
                    engine.votes(&rows.x, rows.n, |row, vote| {
                        let at = row * k + vote.target as usize;
                        sums[at] += vote.weight;
                        had[at] = true;
                    });
                    classification.finish(&mut sums, |row, class| had[row * k + class], &mut winners);
                } else {
                    engine.sums(&rows.x, rows.n, &mut sums);
                    classification.finish(&mut sums, |_, class| self.voted[class] == Voted::Always, &mut winners);
                }
                let labels = labels.of_winners(&winners, cx)?;
                cx.recycle_buffer(winners);
                Ok(smallvec![labels, typed(sums, [m, k], cx)])
            }
        }
    }
}

impl Op for Trees {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let (m, n) = match *value.shape() {
            [n] => (1, n),
            [m, n] => (m, n),
            _ => {
                return Err(Error::new(ErrorKind::WrongShape, "trees take a table (m, n) or one row (n,)")
                    .actual(shape_text(value.shape())));
            }
        };
        if n < self.features {
            return Err(Error::new(ErrorKind::WrongShape, "the trees ask for features that the rows do not have")
                .expected(format!("at least {} columns", self.features))
                .actual(n));
        }
        let f32s = |out: Vec<f32>, shape: [usize; 2], _: &mut Scratch| Value::new(shape.as_slice(), out);
        if let (Some(engine), true) = (&self.narrow, !matches!(value.data(), Data::F64(_))) {
            let x: Cow<'_, [f32]> = match value.data() {
                Data::F32(x) => Cow::Borrowed(x),
                _ => value.to_f32s()?.into(),
            };
            let rows = Rows::new(x, m, n);
            if self.keeps_type && matches!(value.data(), Data::F16(_)) {
                return self.answers(engine, &rows, cx, |out, shape, _| {
                    let halves: Vec<half::f16> = out.into_iter().map(half::f16::from_f32).collect();
                    Value::new(shape.as_slice(), halves)
                });
            }
            return self.answers(engine, &rows, cx, f32s);
        }
        let x: Cow<'_, [f64]> = match value.data() {
            Data::F64(x) => Cow::Borrowed(x),
            Data::I64(x) => x.iter().map(|&x| x as f64).collect(),
            Data::I32(x) => x.iter().map(|&x| x.into()).collect(),
            _ => value.to_f32s()?.into_iter().map(f64::from).collect(),
        };
        let rows = Rows::new(x, m, n);
        let engine = self.wide()?;
        if self.keeps_type && matches!(value.data(), Data::F64(_)) {
            return self.answers(engine, &rows, cx, |out, shape, _| Value::new(shape.as_slice(), out));
        }
        self.answers(engine, &rows, cx, |out, shape, cx| {
            let mut narrow = cx.buffer::<f32>(out.len());
            narrow.extend(out.iter().map(|&x| x as f32));
            cx.recycle_buffer(out);
            Value::new(shape.as_slice(), narrow)
        })
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.first().is_none_or(|x| x.rank() != 2 || x.varies(1))
    }

    fn parameters(&self) -> usize {
        self.parameters
    }

    fn engine(&self) -> Option<String> {
        match &self.narrow {
            Some(engine) => Some(engine.describe()),
            None => self.wide.get().map(Engine::describe),
        }
    }

    fn output_features(&self, output: usize) -> Option<Vec<String>> {
        match &self.finish {
            Finish::Classification { names, .. } if output == 1 => Some(names.clone()),
            _ => None,
        }
    }
}
