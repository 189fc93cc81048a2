//! Inputs drawn from a signature.

use ndarray::{ArrayD, IxDyn};

use crate::{DType, Dim, Element, Error, ErrorKind, Result, Signature, Tensor, TensorSpec, Tensors};

/// The length of dimensions that a signature leaves open.
const OPEN: usize = 4;

/// `rows` observations for the inputs of `signature`: floats around zero, small integers, known categories where the
/// signature names them.
pub(super) fn draw(signature: &Signature, rows: usize, seed: u64) -> Result<Tensors<'static>> {
    let mut random = Random(seed);
    signature.inputs().iter().map(|spec| Ok((spec.name().clone(), draw_tensor(spec, rows, &mut random)?))).collect()
}

fn draw_tensor(spec: &TensorSpec, rows: usize, random: &mut Random) -> Result<Tensor<'static>> {
    let length = |dim: &Dim| match dim {
        Dim::Fixed(n) => *n,
        Dim::Batch => rows,
        Dim::Named(_) | Dim::Any => OPEN,
    };
    let shape: Vec<usize> = spec.dims().iter().map(length).collect();
    let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).filter(|&n| n <= 1 << 24);
    if count.is_none() {
        return Err(
            Error::new(ErrorKind::LimitExceeded, "an input is too large to draw; give samples").tensor(spec.name())
        );
    }
    let columns = shape.last().copied().filter(|_| shape.len() > 1 || !spec.is_batched()).unwrap_or(1);
    let columns = if spec.dims().len() == 1 && spec.is_batched() { 1 } else { columns };
    let category = |i: usize, random: &mut Random| -> Option<&String> {
        let of_column = spec.categories().get(i % columns.max(1))?;
        of_column.get(random.below(of_column.len().max(1)))
    };
    macro_rules! numbers {
        ($t:ty, $plain:expr) => {
            fill::<$t>(&shape, |i| {
                let known = category(i, random).and_then(|text| text.parse::<f64>().ok());
                let plain: fn(&mut Random) -> $t = $plain;
                known.map_or_else(|| plain(random), |x| x as $t)
            })
        };
    }
    let small = |random: &mut Random| random.below(4) as u8;
    Ok(match spec.dtype() {
        DType::Bool => fill(&shape, |_| random.below(2) == 1),
        DType::U8 => numbers!(u8, |r| r.below(4) as u8),
        DType::U16 => numbers!(u16, |r| r.below(4) as u16),
        DType::U32 => numbers!(u32, |r| r.below(4) as u32),
        DType::U64 => numbers!(u64, |r| r.below(4) as u64),
        DType::I8 => numbers!(i8, |r| r.below(4) as i8),
        DType::I16 => numbers!(i16, |r| r.below(4) as i16),
        DType::I32 => numbers!(i32, |r| r.below(4) as i32),
        DType::I64 => numbers!(i64, |r| r.below(4) as i64),
        DType::F16 => fill(&shape, |_| half::f16::from_f64(random.normal())),
        DType::Bf16 => fill(&shape, |_| half::bf16::from_f64(random.normal())),
        DType::F32 => numbers!(f32, |r| r.normal() as f32),
        DType::F64 => numbers!(f64, Random::normal),
        DType::String => fill(&shape, |i| {
            category(i, random).cloned().unwrap_or_else(|| char::from(b'a' + small(random)).to_string())
        }),
    })
}

fn fill<T: Element>(shape: &[usize], mut of: impl FnMut(usize) -> T) -> Tensor<'static> {
    let mut i = 0;
    let array = ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        i += 1;
        of(i - 1)
    });
    array.into()
}

/// SplitMix64: enough for samples, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Near enough to a standard normal: the sum of twelve uniform numbers, less six.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| (self.next() >> 11) as f64 / (1u64 << 53) as f64).sum::<f64>() - 6.0
    }
}
