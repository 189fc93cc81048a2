//! Models for devices without an operating system: a packed format that is read in place, from flash if need be, and its
//! evaluator, which needs neither `std` nor memory of its own.
//!
//! `modelberth convert MODEL small.mbp --to packed`, or [`Convert::packed`](crate::optimize::Convert::packed), writes it on a
//! host; on the device the bytes are checked once and then answer one observation at a time in a scratch that the caller
//! owns. Nothing is allocated. (The crate around this module links `alloc`, so a program without an allocator still has to
//! name one, which is never asked.)
//!
//! ```no_run
//! use modelberth::edge::Packed;
//! static MODEL: &[u8] = &[/* include_bytes!("small.mbp") */];
//! let model = Packed::new(MODEL)?;
//! let mut scratch = [0.0f32; 512];
//! let mut answers = [0.0f32; 4];
//! model.predict(&[5.1, 3.5, 1.4, 0.2], &mut scratch[..model.scratch_len()], &mut answers[..model.output_len()])?;
//! # Ok::<(), modelberth::edge::Error>(())
//! ```
//!
//! All numbers are f32 in the evaluator: whole numbers up to 2^24 are exact, texts are their place in a table
//! ([`Packed::code`], [`Packed::text`]), true is 1. Inputs stand one after the other in the order of
//! [`Packed::inputs`], each in row-major order without its batch axis, and so do outputs.
//!
//! # Format, version 1
//! Little-endian, nothing aligned. A text is its length in bytes (u32), then UTF-8.
//!
//! | part | holds |
//! |---|---|
//! | header, 36 bytes | `MBPK`; version, u16; 0, u16; then u32: bytes in all, FNV-1a of all that follows it, floats of scratch, texts, inputs, outputs, steps |
//! | texts | one after the other |
//! | inputs, outputs | name; element type, u8 (1 f32, 2 i64, 3 bool, 4 text, 5 f64, 6 f16, 7 bf16, 8 i32, 9 i16, 10 i8, 11 u64, 12 u32, 13 u16, 14 u8), plus 128 where a host has no batch axis; rank, u8; dimensions, u32 each; the first float in the scratch, u32 |
//! | steps | code, u8; fields. What a step writes shares no float with what it reads |
//!
//! A *span* is where floats begin in the scratch and how many they are, two u32; *n*, *k* and other sizes are u32, functions u8.
//! Spans whose floats are never needed at once share their places.
//!
//! | code | step | fields |
//! |---|---|---|
//! | 1 | constant | to; its floats |
//! | 2 | gather: `to[i] = from[place[i]]` | from, to; a place for each of `to`, u32 |
//! | 3 | a function of each number | function; from, to |
//! | 4 | a function of two, shorter spans repeated | function; a, b, to |
//! | 5 | `a` where the condition is not 0, else `b`; shorter spans repeated | condition, a, b, to |
//! | 6 | rows times weights plus bias | from, to; k, n; weights (n, k); bias (n) |
//! | 7 | a reduction of the middle axis of (outer, k, n) | function; from, to; k, n |
//! | 8 | softmax of each k numbers | from, to; k |
//! | 9 | a table | from, to; n; the float for what is no key; n keys; n values |
//! | 10 | one-hot | from, to; n; n keys |
//! | 11 | trees | aggregate, u8; from, to; the numbers of trees, nodes and votes: u32; base values; roots, u32; nodes; votes: target, u32, and value |
//! | 12 | squared distances to points | from, to; points (n, k) |
//! | 13 | copy | from, to |
//! | 14 | matrices (batch, m, k) times (batch, k, n) | a, b, to; k, n |
//! | 15 | convolution | from, to; channels and filters of a group, groups; for each of three axes: input, kernel, stride, dilation, padding in front, output; weights (filters, channels, axes); bias |
//! | 16 | recurrence | cell, u8; from (steps, gates x hidden), state, cell state, to: (steps, hidden), then work; hidden; weights (gates x hidden, hidden); bias (hidden) of a gated unit that resets behind the product |
//! | 17 | the places of the first k of each n numbers in order; n k is at most 2^24 | 1 for descending, u8; from, to; n, k |
//! | 18 | k numbers each at computed places of the middle axis of (outer, n, k) | from, places, to; n, k |
//! | 19 | rows of a table at computed places | from, to; n, k; table (n, k) |
//! | 20 | probabilities of n classes from those of their pairs | from, to: (n), then n (n + 1) of work; n |
//! | 21 | each k numbers less their mean over their deviation | from, to; k; what is added to the variance, f32 |
//!
//! A node of a tree has 12 bytes: feature, u16 (65,535 in a leaf); test, u8; whether NaN passes, u8; the threshold (in a leaf the number
//! of its votes, u32); the child for rows that do not pass (in a leaf its first vote), u32. Rows that pass go to the next node.
//! The codes of functions stand in `format.rs` of this module.

mod format;
mod layers;
mod packed;
mod read;
mod run;
mod step;
#[cfg(test)]
mod tests;

#[cfg(feature = "std")]
pub(crate) use format::Kind;
#[cfg(feature = "optimize")]
pub(crate) use format::{
    Aggregate, Binary, CHECKSUM, Cell, Code, HEADER, LEAF, MAGIC, MOST_COMPARED, Reduction, Test, Unary, VERSION,
    WHOLE, checksum,
};
#[cfg(feature = "std")]
pub(crate) use packed::Parts;
pub use packed::{Error, Packed, Port};
#[cfg(feature = "optimize")]
pub(crate) use run::{binary, unary};
