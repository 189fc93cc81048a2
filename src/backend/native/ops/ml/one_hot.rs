//! `OneHotEncoder`.

use smallvec::smallvec;

use super::lookup::{Keys, Repeated};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::value::{Shape, Value};
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("OneHotEncoder", build)];

/// A further axis on which the place of each element's category holds one, and the others zero.
#[derive(Debug, Clone)]
struct OneHotEncoder {
    keys: Keys,
    names: Vec<String>,
    /// Whether the categories are text.
    text: bool,
    /// Whether an unknown category gives zeros; else it is an error.
    zeros: bool,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let ints = node.ints("cats_int64s")?.filter(|c| !c.is_empty());
    let texts = node.strings("cats_strings")?.filter(|c| !c.is_empty());
    let text = texts.is_some();
    let (categories, names) = match (texts, ints) {
        (Some(t), None) => (Value::new([t.len()].as_slice(), t.clone()), t),
        (None, Some(i)) => (Value::new([i.len()].as_slice(), i.to_vec()), i.iter().map(ToString::to_string).collect()),
        _ => return Err(node.malformed("one of `cats_int64s` and `cats_strings` must hold the categories")),
    };
    let keys = Keys::new(&categories, Repeated::Last)?;
    Ok(Box::new(OneHotEncoder { keys, names, text, zeros: node.flag("zeros", true)? }))
}

impl Op for OneHotEncoder {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let n = self.names.len();
        let mut shape = Shape::from_slice(value.shape());
        shape.push(n);
        let count = cx.check_shape(&shape)?;
        let mut out = cx.buffer::<f32>(count);
        out.resize(count, 0.0);
        let mut rows = out.chunks_exact_mut(n);
        let mut at = 0usize;
        let mut unknown = None;
        self.keys.find_cut(value, |place| {
            // There are as many rows of the output as elements of the input.
            if let Some(row) = rows.next() {
                match place {
                    Some(place) => row[place as usize] = 1.0,
                    None => unknown = unknown.or(Some(at)),
                }
            }
            at += 1;
        })?;
        match unknown {
            Some(at) if !self.zeros && !cx.dry => {
                Err(Error::new(ErrorKind::InvalidValue, "a value is none of the categories that the model knows")
                    .expected(format!("one of {n} categories"))
                    .actual(format!("another value at element {at}")))
            }
            _ => Ok(smallvec![Value::new(shape, out)]),
        }
    }

    fn mixes_rows(&self, _inputs: &[Flow], _outputs: &[Flow]) -> bool {
        false
    }

    fn parameters(&self) -> usize {
        self.names.len()
    }

    fn output_features(&self, _output: usize) -> Option<Vec<String>> {
        Some(self.names.clone())
    }

    fn categories(&self) -> Option<Vec<String>> {
        self.text.then(|| self.names.clone())
    }
}
