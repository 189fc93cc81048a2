//! Outputs as the columns of a table.

use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result, Signature, Tensor, Tensors};

/// The columns that the outputs become: fixed by the first batch.
#[derive(Debug)]
pub(super) struct Columns {
    /// The outputs with how many columns each has.
    outputs: Vec<(String, usize)>,
    names: Vec<String>,
}

impl Columns {
    /// The columns of `outputs`: the name of an output (m,) or (m, 1), `name_class` or `name_0`, ... for one (m, k).
    pub(super) fn new(outputs: &Tensors<'_>, signature: &Signature) -> Result<Self> {
        let mut columns = Self { outputs: Vec::new(), names: Vec::new() };
        for (name, tensor) in outputs.iter() {
            let spec = signature.output(name);
            let batched = spec.is_none_or(|s| s.is_batched());
            let width = match tensor.shape() {
                [_] if batched => 1,
                [_, k] if batched => *k,
                shape => {
                    return Err(Error::new(
                        ErrorKind::Unsupported,
                        "an output of this shape is not a set of columns; write .npz, or choose other outputs",
                    )
                    .tensor(name)
                    .actual(shape_text(shape)));
                }
            };
            if tensor.shape().len() == 1 || width == 1 {
                columns.names.push(name.to_string());
            } else {
                let features = spec.map(|s| s.features()).filter(|f| f.len() == width);
                let of = |i: usize| features.map_or_else(|| i.to_string(), |f| f[i].clone());
                columns.names.extend((0..width).map(|i| format!("{name}_{}", of(i))));
            }
            columns.outputs.push((name.to_string(), width));
        }
        let mut sorted: Vec<&String> = columns.names.iter().collect();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|w| w[0] == w[1]) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "two outputs would be columns of the same name; write .npz, or choose one of them",
            )
            .column(twice[0]));
        }
        Ok(columns)
    }

    /// The names of the columns.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// The tensors of a batch, dense and row-major, with their widths, in order, and the number of rows.
    pub(super) fn rows<'t>(&self, outputs: &'t Tensors<'_>) -> Result<(usize, Vec<(Tensor<'t>, usize)>)> {
        let mut m = None;
        let mut tensors = Vec::with_capacity(self.outputs.len());
        for (name, width) in &self.outputs {
            let tensor = outputs.tensor(name)?.to_dense().into_row_major();
            let shape = tensor.shape();
            let fits = match shape {
                [rows] => *width == 1 && *m.get_or_insert(*rows) == *rows,
                [rows, k] => k == width && *m.get_or_insert(*rows) == *rows,
                _ => false,
            };
            if !fits {
                return Err(Error::new(
                    ErrorKind::WrongShape,
                    "an output changed its shape from one batch to the next",
                )
                .tensor(name)
                .expected(format!("{width} columns, and as many rows as the other outputs"))
                .actual(shape_text(shape)));
            }
            tensors.push((tensor, *width));
        }
        Ok((m.unwrap_or(0), tensors))
    }
}
