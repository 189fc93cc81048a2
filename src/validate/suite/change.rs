//! Changing a column of the inputs of a model.

use super::file::{Change, Value, Values};
use crate::{Error, ErrorKind, Result, Signature, Tensor, Tensors};

/// How many values the inputs are given in turn: each of `to`, or the steps of a range.
pub(super) fn variants(changes: &[Change]) -> usize {
    let of = |change: &Change| match (&change.to, change.range) {
        (Some(Values::Many(values)), _) => values.len(),
        (_, Some(_)) => change.steps.unwrap_or(10).max(1) + 1,
        _ => 1,
    };
    changes.iter().map(of).max().unwrap_or(1)
}

/// Whether each variant is compared with the one before and not with the unchanged rows.
pub(super) fn is_sweep(changes: &[Change]) -> bool {
    changes.iter().any(|c| c.range.is_some())
}

/// The inputs with the changes of one variant.
pub(super) fn changed(
    inputs: &Tensors<'_>,
    signature: &Signature,
    changes: &[Change],
    variant: usize,
) -> Result<Tensors<'static>> {
    let mut all = inputs.as_view().into_owned();
    for change in changes {
        let (input, at, width) = find(signature, &change.column)?;
        let set = all
            .into_iter()
            .map(|(name, tensor)| {
                if name.as_str() != input {
                    return Ok((name, tensor));
                }
                let tensor = apply(tensor.into_row_major(), at, width, change, variant)
                    .map_err(|e| e.tensor(&name).column(&change.column))?;
                Ok((name, tensor))
            })
            .collect::<Result<Tensors<'static>>>()?;
        all = set;
    }
    Ok(all)
}

/// The input that holds a column, where in it, and how many columns it has.
pub(super) fn find<'s>(signature: &'s Signature, column: &str) -> Result<(&'s str, usize, usize)> {
    for spec in signature.inputs() {
        let width = match spec.dims() {
            [_] => 1,
            [_, crate::Dim::Fixed(k)] => *k,
            _ => spec.features().len(),
        };
        let name = spec.name().as_str();
        if let Some(at) = spec.features().iter().position(|f| f == column).filter(|at| *at < width) {
            return Ok((name, at, width));
        }
        if width == 1 && name == column {
            return Ok((name, 0, 1));
        }
        let number = column.strip_prefix(name).and_then(|rest| rest.strip_prefix('_')).and_then(|n| n.parse().ok());
        if let Some(at) = number.filter(|at| *at < width) {
            return Ok((name, at, width));
        }
    }
    let inputs: Vec<String> = signature.inputs().iter().map(ToString::to_string).collect();
    Err(Error::new(ErrorKind::NotFound, "the model has no column of this name to change")
        .column(column)
        .actual(inputs.join("; ")))
}

fn apply(tensor: Tensor<'static>, at: usize, width: usize, change: &Change, variant: usize) -> Result<Tensor<'static>> {
    let to = match (&change.to, change.range) {
        (Some(Values::One(value)), _) => Some(value.clone()),
        (Some(Values::Many(values)), _) => values.get(variant % values.len().max(1)).cloned(),
        (_, Some([from, to])) => {
            let steps = change.steps.unwrap_or(10).max(1);
            Some(Value::Float(from + (to - from) * variant.min(steps) as f64 / steps as f64))
        }
        _ => None,
    };
    let number = match &to {
        Some(Value::Float(x)) => Some(*x),
        Some(Value::Int(i)) => Some(*i as f64),
        Some(Value::Bool(b)) => Some(f64::from(*b)),
        _ => None,
    };
    let numeric = |x: f64| -> Result<f64> {
        match (&to, number) {
            (Some(_), Some(number)) => Ok(number),
            (Some(text), None) => {
                Err(Error::new(ErrorKind::WrongType, "text can't stand in a column of numbers").actual(text))
            }
            (None, _) => Ok((x + change.add.unwrap_or(0.0)) * change.multiply.unwrap_or(1.0)),
        }
    };
    macro_rules! cells {
        ($array:expr, $cell:ident => $new:expr) => {{
            let mut array = $array;
            for $cell in array.iter_mut().skip(at).step_by(width) {
                *$cell = $new;
            }
            array
        }};
    }
    macro_rules! integers {
        ($($variant:ident: $t:ty),*) => {
            match tensor {
                $(Tensor::$variant(a) => Tensor::$variant(cells!(a, cell => {
                    let x = numeric(*cell as f64)?;
                    if x.fract() != 0.0 {
                        return Err(Error::new(ErrorKind::InvalidValue, "a fraction can't stand in a column of whole numbers").actual(x));
                    }
                    x as $t
                })),)*
                Tensor::F32(a) => Tensor::F32(cells!(a, cell => numeric(f64::from(*cell))? as f32)),
                Tensor::F64(a) => Tensor::F64(cells!(a, cell => numeric(*cell)?)),
                Tensor::F16(a) => Tensor::F16(cells!(a, cell => half::f16::from_f64(numeric(f64::from(*cell))?))),
                Tensor::Bf16(a) => Tensor::Bf16(cells!(a, cell => half::bf16::from_f64(numeric(f64::from(*cell))?))),
                Tensor::Bool(a) => Tensor::Bool(cells!(a, cell => numeric(f64::from(*cell))? != 0.0)),
                Tensor::String(a) => {
                    let text = to.as_ref().map(ToString::to_string).ok_or_else(|| {
                        Error::new(ErrorKind::WrongType, "a column of text can be set `to` another value only")
                    })?;
                    Tensor::String(cells!(a, cell => text.clone()))
                }
                Tensor::CsrF32(_) | Tensor::CsrF64(_) => {
                    return Err(Error::new(ErrorKind::WrongType, "sparse rows can't be changed"));
                }
            }
        };
    }
    Ok(integers!(U8: u8, U16: u16, U32: u32, U64: u64, I8: i8, I16: i16, I32: i32, I64: i64))
}
