//! The preprocessing, encoding and support-vector operators of `ai.onnx.ml`.

mod binarizer;
mod extract;
mod label_encoder;
pub(crate) mod labels;
mod lookup;
mod maps;
pub(crate) mod normalizer;
mod one_hot;
pub(super) mod rows;
pub(crate) mod scaler;
mod svm;
#[cfg(test)]
mod tests;
mod vectorizer;

use super::Group;

/// The operators of this module, by domain.
pub(super) const GROUPS: &[(&str, Group)] = &[
    ("ai.onnx.ml", scaler::GROUP),
    ("ai.onnx.ml", normalizer::GROUP),
    ("ai.onnx.ml", binarizer::GROUP),
    ("ai.onnx.ml", label_encoder::GROUP),
    ("ai.onnx.ml", one_hot::GROUP),
    ("ai.onnx.ml", vectorizer::GROUP),
    ("ai.onnx.ml", extract::GROUP),
    ("ai.onnx.ml", maps::GROUP),
    ("ai.onnx.ml", svm::GROUP),
];
