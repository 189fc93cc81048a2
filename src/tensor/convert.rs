//! `From` the arrays, slices and vectors that a host has at hand.

use ndarray::{ArrayBase, CowArray, CowRepr, Data, Dimension, IxDyn, OwnedRepr, ViewRepr};

use super::{Csr, Element, Tensor};

fn row_major<T: Element>(array: CowArray<'_, T, IxDyn>) -> Tensor<'_> {
    if array.is_standard_layout() { T::wrap(array) } else { T::wrap(array.as_standard_layout().into_owned().into()) }
}

impl<'a, T: Element, D: Dimension> From<ArrayBase<ViewRepr<&'a T>, D>> for Tensor<'a> {
    #[inline]
    fn from(view: ArrayBase<ViewRepr<&'a T>, D>) -> Self {
        row_major(view.into_dyn().into())
    }
}

impl<T: Element, D: Dimension> From<ArrayBase<OwnedRepr<T>, D>> for Tensor<'static> {
    fn from(array: ArrayBase<OwnedRepr<T>, D>) -> Self {
        row_major(array.into_dyn().into())
    }
}

impl<'a, T: Element, D: Dimension> From<ArrayBase<CowRepr<'a, T>, D>> for Tensor<'a> {
    fn from(array: ArrayBase<CowRepr<'a, T>, D>) -> Self {
        row_major(array.into_dyn())
    }
}

impl<'a, T: Element, S: Data<Elem = T>, D: Dimension> From<&'a ArrayBase<S, D>> for Tensor<'a> {
    fn from(array: &'a ArrayBase<S, D>) -> Self {
        array.view().into()
    }
}

impl<'a, T: Element> From<&'a [T]> for Tensor<'a> {
    #[inline]
    fn from(values: &'a [T]) -> Self {
        // A slice is in order as it is.
        T::wrap(ndarray::ArrayView1::from(values).into_dyn().into())
    }
}

impl<'a, T: Element, const N: usize> From<&'a [T; N]> for Tensor<'a> {
    fn from(values: &'a [T; N]) -> Self {
        values.as_slice().into()
    }
}

impl<T: Element> From<alloc::vec::Vec<T>> for Tensor<'static> {
    fn from(values: alloc::vec::Vec<T>) -> Self {
        ndarray::Array1::from(values).into()
    }
}

impl<'a, 'b: 'a> From<&'b Tensor<'_>> for Tensor<'a> {
    fn from(tensor: &'b Tensor<'_>) -> Self {
        tensor.as_view()
    }
}

impl<'a> From<Csr<'a, f32>> for Tensor<'a> {
    fn from(rows: Csr<'a, f32>) -> Self {
        Self::CsrF32(rows)
    }
}

impl<'a> From<Csr<'a, f64>> for Tensor<'a> {
    fn from(rows: Csr<'a, f64>) -> Self {
        Self::CsrF64(rows)
    }
}
