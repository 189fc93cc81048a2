//! The inputs and outputs as the file declares them.

use std::collections::HashSet;

use crate::backend::native::op::{Arg, Op, Scratch};
use crate::backend::native::program::Program;
use crate::backend::native::value::{Shape, Value};
use crate::onnx::{Dimension, DimensionValue, MapType, TypeValue, ValueInfoProto, data_type};
use crate::{DType, Dim, Error, ErrorKind, Result, TensorSpec};

/// An input as the file declares it.
pub(in crate::backend::native) struct Declared {
    name: String,
    dtype: DType,
    dims: Vec<Dim>,
    /// Whether axis 0 is declared as exactly 1.
    one: bool,
    features: Vec<String>,
    categories: Vec<Vec<String>>,
}

impl Declared {
    /// Whether axis 0 is the batch.
    pub(super) fn is_batched(&self) -> bool {
        self.dims.first() == Some(&Dim::Batch)
    }

    /// Whether axis 0 is declared as exactly 1.
    pub(super) fn is_one(&self) -> bool {
        self.one
    }

    /// Takes axis 0 for the batch, or back, where it is declared as exactly 1.
    pub(super) fn widen(&mut self, wide: bool) {
        if self.one {
            self.dims[0] = if wide { Dim::Batch } else { Dim::Fixed(1) };
        }
    }

    pub(super) fn spec(&self) -> TensorSpec {
        TensorSpec::new(self.name.as_str(), self.dtype, self.dims.clone())
            .with_features(self.features.clone())
            .with_categories(self.categories.clone())
    }
}

/// Reads the declared inputs; `program` tells what the file leaves open.
pub(in crate::backend::native) fn declared(inputs: &[&ValueInfoProto], program: &Program) -> Result<Vec<Declared>> {
    let mut batch_name: Option<String> = None;
    // A symbol that also stands at another axis is a size like any other, not the number of observations.
    let inner: HashSet<&str> = inputs.iter().flat_map(|info| inner_symbols(info)).collect();
    inputs
        .iter()
        .enumerate()
        .map(|(i, info)| {
            let name = info.name.clone().unwrap_or_default();
            let bad = |kind, message: &str| Error::new(kind, message).tensor(&name);
            let value = match &info.r#type {
                Some(t) => t.value()?,
                None => None,
            };
            let tensor = match value {
                Some(TypeValue::Tensor(tensor)) => tensor,
                Some(TypeValue::Map(map)) => return of_map(name, map, Reader::of(program, i)),
                Some(_) => {
                    return Err(bad(
                        ErrorKind::Unsupported,
                        "an input of the graph is a map, a sequence or optional; only tensors are taken",
                    ));
                }
                None => return Err(bad(ErrorKind::Malformed, "an input of the graph has no type")),
            };
            let dtype = dtype(tensor.elem_type.unwrap_or(0)).ok_or_else(|| {
                bad(ErrorKind::Unsupported, "an input of the graph has an element type that is not carried")
                    .actual(data_type::name(tensor.elem_type.unwrap_or(0)))
            })?;
            let reader = Reader::of(program, i);
            let width = reader.as_ref().and_then(|r| r.op.features());
            let mut one = false;
            let dims = match &tensor.shape {
                None => vec![Dim::Batch, width.map_or(Dim::Any, Dim::Fixed)],
                Some(shape) => {
                    let rank = shape.dim.len();
                    let mut dims = Vec::with_capacity(rank);
                    for (axis, dim) in shape.dim.iter().enumerate() {
                        let last_of_table = rank == 2 && axis == 1;
                        dims.push(match dim.value() {
                            DimensionValue::Fixed(-1) | DimensionValue::Unknown if axis == 0 => Dim::Batch,
                            DimensionValue::Symbolic(symbol) if axis == 0 => {
                                if !inner.contains(symbol)
                                    && *batch_name.get_or_insert_with(|| symbol.to_owned()) == symbol
                                {
                                    Dim::Batch
                                } else {
                                    Dim::Named(symbol.to_owned())
                                }
                            }
                            DimensionValue::Fixed(-1) | DimensionValue::Unknown => {
                                width.filter(|_| last_of_table).map_or(Dim::Any, Dim::Fixed)
                            }
                            DimensionValue::Symbolic(symbol) => width
                                .filter(|_| last_of_table)
                                .map_or_else(|| Dim::Named(symbol.to_owned()), Dim::Fixed),
                            DimensionValue::Fixed(n) => {
                                one |= axis == 0 && n == 1;
                                Dim::Fixed(usize::try_from(n).map_err(|_| {
                                    bad(ErrorKind::Malformed, "an input of the graph has a negative dimension")
                                        .actual(n)
                                })?)
                            }
                        });
                    }
                    dims
                }
            };
            let categories = reader.as_ref().filter(|_| dtype == DType::String).and_then(|r| r.op.categories());
            Ok(Declared { name, dtype, dims, one, features: Vec::new(), categories: categories.into_iter().collect() })
        })
        .collect()
}

/// A dimension of an output; only a length is taken at its word.
pub(super) fn output_dim(dim: &Dimension) -> Dim {
    match dim.value() {
        DimensionValue::Fixed(n) => usize::try_from(n).map_or(Dim::Any, Dim::Fixed),
        _ => Dim::Any,
    }
}

/// The symbols that stand at any axis but the first.
fn inner_symbols(info: &ValueInfoProto) -> impl Iterator<Item = &str> {
    let shape = info.r#type.as_deref().and_then(|t| t.tensor_type.as_deref()).and_then(|t| t.shape.as_deref());
    shape.into_iter().flat_map(|s| s.dim.iter().skip(1)).filter_map(|dim| match dim.value() {
        DimensionValue::Symbolic(symbol) => Some(symbol),
        _ => None,
    })
}

/// An input that the file declares as a map: a table (m, keys), for the operator that reads it names the keys.
fn of_map(name: String, map: &MapType, reader: Option<Reader<'_>>) -> Result<Declared> {
    let values = match &map.value_type {
        Some(t) => t.value()?,
        None => None,
    };
    let dtype = match values {
        Some(TypeValue::Tensor(tensor)) => dtype(tensor.elem_type.unwrap_or(0)),
        _ => None,
    };
    let dtype = dtype.ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, "an input of the graph is a map of something else than numbers or text")
            .tensor(&name)
    })?;
    let op = reader.map(|r| r.op);
    let width = op.and_then(Op::features).map_or(Dim::Any, Dim::Fixed);
    let features = op.and_then(Op::input_features).unwrap_or_default();
    Ok(Declared { name, dtype, dims: vec![Dim::Batch, width], one: false, features, categories: Vec::new() })
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
            let computed = step.args.iter().filter(|a| matches!(a, Arg::Slot { .. })).count();
            match step.outputs.as_slice() {
                [Some(next)] if computed == 1 && *next > slot => slot = *next,
                _ => return None,
            }
        }
    }
}

/// The element type of a code of [`data_type`].
pub(in crate::backend::native) fn dtype(code: i32) -> Option<DType> {
    Some(match code {
        data_type::BOOL => DType::Bool,
        data_type::UINT8 => DType::U8,
        data_type::UINT16 => DType::U16,
        data_type::UINT32 => DType::U32,
        data_type::UINT64 => DType::U64,
        data_type::INT8 => DType::I8,
        data_type::INT16 => DType::I16,
        data_type::INT32 => DType::I32,
        data_type::INT64 => DType::I64,
        data_type::FLOAT16 => DType::F16,
        data_type::BFLOAT16 => DType::Bf16,
        data_type::FLOAT => DType::F32,
        data_type::DOUBLE => DType::F64,
        data_type::STRING => DType::String,
        _ => return None,
    })
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
