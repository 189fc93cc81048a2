//! Tensors: what goes into a model and what comes out.
//!
//! A [`Tensor`] is one dense row-major array of any [`DType`], or the rows of a sparse matrix; [`Tensors`] is an
//! ordered set of them by name. Inputs borrow from the host, outputs are owned.

mod cast;
mod convert;
mod dense;
mod dtype;
mod element;
mod name;
mod rows;
mod set;
mod sparse;
#[cfg(test)]
mod tests;

#[cfg(feature = "table")]
pub(crate) use cast::{Number, Wide};
pub use dense::Tensor;
#[cfg(feature = "std")]
pub(crate) use dense::checked_len;
pub(crate) use dense::shape_text;
#[cfg(any(feature = "native", feature = "tract", feature = "ort"))]
pub(crate) use dense::zeros;
pub use dtype::DType;
pub use element::Element;
pub use name::Name;
pub use set::Tensors;
pub use sparse::Csr;
