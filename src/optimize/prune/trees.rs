//! Trees: leaves that add the same become one, and trees that contribute least go.

use std::collections::HashSet;

use crate::Result;
use crate::backend::native::Tap;
use crate::onnx::edit::Editor;
use crate::optimize::data::Data;
use crate::optimize::quantize::layer_name;
use crate::optimize::report::{Layer, Skipped};
use crate::optimize::run::Changed;
use crate::optimize::trees::{Ensemble, Node, Tree};
use crate::{Limits, Model};

/// The bytes of a node in a file, nearly: eight lists of small numbers and the name of a mode.
const NODE_BYTES: u64 = 30;

/// Collapses branches whose leaves add the same, then drops the share `share` of the trees, those whose answers vary
/// least over the data; what they add on average goes to the base.
///
/// # Errors
/// Those of running the model.
pub(super) fn prune(
    editor: &mut Editor,
    keep: &HashSet<String>,
    share: f64,
    data: Option<(&Data<'_>, &dyn Model)>,
) -> Result<Changed> {
    let mut changed = Changed::default();
    let places: Vec<usize> = (0..editor.graph().node.len())
        .filter(|&i| editor.graph().node[i].operator_domain() == "ai.onnx.ml")
        .filter(|&i| editor.graph().node[i].operator().starts_with("TreeEnsemble"))
        .collect();
    for at in places {
        let node = editor.graph().node[at].clone();
        let skip = |reason: &str| Skipped::node(&node, reason);
        if node.operator() == "TreeEnsemble" {
            changed.skipped.push(skip("it is of version 5 of `ai.onnx.ml`, whose trees are written in another way"));
            continue;
        }
        if keep.contains(layer_name(&node)) {
            changed.skipped.push(skip("kept whole as asked for"));
            continue;
        }
        let mut ensemble = match Ensemble::read(&node) {
            Ok(ensemble) => ensemble,
            Err(reason) => {
                changed.skipped.push(skip(reason));
                continue;
            }
        };
        let before = (ensemble.nodes(), ensemble.trees.len());
        ensemble.trees = ensemble.trees.iter().map(Tree::collapsed).collect();
        let collapsed = before.0 - ensemble.nodes();
        let gone = ((before.1 as f64 * share).round() as usize).min(before.1 - 1);
        if gone > 0 {
            drop_least(&mut ensemble, gone, &node.input[0], editor, data)?;
        }
        let after = ensemble.nodes();
        let name = layer_name(&node).to_owned();
        changed.notes.push(format!(
            "`{name}`: {collapsed} nodes collapsed, {} of {} trees and {after} of {} nodes are left",
            ensemble.trees.len(),
            before.1,
            before.0
        ));
        ensemble.write(&mut editor.graph_mut().node[at]);
        changed.layers.push(Layer {
            name,
            operator: node.operator().to_owned(),
            output: node.output.last().cloned().unwrap_or_default(),
            parameters: (before.0 - after) as u64,
            bytes_before: NODE_BYTES * before.0 as u64,
            bytes_after: NODE_BYTES * after as u64,
            weight_sqnr_db: None,
            sqnr_db: None,
        });
    }
    Ok(changed)
}

/// The number of targets that any leaf adds to.
fn targets(ensemble: &Ensemble) -> usize {
    let of = |node: &Node| match node {
        Node::Leaf(votes) => votes.iter().map(|v| v.0 as usize + 1).max().unwrap_or(1),
        Node::Branch { .. } => 1,
    };
    ensemble.trees.iter().flat_map(|t| &t.nodes).map(of).max().unwrap_or(1).max(ensemble.base.len())
}

fn drop_least(
    ensemble: &mut Ensemble,
    gone: usize,
    input: &str,
    editor: &Editor,
    data: Option<(&Data<'_>, &dyn Model)>,
) -> Result<()> {
    let k = targets(ensemble);
    let mut sums = vec![vec![(0.0f64, 0.0f64); k]; ensemble.trees.len()];
    let mut count = 0.0f64;
    let mut see = |row: &[f32], ensemble: &Ensemble| {
        for (tree, sums) in ensemble.trees.iter().zip(&mut sums) {
            for &(target, weight) in tree.votes(row) {
                let sum = &mut sums[target as usize];
                sum.0 += f64::from(weight);
                sum.1 += f64::from(weight).powi(2);
            }
        }
        count += 1.0;
    };
    match data {
        Some((data, model)) => {
            let tap = Tap::new(&editor.model, None, &[input.to_owned()], &Limits::default())?;
            data.each_batch(model.signature(), &mut |inputs, _| {
                for tensor in tap.run(inputs)? {
                    let values = crate::optimize::measure::numbers(&tensor);
                    let width = tensor.shape().last().copied().unwrap_or(1).max(1);
                    let values: Vec<f32> = values.into_iter().map(|x| x as f32).collect();
                    values.chunks_exact(width).for_each(|row| see(row, ensemble));
                }
                Ok(())
            })?;
        }
        None => {
            // Every leaf as often as any other.
            for (tree, sums) in ensemble.trees.iter().zip(&mut sums) {
                let leaves = tree.nodes.iter().filter_map(|n| if let Node::Leaf(v) = n { Some(v) } else { None });
                let n = leaves.clone().count().max(1) as f64;
                for &(target, weight) in leaves.flatten() {
                    sums[target as usize].0 += f64::from(weight) / n;
                    sums[target as usize].1 += f64::from(weight).powi(2) / n;
                }
            }
            count = 1.0;
        }
    }
    let count = count.max(1.0);
    let varies = |sums: &[(f64, f64)]| sums.iter().map(|(s, q)| q / count - (s / count).powi(2)).sum::<f64>();
    let mut order: Vec<usize> = (0..ensemble.trees.len()).collect();
    order.sort_by(|&a, &b| varies(&sums[a]).total_cmp(&varies(&sums[b])));
    let dropped: HashSet<usize> = order[..gone].iter().copied().collect();
    ensemble.base.resize(k, 0.0);
    for &tree in &dropped {
        ensemble.base.iter_mut().zip(&sums[tree]).for_each(|(b, s)| *b += (s.0 / count) as f32);
    }
    let mut at = 0;
    ensemble.trees.retain(|_| {
        at += 1;
        !dropped.contains(&(at - 1))
    });
    Ok(())
}
