//! Trees that compare f64 as trees that compare f32, for f32 rows.

use crate::backend::native::trees::{Branch, Forest, Mode, Node, Number};

/// Trees that send every f32 row where `forest` sends it: thresholds are rounded to the side on which no f32 is passed.
pub(crate) fn narrowed<W: Number>(forest: &Forest<f64, W>) -> Forest<f32, W> {
    let node = |node: &Node<f64>| match *node {
        Node::Leaf { votes } => Node::Leaf { votes },
        Node::Branch(Branch { mode, nan_true, feature, threshold, yes, no, members }) => {
            let threshold = match mode {
                Mode::Leq | Mode::Gt => at_most(threshold),
                Mode::Lt | Mode::Gte => -at_most(-threshold),
                Mode::Eq | Mode::Neq => same(threshold),
                Mode::Member | Mode::InSet | Mode::InSetFromZero => 0.0,
            };
            Node::Branch(Branch { mode, nan_true, feature, threshold, yes, no, members })
        }
    };
    Forest {
        nodes: forest.nodes.iter().map(node).collect(),
        votes: forest.votes.clone(),
        members: forest.members.iter().map(|&m| same(m)).collect(),
        sets: forest.sets.clone(),
        roots: forest.roots.clone(),
        targets: forest.targets,
    }
}

/// The largest f32 that is not above `x`.
pub(crate) fn at_most(x: f64) -> f32 {
    let near = x as f32;
    if f64::from(near) > x { near.next_down() } else { near }
}

/// The f32 that equals `x`; NaN, which nothing equals, where none does.
pub(crate) fn same(x: f64) -> f32 {
    let near = x as f32;
    if f64::from(near) == x { near } else { f32::NAN }
}
