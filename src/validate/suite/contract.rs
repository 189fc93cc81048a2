//! What every model promises.

use std::time::Duration;

use super::file::Contract;
use super::verdict::{CheckKind, CheckResult};
use crate::tensor::shape_text;
use crate::{Loader, Model, NoProgress, Result, Tensor, Tensors};

/// Rows on which single predictions are compared.
const SINGLE_ROWS: usize = 64;
const TIMED: Duration = Duration::from_millis(300);

/// What answers online.
pub(super) enum Online<'a> {
    Model(&'a dyn Model),
    Closure(&'a Relation<'a>),
}

/// Tensors to tensors: a change of inputs, or inputs to answers.
pub(super) type Relation<'a> = dyn Fn(&Tensors<'_>) -> Result<Tensors<'static>> + Sync + 'a;

/// Runs the contract on some rows of the data.
pub(super) fn run(
    contract: &Contract,
    model: &dyn Model,
    online: Option<&Online<'_>>,
    inputs: &Tensors<'_>,
    rows: usize,
) -> Result<Vec<CheckResult>> {
    let mut results = Vec::new();
    let mut add = |name: &str, outcome: Result<(), String>, done: &str| {
        let (pass, message) = match outcome {
            Ok(()) => (true, done.to_string()),
            Err(reason) => (false, reason),
        };
        results.push(CheckResult::new(CheckKind::Contract, name, pass, message));
    };
    let answers = model.predict_batch(inputs)?;
    if contract.deterministic {
        let again = model.predict_batch(inputs).map_err(|e| e.to_string());
        let same = again.and_then(|again| agree(&answers, &again, 0.0));
        add("deterministic", same, "the same call gave the same bits");
    }
    if contract.predict_is_predict_batch {
        let outcome = singles(model, inputs, rows.min(SINGLE_ROWS), contract.tolerance);
        add("predict_is_predict_batch", outcome, "one row alone gave what it gave in a batch");
    }
    if contract.round_trip {
        let loaded = model.artifact().and_then(|artifact| Loader::new().load_artifact(&artifact));
        let outcome = loaded
            .and_then(|loaded| loaded.predict_batch(inputs))
            .map_err(|e| e.to_string())
            .and_then(|again| agree(&answers, &again, contract.tolerance));
        add("round_trip", outcome, "the artifact loaded again to the same answers");
    }
    if contract.offline_is_online {
        let outcome = match online {
            None => Err("no served model was given to compare with".to_string()),
            Some(online) => {
                let answered = match online {
                    Online::Model(served) => served.predict_batch(inputs),
                    Online::Closure(answer) => answer(inputs),
                };
                answered.map_err(|e| e.to_string()).and_then(|online| agree(&answers, &online, contract.tolerance))
            }
        };
        add("offline_is_online", outcome, "the served model answered as this one");
    }
    if let Some(most) = contract.max_ns_per_row {
        let batch = contract.latency_batch.unwrap_or(1).max(1);
        let outcome = crate::bench::measure(model, inputs, batch, TIMED, &NoProgress);
        let outcome = outcome.map_err(|e| e.to_string()).and_then(|timing| {
            let ns = timing.ns_per_row.median;
            if ns <= most {
                Ok(())
            } else {
                Err(format!("{ns:.0} ns a row in batches of {batch}; at most {most} are allowed"))
            }
        });
        add("max_ns_per_row", outcome, "within the budget");
    }
    if let Some(most) = contract.max_bytes {
        let bytes = model.describe().bytes;
        let outcome =
            if bytes <= most { Ok(()) } else { Err(format!("{bytes} bytes are loaded; at most {most} are allowed")) };
        add("max_bytes", outcome, "within the budget");
    }
    Ok(results)
}

fn singles(model: &dyn Model, inputs: &Tensors<'_>, rows: usize, tolerance: f64) -> Result<(), String> {
    let text = |e: crate::Error| e.to_string();
    let signature = model.signature();
    for row in 0..rows {
        let batch: Tensors<'_> = inputs
            .iter()
            .map(|(name, tensor)| {
                let batched = signature.input(name).is_none_or(|s| s.is_batched());
                let one = if batched { tensor.rows(row..row + 1)? } else { tensor.as_view() };
                Ok((name.clone(), one))
            })
            .collect::<Result<_>>()
            .map_err(text)?;
        let of_batch = model.predict_batch(&batch).map_err(text)?;
        let single: Tensors<'_> = batch
            .iter()
            .map(|(name, tensor)| {
                let batched = signature.input(name).is_none_or(|s| s.is_batched());
                let one = if batched { tensor.as_view().without_batch_axis()? } else { tensor.as_view() };
                Ok((name.clone(), one))
            })
            .collect::<Result<_>>()
            .map_err(text)?;
        let one: Tensors<'_> = model.predict(&single).map_err(text)?;
        let one: Tensors<'_> = one
            .iter()
            .map(|(name, tensor)| {
                let batched = signature.output(name).is_some_and(|s| s.is_batched());
                (name.clone(), if batched { tensor.with_batch_axis() } else { tensor.as_view() })
            })
            .collect();
        agree(&of_batch, &one, tolerance).map_err(|e| format!("row {row}: {e}"))?;
    }
    Ok(())
}

/// Whether two sets of answers are the same within `tolerance`, or where they are not.
fn agree(a: &Tensors<'_>, b: &Tensors<'_>, tolerance: f64) -> Result<(), String> {
    for (name, x) in a.iter() {
        let y = b.tensor(name).map_err(|e| e.to_string())?;
        if x.dtype() != y.dtype() || x.shape() != y.shape() {
            return Err(format!(
                "output `{name}` is {} {} on one side and {} {} on the other",
                x.dtype(),
                shape_text(x.shape()),
                y.dtype(),
                shape_text(y.shape())
            ));
        }
        let width = x.shape().iter().skip(1).product::<usize>().max(1);
        macro_rules! differs {
            ($p:expr, $q:expr, |$a:ident, $b:ident| $same:expr) => {
                $p.iter().zip($q.iter()).enumerate().find_map(|(i, ($a, $b))| {
                    (!$same).then(|| format!("output `{name}`, row {}: {} against {}", i / width, $a, $b))
                })
            };
        }
        let near = |p: f64, q: f64| (p - q).abs() <= tolerance || p == q || (p.is_nan() && q.is_nan());
        let found = match (x, y) {
            (Tensor::F32(p), Tensor::F32(q)) => differs!(p, q, |a, b| near(f64::from(*a), f64::from(*b))),
            (Tensor::F64(p), Tensor::F64(q)) => differs!(p, q, |a, b| near(*a, *b)),
            (Tensor::I64(p), Tensor::I64(q)) => differs!(p, q, |a, b| a == b),
            (Tensor::String(p), Tensor::String(q)) => differs!(p, q, |a, b| a == b),
            _ => (x != y).then(|| format!("output `{name}` differs")),
        };
        if let Some(found) = found {
            return Err(found);
        }
    }
    Ok(())
}
