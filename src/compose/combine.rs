//! The arithmetic of ensembles, entry by entry, whatever the shape.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::{DType, Element, Error, ErrorKind, Result, Tensor};

/// Σ wᵢ xᵢ / Σ wᵢ, summed in f64 and given as the members' element type (f32 or f64).
pub(super) fn mean(members: &[&Tensor<'_>], weights: &[f64]) -> Result<Tensor<'static>> {
    let shape = same_shape(members)?;
    let total: f64 = weights.iter().sum();
    let mut sums = vec![0.0f64; members[0].len()];
    for (tensor, weight) in members.iter().zip(weights) {
        if tensor.dtype() == DType::F64 {
            sums.iter_mut().zip(tensor.as_slice::<f64>()?).for_each(|(sum, x)| *sum += weight * x);
        } else {
            sums.iter_mut().zip(tensor.as_slice::<f32>()?).for_each(|(sum, x)| *sum += weight * f64::from(*x));
        }
    }
    if members[0].dtype() == DType::F64 {
        Tensor::from_vec(shape, sums.into_iter().map(|sum| sum / total).collect::<Vec<f64>>())
    } else {
        Tensor::from_vec(shape, sums.into_iter().map(|sum| (sum / total) as f32).collect::<Vec<f32>>())
    }
}

/// For each entry the value that most members give, by weight; the smallest of those that tie.
pub(super) fn vote(members: &[&Tensor<'_>], weights: &[f64]) -> Result<Tensor<'static>> {
    match members[0].dtype() {
        DType::Bool => vote_typed::<bool>(members, weights),
        DType::I32 => vote_typed::<i32>(members, weights),
        DType::I64 => vote_typed::<i64>(members, weights),
        DType::String => vote_typed::<String>(members, weights),
        other => Err(Error::new(ErrorKind::WrongType, "there is no vote over this element type").actual(other)),
    }
}

/// Whether [`vote`] takes labels of this type.
pub(super) const fn votes(dtype: DType) -> bool {
    matches!(dtype, DType::Bool | DType::I32 | DType::I64 | DType::String)
}

fn vote_typed<T: Element + Ord>(members: &[&Tensor<'_>], weights: &[f64]) -> Result<Tensor<'static>> {
    let shape = same_shape(members)?;
    let labels = members.iter().map(|tensor| tensor.as_slice::<T>()).collect::<Result<Vec<_>>>()?;
    let mut tally: Vec<(&T, f64)> = Vec::with_capacity(members.len());
    let mut winners = Vec::with_capacity(labels[0].len());
    for i in 0..labels[0].len() {
        tally.clear();
        for (of_member, weight) in labels.iter().zip(weights) {
            match tally.iter_mut().find(|(label, _)| *label == &of_member[i]) {
                Some((_, votes)) => *votes += weight,
                None => tally.push((&of_member[i], *weight)),
            }
        }
        let (mut winner, mut most) = tally[0];
        for &(label, votes) in &tally[1..] {
            if votes > most || (votes == most && label < winner) {
                (winner, most) = (label, votes);
            }
        }
        winners.push(winner.clone());
    }
    Tensor::from_vec(shape, winners)
}

/// The values that labels have, one per class.
#[derive(Debug, Clone)]
pub(super) enum Classes {
    I32(Vec<i32>),
    I64(Vec<i64>),
    Names(Vec<String>),
}

impl Classes {
    /// The values of labels of this type, read from the names of the classes.
    pub(super) fn read(names: &[String], dtype: DType) -> Option<Self> {
        Some(match dtype {
            DType::I32 => Self::I32(names.iter().map(|n| n.parse().ok()).collect::<Option<_>>()?),
            DType::I64 => Self::I64(names.iter().map(|n| n.parse().ok()).collect::<Option<_>>()?),
            DType::String => Self::Names(names.to_vec()),
            _ => return None,
        })
    }

    /// The class of the largest entry along the last axis of `scores` (..., classes); the first of those that tie.
    pub(super) fn label(&self, scores: &Tensor<'_>) -> Result<Tensor<'static>> {
        let shape = scores.shape();
        let Some((&classes, shape)) = shape.split_last() else {
            return Err(Error::new(ErrorKind::WrongShape, "scores need an axis of classes"));
        };
        let best: Vec<usize> = if scores.dtype() == DType::F64 {
            scores.as_slice::<f64>()?.chunks_exact(classes.max(1)).map(argmax).collect()
        } else {
            scores.as_slice::<f32>()?.chunks_exact(classes.max(1)).map(argmax).collect()
        };
        fn named<T: Element>(values: &[T], best: &[usize], shape: &[usize]) -> Result<Tensor<'static>> {
            let label = |&i: &usize| values.get(i).cloned();
            let labels = best.iter().map(label).collect::<Option<Vec<T>>>();
            Tensor::from_vec(
                shape,
                labels.ok_or_else(|| Error::new(ErrorKind::WrongShape, "more scores than classes"))?,
            )
        }
        match self {
            Self::I32(values) => named(values, &best, shape),
            Self::I64(values) => named(values, &best, shape),
            Self::Names(values) => named(values, &best, shape),
        }
    }
}

fn argmax<T: PartialOrd>(row: &[T]) -> usize {
    let mut best = 0;
    for (i, x) in row.iter().enumerate().skip(1) {
        if *x > row[best] {
            best = i;
        }
    }
    best
}

/// The tensors side by side: each gives the columns of its row, in order. (m, a), (m,), (m, b, c) -> (m, a + 1 + b * c).
/// `rows` is `None` for one observation without the batch axis.
pub(super) fn columns(tensors: &[Tensor<'_>], rows: Option<usize>, dtype: DType) -> Result<Tensor<'static>> {
    if dtype == DType::F64 { columns_typed::<f64>(tensors, rows) } else { columns_typed::<f32>(tensors, rows) }
}

fn columns_typed<T: Element + Copy>(tensors: &[Tensor<'_>], rows: Option<usize>) -> Result<Tensor<'static>> {
    let m = rows.unwrap_or(1);
    let cast = tensors.iter().map(|t| t.cast(T::DTYPE)).collect::<Result<Vec<_>>>()?;
    let mut blocks: Vec<(&[T], usize)> = Vec::with_capacity(cast.len());
    for tensor in &cast {
        if rows.is_some_and(|m| tensor.shape().first() != Some(&m)) {
            return Err(Error::new(
                ErrorKind::WrongShape,
                "a member gave another number of answers than it was asked for",
            )
            .expected(alloc::format!("{m} along axis 0"))
            .actual(crate::tensor::shape_text(tensor.shape())));
        }
        let width = tensor.shape()[usize::from(rows.is_some())..].iter().product();
        blocks.push((tensor.as_slice::<T>()?, width));
    }
    let width: usize = blocks.iter().map(|(_, width)| width).sum();
    let mut out = Vec::with_capacity(m * width);
    for i in 0..m {
        for (block, width) in &blocks {
            out.extend_from_slice(&block[i * width..(i + 1) * width]);
        }
    }
    match rows {
        Some(m) => Tensor::from_vec(&[m, width], out),
        None => Tensor::from_vec(&[width], out),
    }
}

fn same_shape<'t>(members: &'t [&Tensor<'_>]) -> Result<&'t [usize]> {
    let shape = members[0].shape();
    match members.iter().find(|tensor| tensor.shape() != shape) {
        None => Ok(shape),
        Some(other) => Err(Error::new(ErrorKind::WrongShape, "the members' answers have different shapes")
            .expected(crate::tensor::shape_text(shape))
            .actual(crate::tensor::shape_text(other.shape()))),
    }
}
