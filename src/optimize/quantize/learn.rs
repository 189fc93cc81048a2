//! What is learned from activations before weights are brought to fewer bits.

use std::collections::HashMap;

use super::compensate::{Costs, Products};
use super::grid::Grid;
use super::settings::{Settings, Target};
use super::smooth::{self, Columns, Divisors};
use super::watch::{self, Rows};
use crate::onnx::edit::Editor;
use crate::optimize::file::Original;
use crate::optimize::run::Common;
use crate::{Model, Result};

/// What activations tell about the weights behind them, by the name of the activation.
#[derive(Debug, Default)]
pub(super) struct Learned {
    pub(super) divisors: Divisors,
    pub(super) costs: HashMap<String, Costs>,
}

/// Looks at the activations on the data there are, or on ids that are made up; a note on what was seen.
///
/// # Errors
/// Those of the data and of running the model on them; `InvalidValue` for NaN in what products are given.
pub(super) fn learn(
    editor: &mut Editor,
    settings: &Settings,
    original: &Original,
    common: &Common<'_>,
    model: Option<&dyn Model>,
) -> Result<(Learned, Option<String>)> {
    let mut learned = Learned::default();
    let smooth = settings.target == Target::Int8Dynamic;
    if !settings.activation_aware || !(smooth || settings.target == Target::Int4Weights) {
        return Ok((learned, None));
    }
    let products = watch::products(editor, settings)?;
    let mut names: Vec<String> = products.iter().map(|p| p.x.clone()).collect();
    names.sort_unstable();
    names.dedup();
    let data = common.data.as_ref().zip(model.map(Model::signature));
    let Some(rows) = Rows::of(data, editor.graph()).filter(|_| !names.is_empty()) else { return Ok((learned, None)) };
    let widths: Vec<usize> =
        names.iter().map(|name| products.iter().find(|p| p.x == *name).map_or(0, |p| p.k)).collect();
    let mut columns: Vec<Columns> = widths.iter().map(|&k| Columns::new(if smooth { k } else { 0 })).collect();
    let mut sums: Vec<Products> = widths.iter().map(|&k| Products::new(if smooth { 0 } else { k })).collect();
    let seen = rows.watch(editor, original.external(), &names, common.progress, &mut |values| {
        let mut enough = true;
        for (i, (name, tensor)) in names.iter().zip(values).enumerate() {
            enough &= if smooth { columns[i].add(name, &tensor)? } else { sums[i].add(name, &tensor)? };
        }
        Ok(enough)
    })?;
    if !seen {
        let note = "activations were not looked at, since the backend `native` can't run the graph for them";
        return Ok((learned, Some(note.to_owned())));
    }
    let levels = Grid::weights(true, settings.seven_bits).high;
    for ((name, columns), sums) in names.into_iter().zip(columns).zip(sums) {
        if !smooth {
            learned.costs.extend(sums.costs().map(|costs| (name, costs)));
            continue;
        }
        let mut weights = Vec::new();
        for product in products.iter().filter(|p| p.x == name) {
            weights.extend(product.weights(editor)?);
        }
        learned.divisors.extend(smooth::divisors(&columns, &weights, levels).map(|divisors| (name, divisors)));
    }
    let what = if matches!(rows, Rows::Data(..)) { "the data" } else { "made-up ids" };
    let note = match (smooth, learned.divisors.len()) {
        (true, 0) => return Ok((learned, None)),
        (true, n) => format!("{n} activations have their outliers moved into the weights, by what {what} led to"),
        (false, _) => format!("rounding errors make up for each other, by what {what} led to"),
    };
    Ok((learned, Some(note)))
}
