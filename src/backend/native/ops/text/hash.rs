//! MurmurHash3 of `com.microsoft`, which hashed features come from.

use smallvec::smallvec;

use crate::Result;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::value::{Data, Value};

pub(super) const GROUP: Group = &[("MurmurHash3", build)];

/// The 32-bit hash of each element.
#[derive(Debug)]
struct MurmurHash3 {
    seed: u32,
    /// Whether the hash counts as u32, else i32.
    positive: bool,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let seed = u32::try_from(node.int_or("seed", 0)?);
    let seed = seed.map_err(|_| node.malformed("`seed` of MurmurHash3 is out of range"))?;
    Ok(Box::new(MurmurHash3 { seed, positive: node.flag("positive", true)? }))
}

/// MurmurHash3_x86_32 of Austin Appleby's [SMHasher](https://github.com/aappleby/smhasher).
fn murmur(bytes: &[u8], seed: u32) -> u32 {
    let scramble = |k: u32| k.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let mut blocks = bytes.chunks_exact(4);
    let mut hash = seed;
    for block in blocks.by_ref() {
        let word = block.iter().rev().fold(0, |word, &b| word << 8 | u32::from(b));
        hash = (hash ^ scramble(word)).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let tail = blocks.remainder().iter().rev().fold(0, |word, &b| word << 8 | u32::from(b));
    hash ^= scramble(tail);
    hash ^= bytes.len() as u32;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

impl Op for MurmurHash3 {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let mut hashes = cx.buffer::<u32>(value.len());
        let of = |bytes: &[u8]| murmur(bytes, self.seed);
        match value.data() {
            Data::String(items) => hashes.extend(items.iter().map(|s| of(s.as_bytes()))),
            Data::I32(items) => hashes.extend(items.iter().map(|i| of(&i.to_le_bytes()))),
            Data::U32(items) => hashes.extend(items.iter().map(|i| of(&i.to_le_bytes()))),
            Data::I64(items) => hashes.extend(items.iter().map(|i| of(&i.to_le_bytes()))),
            Data::U64(items) => hashes.extend(items.iter().map(|i| of(&i.to_le_bytes()))),
            Data::F32(items) => hashes.extend(items.iter().map(|f| of(&f.to_le_bytes()))),
            Data::F64(items) => hashes.extend(items.iter().map(|f| of(&f.to_le_bytes()))),
            _ => return Err(value.type_error("string, i32, u32, i64, u64, f32 or f64")),
        }
        if self.positive {
            return Ok(smallvec![Value::new(value.shape(), hashes)]);
        }
        let mut signed = cx.buffer::<i32>(hashes.len());
        signed.extend(hashes.iter().map(|h| h.cast_signed()));
        cx.recycle_buffer(hashes);
        Ok(smallvec![Value::new(value.shape(), signed)])
    }

    fn mixes_rows(&self, _inputs: &[Flow], _outputs: &[Flow]) -> bool {
        false
    }
}
