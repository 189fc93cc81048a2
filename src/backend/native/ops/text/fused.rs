//! A Tokenizer and the TfIdfVectorizer that reads it: tokens are counted where they stand.

use std::sync::Arc;

use smallvec::smallvec;

use super::counts::Counter;
use super::tokenizer::Cutter;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::value::Value;
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

/// The counts of the tokens of each string.
#[derive(Debug)]
pub(super) struct TextCounts {
    cutter: Arc<Cutter>,
    counter: Arc<Counter>,
}

impl TextCounts {
    pub(super) fn new(cutter: Arc<Cutter>, counter: Arc<Counter>) -> Self {
        Self { cutter, counter }
    }
}

impl Op for TextCounts {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        // Strings per row. Several of a row are read as one, each filled up to the longest of all.
        let (m, strings) = match *value.shape() {
            [m] => (m, 1),
            [m, n] => (m, n),
            _ => {
                return Err(Error::new(ErrorKind::WrongShape, "tokens are counted in strings (m,) or (m, n)")
                    .actual(shape_text(value.shape())));
            }
        };
        let texts = value.as_slice::<String>()?;
        let shape = [m, self.counter.width];
        let n = cx.check_shape(&shape)?;
        let mut out = cx.buffer::<f32>(n);
        out.resize(n, 0.0);
        let (mut ids, mut tokens) = (Vec::new(), Vec::new());
        let rows = out.chunks_exact_mut(self.counter.width.max(1));
        if strings == 1 {
            for (text, row) in texts.iter().zip(rows) {
                tokens.clear();
                self.cutter.cut(text, &mut tokens);
                self.counter.count_words(tokens.iter().map(|&t| Some(t)), &mut ids, row);
            }
            return Ok(smallvec![Value::new(shape.as_slice(), out)]);
        }
        let mut ends = Vec::with_capacity(texts.len() + 1);
        ends.push(0);
        for text in texts {
            self.cutter.cut(text, &mut tokens);
            ends.push(tokens.len());
        }
        let longest = ends.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0);
        cx.check_shape(&[texts.len(), longest])?;
        for (i, row) in rows.enumerate() {
            let words = ends[i * strings..=(i + 1) * strings].windows(2).flat_map(|w| {
                let filling = longest - (w[1] - w[0]);
                tokens[w[0]..w[1]].iter().map(|&t| Some(t)).chain(std::iter::repeat_n(None, filling))
            });
            self.counter.count_words(words, &mut ids, row);
        }
        Ok(smallvec![Value::new(shape.as_slice(), out)])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        let Some(input) = inputs.first() else { return true };
        let several = input.shapes[0].get(1).is_some_and(|&n| n != 1);
        !input.only_first() || (several && self.counter.has_order())
    }

    fn parameters(&self) -> usize {
        self.counter.parameters()
    }
}
