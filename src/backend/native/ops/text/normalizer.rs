//! StringNormalizer.

use std::collections::HashSet;

use smallvec::smallvec;

use super::case;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::value::{Shape, Value};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("StringNormalizer", build)];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Keep,
    Lower,
    Upper,
}

impl Case {
    fn apply(self, text: &str, ascii: bool) -> String {
        match self {
            Self::Keep => text.to_owned(),
            Self::Lower => case::lower(text, ascii),
            Self::Upper => case::upper(text, ascii),
        }
    }
}

/// The strings without stop words, in another case.
#[derive(Debug)]
struct StringNormalizer {
    case: Case,
    /// The case in which strings are compared with stop words.
    compared: Case,
    /// Whether the locale knows ASCII letters alone.
    ascii: bool,
    stop_words: HashSet<String>,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let case = match node.string_or("case_change_action", "NONE")? {
        "NONE" => Case::Keep,
        "LOWER" => Case::Lower,
        "UPPER" => Case::Upper,
        other => return Err(node.malformed(format!("StringNormalizer has no case change `{other}`"))),
    };
    let compared = match (node.flag("is_case_sensitive", false)?, case) {
        (true, _) => Case::Keep,
        (false, Case::Upper) => Case::Upper,
        (false, _) => Case::Lower,
    };
    // All other locales are taken to change case alike; Turkish and its kin, which do not, are not carried.
    let ascii = matches!(node.string_or("locale", "en_US")?, "C" | "POSIX");
    let stop_words = node.strings("stopwords")?.unwrap_or_default();
    let stop_words = stop_words.iter().map(|word| compared.apply(word, ascii)).collect();
    Ok(Box::new(StringNormalizer { case, compared, ascii, stop_words }))
}

impl StringNormalizer {
    fn is_stop_word(&self, text: &str) -> bool {
        match self.compared {
            Case::Keep => self.stop_words.contains(text),
            case => self.stop_words.contains(&case.apply(text, self.ascii)),
        }
    }
}

impl Op for StringNormalizer {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let mut shape = Shape::from_slice(value.shape());
        if !matches!(*shape, [_] | [1, _]) {
            return Err(Error::new(ErrorKind::WrongShape, "StringNormalizer takes one row of strings")
                .expected("(n,) or (1, n)")
                .actual(shape_text(&shape)));
        }
        let items = value.as_slice::<String>()?;
        if self.stop_words.is_empty() && self.case == Case::Keep {
            return Ok(smallvec![args.take(0)?]);
        }
        let mut out = cx.buffer::<String>(items.len());
        let kept = items.iter().filter(|text| self.stop_words.is_empty() || !self.is_stop_word(text));
        out.extend(kept.map(|text| self.case.apply(text, self.ascii)));
        if out.is_empty() && !items.is_empty() {
            // A row of nothing but stop words becomes one empty string.
            out.push(String::new());
        }
        if let Some(n) = shape.last_mut() {
            *n = out.len();
        }
        Ok(smallvec![Value::new(shape, out)])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        !self.stop_words.is_empty() && inputs.iter().any(Flow::any)
    }
}
