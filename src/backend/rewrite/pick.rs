//! Entries of a matrix, picked as PyTorch writes it.
//!
//! `x[i, j]` leaves PyTorch as the entries i * columns + j of x made flat, and so does every mask of a transformer of
//! today. tract does not flatten two axes of open sizes, nor multiply by such a size. Where j counts through all
//! columns, it is the rows i that are picked.

use super::Rule;
use super::site::Site;
use crate::Result;
use crate::onnx::{NodeProto, data_type};

/// The most nodes of one kind that are followed back.
const DEEPEST: usize = 8;

pub(super) const RULES: &[(&str, &str, Rule)] = &[("", "Gather", gather)];

fn gather(site: &mut Site<'_>) -> Result<()> {
    let Some(Rows { matrix, rows, axes }) = Rows::of(site) else {
        site.keep();
        return Ok(());
    };
    let (matrix, rows) = (matrix.to_owned(), rows.to_owned());
    let picked = site.add("Gather", &[&matrix, &rows], Vec::new());
    // A matrix made flat keeps a second axis, of length 1.
    let picked = site.unsqueezed(&picked, &[axes])?;
    site.last("Identity", &[&picked], Vec::new());
    Ok(())
}

/// The rows that a gather from a flat matrix picks whole.
struct Rows<'g> {
    matrix: &'g str,
    /// Their numbers, in as many axes as the entries have but the last.
    rows: &'g str,
    /// How many axes the picked rows have.
    axes: i64,
}

impl<'g> Rows<'g> {
    fn of(site: &Site<'g>) -> Option<Self> {
        let flatten = site.producer(site.input(0), "Flatten")?;
        let matrix = input(flatten, 0)?;
        let axis = flatten.find_attribute("axis").and_then(|a| a.i).unwrap_or(1);
        if site.int("axis", 0) != 0 || axis != 2 || site.rank(matrix) != Some(2) {
            return None;
        }
        let entries = site.producer(site.input(1), "Add")?;
        let (a, b) = (input(entries, 0)?, input(entries, 1)?);
        [(a, b), (b, a)].into_iter().find_map(|(columns, starts)| {
            let (count, columns) = placed_range(site, columns, DEEPEST)?;
            let product = site.producer(starts, "Mul")?;
            let (a, b) = (input(product, 0)?, input(product, 1)?);
            let (rows, _) = [(a, b), (b, a)].into_iter().find(|(_, by)| is_width(site, by, matrix))?;
            let (_, numbers) = placed_range(site, rows, DEEPEST)?;
            let whole = columns.axes == numbers.axes
                && columns.place == columns.axes - 1
                && numbers.place < numbers.axes - 1
                && is_width(site, count, matrix);
            let last = site.producer(rows, "Unsqueeze").filter(|_| whole)?;
            let axes = site.axes(last)?;
            // The last axis of length 1 must be the one that this node puts in.
            let [axis] = axes[..] else { return None };
            let at_end = axis == -1 || axis == numbers.axes as i64 - 1;
            at_end.then_some(Self { matrix, rows: input(last, 0)?, axes: numbers.axes as i64 })
        })
    }
}

/// Where a range lies among axes of length 1.
struct Placed {
    axes: usize,
    place: usize,
}

/// The number of entries of a range from 0 in steps of 1, with axes of length 1 put around it.
fn placed_range<'g>(site: &Site<'g>, value: &'g str, deepest: usize) -> Option<(&'g str, Placed)> {
    let Some(unsqueeze) = site.producer(value, "Unsqueeze") else {
        let range = site.producer(value, "Range")?;
        let known = |i, number| site.integer(input(range, i)?).filter(|n| *n == number);
        known(0, 0)?;
        known(2, 1)?;
        return Some((input(range, 1)?, Placed { axes: 1, place: 0 }));
    };
    let (count, inner) = placed_range(site, input(unsqueeze, 0)?, deepest.checked_sub(1)?)?;
    let added = site.axes(unsqueeze)?;
    let axes = inner.axes + added.len();
    let added: Vec<usize> = added
        .into_iter()
        .map(|axis| usize::try_from(if axis < 0 { axis + axes as i64 } else { axis }).ok().filter(|a| *a < axes))
        .collect::<Option<_>>()?;
    let place = (0..axes).filter(|axis| !added.contains(axis)).nth(inner.place)?;
    Some((count, Placed { axes, place }))
}

/// Whether `value` is the number of columns of `matrix`.
fn is_width(site: &Site<'_>, value: &str, matrix: &str) -> bool {
    let mut value = value;
    for _ in 0..DEEPEST {
        let Some(cast) = site.producer(value, "Cast") else { break };
        let to = cast.find_attribute("to").and_then(|a| a.i);
        match input(cast, 0).filter(|_| to == Some(data_type::INT64.into())) {
            Some(from) => value = from,
            None => return false,
        }
    }
    let found = || {
        let gather = site.producer(value, "Gather")?;
        let shape = site.producer(input(gather, 0)?, "Shape")?;
        let whole = shape.attribute.is_empty() && input(shape, 0)? == matrix;
        let axis = site.integer(input(gather, 1)?)?;
        Some(whole && (axis == 1 || axis == -1))
    };
    found().unwrap_or(false)
}

fn input(node: &NodeProto, i: usize) -> Option<&str> {
    node.input.get(i).map(String::as_str).filter(|name| !name.is_empty())
}
