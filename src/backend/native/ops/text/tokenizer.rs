//! Tokenizer of `com.microsoft`.

use std::any::Any;

use smallvec::smallvec;

use super::counts::TfIdfVectorizer;
use super::fused::TextCounts;
use super::pattern::Pattern;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::ops::layout::Reshaped;
use crate::backend::native::value::{Shape, Value};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("Tokenizer", build)];

/// What stands before the tokens of a string, where they are marked.
const START: &str = "\u{2}";
/// What stands after them.
const END: &str = "\u{3}";

/// How a string is cut.
#[derive(Debug)]
enum Cut {
    /// Into characters.
    Characters,
    /// At every match of each expression in turn.
    Separators(Vec<Pattern>),
    /// Into the matches of an expression.
    Tokens(Pattern),
}

/// The tokens of each string along a new last axis, filled up to the length of the longest.
#[derive(Debug)]
pub(super) struct Tokenizer {
    /// Shared with the operator that takes this one in.
    pub(super) cutter: std::sync::Arc<Cutter>,
    mark: bool,
    pad: String,
    /// Whether all axes but the first are joined after.
    flat: bool,
}

/// Cuts strings into tokens.
#[derive(Debug)]
pub(super) struct Cutter {
    cut: Cut,
    /// The fewest characters of a token.
    min_characters: usize,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let min_characters = node
        .int("mincharnum")?
        .and_then(|n| usize::try_from(n).ok())
        .filter(|&n| n > 0)
        .ok_or_else(|| node.malformed("`mincharnum` of Tokenizer must be given and positive"))?;
    let (separators, expression) = (node.strings("separators")?, node.string("tokenexp")?);
    let cut = match (separators, expression) {
        (Some(separators), _) => match separators.as_slice() {
            [] => return Err(node.malformed("Tokenizer has an empty list of separators")),
            [one] if one.is_empty() => Cut::Characters,
            several => Cut::Separators(several.iter().map(|s| Pattern::new(s, true)).collect::<Result<Vec<_>>>()?),
        },
        (None, Some(".")) => Cut::Characters,
        (None, Some(expression)) if !expression.is_empty() => Cut::Tokens(Pattern::new(expression, true)?),
        (None, _) => return Err(node.malformed("Tokenizer has neither `separators` nor `tokenexp`")),
    };
    if matches!(cut, Cut::Characters) && min_characters > 1 {
        return Err(node.malformed("`mincharnum` of Tokenizer is too large for tokens of one character"));
    }
    let cutter = std::sync::Arc::new(Cutter { cut, min_characters });
    let pad = node.string_or("pad_value", "")?.to_owned();
    Ok(Box::new(Tokenizer { cutter, mark: node.flag("mark", false)?, pad, flat: false }))
}

/// The place after the character at `at`.
fn after(text: &str, at: usize) -> usize {
    at + text[at..].chars().next().map_or(1, char::len_utf8)
}

impl Cutter {
    fn is_long_enough(&self, token: &str) -> bool {
        token.len() >= self.min_characters && (self.min_characters == 1 || token.chars().count() >= self.min_characters)
    }

    /// Adds the tokens of `text` to `tokens`.
    pub(super) fn cut<'t>(&self, text: &'t str, tokens: &mut Vec<&'t str>) {
        match &self.cut {
            Cut::Characters => {
                tokens.extend(text.char_indices().map(|(at, c)| &text[at..at + c.len_utf8()]));
            }
            Cut::Tokens(pattern) => {
                if !self.is_long_enough(text) {
                    return;
                }
                let mut from = 0;
                while from <= text.len() {
                    let Some((start, end)) = pattern.find(text, from) else { break };
                    let token = &text[start..end];
                    from = if self.is_long_enough(token) {
                        tokens.push(token);
                        end
                    } else {
                        after(text, start)
                    };
                }
            }
            Cut::Separators(patterns) => {
                let (mut pieces, mut next) = (vec![text], Vec::new());
                for pattern in patterns {
                    pieces.iter().for_each(|piece| self.split(piece, pattern, &mut next));
                    pieces.clear();
                    std::mem::swap(&mut pieces, &mut next);
                }
                tokens.append(&mut pieces);
            }
        }
    }

    /// Adds what stands between the matches of `pattern`.
    fn split<'t>(&self, text: &'t str, pattern: &Pattern, pieces: &mut Vec<&'t str>) {
        let mut add = |piece: &'t str| {
            if self.is_long_enough(piece) {
                pieces.push(piece);
            }
        };
        let mut from = 0;
        while from <= text.len() {
            let Some((start, end)) = pattern.find(text, from) else {
                add(&text[from..]);
                return;
            };
            add(&text[from..start]);
            from = if end > start { end } else { after(text, start) };
        }
    }
}

impl Tokenizer {
    /// Whether `next` joins all axes but the first.
    fn is_flatten(next: &dyn Op) -> bool {
        (next as &dyn Any).downcast_ref::<Reshaped>().is_some_and(Reshaped::is_flatten)
    }
}

impl Op for Tokenizer {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let texts = value.as_slice::<String>()?;
        let mut shape = Shape::from_slice(value.shape());
        if !matches!(shape.len(), 1 | 2) {
            return Err(
                Error::new(ErrorKind::WrongShape, "Tokenizer takes strings (n,) or (m, n)").actual(shape_text(&shape))
            );
        }
        // Without strings, the axis of strings becomes the one of tokens.
        if texts.is_empty() {
            shape.pop();
        }
        let (mut tokens, mut ends) = (Vec::new(), Vec::with_capacity(texts.len()));
        for text in texts {
            self.cutter.cut(text, &mut tokens);
            ends.push(tokens.len());
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let longest = starts.clone().zip(&ends).map(|(start, end)| end - start).max().unwrap_or(0);
        let marks = 2 * usize::from(self.mark && longest > 0);
        let width = longest + marks;
        shape.push(width);
        let n = cx.check_shape(&shape)?;
        let mut out = cx.buffer::<String>(n);
        if width > 0 {
            for (start, &end) in starts.zip(&ends) {
                let from = out.len();
                if marks > 0 {
                    out.push(START.to_owned());
                }
                out.extend(tokens[start..end].iter().map(|&t| t.to_owned()));
                if marks > 0 {
                    out.push(END.to_owned());
                }
                out.resize(from + width, self.pad.clone());
            }
        }
        if self.flat && !texts.is_empty() {
            shape = smallvec![shape[0], shape[1..].iter().product()];
        }
        Ok(smallvec![Value::new(shape, out)])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        // How far a row is filled up depends on the longest.
        inputs.iter().any(Flow::any)
    }

    fn absorb_next(&self, _output: usize, next: &dyn Op) -> Option<Box<dyn Op>> {
        let cutter = std::sync::Arc::clone(&self.cutter);
        if !self.flat && Self::is_flatten(next) {
            return Some(Box::new(Self { cutter, mark: self.mark, pad: self.pad.clone(), flat: true }));
        }
        let counts = (next as &dyn Any).downcast_ref::<TfIdfVectorizer>()?;
        // The filling must not be counted, nor the marks, which stand only where a string of the batch has tokens.
        let plain = !self.mark && !counts.counts_word(&self.pad);
        plain.then(|| Box::new(TextCounts::new(cutter, counts.shared())) as Box<dyn Op>)
    }
}
