//! ONNX files through ONNX Runtime, where its shared library is on the machine.
//!
//! Nothing of it is linked, and nothing is downloaded: the [library] is opened when the first model asks for it. The
//! [calls](ffi) into its C API are the one place of the crate outside of the kernels that is unsafe. A session serves all
//! threads at once; what is [done](prepare) to a file before is little, since the engine knows the format best.

mod ffi;
mod library;
mod model;
mod prepare;
mod rows;
#[cfg(test)]
mod tests;

pub(crate) use model::load;
