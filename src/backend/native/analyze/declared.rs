//! The inputs and outputs as the file declares them.

use crate::backend::declared::Hint;
pub(in crate::backend::native) use crate::backend::declared::{Declared, dtype};
use crate::backend::native::op::{Arg, Op, Scratch};
use crate::backend::native::program::Program;
use crate::backend::native::value::{Shape, Value};
use crate::onnx::{Dimension, DimensionValue, ValueInfoProto};
use crate::{DType, Dim, Result};

/// Reads the declared inputs; `program` tells what the file leaves open.
pub(in crate::backend::native) fn declared(inputs: &[&ValueInfoProto], program: &Program) -> Result<Vec<Declared>> {
    crate::backend::declared::declared(inputs, |i| {
        let op = Reader::of(program, i).map(|r| r.op);
        Hint {
            width: op.and_then(Op::features),
            categories: op.and_then(Op::categories),
            keys: Some(op.and_then(Op::input_features).unwrap_or_default()),
        }
    })
}

/// A dimension of an output; only a length is taken at its word.
pub(super) fn output_dim(dim: &Dimension) -> Dim {
    match dim.value() {
        DimensionValue::Fixed(n) => usize::try_from(n).map_or(Dim::Any, Dim::Fixed),
        _ => Dim::Any,
    }
}

/// The first operator that reads a program's input, through steps that pass it on.
struct Reader<'p> {
    op: &'p dyn Op,
}

impl<'p> Reader<'p> {
    fn of(program: &'p Program, input: usize) -> Option<Self> {
        let mut slot = input as u32;
        loop {
            let step = program
                .steps
                .iter()
                .find(|s| s.args.iter().any(|a| matches!(a, Arg::Slot { index, .. } if *index == slot)))?;
            let op = &*step.op;
            if op.features().is_some() || op.categories().is_some() {
                return Some(Self { op });
            }
            // What is looked up by the input, not made of it, has a width of its own.
            let is_first = matches!(step.args.first(), Some(Arg::Slot { index, .. }) if *index == slot);
            if !is_first && op.row_map().is_none() {
                return None;
            }
            let computed = step.args.iter().filter(|a| matches!(a, Arg::Slot { .. })).count();
            match step.outputs.as_slice() {
                [Some(next)] if computed == 1 && *next > slot => slot = *next,
                _ => return None,
            }
        }
    }
}

/// `m` made-up rows of an input, whose named and unknown dimensions are given the size `free`: numbers between 0 and 1
/// for floats, `seed` for integers, known categories or a digit for strings.
pub(super) fn made_up(input: &Declared, [m, free]: [usize; 2], seed: u8, scratch: &Scratch) -> Result<Value<'static>> {
    let shape: Shape = input
        .dims
        .iter()
        .map(|dim| match dim {
            Dim::Fixed(n) => *n,
            Dim::Batch => m,
            Dim::Named(_) | Dim::Any => free,
        })
        .collect();
    let count = scratch.check_shape(&shape).map_err(|e| e.tensor(&input.name))?;
    let mut state = u64::from(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5DEE_CE66;
    let mut unit = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    Ok(match input.dtype {
        DType::F32 => Value::new(shape, (0..count).map(|_| unit()).collect()),
        DType::F64 => Value::new(shape, (0..count).map(|_| f64::from(unit())).collect()),
        DType::F16 => Value::new(shape, (0..count).map(|_| half::f16::from_f32(unit())).collect()),
        DType::Bf16 => Value::new(shape, (0..count).map(|_| half::bf16::from_f32(unit())).collect()),
        DType::Bool => Value::new(shape, vec![seed % 2 == 1; count]),
        DType::U8 => Value::new(shape, vec![seed; count]),
        DType::U16 => Value::new(shape, vec![u16::from(seed); count]),
        DType::U32 => Value::new(shape, vec![u32::from(seed); count]),
        DType::U64 => Value::new(shape, vec![u64::from(seed); count]),
        DType::I8 => Value::new(shape, vec![(seed % 100) as i8; count]),
        DType::I16 => Value::new(shape, vec![i16::from(seed); count]),
        DType::I32 => Value::new(shape, vec![i32::from(seed); count]),
        DType::I64 => Value::new(shape, vec![i64::from(seed); count]),
        DType::String => {
            let known = input.categories.first().map_or(&[][..], Vec::as_slice);
            let pick = |i: usize| {
                if known.is_empty() { seed.to_string() } else { known[(i + usize::from(seed)) % known.len()].clone() }
            };
            Value::new(shape, (0..count).map(pick).collect())
        }
    })
}
