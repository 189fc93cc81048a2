use alloc::string::ToString;
use alloc::vec;

use ndarray::{Array2, array, s};

use super::*;
use crate::{ErrorKind, tensors};

#[test]
fn a_view_in_column_order_is_brought_to_row_order() {
    let rows = array![[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]];
    let tensor = Tensor::from(rows.t());
    assert_eq!(tensor.as_slice::<f32>().unwrap(), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    let strided = Tensor::from(rows.slice(s![.., ..2]));
    assert_eq!(strided.as_slice::<f32>().unwrap(), [1.0, 2.0, 4.0, 5.0]);
}

#[test]
fn a_contiguous_view_is_borrowed() {
    let rows = Array2::<f64>::zeros((4, 3));
    let tensor = Tensor::from(&rows);
    assert_eq!(tensor.as_slice::<f64>().unwrap().as_ptr(), rows.as_ptr());
}

#[test]
fn wrong_lengths_types_and_names_are_named() {
    let e = Tensor::from_vec(&[2, 3], vec![1i64; 5]).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::WrongShape);
    assert!(e.to_string().contains("(2, 3)") && e.to_string().contains("5 elements"), "{e}");
    assert!(Tensor::from_slice(&[2], &[1u8, 2, 3]).is_err());
    assert_eq!(Tensor::scalar(1u8).view::<f32>().unwrap_err().kind(), ErrorKind::WrongType);
    let twice = tensors! { "a" => vec![1.0f32], "a" => vec![2.0f32] }.unwrap_err();
    assert_eq!((twice.kind(), twice.tensor_name()), (ErrorKind::InvalidArgument, Some("a")));
    let set = tensors! { "a" => vec![1.0f32] }.unwrap();
    let unknown = set.get::<f32>("b").unwrap_err();
    assert_eq!((unknown.kind(), unknown.actual_text()), (ErrorKind::UnknownTensor, Some("a")));
}

#[test]
fn rows_and_concat_are_inverse() {
    let all =
        tensors! { "x" => array![[1i32, 2], [3, 4], [5, 6]], "s" => vec!["a".to_string(), "b".into(), "c".into()] }
            .unwrap();
    let parts = [all.rows(0..1).unwrap(), all.rows(1..1).unwrap(), all.rows(1..3).unwrap()];
    assert_eq!(Tensors::concat_rows(&parts).unwrap(), all);
    assert!(all.rows(2..4).is_err());
}

#[test]
fn sparse_rows_are_checked_and_densified() {
    let csr = Csr::new(4, vec![0, 2, 2, 3], vec![1, 3, 0], vec![5.0f32, 6.0, 7.0]).unwrap();
    assert_eq!(csr.to_dense(), array![[0.0, 5.0, 0.0, 6.0], [0.0; 4], [7.0, 0.0, 0.0, 0.0]]);
    let tensor = Tensor::from(csr);
    assert_eq!(tensor.rows(1..3).unwrap().to_dense().as_slice::<f32>().unwrap(), [0., 0., 0., 0., 7., 0., 0., 0.]);
    for (n, offsets, columns) in [
        (4, vec![0, 2, 1, 3], vec![1, 3, 0]),
        (3, vec![0, 2, 2, 3], vec![1, 3, 0]),
        (4, vec![0, 2, 2, 3], vec![3, 1, 0]),
        (4, vec![0, 2, 2, 4], vec![1, 3, 0]),
        (4, vec![1, 2, 2, 3], vec![1, 3, 0]),
    ] {
        assert!(Csr::new(n, offsets.clone(), columns.clone(), vec![1.0f64; 3]).is_err(), "{n} {offsets:?} {columns:?}");
    }
}

#[test]
fn one_observation_is_a_batch_of_one() {
    let row = Tensor::from(vec![1.0f32, 2.0]);
    let batch = row.with_batch_axis();
    assert_eq!(batch.shape(), [1, 2]);
    assert_eq!(batch.without_batch_axis().unwrap(), row);
    assert!(Tensor::from(array![[1u8], [2]]).without_batch_axis().is_err());
}
