//! Functions of one element.

use std::fmt::Debug;

use smallvec::smallvec;

use super::dispatch::{self, Half, numbers};
use super::num::{Float, Num};
use crate::Result;
use crate::backend::native::chain::Filling;
use crate::backend::native::op::{Args, Flow, Op, Outs, RowMap, Scratch};
use crate::backend::native::pool::{Share, Threads};
use crate::backend::native::value::{Data, Shape, Value};
use crate::kernel::Isa;

/// A function of a float, in the precision of the element.
pub(crate) trait FloatMap: Debug + Send + Sync + 'static {
    fn at<F: Float>(&self, x: F) -> F;

    /// The same for many f32, where there is a kernel for it.
    fn kernel(&self) -> Option<fn(Isa, &mut [f32])> {
        None
    }

    /// What a neighbouring matrix product can take over.
    fn row_map(&self) -> Option<RowMap> {
        None
    }
}

/// A function of a number of any type.
pub(super) trait NumberMap: Debug + Send + Sync + 'static {
    fn at<T: Num>(&self, x: T) -> T;

    /// What a neighbouring matrix product can take over.
    fn row_map(&self) -> Option<RowMap> {
        None
    }
}

/// [`FloatMap`] over every element.
#[derive(Debug)]
pub(crate) struct Floats<M>(pub(crate) M);

/// [`NumberMap`] over every element.
#[derive(Debug)]
pub(super) struct Numbers<M>(pub(super) M);

/// How elements are shared among threads: a function of them costs as much as some multiplications.
const ELEMENTS: Share = Share { cost: 16, together: 64 };

/// Applies `map` to every element in place; `None` when they are no floats.
pub(crate) fn map_floats<'v, M: FloatMap>(map: &M, value: Value<'v>, threads: &Threads) -> Result<Value<'v>> {
    fn each<F: Float, M: FloatMap>(map: &M, items: &mut [F]) {
        items.iter_mut().for_each(|x| *x = map.at(*x));
    }
    fn halves<H: Half, M: FloatMap>(map: &M, items: &mut [H]) {
        items.iter_mut().for_each(|x| *x = H::rounded(map.at(x.single())));
    }
    let shape = Shape::from_slice(value.shape());
    let data = match value.into_data() {
        Data::F32(mut items) => {
            match map.kernel() {
                Some(kernel) => threads.rows(items.to_mut(), 1, ELEMENTS, |_, part| kernel(Isa::best(), part)),
                None => each(map, items.to_mut()),
            }
            Data::F32(items)
        }
        Data::F64(mut items) => {
            each(map, items.to_mut());
            Data::F64(items)
        }
        Data::F16(mut items) => {
            halves(map, items.to_mut());
            Data::F16(items)
        }
        Data::Bf16(mut items) => {
            halves(map, items.to_mut());
            Data::Bf16(items)
        }
        other => return Err(Value::from_parts(shape, other).type_error("a float")),
    };
    Ok(Value::from_parts(shape, data))
}

impl<M: FloatMap> Op for Floats<M> {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = dispatch::own(args, 0, cx)?;
        Ok(smallvec![map_floats(&self.0, value, &cx.threads)?])
    }

    fn fill(&self, rows: Filling<'_, '_>, _cx: &mut Scratch) -> Option<Result<()>> {
        let items = rows.in_place()?;
        match self.0.kernel() {
            Some(kernel) => kernel(Isa::best(), items),
            None => items.iter_mut().for_each(|x| *x = self.0.at(*x)),
        }
        Some(Ok(()))
    }

    fn mixes_rows(&self, _inputs: &[Flow], _outputs: &[Flow]) -> bool {
        false
    }

    fn row_map(&self) -> Option<RowMap> {
        self.0.row_map()
    }
}

impl<M: NumberMap> Op for Numbers<M> {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = dispatch::own(args, 0, cx)?;
        let error = || value.type_error("a number");
        if value.dtype().is_none_or(|d| !d.is_float() && !d.is_integer()) {
            return Err(error());
        }
        let shape = Shape::from_slice(value.shape());
        let value = numbers!(value.into_data(), T, items => {
            let mut items: Vec<T> = items.into_owned();
            items.iter_mut().for_each(|x| *x = self.0.at(*x));
            Value::new(shape, items)
        }, Value::default());
        Ok(smallvec![value])
    }

    fn fill(&self, rows: Filling<'_, '_>, _cx: &mut Scratch) -> Option<Result<()>> {
        rows.in_place()?.iter_mut().for_each(|x| *x = self.0.at(*x));
        Some(Ok(()))
    }

    fn mixes_rows(&self, _inputs: &[Flow], _outputs: &[Flow]) -> bool {
        false
    }

    fn row_map(&self) -> Option<RowMap> {
        self.0.row_map()
    }
}
