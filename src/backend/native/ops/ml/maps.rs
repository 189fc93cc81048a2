//! `ZipMap`, `DictVectorizer` and `CastMap`. The interface has no maps: a map is a table (m, keys) whose keys stand
//! in the signature, with zero where an observation lacks a key.

use smallvec::smallvec;

use super::labels::Labels;
use super::rows::table;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::value::{Data, Shape, Value};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("ZipMap", zip_map), ("DictVectorizer", dict_vectorizer), ("CastMap", cast_map)];

/// A table whose columns have names; the numbers pass through.
#[derive(Debug, Clone)]
struct Named {
    names: Vec<String>,
    /// Whether the names are those of the input, too.
    input: bool,
}

fn zip_map(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let names = Labels::of(node, "classlabels_int64s", "classlabels_strings")?.names();
    Ok(Box::new(Named { names, input: false }))
}

fn dict_vectorizer(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let names = Labels::of(node, "int64_vocabulary", "string_vocabulary")?.names();
    Ok(Box::new(Named { names, input: true }))
}

impl Op for Named {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, _cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.take(0)?;
        let (m, n) = table(&value)?;
        if n != self.names.len() {
            return Err(Error::new(
                ErrorKind::WrongShape,
                "a table has another number of columns than there are names",
            )
            .expected(self.names.len())
            .actual(shape_text(value.shape())));
        }
        Ok(smallvec![value.with_shape([m, n].as_slice())?])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.first().is_none_or(|x| x.rank() == 1 && x.any())
    }

    fn features(&self) -> Option<usize> {
        Some(self.names.len())
    }

    fn input_features(&self) -> Option<Vec<String>> {
        self.input.then(|| self.names.clone())
    }

    fn output_features(&self, _output: usize) -> Option<Vec<String>> {
        Some(self.names.clone())
    }
}

/// What the values of a map become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CastTo {
    Float,
    Int64,
    String,
}

/// The values of a map from integers, cast. A sparse map has the keys 0 to `columns`.
#[derive(Debug, Clone)]
struct CastMap {
    to: CastTo,
    columns: Option<usize>,
}

fn cast_map(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let to = match node.string_or("cast_to", "TO_FLOAT")? {
        "TO_FLOAT" => CastTo::Float,
        "TO_INT64" => CastTo::Int64,
        "TO_STRING" => CastTo::String,
        other => {
            return Err(node
                .malformed("the attribute `cast_to` names no type")
                .expected("TO_FLOAT, TO_INT64 or TO_STRING")
                .actual(other));
        }
    };
    let columns = match node.string_or("map_form", "DENSE")? {
        "DENSE" => None,
        "SPARSE" => {
            let max = node.int_or("max_map", 1)?;
            Some(
                usize::try_from(max)
                    .ok()
                    .filter(|&n| n > 0)
                    .ok_or_else(|| node.malformed("the attribute `max_map` must be positive").actual(max))?,
            )
        }
        other => {
            return Err(node
                .malformed("the attribute `map_form` names no form")
                .expected("DENSE or SPARSE")
                .actual(other));
        }
    };
    Ok(Box::new(CastMap { to, columns }))
}

/// The number in `text`.
fn parsed<T: std::str::FromStr>(text: &str) -> Result<T> {
    text.trim()
        .parse()
        .map_err(|_| Error::new(ErrorKind::InvalidValue, "CastMap was given text that is no number").actual(text))
}

impl Op for CastMap {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.take(0)?;
        let (m, n) = table(&value)?;
        if let Some(columns) = self.columns.filter(|&c| c != n) {
            return Err(Error::new(ErrorKind::WrongShape, "CastMap was given rows of another length than `max_map`")
                .expected(columns)
                .actual(n));
        }
        let shape = Shape::from_slice(&[m, n]);
        // An empty text is what an observation without the key has.
        let number = |t: &String| if t.is_empty() { Ok(0.0f32) } else { parsed(t) };
        let whole = |t: &String| if t.is_empty() { Ok(0i64) } else { parsed(t) };
        Ok(smallvec![match (self.to, value.data()) {
            (CastTo::Float, Data::F32(_)) | (CastTo::String, Data::String(_)) => value.with_shape(shape)?,
            (CastTo::Float, Data::String(x)) => Value::new(shape, x.iter().map(number).collect::<Result<Vec<_>>>()?),
            (CastTo::Int64, Data::F32(x)) => {
                let mut out = cx.buffer::<i64>(x.len());
                out.extend(x.iter().map(|&x| x as i64));
                Value::new(shape, out)
            }
            (CastTo::Int64, Data::String(x)) => Value::new(shape, x.iter().map(whole).collect::<Result<Vec<_>>>()?),
            (CastTo::String, Data::F32(x)) =>
                Value::new(shape, x.iter().map(|x| format!("{x:.6}")).collect::<Vec<_>>()),
            _ => return Err(value.type_error("f32 or string")),
        }])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.first().is_none_or(|x| x.rank() == 1 && x.any())
    }

    fn features(&self) -> Option<usize> {
        self.columns
    }

    fn input_features(&self) -> Option<Vec<String>> {
        self.columns.map(|n| (0..n).map(|i| i.to_string()).collect())
    }

    fn output_features(&self, _output: usize) -> Option<Vec<String>> {
        self.input_features()
    }
}
