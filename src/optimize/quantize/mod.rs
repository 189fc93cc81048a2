//! Networks in ONNX files to fewer bits, as ONNX files that every runtime takes.
//!
//! | target | what is written | opset |
//! |---|---|---|
//! | `int8-dynamic` | `DynamicQuantizeLinear`, `MatMulInteger`, `ConvInteger`, `DynamicQuantizeLSTM`, `Gather` of bytes | 11 |
//! | `int8-static` | `QuantizeLinear` and `DequantizeLinear` around products and convolutions | 13 |
//! | `int8-weights` | `DequantizeLinear` before the layer, or `MatMulNBits`, or in blocks | 13, any, 21 |
//! | `int4-weights` | `MatMulNBits` and `GatherBlockQuantized`, or `DequantizeLinear` in blocks | any, 21 |
//! | `f16`, `bf16` | constants in half the bytes, cast to f32 | 9, 13 |

mod blocks;
mod builder;
mod calibrate;
mod compensate;
mod dynamic;
mod fixed;
mod grid;
mod halves;
mod layers;
mod learn;
mod linear;
mod run;
mod settings;
mod smooth;
#[cfg(test)]
mod tests;
mod upgrade;
mod watch;

pub use builder::Quantize;
pub(super) use grid::Noise;
pub(super) use layers::name as layer_name;
pub use settings::{Calibration, Target, WeightForm};
