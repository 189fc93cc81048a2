//! Whether two answers are the same.

use half::{bf16, f16};

use super::Tolerance;
use crate::tensor::shape_text;
use crate::{DType, Element, Tensor, Tensors};

/// What differs first, in words; nothing when the answers are the same. The order of the tensors counts.
pub(super) fn difference(expected: &Tensors<'_>, actual: &Tensors<'_>, tolerance: Tolerance) -> Option<String> {
    let names = |set: &Tensors<'_>| set.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>();
    if names(expected) != names(actual) {
        return Some(format!("the outputs are {:?}, not {:?}", names(actual), names(expected)));
    }
    expected
        .iter()
        .zip(actual.iter())
        .find_map(|((name, a), (_, b))| of_tensor(a, b, tolerance).map(|what| format!("output `{name}`: {what}")))
}

fn of_tensor(a: &Tensor<'_>, b: &Tensor<'_>, tolerance: Tolerance) -> Option<String> {
    if a.dtype() != b.dtype() {
        return Some(format!("the type is {}, not {}", b.dtype(), a.dtype()));
    }
    if a.shape() != b.shape() {
        return Some(format!("the shape is {}, not {}", shape_text(b.shape()), shape_text(a.shape())));
    }
    let (a, b) = (&a.to_dense(), &b.to_dense());
    match a.dtype() {
        DType::F16 => floats::<f16>(a, b, tolerance, |x| x.to_f64()),
        DType::Bf16 => floats::<bf16>(a, b, tolerance, |x| x.to_f64()),
        DType::F32 => floats::<f32>(a, b, tolerance, |x| f64::from(*x)),
        DType::F64 => floats::<f64>(a, b, tolerance, |x| *x),
        DType::Bool => elements::<bool>(a, b, PartialEq::eq),
        DType::U8 => elements::<u8>(a, b, PartialEq::eq),
        DType::U16 => elements::<u16>(a, b, PartialEq::eq),
        DType::U32 => elements::<u32>(a, b, PartialEq::eq),
        DType::U64 => elements::<u64>(a, b, PartialEq::eq),
        DType::I8 => elements::<i8>(a, b, PartialEq::eq),
        DType::I16 => elements::<i16>(a, b, PartialEq::eq),
        DType::I32 => elements::<i32>(a, b, PartialEq::eq),
        DType::I64 => elements::<i64>(a, b, PartialEq::eq),
        DType::String => elements::<String>(a, b, PartialEq::eq),
    }
}

fn floats<T: Element>(
    a: &Tensor<'_>,
    b: &Tensor<'_>,
    tolerance: Tolerance,
    wide: impl Fn(&T) -> f64,
) -> Option<String> {
    elements::<T>(a, b, |x, y| {
        // Widening keeps every value apart from every other, so the bits can be compared wide. Any NaN is like any other.
        let (x, y) = (wide(x), wide(y));
        let same = x.to_bits() == y.to_bits() || (x.is_nan() && y.is_nan());
        let near =
            !tolerance.is_exact() && (x == y || (x - y).abs() <= tolerance.absolute + tolerance.relative * x.abs());
        same || near
    })
}

fn elements<T: Element>(a: &Tensor<'_>, b: &Tensor<'_>, same: impl Fn(&T, &T) -> bool) -> Option<String> {
    let (Ok(a), Ok(b)) = (a.view::<T>(), b.view::<T>()) else {
        return Some("the elements can't be read as the type they claim".to_owned());
    };
    let ((at, x), y) = a.indexed_iter().zip(b.iter()).find(|((_, x), y)| !same(x, y))?;
    Some(format!("at {} it is {y:?}, not {x:?}", shape_text(ndarray::Dimension::slice(&at))))
}
