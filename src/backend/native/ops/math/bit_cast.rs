//! `BitCast`: the same bits as elements of another type of the same width.

use half::{bf16, f16};
use smallvec::smallvec;

use super::cast::dtype;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::value::{Data, Value};
use crate::{DType, Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("BitCast", build)];

#[derive(Debug)]
struct BitCast(DType);

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let code = node.int("to")?.ok_or_else(|| node.malformed("BitCast needs the attribute `to`"))?;
    let to = i32::try_from(code).ok().and_then(dtype).filter(|t| *t != DType::String);
    to.map(|to| Box::new(BitCast(to)) as Box<dyn Op>)
        .ok_or_else(|| node.unsupported("BitCast to this element type").actual(code))
}

/// The bytes of numbers, in order.
fn bytes(value: &Value<'_>) -> Result<Vec<u8>> {
    macro_rules! all {
        ($items:expr) => {
            $items.iter().flat_map(|x| x.to_le_bytes()).collect()
        };
    }
    Ok(match value.data() {
        Data::Bool(items) => items.iter().map(|&b| b.into()).collect(),
        Data::U8(items) => items.to_vec(),
        Data::U16(items) => all!(items),
        Data::U32(items) => all!(items),
        Data::U64(items) => all!(items),
        Data::I8(items) => all!(items),
        Data::I16(items) => all!(items),
        Data::I32(items) => all!(items),
        Data::I64(items) => all!(items),
        Data::F16(items) => all!(items),
        Data::Bf16(items) => all!(items),
        Data::F32(items) => all!(items),
        Data::F64(items) => all!(items),
        Data::String(_) | Data::Sequence(_) => return Err(value.type_error("a number")),
    })
}

impl Op for BitCast {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, _cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        if value.dtype().and_then(DType::size_bytes) != self.0.size_bytes() {
            return Err(Error::new(ErrorKind::WrongType, "BitCast needs an element type of the same width")
                .expected(self.0)
                .actual(value.type_text()));
        }
        let (bytes, shape) = (bytes(value)?, value.shape());
        macro_rules! of {
            ($t:ty) => {
                Value::new(shape, bytes.as_chunks().0.iter().map(|b| <$t>::from_le_bytes(*b)).collect::<Vec<_>>())
            };
        }
        Ok(smallvec![match self.0 {
            DType::Bool => Value::new(shape, bytes.iter().map(|&b| b != 0).collect::<Vec<_>>()),
            DType::U8 => of!(u8),
            DType::U16 => of!(u16),
            DType::U32 => of!(u32),
            DType::U64 => of!(u64),
            DType::I8 => of!(i8),
            DType::I16 => of!(i16),
            DType::I32 => of!(i32),
            DType::I64 => of!(i64),
            DType::F16 => of!(f16),
            DType::Bf16 => of!(bf16),
            DType::F32 => of!(f32),
            DType::F64 => of!(f64),
            DType::String => return Err(value.type_error("a number")),
        }])
    }

    fn mixes_rows(&self, _inputs: &[Flow], _outputs: &[Flow]) -> bool {
        false
    }
}
