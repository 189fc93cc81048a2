//! Det.

use smallvec::smallvec;

use super::Group;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::value::{Data, Item, Shape, Value};
use crate::kernel::Real;
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("Det", build)];

/// The determinant of each square matrix along the last two axes.
#[derive(Debug)]
struct Det;

fn build(_node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Det))
}

/// The determinant of a matrix of `n` rows, by elimination with the largest pivot; `a` is used up.
fn determinant(a: &mut [f64], n: usize) -> f64 {
    let mut det = 1.0;
    for column in 0..n {
        let pivot = (column..n)
            .fold(column, |best, row| if a[row * n + column].abs() > a[best * n + column].abs() { row } else { best });
        let value = a[pivot * n + column];
        if pivot != column {
            (0..n).for_each(|j| a.swap(pivot * n + j, column * n + j));
            det = -det;
        }
        det *= value;
        if value == 0.0 {
            return det;
        }
        for row in column + 1..n {
            let factor = a[row * n + column] / value;
            for j in column..n {
                a[row * n + j] -= factor * a[column * n + j];
            }
        }
    }
    det
}

fn determinants<T: Real + Item>(value: &Value<'_>, items: &[T], cx: &mut Scratch) -> Result<Value<'static>> {
    let (lead, n) = match value.shape() {
        [lead @ .., rows, columns] if rows == columns => (lead, *rows),
        _ => {
            return Err(
                Error::new(ErrorKind::WrongShape, "Det takes square matrices").actual(shape_text(value.shape()))
            );
        }
    };
    let count = cx.check_shape(lead)?;
    let mut out = cx.buffer::<T>(count);
    for i in 0..count {
        let mut matrix: Vec<f64> = items[i * n * n..(i + 1) * n * n].iter().map(|v| v.to_f64()).collect();
        out.push(T::from_f64(determinant(&mut matrix, n)));
    }
    Ok(Value::new(Shape::from_slice(lead), out))
}

impl Op for Det {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        Ok(smallvec![match value.data() {
            Data::F32(items) => determinants::<f32>(value, items, cx)?,
            Data::F64(items) => determinants::<f64>(value, items, cx)?,
            _ => return Err(value.type_error("f32 or f64")),
        }])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.first().is_some_and(|i| i.varies_signed(-1) || i.varies_signed(-2))
    }
}
