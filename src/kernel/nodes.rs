use super::Real;

/// A node of a packed tree: one question, x <= t. Its two children stand side by side, the one above t first, and are
/// reached by their distance from the node itself.
pub(crate) trait PackedNode: Copy + Send + Sync + std::fmt::Debug + 'static {
    type Value: Real;
    /// The most nodes of a tree and the most features that this form can address.
    const NODES: usize;
    const FEATURES: usize;
    /// The node whose first child stands `left` places after it. With `nan_left`, NaN counts as below the threshold; nothing
    /// is below a threshold that is NaN.
    fn new(threshold: Self::Value, feature: u32, nan_left: bool, left: i32) -> Self;
    /// The feature that is compared.
    fn feature(self) -> usize;
    /// Where a row goes from place `at`, this node's, whose feature is `x`; `NAN` says whether that may be NaN.
    fn step<const NAN: bool>(self, at: u32, x: Self::Value) -> u32;
    /// Whether any row goes to the second child.
    fn forks(self) -> bool;
}

/// Whether `x` is below the threshold; `NAN` says whether it may be NaN, which is where `nan_left`.
#[inline(always)]
fn is_below<const NAN: bool, T: Real>(x: T, threshold: T, nan_left: bool) -> bool {
    (x <= threshold) | (NAN && x.is_nan() & nan_left)
}

/// Eight bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SmallNode {
    threshold: f32,
    /// The highest bit says that NaN counts as below the threshold.
    feature: u16,
    left: i16,
}

impl PackedNode for SmallNode {
    type Value = f32;
    const NODES: usize = 1 << 15;
    const FEATURES: usize = 1 << 15;

    fn new(threshold: f32, feature: u32, nan_left: bool, left: i32) -> Self {
        Self { threshold, feature: feature as u16 | u16::from(nan_left) << 15, left: left as i16 }
    }

    #[inline(always)]
    fn feature(self) -> usize {
        usize::from(self.feature & 0x7FFF)
    }

    #[inline(always)]
    fn step<const NAN: bool>(self, at: u32, x: f32) -> u32 {
        let below = is_below::<NAN, _>(x, self.threshold, self.feature >> 15 != 0);
        at.wrapping_add_signed(self.left.into()).wrapping_add(below.into())
    }

    fn forks(self) -> bool {
        !self.threshold.is_nan() || self.feature >> 15 != 0
    }
}

/// Twelve bytes for f32, sixteen for f64.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WideNode<T> {
    threshold: T,
    /// The highest bit says that NaN counts as below the threshold.
    feature: u32,
    left: i32,
}

impl<T: Real> PackedNode for WideNode<T> {
    type Value = T;
    const NODES: usize = 1 << 31;
    const FEATURES: usize = 1 << 31;

    fn new(threshold: T, feature: u32, nan_left: bool, left: i32) -> Self {
        Self { threshold, feature: feature | u32::from(nan_left) << 31, left }
    }

    #[inline(always)]
    fn feature(self) -> usize {
        (self.feature & 0x7FFF_FFFF) as usize
    }

    #[inline(always)]
    fn step<const NAN: bool>(self, at: u32, x: T) -> u32 {
        let below = is_below::<NAN, _>(x, self.threshold, self.feature >> 31 != 0);
        at.wrapping_add_signed(self.left).wrapping_add(below.into())
    }

    fn forks(self) -> bool {
        !self.threshold.is_nan() || self.feature >> 31 != 0
    }
}

/// Nodes from which every step leads to one of them.
#[derive(Debug)]
pub(crate) struct PackedNodes<N> {
    nodes: Vec<N>,
    /// One more than the highest feature.
    features: usize,
}

impl<N: PackedNode> PackedNodes<N> {
    /// # Panics
    /// When a child of a node is not among them.
    pub(crate) fn new(nodes: Vec<N>) -> Self {
        assert!(u32::try_from(nodes.len()).is_ok(), "places must fit 32 bits");
        let mut features = 0;
        for (at, node) in nodes.iter().enumerate() {
            // A number that is not below the threshold goes to the first child. One that is may go past the second only
            // where there is none.
            let first = node.step::<false>(at as u32, N::Value::NAN) as usize;
            assert!(first + usize::from(node.forks()) < nodes.len(), "a child is out of range");
            features = features.max(node.feature() + 1);
        }
        Self { nodes, features }
    }

    pub(crate) fn as_slice(&self) -> &[N] {
        &self.nodes
    }

    /// Where a row arrives from each of the places `at` after so many steps; what stands still before, has arrived. With
    /// `NAN` false, no feature that is asked may be NaN.
    ///
    /// # Panics
    /// When the row has too few features or a place is out of range.
    #[inline(always)]
    pub(crate) fn descend<const NAN: bool, const LANES: usize>(
        &self,
        row: &[N::Value],
        mut at: [u32; LANES],
        mut steps: usize,
    ) -> [u32; LANES] {
        /// Steps between two looks whether all have arrived.
        const BETWEEN: usize = 4;
        assert!(row.len() >= self.features, "a row has too few features");
        assert!(at.iter().all(|&at| (at as usize) < self.nodes.len()), "a place is out of range");
        while steps > 0 {
            let before = at;
            let now = steps.min(BETWEEN);
            for _ in 0..now {
                for at in &mut at {
                    // SAFETY: every place is in range: those given were looked at, and `new` has seen that steps lead
                    // from nodes to nodes, whatever the number that is compared. No node asks for a feature past `features`.
                    *at = unsafe {
                        let node = *self.nodes.get_unchecked(*at as usize);
                        node.step::<NAN>(*at, *row.get_unchecked(node.feature()))
                    };
                }
            }
            if at == before {
                break;
            }
            steps -= now;
        }
        at
    }
}
