//! The inputs that an ONNX file declares, and made-up batches of them for dry runs.

use std::collections::HashSet;

use crate::onnx::{DimensionValue, MapType, TypeValue, ValueInfoProto, data_type};
use crate::{DType, Dim, Error, ErrorKind, Result, TensorSpec};
#[cfg(any(feature = "tract", feature = "ort"))]
use crate::{
    Limits, Tensor,
    tensor::{checked_len, shape_text},
};

/// An input as the file declares it.
#[derive(Debug, Clone)]
pub(crate) struct Declared {
    pub(crate) name: String,
    pub(crate) dtype: DType,
    pub(crate) dims: Vec<Dim>,
    /// Whether axis 0 is declared as exactly 1.
    pub(crate) one: bool,
    pub(crate) features: Vec<String>,
    pub(crate) categories: Vec<Vec<String>>,
}

/// What the graph behind an input tells about it where the declaration says nothing.
#[derive(Debug, Default)]
pub(crate) struct Hint {
    /// The number of entries along the last axis of a table.
    pub(crate) width: Option<usize>,
    /// The categories that the model knows, for strings.
    pub(crate) categories: Option<Vec<String>>,
    /// The keys of an input that is declared as a map, which is then taken as a table (m, keys); maps are refused
    /// where nothing is said.
    pub(crate) keys: Option<Vec<String>>,
}

impl Declared {
    pub(crate) fn spec(&self) -> TensorSpec {
        TensorSpec::new(self.name.as_str(), self.dtype, self.dims.clone())
            .with_features(self.features.clone())
            .with_categories(self.categories.clone())
    }

    /// Whether axis 0 is the batch.
    pub(crate) fn is_batched(&self) -> bool {
        self.dims.first() == Some(&Dim::Batch)
    }

    /// Whether axis 0 is declared as exactly 1.
    pub(crate) fn is_one(&self) -> bool {
        self.one
    }

    /// Whether it can be a shape or a list of axes, which other shapes depend on.
    pub(crate) fn may_be_shape(&self) -> bool {
        self.dtype.is_integer() && self.dims.len() == 1 && !self.one
    }

    /// Takes axis 0 for the batch, or back, where it is declared as exactly 1.
    pub(crate) fn widen(&mut self, wide: bool) {
        if self.one {
            self.dims[0] = if wide { Dim::Batch } else { Dim::Fixed(1) };
        }
    }
}

/// Reads the declared inputs; `hint` tells what the graph knows about input `i`.
pub(crate) fn declared(inputs: &[&ValueInfoProto], hint: impl Fn(usize) -> Hint) -> Result<Vec<Declared>> {
    let mut batch_name: Option<String> = None;
    // A symbol that also stands at another axis is a size like any other, not the number of observations.
    let inner: HashSet<&str> = inputs.iter().flat_map(|info| inner_symbols(info)).collect();
    inputs.iter().enumerate().map(|(i, info)| one(info, &mut batch_name, &inner, hint(i))).collect()
}

/// The symbols that stand at any axis but the first.
fn inner_symbols(info: &ValueInfoProto) -> impl Iterator<Item = &str> {
    let shape = info.r#type.as_deref().and_then(|t| t.tensor_type.as_deref()).and_then(|t| t.shape.as_deref());
    shape.into_iter().flat_map(|s| s.dim.iter().skip(1)).filter_map(|dim| match dim.value() {
        DimensionValue::Symbolic(symbol) => Some(symbol),
        _ => None,
    })
}

fn one(info: &ValueInfoProto, batch_name: &mut Option<String>, inner: &HashSet<&str>, hint: Hint) -> Result<Declared> {
    let name = info.name.clone().unwrap_or_default();
    let bad = |kind, message: &str| Error::new(kind, message).tensor(&name);
    let value = match &info.r#type {
        Some(t) => t.value()?,
        None => None,
    };
    let Hint { width, categories, keys } = hint;
    let tensor = match (value, keys) {
        (Some(TypeValue::Tensor(tensor)), _) => tensor,
        (Some(TypeValue::Map(map)), Some(keys)) => return of_map(name, map, width, keys),
        (Some(_), _) => {
            return Err(bad(
                ErrorKind::Unsupported,
                "an input of the graph is a map, a sequence or optional; only tensors are taken",
            ));
        }
        (None, _) => return Err(bad(ErrorKind::Malformed, "an input of the graph has no type")),
    };
    let dtype = dtype(tensor.elem_type.unwrap_or(0)).ok_or_else(|| {
        bad(ErrorKind::Unsupported, "an input of the graph has an element type that is not carried")
            .actual(data_type::name(tensor.elem_type.unwrap_or(0)))
    })?;
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
                        if !inner.contains(symbol) && *batch_name.get_or_insert_with(|| symbol.to_owned()) == symbol {
                            Dim::Batch
                        } else {
                            Dim::Named(symbol.to_owned())
                        }
                    }
                    DimensionValue::Fixed(-1) | DimensionValue::Unknown => {
                        width.filter(|_| last_of_table).map_or(Dim::Any, Dim::Fixed)
                    }
                    DimensionValue::Symbolic(symbol) => {
                        width.filter(|_| last_of_table).map_or_else(|| Dim::Named(symbol.to_owned()), Dim::Fixed)
                    }
                    DimensionValue::Fixed(n) => {
                        one |= axis == 0 && n == 1;
                        Dim::Fixed(usize::try_from(n).map_err(|_| {
                            bad(ErrorKind::Malformed, "an input of the graph has a negative dimension").actual(n)
                        })?)
                    }
                });
            }
            dims
        }
    };
    let categories = categories.filter(|_| dtype == DType::String);
    Ok(Declared { name, dtype, dims, one, features: Vec::new(), categories: categories.into_iter().collect() })
}

/// An input that the file declares as a map: a table (m, keys).
fn of_map(name: String, map: &MapType, width: Option<usize>, keys: Vec<String>) -> Result<Declared> {
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
    let dims = vec![Dim::Batch, width.map_or(Dim::Any, Dim::Fixed)];
    Ok(Declared { name, dtype, dims, one: false, features: keys, categories: Vec::new() })
}

/// The element type of a code of [`data_type`].
pub(crate) fn dtype(code: i32) -> Option<DType> {
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

/// A made-up tensor for `input`: numbers between 0 and 1 for floats, zeros for integers (or, with a `seed`, zeros and
/// ones), known categories or empty text for strings. `size` gives the length of an axis that is not fixed.
///
/// # Errors
/// [`ErrorKind::LimitExceeded`] when the input alone has more elements than `limits` allow.
#[cfg(any(feature = "tract", feature = "ort"))]
pub(crate) fn made_up(
    input: &Declared,
    seed: u64,
    limits: &Limits,
    size: impl Fn(usize, &Dim) -> usize,
) -> Result<Tensor<'static>> {
    let dims = input.dims.iter().enumerate();
    let shape: Vec<usize> =
        dims.map(|(axis, dim)| if let Dim::Fixed(n) = dim { *n } else { size(axis, dim) }).collect();
    let count = checked_len(&shape).filter(|n| *n <= limits.max_elements).ok_or_else(|| {
        Error::new(ErrorKind::LimitExceeded, "an input of the graph is larger than `Limits::max_elements`")
            .tensor(&input.name)
            .expected(format!("at most {} elements", limits.max_elements))
            .actual(shape_text(&shape))
    })?;
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5DEE_CE66;
    let mut unit = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    macro_rules! filled {
        ($($from:expr),*) => {
            Tensor::from_vec(&shape, (0..count).map(|_| $($from)*).collect::<Vec<_>>())
        };
    }
    macro_rules! whole {
        ($t:ty) => {
            filled!(if seed == 0 { 0 as $t } else { (unit() > 0.5) as u8 as $t })
        };
    }
    match input.dtype {
        DType::F32 => filled!(unit()),
        DType::F64 => filled!(f64::from(unit())),
        DType::F16 => filled!(half::f16::from_f32(unit())),
        DType::Bf16 => filled!(half::bf16::from_f32(unit())),
        DType::Bool => filled!(seed != 0 && unit() > 0.5),
        DType::U8 => whole!(u8),
        DType::U16 => whole!(u16),
        DType::U32 => whole!(u32),
        DType::U64 => whole!(u64),
        DType::I8 => whole!(i8),
        DType::I16 => whole!(i16),
        DType::I32 => whole!(i32),
        DType::I64 => whole!(i64),
        DType::String => {
            let known = input.categories.first().map_or(&[][..], Vec::as_slice);
            let pick = |i: usize| {
                if known.is_empty() { String::new() } else { known[(i + seed as usize) % known.len()].clone() }
            };
            Tensor::from_vec(&shape, (0..count).map(pick).collect::<Vec<String>>())
        }
    }
}
