//! What an operator does to rows, found by trying it alone.
//!
//! Some of tract's operators do not say which axes they keep apart. Such a one is run on random numbers: when one row
//! is changed, only the same row of an output may change, and when rows change places, so must the answers.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::{Approximation, DimLike};

/// The batch axis of every output, where the operator keeps rows apart; `axes` are those of the inputs that have one.
pub(super) fn kept_apart(
    model: &TypedModel,
    node: &TypedNode,
    axes: &[Option<usize>],
) -> TractResult<Option<TVec<usize>>> {
    let mut alone = TypedModel::default();
    let (mut wires, mut given) = (tvec![], vec![]);
    for ((i, outlet), axis) in node.inputs.iter().enumerate().zip(axes) {
        let fact = model.outlet_fact(*outlet)?;
        wires.push(match &fact.konst {
            Some(value) if axis.is_none() => alone.add_const(format!("constant{i}"), Arc::clone(value))?,
            _ => {
                given.push(Given { dtype: fact.datum_type, shape: sizes(fact)?, axis: *axis, seed: i as u64 });
                alone.add_source(format!("input{i}"), fact.datum_type.fact(&*sizes(fact)?))?
            }
        });
    }
    let outputs = alone.wire_node("trial", node.op.clone(), &wires)?;
    alone.select_output_outlets(&outputs)?;
    let plan = alone.into_runnable()?;
    let run = |rows: &Rows| -> TractResult<TVec<TValue>> {
        plan.run(given.iter().map(|g| Ok(g.tensor(rows)?.into_tvalue())).collect::<TractResult<_>>()?)
    };
    let Some(m) = given.iter().find_map(|g| Some(g.shape[g.axis?])) else { return Ok(None) };
    let usual: Rows = (0..m as u64).map(|row| (row, false)).collect();
    let base = run(&usual)?;
    let mut candidates: Vec<Vec<usize>> =
        base.iter().map(|t| (0..t.rank()).filter(|a| t.shape()[*a] == m).collect()).collect();
    let mut moved = vec![false; base.len()];
    for row in 0..m {
        let mut changed = usual.clone();
        changed[row].1 = true;
        for (i, (before, after)) in base.iter().zip(run(&changed)?).enumerate() {
            if before.shape() != after.shape() {
                return Ok(None);
            }
            moved[i] |= before.as_bytes() != after.as_bytes();
            candidates[i].retain(|axis| {
                (0..m)
                    .filter(|other| *other != row)
                    .all(|other| same(before, other, &after, other, *axis, Approximation::Exact))
            });
        }
    }
    let turned = run(&(0..m).map(|row| usual[(row + 1) % m]).collect())?;
    for (i, (before, after)) in base.iter().zip(&turned).enumerate() {
        candidates[i]
            .retain(|axis| (0..m).all(|row| same(before, (row + 1) % m, after, row, *axis, Approximation::Close)));
    }
    let one = |(all, moved): (&Vec<usize>, &bool)| if *moved { all.first().copied() } else { None };
    Ok(candidates.iter().zip(&moved).map(one).collect())
}

/// For each row, which numbers it holds and whether they are changed.
type Rows = Vec<(u64, bool)>;

/// An input that the trial makes up.
struct Given {
    dtype: DatumType,
    shape: TVec<usize>,
    axis: Option<usize>,
    seed: u64,
}

impl Given {
    fn tensor(&self, rows: &Rows) -> TractResult<Tensor> {
        let count = self.shape.iter().product::<usize>();
        let inner: usize = self.axis.map_or(1, |axis| self.shape[axis + 1..].iter().product());
        let values: Vec<f32> = (0..count)
            .map(|at| {
                let Some(axis) = self.axis else { return self.number(at as u64, false) };
                let row = at / inner % self.shape[axis];
                let (content, changed) = rows[row];
                // The same place in another row gets the number of the row that is there now.
                let place = at - row * inner + content as usize * inner;
                self.number(place as u64, changed)
            })
            .collect();
        Ok(Tensor::from_shape(&self.shape, &values)?.cast_to_dt(self.dtype)?.into_owned())
    }

    /// Between -1 and 1, and much more where it is changed; 0 or 1 for integers and truth values, the other of them
    /// where it is changed.
    fn number(&self, place: u64, changed: bool) -> f32 {
        let mut state = (place + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (self.seed << 17);
        state ^= state >> 29;
        state = state.wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let unit = (state >> 40) as f32 / (1u64 << 24) as f32;
        if self.dtype.is_float() {
            let number = 2.0 * unit - 1.0;
            if changed { 37.0 * number + 11.0 } else { number }
        } else {
            f32::from(u8::from((unit > 0.5) != changed))
        }
    }
}

fn sizes(fact: &TypedFact) -> TractResult<TVec<usize>> {
    fact.shape.iter().map(DimLike::to_usize).map(|n| n.map_err(Into::into)).collect()
}

/// Whether entry `i` of `a` along `axis` and entry `j` of `b` are the same, as nearly as `how` says.
fn same(a: &Tensor, i: usize, b: &Tensor, j: usize, axis: usize, how: Approximation) -> bool {
    match (a.slice(axis, i, i + 1), b.slice(axis, j, j + 1)) {
        (Ok(a), Ok(b)) => a.as_bytes() == b.as_bytes() || a.close_enough(&b, how).is_ok(),
        _ => false,
    }
}
