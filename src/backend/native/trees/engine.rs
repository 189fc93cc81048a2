//! A forest in the form in which it is run.

use super::byte_trees::{ByteTrees, Exits, Sink};
use super::forest::{Forest, Vote};
use super::head::Head;
use super::number::Number;
use super::oracle;
use super::pack::{self, Packer, Place, Tree};
use super::row::RowTrees;
use super::sums::{Leaves, Summing};
use super::walk::{self, Walked};
use crate::kernel::{Isa, PackedNode, PackedNodes, SmallNode, WideNode};
use crate::{Result, TreeEngine};

/// A forest made ready: features in `T`, weights and sums in `W`.
#[derive(Debug)]
pub(crate) struct Engine<T: Engines, W = T> {
    road: Road<T, W>,
    leaves: Leaves<W>,
    /// The node of the forest that each leaf is.
    origins: Vec<u32>,
    features: usize,
    targets: usize,
    trees: usize,
    /// Which engine it is and why.
    reason: String,
}

/// How an engine is to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// The engine, where it can take the trees.
    pub(crate) engine: TreeEngine,
    /// Whether [`Engine::votes`] is needed, which takes votes kept apart.
    pub(crate) each_vote: bool,
    /// The instruction set to use.
    pub(crate) isa: Isa,
}

impl Default for Options {
    fn default() -> Self {
        Self { engine: TreeEngine::Auto, each_vote: false, isa: Isa::best() }
    }
}

/// How rows are taken through the trees.
#[derive(Debug)]
enum Road<T: Engines, W> {
    /// All tests at once, over ranks. Few rows walk where these trees have no form of their own for that.
    Bytes(Box<ByteTrees<T>>, Option<Steps<T>>),
    /// From node to node, after the tests of the top of the tree.
    Walk(Steps<T>),
    /// Row by row through the plain form, with the leaf that each of its nodes is.
    Literal(Forest<T, W>, Vec<u32>),
}

impl<T: Engines, W> Road<T, W> {
    /// The trees for single rows, with the exits that each has room for.
    fn alone(&self) -> Option<(&RowTrees<T>, usize)> {
        match self {
            Self::Bytes(bytes, _) => Some((bytes.alone()?, bytes.stride())),
            _ => None,
        }
    }
}

/// Trees to be walked.
#[derive(Debug)]
struct Steps<T: Engines> {
    nodes: Nodes<T>,
    trees: Walked<T>,
}

/// All trees' nodes, one after another.
#[derive(Debug)]
enum Nodes<T: Engines> {
    Narrow(PackedNodes<T::Narrow>),
    Wide(PackedNodes<WideNode<T>>),
}

/// A number type with the smallest form of its packed nodes.
pub(crate) trait Engines: Number {
    type Narrow: PackedNode<Value = Self>;
}

impl Engines for f32 {
    type Narrow = SmallNode;
}

impl Engines for f64 {
    type Narrow = WideNode<f64>;
}

impl<T: Engines, W: Number> Engine<T, W> {
    /// Makes a forest ready.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) when the trees share so many nodes that writing each out would
    /// take too much memory.
    pub(crate) fn new(forest: &Forest<T, W>, options: Options) -> Result<Self> {
        let Options { engine, each_vote, isa } = options;
        let (engine, isa) = match engine {
            TreeEngine::Portable => (TreeEngine::Auto, Isa::portable()),
            engine => (engine, isa),
        };
        let bytes = match engine {
            TreeEngine::Walk | TreeEngine::Scalar => None,
            _ => ByteTrees::new(forest, engine, isa),
        };
        let asked = format!("{engine} asked for");
        let (bytes, why) = match bytes {
            None if engine == TreeEngine::Auto => {
                (None, "a tree has more than 256 leaves, or far more than the others".to_owned())
            }
            None if matches!(engine, TreeEngine::BitVector | TreeEngine::Oblivious) => {
                (None, format!("{asked}, which can't take these trees"))
            }
            Some((bytes, origins)) if engine == TreeEngine::Auto => match bytes.verdict(isa) {
                Ok(why) => (Some((bytes, origins)), why),
                Err(why) => (None, why),
            },
            bytes => (bytes, asked),
        };
        let (mut origins, mut firsts) = (Vec::new(), Vec::new());
        let road = match bytes {
            Some((bytes, of_exits)) => {
                origins = of_exits;
                firsts.extend((0..forest.roots.len()).map(|tree| tree * bytes.stride()));
                let alone = bytes.is_oblivious() || bytes.alone().is_some();
                let steps = if alone { None } else { Some(Steps::numbered(forest, isa, &origins, bytes.stride())?) };
                Road::Bytes(Box::new(bytes), steps)
            }
            None if engine == TreeEngine::Scalar => {
                (origins, firsts) = pack::leaves(forest)?;
                let mut leaf_of = vec![0; forest.nodes.len()];
                for (leaf, &node) in (0u32..).zip(&origins) {
                    leaf_of[node as usize] = leaf;
                }
                Road::Literal(forest.clone(), leaf_of)
            }
            None => {
                let steps = Steps::new(forest, isa, &mut origins)?;
                firsts.extend(steps.trees.spans.iter().map(|s| s.leaf));
                Road::Walk(steps)
            }
        };
        let leaves = if each_vote { Leaves::sparse(forest, &origins) } else { Leaves::of(forest, &firsts, &origins) };
        let mut this = Self {
            road,
            leaves,
            origins,
            features: forest.features(),
            targets: forest.targets,
            trees: forest.roots.len(),
            reason: why,
        };
        this.reason = this.account(forest.nodes.len());
        Ok(this)
    }

    /// Which engine this is and why, and what it holds for a forest of `nodes` nodes.
    fn account(&self, nodes: usize) -> String {
        let (name, bytes) = match &self.road {
            Road::Bytes(bytes, steps) => {
                let ((tests, _), columns) = (bytes.work(), bytes.columns());
                let name = if bytes.is_oblivious() { "oblivious" } else { "bit-vector" };
                let [binned, plain] = [bytes.test_bytes(), nodes * size_of::<T::Narrow>()];
                let name = format!(
                    "{name}, {tests} tests over {columns} columns of ranks, {binned} bytes of u8 bins in place of {plain} of \
                     nodes with float thresholds"
                );
                (name, bytes.bytes() + steps.as_ref().map_or(0, Steps::bytes))
            }
            Road::Walk(steps) => ("walk".to_owned(), steps.bytes()),
            Road::Literal(forest, leaf_of) => (
                "scalar".to_owned(),
                size_of_val(&*forest.nodes) + size_of_val(&*forest.votes) + size_of_val(&**leaf_of),
            ),
        };
        let per_node = (bytes + self.leaves.bytes() + size_of_val(&*self.origins)) as f64 / nodes.max(1) as f64;
        format!("{name} ({}): {} trees, {nodes} nodes, {per_node:.1} bytes per node", self.reason, self.trees)
    }

    /// Which engine this is and why, with the size of it.
    pub(crate) fn describe(&self) -> String {
        self.reason.clone()
    }

    /// The sums of the leaves' votes: `x` (m, n) gives (m, targets), added to `sums` tree by tree.
    pub(crate) fn sums(&self, x: &[T], n: usize, sums: &mut [W]) {
        let mut summing = Summing { leaves: &self.leaves, k: self.targets, sums };
        match &self.road {
            Road::Bytes(bytes, _) if x.len() / n.max(1) >= bytes.few() => {
                debug_assert!(n >= self.features);
                let stride = bytes.stride();
                match &self.leaves {
                    Leaves::One { .. } => bytes.run(x, n, &mut super::sums::OneSink { summing: &mut summing, stride }),
                    _ => {
                        let mut leaf = |row, tree: usize, leaf| summing.add(row, tree, leaf);
                        bytes.run(x, n, &mut EachLeaf { stride, visit: &mut leaf });
                    }
                }
            }
            road => match (&self.leaves, self.targets) {
                (Leaves::One { weights, .. }, 1) if let Some((alone, stride)) = road.alone() => {
                    for (row, sum) in x.chunks_exact(n.max(1)).zip(summing.sums) {
                        let mut all = *sum;
                        alone.run(row, |tree, exit| all += weights[tree * stride + exit]);
                        *sum = all;
                    }
                }
                (Leaves::One { weights, .. }, 1) => {
                    let sums = summing.sums;
                    self.leaves(x, n, |row, _, leaf| sums[row] += weights[leaf]);
                }
                _ => self.leaves(x, n, |row, tree, leaf| summing.add(row, tree, leaf)),
            },
        }
    }

    /// Shows `visit` every vote for every row, of an engine made with `each_vote`: the row and the vote.
    pub(crate) fn votes(&self, x: &[T], n: usize, mut visit: impl FnMut(usize, Vote<W>)) {
        if let Leaves::Sparse { ranges, votes } = &self.leaves {
            self.leaves(x, n, |row, _, leaf| {
                let (from, to) = ranges[leaf];
                votes[from as usize..to as usize].iter().for_each(|v| visit(row, *v));
            });
        }
    }

    /// The leaf's place in [`Forest::nodes`].
    pub(crate) fn node_of(&self, leaf: usize) -> u32 {
        self.origins[leaf]
    }

    /// Shows `visit` the leaf of every tree for every row: the row, the tree and the leaf, of which
    /// [`node_of`](Self::node_of) says which it is. A row meets the trees in order.
    #[inline(always)]
    pub(crate) fn leaves(&self, x: &[T], n: usize, mut visit: impl FnMut(usize, usize, usize)) {
        debug_assert!(n >= self.features);
        match &self.road {
            Road::Bytes(bytes, _) if x.len() / n.max(1) >= bytes.few() => {
                bytes.run(x, n, &mut EachLeaf { stride: bytes.stride(), visit: &mut visit });
            }
            Road::Bytes(bytes, steps) => {
                if let Some(alone) = bytes.alone() {
                    let stride = bytes.stride();
                    for (r, row) in x.chunks_exact(n.max(1)).enumerate() {
                        alone.run(row, |tree, exit| visit(r, tree, tree * stride + exit));
                    }
                } else if let Some(steps) = steps {
                    steps.rows(false, x, n, visit);
                }
            }
            Road::Walk(steps) => steps.rows(true, x, n, visit),
            Road::Literal(forest, leaf_of) => {
                for (r, row) in x.chunks_exact(n.max(1)).enumerate() {
                    for (t, &root) in forest.roots.iter().enumerate() {
                        visit(r, t, leaf_of[oracle::leaf(forest, root, row) as usize] as usize);
                    }
                }
            }
        }
    }
}

impl<T: Engines> Steps<T> {
    /// The trees with the leaf that each node is, of which `stride` a tree are numbered already.
    fn numbered<W>(forest: &Forest<T, W>, isa: Isa, origins: &[u32], stride: usize) -> Result<Self> {
        Self::with(forest, isa, |walked, trees| {
            for (tree, of_tree) in trees.iter().zip(origins.chunks_exact(stride)) {
                walked.add_numbered(tree, of_tree);
            }
        })
    }

    /// The trees with their heads; the node of the forest that each leaf is goes to `origins`.
    fn new<W>(forest: &Forest<T, W>, isa: Isa, origins: &mut Vec<u32>) -> Result<Self> {
        Self::with(forest, isa, |walked, trees| {
            trees.iter().for_each(|tree| walked.add(tree, Head::new(tree, isa), origins));
        })
    }

    fn with<W>(forest: &Forest<T, W>, isa: Isa, add: impl FnOnce(&mut Walked<T>, &[Tree<T>])) -> Result<Self> {
        let mut packer = Packer::new(forest);
        let trees = forest.roots.iter().map(|&root| packer.tree(root)).collect::<Result<Vec<_>>>()?;
        let places = || trees.iter().flat_map(|t| t.places.iter().copied().enumerate());
        let fits = forest.features() <= T::Narrow::FEATURES && trees.iter().all(|t| t.places.len() <= T::Narrow::NODES);
        let nodes = if fits {
            Nodes::Narrow(PackedNodes::new(places().map(|(at, place)| place.packed(at)).collect()))
        } else {
            Nodes::Wide(PackedNodes::new(places().map(|(at, place)| place.packed(at)).collect()))
        };
        let nan_matters = places().any(|(_, p)| matches!(p, Place::Branch { nan_left: true, .. }));
        let mut walked = Walked { spans: vec![], heads: vec![], leaf_of_node: vec![], nan_matters, isa };
        add(&mut walked, &trees);
        Ok(Self { nodes, trees: walked })
    }

    #[inline(always)]
    fn rows(&self, in_groups: bool, x: &[T], n: usize, visit: impl FnMut(usize, usize, usize)) {
        match &self.nodes {
            Nodes::Narrow(nodes) => walk::rows(nodes, &self.trees, in_groups, x, n, visit),
            Nodes::Wide(nodes) => walk::rows(nodes, &self.trees, in_groups, x, n, visit),
        }
    }

    fn bytes(&self) -> usize {
        let nodes = match &self.nodes {
            Nodes::Narrow(nodes) => size_of_val(nodes.as_slice()),
            Nodes::Wide(nodes) => size_of_val(nodes.as_slice()),
        };
        let heads = self.trees.heads.iter().map(Head::bytes).sum::<usize>();
        nodes + size_of_val(&*self.trees.leaf_of_node) + heads
    }
}

/// Shows a closure every leaf.
struct EachLeaf<'v, V> {
    stride: usize,
    visit: &'v mut V,
}

impl<V: FnMut(usize, usize, usize)> Sink for EachLeaf<'_, V> {
    fn take<const G: usize>(&mut self, of: &Exits<'_, G>) {
        for row in 0..of.rows.min(G) {
            for t in 0..of.trees() {
                let tree = of.first_tree + t;
                (self.visit)(of.first_row + row, tree, tree * self.stride + of.exit(t, row));
            }
        }
    }
}
