//! The writer of the packed format.

use crate::edge::{Aggregate, Binary, CHECKSUM, Code, HEADER, Kind, MAGIC, Reduction, Unary, VERSION, checksum};
use crate::{Error, ErrorKind, Result};

/// Floats of the scratch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) at: usize,
    pub(super) len: usize,
}

/// An input or an output.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) dims: Vec<usize>,
    pub(super) at: usize,
}

/// The trees of an ensemble as the format has them.
#[derive(Debug, Default)]
pub(super) struct Trees {
    pub(super) roots: Vec<u32>,
    /// Feature, test, where NaN goes, the bits of the threshold (or the number of votes), the other child (or the first vote).
    pub(super) nodes: Vec<(u16, u8, u8, u32, u32)>,
    pub(super) votes: Vec<(u32, f32)>,
}

/// A program that grows step by step.
#[derive(Debug, Default)]
pub(super) struct Program {
    scratch: usize,
    count: u32,
    steps: Vec<u8>,
    texts: Vec<String>,
}

impl Program {
    /// Room for `len` floats, behind all that were claimed before.
    pub(super) fn claim(&mut self, len: usize) -> Span {
        let at = self.scratch;
        self.scratch += len;
        Span { at, len }
    }

    /// The float that stands for a text.
    pub(super) fn code(&mut self, text: &str) -> f32 {
        let at = self.texts.iter().position(|known| known == text).unwrap_or_else(|| {
            self.texts.push(text.to_owned());
            self.texts.len() - 1
        });
        at as f32
    }

    fn step(&mut self, code: Code) {
        self.count += 1;
        self.steps.push(code as u8);
    }

    fn size(&mut self, n: usize) {
        // What is too large for the format is found when all of it is written.
        self.steps.extend((n as u32).to_le_bytes());
    }

    fn spans(&mut self, spans: &[Span]) {
        for span in spans {
            self.size(span.at);
            self.size(span.len);
        }
    }

    fn floats(&mut self, values: &[f32]) {
        self.steps.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    }

    pub(super) fn constant(&mut self, values: &[f32]) -> Span {
        let to = self.claim(values.len());
        self.step(Code::Constant);
        self.spans(&[to]);
        self.floats(values);
        to
    }

    /// The floats at `places` of `from`.
    pub(super) fn gather(&mut self, from: Span, places: &[usize]) -> Span {
        let to = self.claim(places.len());
        self.step(Code::Gather);
        self.spans(&[from, to]);
        places.iter().for_each(|place| self.size(*place));
        to
    }

    pub(super) fn map(&mut self, f: Unary, from: Span) -> Span {
        let to = self.claim(from.len);
        self.step(Code::Map);
        self.steps.push(f as u8);
        self.spans(&[from, to]);
        to
    }

    /// Of two spans of one length.
    pub(super) fn zip(&mut self, f: Binary, a: Span, b: Span) -> Span {
        let to = self.claim(a.len);
        self.step(Code::Zip);
        self.steps.push(f as u8);
        self.spans(&[a, b, to]);
        to
    }

    /// `f` with a number on the right.
    pub(super) fn zip_with(&mut self, f: Binary, a: Span, b: f32) -> Span {
        let b = self.constant(&vec![b; a.len]);
        self.zip(f, a, b)
    }

    pub(super) fn select(&mut self, condition: Span, a: Span, b: Span) -> Span {
        let to = self.claim(a.len);
        self.step(Code::Select);
        self.spans(&[condition, a, b, to]);
        to
    }

    /// Rows of `k` floats times weights (n, k), plus a bias of n.
    pub(super) fn dense(&mut self, from: Span, k: usize, weights: &[f32], bias: &[f32]) -> Span {
        let n = bias.len();
        let to = self.claim(from.len / k.max(1) * n);
        self.step(Code::Dense);
        self.spans(&[from, to]);
        self.size(k);
        self.size(n);
        self.floats(weights);
        self.floats(bias);
        to
    }

    /// Along the middle axis of (outer, len, inner).
    pub(super) fn reduce(&mut self, f: Reduction, from: Span, len: usize, inner: usize) -> Span {
        let to = self.claim(from.len / len.max(1));
        self.step(Code::Reduce);
        self.steps.push(f as u8);
        self.spans(&[from, to]);
        self.size(len);
        self.size(inner);
        to
    }

    pub(super) fn softmax(&mut self, from: Span, len: usize) -> Span {
        let to = self.claim(from.len);
        self.step(Code::Softmax);
        self.spans(&[from, to]);
        self.size(len);
        to
    }

    pub(super) fn lookup(&mut self, from: Span, keys: &[f32], values: &[f32], other: f32) -> Span {
        let to = self.claim(from.len);
        self.step(Code::Lookup);
        self.spans(&[from, to]);
        self.size(keys.len());
        self.floats(&[other]);
        self.floats(keys);
        self.floats(values);
        to
    }

    pub(super) fn one_hot(&mut self, from: Span, keys: &[f32]) -> Span {
        let to = self.claim(from.len * keys.len());
        self.step(Code::OneHot);
        self.spans(&[from, to]);
        self.size(keys.len());
        self.floats(keys);
        to
    }

    /// The squared distance of `from` to each of the points (n, k).
    pub(super) fn distances(&mut self, from: Span, n: usize, points: &[f32]) -> Span {
        let to = self.claim(n);
        self.step(Code::Distances);
        self.spans(&[from, to]);
        self.floats(points);
        to
    }

    /// One number for each of the `base` values.
    pub(super) fn trees(&mut self, from: Span, aggregate: Aggregate, base: &[f32], trees: &Trees) -> Span {
        let to = self.claim(base.len());
        self.step(Code::Trees);
        self.steps.push(aggregate as u8);
        self.spans(&[from, to]);
        self.size(trees.roots.len());
        self.size(trees.nodes.len());
        self.size(trees.votes.len());
        self.floats(base);
        trees.roots.iter().for_each(|root| self.size(*root as usize));
        for (feature, test, nan, middle, other) in &trees.nodes {
            self.steps.extend(feature.to_le_bytes());
            self.steps.extend([*test, *nan]);
            self.steps.extend(middle.to_le_bytes());
            self.steps.extend(other.to_le_bytes());
        }
        for (target, value) in &trees.votes {
            self.steps.extend(target.to_le_bytes());
            self.steps.extend(value.to_le_bytes());
        }
        to
    }

    /// The packed model.
    ///
    /// # Errors
    /// [`ErrorKind::LimitExceeded`] when it has more than 2^32 bytes, or as many floats.
    pub(super) fn finish(self, inputs: &[Port], outputs: &[Port]) -> Result<Vec<u8>> {
        let mut body = Vec::with_capacity(self.steps.len() + 256);
        let text = |text: &str, body: &mut Vec<u8>| {
            body.extend((text.len() as u32).to_le_bytes());
            body.extend(text.as_bytes());
        };
        self.texts.iter().for_each(|t| text(t, &mut body));
        for port in inputs.iter().chain(outputs) {
            text(&port.name, &mut body);
            body.extend([port.kind as u8, port.dims.len() as u8]);
            port.dims.iter().chain([&port.at]).for_each(|n| body.extend((*n as u32).to_le_bytes()));
        }
        body.extend(&self.steps);
        let numbers = [self.scratch, self.texts.len(), inputs.len(), outputs.len(), self.count as usize];
        if u32::try_from(HEADER + body.len()).is_err() || u32::try_from(self.scratch).is_err() {
            return Err(Error::new(ErrorKind::LimitExceeded, "a packed model has no more than 2^32 bytes and floats"));
        }
        let mut out = Vec::with_capacity(HEADER + body.len());
        out.extend(MAGIC);
        out.extend(VERSION.to_le_bytes());
        out.extend([0; 2]);
        out.extend(((HEADER + body.len()) as u32).to_le_bytes());
        out.extend([0; 4]);
        numbers.iter().for_each(|n| out.extend((*n as u32).to_le_bytes()));
        out.extend(body);
        let sum = checksum(&out[CHECKSUM + 4..]);
        out[CHECKSUM..CHECKSUM + 4].copy_from_slice(&sum.to_le_bytes());
        Ok(out)
    }
}
