use half::{bf16, f16};

use crate::{DType, Dim, Error, ErrorKind, Result, Signature, Tensor, TensorSpec, Tensors};

/// The length of a dimension that a signature leaves open, such as that of a sequence.
const OPEN: usize = 16;
/// No input that is drawn has more elements.
const MOST_ELEMENTS: usize = 1 << 31;

/// Draws `rows` rows of inputs for a model of this signature; the same for the same `seed`.
///
/// Floats are standard normal, integers from 0 to 9 (0 and 1 in rows of open length, as an encoder's mask has them),
/// truth values and strings even; where the signature knows the categories of a column, its values are drawn from them.
/// Open dimensions other than the batch get 16 entries.
///
/// # Errors
/// [`ErrorKind::LimitExceeded`] when an input would have more than 2^31 elements.
pub fn draw_inputs(signature: &Signature, rows: usize, seed: u64) -> Result<Tensors<'static>> {
    let mut random = Random(seed);
    let inputs = signature.inputs().iter();
    inputs
        .map(|spec| Ok((spec.name().clone(), draw(spec, rows, &mut random).map_err(|e| e.tensor(spec.name()))?)))
        .collect()
}

fn draw(spec: &TensorSpec, rows: usize, random: &mut Random) -> Result<Tensor<'static>> {
    let size = |dim: &Dim| match dim {
        Dim::Batch => rows,
        Dim::Fixed(n) => *n,
        Dim::Named(_) | Dim::Any => OPEN,
    };
    let mut shape: Vec<usize> = spec.dims().iter().map(size).collect();
    if let (Some(last), Some(Dim::Named(_) | Dim::Any)) = (shape.last_mut(), spec.dims().last())
        && !spec.features().is_empty()
    {
        *last = spec.features().len();
    }
    let count = crate::tensor::checked_len(&shape).filter(|n| *n <= MOST_ELEMENTS).ok_or_else(|| {
        Error::new(ErrorKind::LimitExceeded, "the input would be too large; draw fewer rows or give inputs of your own")
            .actual(crate::tensor::shape_text(&shape))
    })?;
    let width = if shape.len() < 2 { 1 } else { shape.last().copied().unwrap_or(1).max(1) };
    // The ids, mask and segments of a text; only the ids know more values than two.
    let integers = if matches!(spec.dims(), [_, .., Dim::Named(_) | Dim::Any]) { 2 } else { 10 };
    // A column has categories of its own, or one list is meant for all.
    let categories = |i: usize| {
        match spec.categories() {
            [] => None,
            [one] => Some(one),
            many => many.get(i % width),
        }
        .filter(|c| !c.is_empty())
    };
    macro_rules! filled {
        ($t:ty, $fresh:expr) => {{
            let mut data: Vec<$t> = Vec::with_capacity(count);
            for i in 0..count {
                let known = categories(i).and_then(|c| c[random.below(c.len())].parse::<$t>().ok());
                data.push(known.unwrap_or_else(|| $fresh(&mut *random)));
            }
            Tensor::from_vec(&shape, data)
        }};
    }
    match spec.dtype() {
        DType::Bool => filled!(bool, |r: &mut Random| r.below(2) == 1),
        DType::U8 => filled!(u8, |r: &mut Random| r.below(integers) as u8),
        DType::U16 => filled!(u16, |r: &mut Random| r.below(integers) as u16),
        DType::U32 => filled!(u32, |r: &mut Random| r.below(integers) as u32),
        DType::U64 => filled!(u64, |r: &mut Random| r.below(integers) as u64),
        DType::I8 => filled!(i8, |r: &mut Random| r.below(integers) as i8),
        DType::I16 => filled!(i16, |r: &mut Random| r.below(integers) as i16),
        DType::I32 => filled!(i32, |r: &mut Random| r.below(integers) as i32),
        DType::I64 => filled!(i64, |r: &mut Random| r.below(integers) as i64),
        DType::F16 => filled!(f16, |r: &mut Random| f16::from_f64(r.normal())),
        DType::Bf16 => filled!(bf16, |r: &mut Random| bf16::from_f64(r.normal())),
        DType::F32 => filled!(f32, |r: &mut Random| r.normal() as f32),
        DType::F64 => filled!(f64, Random::normal),
        DType::String => filled!(String, |r: &mut Random| ["a", "b", "c", "d"][r.below(4)].to_owned()),
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014): a few lines, good enough for timings, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to 1, without 0.
    fn share(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    /// Standard normal, by Box and Muller's transform.
    fn normal(&mut self) -> f64 {
        (-2.0 * self.share().ln()).sqrt() * (core::f64::consts::TAU * self.share()).cos()
    }
}
