//! XGBoost's JSON, which is JSON but for `NaN` and `Infinity`.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::value::{Budget, ListBuilder, Value, is_ignored};
use crate::{Error, ErrorKind, Limits, Result};

/// The value that `bytes` hold.
///
/// # Errors
/// [`ErrorKind::Malformed`] saying where; [`ErrorKind::LimitExceeded`].
pub(super) fn read(bytes: &[u8], limits: &Limits) -> Result<Value> {
    let budget = Budget::new(limits);
    let bytes = quoted(bytes);
    let mut json = serde_json::Deserializer::from_slice(&bytes);
    let seed = Seed { budget: &budget, depth: 0 };
    seed.deserialize(&mut json).and_then(|value| json.end().map(|()| value)).map_err(|e| {
        let text = e.to_string();
        // What a limit said comes back through serde as text.
        let kind = if text.contains("`Limits::") { ErrorKind::LimitExceeded } else { ErrorKind::Malformed };
        Error::new(kind, format!("the file is not whole JSON: {text}"))
    })
}

/// The same with the bare words `NaN` and `Infinity` in quotes, where there are any.
fn quoted(bytes: &[u8]) -> Cow<'_, [u8]> {
    const WORDS: [&[u8]; 3] = [b"NaN", b"-Infinity", b"Infinity"];
    let here = |at: usize| WORDS.iter().find(|word| bytes[at..].starts_with(word));
    let has = |word: &[u8]| bytes.windows(word.len()).any(|w| w == word);
    if !has(b"NaN") && !has(b"Infinity") {
        return Cow::Borrowed(bytes);
    }
    let (mut out, mut at, mut in_text) = (Vec::with_capacity(bytes.len() + 64), 0, false);
    while at < bytes.len() {
        let byte = bytes[at];
        if in_text {
            let step = if byte == b'\\' { 2.min(bytes.len() - at) } else { 1 };
            out.extend_from_slice(&bytes[at..at + step]);
            in_text = byte != b'"';
            at += step;
        } else if let Some(word) = here(at) {
            out.push(b'"');
            out.extend_from_slice(word);
            out.push(b'"');
            at += word.len();
        } else {
            out.push(byte);
            in_text = byte == b'"';
            at += 1;
        }
    }
    Cow::Owned(out)
}

/// Reads one value within a budget.
#[derive(Clone, Copy)]
struct Seed<'b> {
    budget: &'b Budget,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Seed<'_> {
    fn below<E: serde::de::Error>(self) -> Result<Self, E> {
        self.budget.take().map_err(E::custom)?;
        Ok(Self { depth: self.budget.deeper(self.depth).map_err(E::custom)?, ..self })
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, x: bool) -> Result<Value, E> {
        Ok(Value::Bool(x))
    }

    fn visit_i64<E>(self, x: i64) -> Result<Value, E> {
        Ok(Value::Number(x as f64))
    }

    fn visit_u64<E>(self, x: u64) -> Result<Value, E> {
        Ok(Value::Number(x as f64))
    }

    fn visit_f64<E>(self, x: f64) -> Result<Value, E> {
        Ok(Value::Number(x))
    }

    fn visit_str<E>(self, x: &str) -> Result<Value, E> {
        Ok(Value::Text(x.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let seed = self.below()?;
        let mut built = ListBuilder::new();
        while let Some(value) = list.next_element_seed(seed)? {
            if matches!(value, Value::Text(_)) {
                seed.budget.take().map_err(A::Error::custom)?;
            }
            built.push(value);
        }
        Ok(built.finish())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let seed = self.below()?;
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            seed.budget.take().map_err(A::Error::custom)?;
            if is_ignored(&key) {
                map.next_value::<IgnoredAny>()?;
            } else {
                entries.push((key, map.next_value_seed(seed)?));
            }
        }
        Ok(Value::Map(entries))
    }
}
