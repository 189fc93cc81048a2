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
        let m = match *value.shape() {
            [m] | [m, 1] => m,
            _ => {
                return Err(Error::new(ErrorKind::Unsupported, "tokens are counted for one string a row")
                    .expected("(m,) or (m, 1)")
                    .actual(shape_text(value.shape())));
            }
        };
        let texts = value.as_slice::<String>()?;
        let shape = [m, self.counter.width];
        let n = cx.check_shape(&shape)?;
        let mut out = cx.buffer::<f32>(n);
        out.resize(n, 0.0);
        let (mut ids, mut tokens) = (Vec::new(), Vec::new());
        for (text, row) in texts.iter().zip(out.chunks_exact_mut(self.counter.width)) {
            tokens.clear();
            self.cutter.cut(text, &mut tokens);
            self.counter.count_words(&tokens, &mut ids, row);
        }
        Ok(smallvec![Value::new(shape.as_slice(), out)])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.first().is_some_and(|i| !i.only_first())
    }

    fn parameters(&self) -> usize {
        self.counter.parameters()
    }
}
