//! Whether the answer for a row depends on the other rows of its batch.
//!
//! tract knows for every operator which axes of its outputs stand for which axes of its inputs. The batch axis of the
//! inputs is followed through the graph. Where it is summed over, sorted along, taken a range of, merged with another
//! or, as for a dynamic quantisation range, looked at as a whole, rows are not independent. What joins it from
//! elsewhere must be the same for all rows. Exporters also fold the batch into the axis behind it and take it apart
//! again, with a reshape or by picking entries; then a row is a run of entries of the folded axis.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::{DimLike, InOut};
use tract_onnx::tract_core::ops::array::{DynSlice, Gather, MultiBroadcastTo};
use tract_onnx::tract_core::ops::change_axes::AxisOp;
use tract_onnx::tract_core::ops::nn::Softmax;

use super::trial;

/// How a value hangs together with the batch.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Trail {
    /// Not at all.
    Free,
    /// The entries along this axis come from one row each, row after row in runs of `run` entries.
    Rows { axis: usize, run: usize },
    /// Rows are mixed.
    Mixed,
}

/// Whether every output of `model` has one axis whose entries each come from one row; `batched` tells which inputs have
/// the batch as their axis 0. When in doubt, `false`.
pub(super) fn rows_independent(model: &TypedModel, batched: &[bool]) -> TractResult<bool> {
    let mut trails: Vec<TVec<Trail>> = vec![tvec![]; model.nodes.len()];
    for (outlet, batched) in model.input_outlets()?.iter().zip(batched) {
        trails[outlet.node] = tvec![if *batched { Trail::Rows { axis: 0, run: 1 } } else { Trail::Free }];
    }
    for id in model.eval_order()? {
        if trails[id].is_empty() {
            let inputs: TVec<Trail> = model.node(id).inputs.iter().map(|i| trails[i.node][i.slot]).collect();
            trails[id] = outputs(model, model.node(id), &inputs)?;
        }
    }
    Ok(model.output_outlets()?.iter().all(|o| matches!(trails[o.node][o.slot], Trail::Rows { run: 1, .. })))
}

/// The trails of a node's outputs.
fn outputs(model: &TypedModel, node: &TypedNode, inputs: &[Trail]) -> TractResult<TVec<Trail>> {
    let all = |trail| Ok(tvec![trail; node.outputs.len()]);
    if inputs.contains(&Trail::Mixed) {
        return all(Trail::Mixed);
    }
    let axes: TVec<Option<usize>> =
        inputs.iter().map(|t| if let Trail::Rows { axis, .. } = t { Some(*axis) } else { None }).collect();
    let runs = || inputs.iter().filter_map(|t| if let Trail::Rows { run, .. } = t { Some(*run) } else { None });
    let Some(run) = runs().next() else { return all(Trail::Free) };
    if let Some(trail) = folded(model, node, inputs)? {
        return all(trail);
    }
    let found = match mapped(model, node, &axes)? {
        Some(found) if runs().all(|other| other == run) => Some(found),
        // An operator that can't be tried, for want of a state or of numbers that it takes, counts as mixing.
        None if runs().all(|run| run == 1) => trial::kept_apart(model, node, &axes).unwrap_or(None),
        _ => None,
    };
    Ok(match found {
        Some(axes) => axes.into_iter().map(|axis| Trail::Rows { axis, run }).collect(),
        None => tvec![Trail::Mixed; node.outputs.len()],
    })
}

/// What becomes of the batch where an operator folds it into another axis or takes it apart again.
fn folded(model: &TypedModel, node: &TypedNode, inputs: &[Trail]) -> TractResult<Option<Trail>> {
    let Some(Trail::Rows { axis, run }) = inputs.first().copied() else { return Ok(None) };
    let fact = model.outlet_fact(node.inputs[0])?;
    let rows = fact.shape[axis].to_usize()? / run;
    if let Some(AxisOp::Reshape(at, from, to)) = node.op_as::<AxisOp>()
        && (*at..at + from.len()).contains(&axis)
        && rows > 0
    {
        // A row is a run of what is folded only where the batch comes first.
        if !from[..axis - at].iter().all(|dim| *dim == 1.to_dim()) {
            return Ok(Some(Trail::Mixed));
        }
        let first = to.iter().position(|dim| *dim != 1.to_dim()).unwrap_or(0);
        let length = to.get(first).map_or(Ok(1), DimLike::to_usize)?;
        let whole = length % rows == 0;
        return Ok(Some(if whole { Trail::Rows { axis: at + first, run: length / rows } } else { Trail::Mixed }));
    }
    if let (Some(gather), [_, Trail::Free]) = (node.op_as::<Gather>(), inputs)
        && gather.axis == axis
        && run > 1
        && let Some(picked) = &model.outlet_fact(node.inputs[1])?.konst
    {
        let picked = picked.cast_to::<i64>()?;
        let picked = picked.to_plain_array_view::<i64>()?;
        let length = (rows * run) as i64;
        let row_of = |entry: i64| if entry < 0 { entry + length } else { entry } / run as i64;
        let along = (0..picked.ndim())
            .filter(|along| picked.shape()[*along] == rows)
            .find(|along| picked.indexed_iter().all(|(place, entry)| row_of(*entry) == place[*along] as i64));
        return Ok(along.map(|along| Trail::Rows { axis: axis + along, run: 1 }));
    }
    Ok(None)
}

/// The batch axis of every output as the operator itself tells it; nothing where it does not.
fn mapped(model: &TypedModel, node: &TypedNode, axes: &[Option<usize>]) -> TractResult<Option<TVec<usize>>> {
    // These call all of their axes alike, also those along which they look.
    if node.op_is::<Softmax>() || node.op_is::<DynSlice>() {
        return Ok(None);
    }
    let (input_facts, output_facts) = model.node_facts(node.id)?;
    let mapping = node.op.axes_mapping(&input_facts, &output_facts)?;
    let Some((first, axis)) = axes.iter().enumerate().find_map(|(i, axis)| Some((i, (*axis)?))) else {
        return Ok(None);
    };
    let batch = mapping.axis((InOut::In(first), axis))?;
    for (i, axis) in axes.iter().enumerate() {
        let joined = batch.inputs[i].as_slice();
        let fits = match axis {
            Some(axis) => joined == [*axis],
            None => {
                let mut same = true;
                for axis in joined {
                    same &= uniform(model, node.inputs[i], *axis)?;
                }
                same
            }
        };
        if !fits {
            return Ok(None);
        }
    }
    let outputs = batch.outputs.iter().map(|axes| if let [axis] = axes.as_slice() { Some(*axis) } else { None });
    Ok(outputs.collect())
}

/// Whether a value that does not come from the batch is the same all along `axis`.
fn uniform(model: &TypedModel, outlet: OutletId, axis: usize) -> TractResult<bool> {
    let fact = model.outlet_fact(outlet)?;
    let length = fact.shape[axis].to_usize()?;
    if length <= 1 {
        return Ok(true);
    }
    if let Some(value) = &fact.konst {
        let first = value.slice(axis, 0, 1)?;
        for i in 1..length {
            if value.slice(axis, i, i + 1)? != first {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    let node = model.node(outlet.node);
    if node.op_is::<MultiBroadcastTo>() {
        let from = model.outlet_fact(node.inputs[0])?;
        let added = fact.rank() - from.rank();
        return Ok(axis < added || from.shape[axis - added].to_usize()? == 1);
    }
    Ok(false)
}
