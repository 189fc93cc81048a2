//! `LabelEncoder` and `CategoryMapper`: one value for another.

use smallvec::smallvec;

use super::lookup::{Keys, Repeated};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::value::{Data, Item, Shape, Value, typed};
use crate::{DType, Result};

pub(super) const GROUP: Group = &[("LabelEncoder", label_encoder), ("CategoryMapper", category_mapper)];

/// A table from keys to values.
#[derive(Debug, Clone)]
struct Encoder {
    keys: Keys,
    /// The keys as text, where they are text.
    names: Option<Vec<String>>,
    /// The values of the keys, and after them what stands for everything else.
    values: Value<'static>,
}

impl Encoder {
    /// The table; `default` holds one element of the values' type.
    fn new(
        node: &Node<'_>,
        keys: &Value<'_>,
        values: Value<'static>,
        default: &Value<'static>,
        repeated: Repeated,
    ) -> Result<Self> {
        if keys.len() != values.len() {
            return Err(node
                .malformed("a table needs as many values as keys")
                .expected(keys.len())
                .actual(values.len()));
        }
        let names = keys.try_slice::<String>().map(<[String]>::to_vec);
        let keys = Keys::new(keys, repeated)?;
        fn extend<T: Item>(values: Value<'static>, default: &Value<'static>) -> Result<Value<'static>> {
            let first = default.as_slice::<T>()?.first().cloned().unwrap_or_default();
            let mut all = values.into_vec::<T>()?;
            all.push(first);
            Ok(Value::new([all.len()].as_slice(), all))
        }
        let values = match values.dtype() {
            Some(DType::String) => extend::<String>(values, default)?,
            Some(DType::I64) => extend::<i64>(values, default)?,
            Some(DType::I32) => extend::<i32>(values, default)?,
            Some(DType::I16) => extend::<i16>(values, default)?,
            Some(DType::F32) => extend::<f32>(values, default)?,
            Some(DType::F64) => extend::<f64>(values, default)?,
            _ => {
                return Err(node
                    .unsupported("the values of a table have a type that is not carried")
                    .actual(values.type_text()));
            }
        };
        Ok(Self { keys, names, values })
    }

    fn apply(&self, value: &Value<'_>, cx: &mut Scratch) -> Result<Value<'static>> {
        typed!(self.values.data(), T, all => self.look_up::<T>(all, value, cx), _seq => {
            Err(self.values.type_error("a tensor"))
        })
    }

    /// The values of the elements; `all` are the table's.
    fn look_up<T: Item>(&self, all: &[T], value: &Value<'_>, cx: &mut Scratch) -> Result<Value<'static>> {
        let mut out = cx.buffer::<T>(value.len());
        let other = all.len().saturating_sub(1);
        // A place is below the number of keys, and the default stands right after their values.
        self.keys.find(value, |place| out.push(all[place.map_or(other, |p| p as usize)].clone()))?;
        Ok(Value::new(Shape::from_slice(value.shape()), out))
    }
}

impl Op for Encoder {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        Ok(smallvec![self.apply(args.get(0)?, cx)?])
    }

    fn mixes_rows(&self, _inputs: &[Flow], _outputs: &[Flow]) -> bool {
        false
    }

    fn parameters(&self) -> usize {
        self.values.len()
    }

    fn categories(&self) -> Option<Vec<String>> {
        self.names.clone()
    }
}

/// Text to integers and integers to text: which one, the input says.
#[derive(Debug, Clone)]
struct BothWays {
    from_text: Encoder,
    from_ints: Encoder,
}

impl Op for BothWays {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let encoder = match value.data() {
            Data::String(_) => &self.from_text,
            Data::I64(_) => &self.from_ints,
            _ => return Err(value.type_error("string or i64")),
        };
        Ok(smallvec![encoder.apply(value, cx)?])
    }

    fn mixes_rows(&self, _inputs: &[Flow], _outputs: &[Flow]) -> bool {
        false
    }

    fn parameters(&self) -> usize {
        self.from_text.values.len()
    }

    fn categories(&self) -> Option<Vec<String>> {
        self.from_text.names.clone()
    }
}

/// The table that maps `texts` to `ints` and back.
fn both_ways(node: &Node<'_>, texts: Vec<String>, ints: Vec<i64>) -> Result<Box<dyn Op>> {
    let n = texts.len();
    let texts = Value::new([n].as_slice(), texts);
    let ints = Value::new([ints.len()].as_slice(), ints);
    let text = Value::scalar(node.string_or("default_string", "_Unused")?.to_owned());
    let int = Value::scalar(node.int_or("default_int64", -1)?);
    let from_text = Encoder::new(node, &texts, ints.clone(), &int, Repeated::Last)?;
    let from_ints = Encoder::new(node, &ints, texts, &text, Repeated::Last)?;
    Ok(Box::new(BothWays { from_text, from_ints }))
}

fn category_mapper(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let texts = node.strings("cats_strings")?.unwrap_or_default();
    let ints = node.ints("cats_int64s")?.unwrap_or_default().to_vec();
    both_ways(node, texts, ints)
}

/// The one attribute of `{which}_strings`, `{which}_int64s`, `{which}_floats` and `{which}_tensor` that is given.
fn one_of(node: &Node<'_>, which: &str) -> Result<Value<'static>> {
    fn list<T: Item>(items: Vec<T>) -> Value<'static> {
        Value::new([items.len()].as_slice(), items)
    }
    let given = [
        node.strings(&format!("{which}_strings"))?.map(list),
        node.ints(&format!("{which}_int64s"))?.map(|v| list(v.to_vec())),
        node.floats(&format!("{which}_floats"))?.map(|v| list(v.to_vec())),
        node.tensor(&format!("{which}_tensor"))?,
    ];
    let mut given: Vec<_> = given.into_iter().flatten().collect();
    // Some exporters write the lists they do not use as empty ones.
    if given.len() > 1 {
        given.retain(|v| !v.shape().contains(&0));
    }
    match given.len() {
        1 => Ok(given.remove(0)),
        0 => Err(node.malformed(format!("none of the attributes `{which}_*` is given"))),
        _ => Err(node.malformed(format!("more than one of the attributes `{which}_*` is given"))),
    }
}

fn label_encoder(node: &Node<'_>) -> Result<Box<dyn Op>> {
    if node.has("classes_strings") && node.opset() < 2 {
        let texts = node.strings("classes_strings")?.unwrap_or_default();
        let ints = (0..texts.len() as i64).collect();
        return both_ways(node, texts, ints);
    }
    let keys = one_of(node, "keys")?;
    let values = one_of(node, "values")?;
    let default = match node.tensor("default_tensor")? {
        Some(tensor) if tensor.dtype() != values.dtype() => {
            return Err(node
                .malformed("the attribute `default_tensor` has another type than the values")
                .expected(values.type_text())
                .actual(tensor.type_text()));
        }
        Some(tensor) if tensor.len() == 1 => tensor,
        Some(tensor) => {
            return Err(node.malformed("the attribute `default_tensor` must hold one element").actual(tensor.len()));
        }
        None => match values.dtype() {
            Some(DType::String) => Value::scalar(node.string_or("default_string", "_Unused")?.to_owned()),
            Some(DType::I64) => Value::scalar(node.int_or("default_int64", -1)?),
            Some(DType::F32) => Value::scalar(node.float_or("default_float", -0.0)?),
            Some(DType::I32) => Value::scalar(-1i32),
            Some(DType::I16) => Value::scalar(-1i16),
            Some(DType::F64) => Value::scalar(-0.0f64),
            _ => {
                return Err(node
                    .unsupported("the values of a table have a type that is not carried")
                    .actual(values.type_text()));
            }
        },
    };
    // The specification says which of two equal keys counts since version 4.
    let repeated = if node.opset() < 4 { Repeated::First } else { Repeated::Last };
    Encoder::new(node, &keys, values, &default, repeated).map(|e| Box::new(e) as _)
}
