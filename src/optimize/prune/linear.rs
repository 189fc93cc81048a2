//! Features of linear models that matter least: their coefficients become zero, and their mean goes to the intercept.

use std::collections::HashSet;

use crate::Result;
use crate::backend::native::Tap;
use crate::onnx::NodeProto;
use crate::onnx::edit::Editor;
use crate::optimize::data::Data;
use crate::optimize::quantize::layer_name;
use crate::optimize::report::{Layer, Skipped};
use crate::optimize::run::Changed;
use crate::{Limits, Model};

/// Drops the share `share` of the features of every linear operator of `ai.onnx.ml`.
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
    for at in 0..editor.graph().node.len() {
        let node = editor.graph().node[at].clone();
        if node.operator_domain() != "ai.onnx.ml" || !matches!(node.operator(), "LinearClassifier" | "LinearRegressor")
        {
            continue;
        }
        let name = layer_name(&node).to_owned();
        let skip = |reason: &str| Skipped::node(&node, reason);
        let floats = |what: &str| node.find_attribute(what).map(|a| a.floats.clone()).unwrap_or_default();
        let (mut weights, mut intercepts) = (floats("coefficients"), floats("intercepts"));
        let k = intercepts.len();
        if keep.contains(&name) {
            changed.skipped.push(skip("kept whole as asked for"));
            continue;
        }
        if k == 0 || weights.is_empty() || weights.len() % k != 0 {
            changed.skipped.push(skip("it has no intercepts, so that the means of features have no place"));
            continue;
        }
        let n = weights.len() / k;
        let (means, spreads) = match data {
            Some((data, model)) => moments(editor, &node, n, data, model)?,
            None => (vec![0.0; n], vec![1.0; n]),
        };
        let worth: Vec<f64> =
            (0..n).map(|i| (0..k).map(|j| f64::from(weights[j * n + i]).abs()).sum::<f64>() * spreads[i]).collect();
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| worth[a].total_cmp(&worth[b]));
        order.truncate((n as f64 * share).round() as usize);
        if order.is_empty() {
            changed.skipped.push(skip("it has too few features for this share"));
            continue;
        }
        for &i in &order {
            for j in 0..k {
                intercepts[j] += (f64::from(std::mem::take(&mut weights[j * n + i])) * means[i]) as f32;
            }
        }
        for attribute in &mut editor.graph_mut().node[at].attribute {
            match attribute.name.as_deref() {
                Some("coefficients") => attribute.floats.clone_from(&weights),
                Some("intercepts") => attribute.floats.clone_from(&intercepts),
                _ => {}
            }
        }
        changed
            .notes
            .push(format!("`{name}`: {} of {n} features are left; the input keeps its columns", n - order.len()));
        let bytes = 4 * weights.len() as u64;
        changed.layers.push(Layer {
            name,
            operator: node.operator().to_owned(),
            output: node.output.last().cloned().unwrap_or_default(),
            parameters: (order.len() * k) as u64,
            bytes_before: bytes,
            bytes_after: bytes,
            weight_sqnr_db: None,
            sqnr_db: None,
        });
    }
    Ok(changed)
}

/// Mean and standard deviation of the `n` features that `node` takes.
fn moments(
    editor: &Editor,
    node: &NodeProto,
    n: usize,
    data: &Data<'_>,
    model: &dyn Model,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let tap = Tap::new(&editor.model, None, &[node.input[0].clone()], &Limits::default())?;
    let (mut sums, mut squares, mut count) = (vec![0.0; n], vec![0.0; n], 0.0);
    data.each_batch(model.signature(), &mut |inputs, _| {
        for tensor in tap.run(inputs)? {
            for row in crate::optimize::measure::numbers(&tensor).chunks_exact(n) {
                for (i, x) in row.iter().enumerate() {
                    sums[i] += x;
                    squares[i] += x * x;
                }
                count += 1.0;
            }
        }
        Ok(())
    })?;
    let count = f64::max(count, 1.0);
    let means: Vec<f64> = sums.iter().map(|s| s / count).collect();
    let spreads = squares.iter().zip(&means).map(|(q, m)| (q / count - m * m).max(0.0).sqrt()).collect();
    Ok((means, spreads))
}
