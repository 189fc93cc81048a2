//! Bytes turned into the inputs of a model.

use modelberth::half::{bf16, f16};
use modelberth::{Csr, DType, Dim, Element, Signature, Tensor, TensorSpec, Tensors};

/// The most elements of one made-up tensor.
const MAX_ELEMENTS: usize = 4096;
/// Sizes that a hostile shape takes besides small ones.
const SIZES: [usize; 4] = [0, 1, 64, 1000];
/// Numbers that arithmetic stumbles over.
const NUMBERS: [f64; 16] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    -0.0,
    0.5,
    -1.0,
    1e-310,
    1e-45,
    1e38,
    -1e39,
    1e308,
    2147483648.0,
    -2147483649.0,
    9.3e18,
    -9.3e18,
    16777217.0,
];
const INTEGERS: [i64; 8] = [i64::MIN, i64::MAX, i32::MIN as i64, i32::MAX as i64, u32::MAX as i64, -1, 127, 65535];
const TEXTS: [&str; 8] = ["", "a", "nan", "1e400", "\u{0}", "\u{10FFFF}é", "-0", "99999999999999999999"];

/// A run of bytes that decisions are taken from; after its end it gives zeros.
#[derive(Debug)]
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// Starts at the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((&first, rest)) => {
                self.0 = rest;
                first
            }
            None => 0,
        }
    }

    /// A number below `end`, which is at least 1 and at most 256.
    pub fn below(&mut self, end: usize) -> usize {
        self.byte() as usize % end.max(1)
    }

    fn bits<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    fn number(&mut self) -> f64 {
        match self.byte() {
            tag @ 0..=127 => f64::from(tag) / 16.0 - 4.0,
            tag @ 128..=191 => NUMBERS[tag as usize % NUMBERS.len()],
            192..=223 => f64::from(f32::from_le_bytes(self.bits())),
            _ => f64::from_le_bytes(self.bits()),
        }
    }

    fn integer(&mut self) -> i64 {
        match self.byte() {
            tag @ 0..=127 => i64::from(tag) - 16,
            tag @ 128..=191 => INTEGERS[tag as usize % INTEGERS.len()],
            _ => i64::from_le_bytes(self.bits()),
        }
    }

    fn text(&mut self, known: &[String]) -> String {
        match self.byte() as usize {
            tag @ 0..=159 if !known.is_empty() => known[tag % known.len()].clone(),
            tag @ 0..=223 => TEXTS[tag % TEXTS.len()].to_owned(),
            tag => {
                let bytes: Vec<u8> = (0..tag - 223).map(|_| self.byte()).collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
        }
    }
}

fn filled<T: Element>(shape: &[usize], mut next: impl FnMut() -> T) -> Tensor<'static> {
    let count = shape.iter().product();
    Tensor::from_vec(shape, (0..count).map(|_| next()).collect()).expect("the shape holds these elements")
}

fn tensor(bytes: &mut Bytes<'_>, dtype: DType, shape: &[usize], known: &[String]) -> Tensor<'static> {
    match dtype {
        DType::Bool => filled(shape, || bytes.byte() & 1 == 1),
        DType::U8 => filled(shape, || bytes.byte()),
        DType::U16 => filled(shape, || bytes.integer() as u16),
        DType::U32 => filled(shape, || bytes.integer() as u32),
        DType::U64 => filled(shape, || bytes.integer() as u64),
        DType::I8 => filled(shape, || bytes.byte() as i8),
        DType::I16 => filled(shape, || bytes.integer() as i16),
        DType::I32 => filled(shape, || bytes.integer() as i32),
        DType::I64 => filled(shape, || bytes.integer()),
        DType::F16 => filled(shape, || f16::from_f64(bytes.number())),
        DType::Bf16 => filled(shape, || bf16::from_f64(bytes.number())),
        DType::F32 => filled(shape, || bytes.number() as f32),
        DType::F64 => filled(shape, || bytes.number()),
        DType::String => filled(shape, || bytes.text(known)),
        _ => filled(shape, || bytes.number() as f32),
    }
}

/// Sparse rows, from arrays that need not agree: what is refused is nothing.
fn sparse(bytes: &mut Bytes<'_>, rows: usize, columns: usize) -> Option<Tensor<'static>> {
    let mut offsets = vec![0];
    let (mut at, mut values) = (Vec::new(), Vec::new());
    for _ in 0..rows {
        for column in 0..columns.min(16) as u32 {
            let tag = bytes.byte();
            if tag & 1 == 1 {
                at.push(if tag == 255 { u32::MAX } else { column });
                values.push(bytes.number() as f32);
            }
        }
        offsets.push(if bytes.byte() == 255 { usize::MAX } else { at.len() });
    }
    Csr::new(columns, offsets, at, values).ok().map(Tensor::from)
}

fn shape(spec: &TensorSpec, batch: usize, free: usize) -> Vec<usize> {
    let size = |dim: &Dim| match dim {
        Dim::Fixed(n) => *n,
        Dim::Batch => batch,
        _ => free,
    };
    spec.dims().iter().map(size).collect()
}

/// Inputs as the signature wants them, m of them, with values from `bytes`; nothing where they would be large.
pub fn conforming(bytes: &mut Bytes<'_>, signature: &Signature, m: usize) -> Option<Tensors<'static>> {
    let free = bytes.below(6);
    let mut set = Tensors::new();
    for spec in signature.inputs() {
        let shape = shape(spec, m, free);
        if shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).is_none_or(|n| n > MAX_ELEMENTS) {
            return None;
        }
        let known = spec.categories().first().map_or(&[][..], Vec::as_slice);
        let tensor = match (spec.dtype(), shape.as_slice()) {
            (DType::F32, &[rows, columns]) if bytes.below(16) == 1 => sparse(bytes, rows, columns)?,
            _ => tensor(bytes, spec.dtype(), &shape, known),
        };
        set.insert(spec.name().clone(), tensor).ok()?;
    }
    Some(set)
}

/// Inputs of any type, shape and number, under names that the model knows or does not.
pub fn hostile(bytes: &mut Bytes<'_>, signature: &Signature) -> Tensors<'static> {
    let mut set = Tensors::new();
    for i in 0..bytes.below(signature.inputs().len() + 2) {
        let spec = signature.inputs().get(i);
        let name = match spec {
            Some(spec) if bytes.below(16) != 1 => spec.name().to_string(),
            _ => bytes.text(&[]),
        };
        let dtype = match spec {
            Some(spec) if bytes.below(4) != 1 => spec.dtype(),
            _ => DType::ALL[bytes.below(DType::ALL.len())],
        };
        let mut dims = match spec {
            Some(spec) if bytes.below(4) != 1 => shape(spec, bytes.below(4), bytes.below(4)),
            _ => (0..bytes.below(5)).map(|_| bytes.below(4)).collect(),
        };
        if let Some(dim) = dims.first_mut()
            && bytes.below(8) == 1
        {
            *dim = SIZES[bytes.below(SIZES.len())];
        }
        while dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).is_none_or(|n| n > MAX_ELEMENTS) {
            dims.pop();
        }
        // A second tensor of one name is refused, which is fine.
        let _ = set.insert(name, tensor(bytes, dtype, &dims, &[]));
    }
    set
}
