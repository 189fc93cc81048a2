//! Products of 8-bit numbers, summed exactly in 32 bits.
//!
//! A [`ByteMatrix`] is packed once for the instructions of this processor ([`Dot`]); [`Bytes`] hold what it is
//! multiplied with, in the form those instructions read. VNNI multiplies four pairs of u8 and i8 at a time without
//! saturation. AVX2's instruction for u8 and i8 adds two products in 16 bits, which overflow from 7-bit weights on; so
//! both sides are widened to i16 there, and `vpmaddwd` adds two products in 32 bits. On the pipes that multiply this is
//! as fast as the saturating road of two multiplications (`vpmaddubsw`, then `vpmaddwd` by 1 to widen).
//!
//! `rten-gemm` has such products as well. It is not used: it takes zero points per column and row in its own form, gives
//! i32 alone where here scale, bias, activation and the next quantisation happen on a tile in registers, and a
//! convolution here reads its windows through [`Left`](super::Left) without copies of them.

mod depthwise;
mod dot;
mod finish;
mod matrix;
mod multiply;
mod rows;
#[cfg(test)]
mod tests;

pub(crate) use depthwise::ByteFilters;
pub(crate) use dot::Dot;
pub(crate) use finish::{Finish, ToBytes, ToFloats, ToSums};
pub(crate) use matrix::{ByteMatrix, NR};
pub(crate) use rows::{Bytes, Held, covering, extremes, quantise, range};
