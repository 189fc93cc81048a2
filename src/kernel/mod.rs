//! SIMD primitives, chosen at run time.
//!
//! A kernel is written once over plain slices and compiled once per instruction set; [`Isa`] values exist only where
//! the processor was asked, and prove that calling the wider version is sound. The scalar version is the oracle the
//! others are held against.

#![allow(
    unsafe_code,
    reason = "calling a function compiled for an instruction set whose presence a token proves, or the allocator"
)]

mod bits;
pub(crate) mod bytes;
mod depthwise;
mod distance;
mod exits;
mod exp;
mod gemm;
mod isa;
mod left;
mod levels;
#[cfg(any(feature = "native", feature = "tract"))]
mod map;
#[cfg(feature = "tract")]
mod memory;
mod nodes;
#[cfg(feature = "candle")]
mod product;
mod ranks;
mod real;
mod recurrent;
mod rows;
#[cfg(test)]
mod tests;
mod transformer;
#[cfg(feature = "tract")]
mod upper;

pub(crate) use bits::{Ask, BYTE, BitTrees, FEWER, MANY, MOST_EXITS};
pub(crate) use depthwise::depthwise;
pub(crate) use distance::{Metric, Points};
pub(crate) use exits::{GROUP, SECTION, Section, Test, exits, worthwhile_exits};
pub(crate) use exp::{exp_in_place, logistic_in_place};
pub(crate) use gemm::Packed;
pub(crate) use isa::Isa;
pub(crate) use left::{Left, Places};
pub(crate) use levels::{LevelTrees, MOST_LEVELS, Step};
#[cfg(any(feature = "native", feature = "tract"))]
pub(crate) use map::MappedFile;
#[cfg(feature = "tract")]
pub(crate) use memory::release_free_pages;
pub(crate) use nodes::{PackedNode, PackedNodes, SmallNode, WideNode};
#[cfg(feature = "candle")]
pub(crate) use product::{Right, product};
pub(crate) use ranks::{Cuts, LOWEST_RANK, MOST_CUTS, Ranked};
pub(crate) use real::Real;
pub(crate) use recurrent::{gru_step, lstm_step};
pub(crate) use rows::softmax_rows;
#[cfg(feature = "candle")]
pub(crate) use transformer::{Epilogue, add_norm_rows, attention_rows, finish_rows};
pub(crate) use transformer::{LayerNorm, erf_in_place, gelu_in_place, norm_rows, scaled_softmax_rows};
#[cfg(feature = "tract")]
pub(crate) use upper::clear_upper_halves;
