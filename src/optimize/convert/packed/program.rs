//! The writer of the packed format.

use crate::edge::{
    Aggregate, Binary, CHECKSUM, Cell, Code, HEADER, Kind, MAGIC, Reduction, Unary, VERSION, WHOLE, checksum,
};
use crate::{Error, ErrorKind, Result};

/// Floats of the scratch, before it is known which of them may share their places.
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
    /// Whether it has no batch axis.
    pub(super) whole: bool,
    pub(super) dims: Vec<usize>,
    pub(super) span: Span,
}

/// How a convolution walks along an axis: the input's length, the kernel's, stride, dilation, what is padded in front, and
/// the output's length.
pub(super) type Axis = [usize; 6];

/// The trees of an ensemble as the format has them.
#[derive(Debug, Default)]
pub(super) struct Trees {
    pub(super) roots: Vec<u32>,
    /// Feature, test, where NaN goes, the bits of the threshold (or the number of votes), the other child (or the first vote).
    pub(super) nodes: Vec<(u16, u8, u8, u32, u32)>,
    pub(super) votes: Vec<(u32, f32)>,
}

/// Floats that were claimed together: where they begin, how many they are, and the steps from which and to which they are
/// needed.
#[derive(Debug, Clone, Copy)]
struct Claim {
    span: Span,
    first: usize,
    last: usize,
}

/// A program that grows step by step.
#[derive(Debug, Default)]
pub(super) struct Program {
    claims: Vec<Claim>,
    count: usize,
    steps: Vec<u8>,
    /// Where in `steps` spans begin that have to be placed.
    named: Vec<(usize, Span)>,
    texts: Vec<String>,
}

impl Program {
    /// Room for `len` floats.
    pub(super) fn claim(&mut self, len: usize) -> Span {
        let at = self.claims.last().map_or(0, |claim| claim.span.at + claim.span.len);
        let span = Span { at, len };
        // The step that writes it comes next.
        let first = self.count + 1;
        self.claims.push(Claim { span, first, last: first });
        span
    }

    /// The claim of which `span` is a part.
    fn claim_of(&self, span: Span) -> usize {
        self.claims.partition_point(|claim| claim.span.at + claim.span.len <= span.at)
    }

    /// Keeps `span` until the end.
    fn keep(&mut self, span: Span) {
        let claim = self.claim_of(span);
        if let Some(claim) = self.claims.get_mut(claim) {
            claim.last = usize::MAX;
        }
    }

    /// The float that stands for a text.
    pub(super) fn code(&mut self, text: &str) -> f32 {
        let at = self.texts.iter().position(|known| known == text).unwrap_or_else(|| {
            self.texts.push(text.to_owned());
            self.texts.len() - 1
        });
        at as f32
    }

    /// The text for which a float stands.
    pub(super) fn text(&self, code: f32) -> &str {
        self.texts.get(code as usize).map_or("", String::as_str)
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
            self.named.push((self.steps.len(), *span));
            let claim = self.claim_of(*span);
            if let Some(claim) = self.claims.get_mut(claim) {
                claim.last = claim.last.max(self.count);
            }
            self.size(span.at);
            self.size(span.len);
        }
    }

    /// Where each claim begins when those that are never needed at once share their places, and the floats of scratch.
    fn places(&self) -> (Vec<usize>, usize) {
        let mut places = vec![0; self.claims.len()];
        // Those still needed: begin, end, and the last step.
        let mut needed: Vec<(usize, usize, usize)> = Vec::new();
        let mut scratch = 0;
        for (claim, place) in self.claims.iter().zip(&mut places) {
            needed.retain(|(_, _, last)| *last >= claim.first);
            let mut at = 0;
            for (begin, end, _) in &needed {
                if at + claim.span.len <= *begin {
                    break;
                }
                at = at.max(*end);
            }
            *place = at;
            let end = at + claim.span.len;
            let index = needed.partition_point(|(begin, _, _)| *begin < at);
            needed.insert(index, (at, end, claim.last));
            scratch = scratch.max(end);
        }
        (places, scratch)
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

    /// Several spans, one behind the other.
    pub(super) fn join(&mut self, parts: &[Span]) -> Span {
        if let [part] = parts {
            return *part;
        }
        let whole = self.claim(parts.iter().map(|part| part.len).sum());
        let mut at = whole.at;
        for part in parts.iter().filter(|part| part.len > 0) {
            self.step(Code::Copy);
            self.spans(&[*part, Span { at, len: part.len }]);
            at += part.len;
        }
        whole
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

    /// Of two spans, of which the shorter is repeated.
    pub(super) fn zip(&mut self, f: Binary, a: Span, b: Span) -> Span {
        let to = self.claim(a.len.max(b.len));
        self.step(Code::Zip);
        self.steps.push(f as u8);
        self.spans(&[a, b, to]);
        to
    }

    /// `f` with a number on the right.
    pub(super) fn zip_with(&mut self, f: Binary, a: Span, b: f32) -> Span {
        let b = self.constant(&[b]);
        self.zip(f, a, b)
    }

    /// Of three spans, of which the shorter are repeated.
    pub(super) fn select(&mut self, condition: Span, a: Span, b: Span) -> Span {
        let to = self.claim(condition.len.max(a.len).max(b.len));
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

    /// Each `len` numbers less their mean, over the root of their variance plus `epsilon`.
    pub(super) fn normalise(&mut self, from: Span, len: usize, epsilon: f32) -> Span {
        let to = self.claim(from.len);
        self.step(Code::Normalise);
        self.spans(&[from, to]);
        self.size(len);
        self.floats(&[epsilon]);
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

    /// Matrices (batch, m, k) times matrices (batch, k, n).
    pub(super) fn product(&mut self, a: Span, b: Span, k: usize, n: usize) -> Span {
        let to = self.claim(a.len / k.max(1) * n);
        self.step(Code::Product);
        self.spans(&[a, b, to]);
        self.size(k);
        self.size(n);
        to
    }

    /// Of (channels of all groups, axes...), with weights (filters, channels, axes...) for the filters of all groups.
    pub(super) fn convolve(
        &mut self,
        from: Span,
        groups: usize,
        axes: &[Axis; 3],
        weights: &[f32],
        bias: &[f32],
    ) -> Span {
        let of = |i: usize| axes.iter().map(|axis| axis[i]).product::<usize>();
        let channels = from.len / of(0).max(1) / groups.max(1);
        let to = self.claim(bias.len() * of(5));
        self.step(Code::Convolve);
        self.spans(&[from, to]);
        [channels, bias.len() / groups.max(1), groups].into_iter().for_each(|n| self.size(n));
        axes.iter().flatten().for_each(|n| self.size(*n));
        self.floats(weights);
        self.floats(bias);
        to
    }

    /// The hidden states (steps, hidden) of a recurrence over `from` (steps, gates x hidden), and the last cell state.
    pub(super) fn recurrent(
        &mut self,
        cell: Cell,
        from: Span,
        [state, cell_state]: [Span; 2],
        weights: &[f32],
        bias: &[f32],
    ) -> (Span, Span) {
        let hidden = state.len;
        let steps = from.len / (cell.gates() * hidden).max(1);
        let to = self.claim((steps + cell.work()) * hidden);
        self.step(Code::Recurrent);
        self.steps.push(cell as u8);
        self.spans(&[from, state, cell_state, to]);
        self.size(hidden);
        self.floats(weights);
        self.floats(bias);
        let part = |at: usize, rows: usize| Span { at: to.at + at * hidden, len: rows * hidden };
        (part(0, steps), part(steps, usize::from(cell == Cell::Lstm)))
    }

    /// The places of the first `k` of each `len` numbers in order.
    pub(super) fn order(&mut self, from: Span, len: usize, k: usize, descending: bool) -> Span {
        let to = self.claim(from.len / len.max(1) * k);
        self.step(Code::Order);
        self.steps.push(u8::from(descending));
        self.spans(&[from, to]);
        self.size(len);
        self.size(k);
        to
    }

    /// `inner` numbers at each of the places (outer, m) along the middle axis of (outer, len, inner).
    pub(super) fn pick(&mut self, from: Span, places: Span, len: usize, inner: usize) -> Span {
        let to = self.claim(places.len * inner);
        self.step(Code::Pick);
        self.spans(&[from, places, to]);
        self.size(len);
        self.size(inner);
        to
    }

    /// Rows of a table at places.
    pub(super) fn rows(&mut self, places: Span, width: usize, table: &[f32]) -> Span {
        let to = self.claim(places.len * width);
        self.step(Code::Rows);
        self.spans(&[places, to]);
        self.size(table.len() / width.max(1));
        self.size(width);
        self.floats(table);
        to
    }

    /// Probabilities of `n` classes from those of their pairs.
    pub(super) fn couple(&mut self, pairs: Span, n: usize) -> Span {
        let to = self.claim(n * (n + 2));
        self.step(Code::Couple);
        self.spans(&[pairs, to]);
        self.size(n);
        Span { at: to.at, len: n }
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
    pub(super) fn finish(mut self, inputs: &[Port], outputs: &[Port]) -> Result<Vec<u8>> {
        outputs.iter().for_each(|port| self.keep(port.span));
        let (places, scratch) = self.places();
        let placed = |program: &Self, span: Span| {
            let claim = program.claim_of(span);
            let known = program.claims.get(claim).zip(places.get(claim));
            known.filter(|_| span.len > 0).map_or(0, |(claim, place)| place + (span.at - claim.span.at))
        };
        let mut steps = std::mem::take(&mut self.steps);
        for (at, span) in &self.named {
            steps[*at..*at + 4].copy_from_slice(&(placed(&self, *span) as u32).to_le_bytes());
        }
        let mut body = Vec::with_capacity(steps.len() + 256);
        let text = |text: &str, body: &mut Vec<u8>| {
            body.extend((text.len() as u32).to_le_bytes());
            body.extend(text.as_bytes());
        };
        self.texts.iter().for_each(|t| text(t, &mut body));
        for port in inputs.iter().chain(outputs) {
            text(&port.name, &mut body);
            body.extend([port.kind as u8 | if port.whole { WHOLE } else { 0 }, port.dims.len() as u8]);
            let at = placed(&self, port.span);
            port.dims.iter().chain([&at]).for_each(|n| body.extend((*n as u32).to_le_bytes()));
        }
        body.extend(&steps);
        let numbers = [scratch, self.texts.len(), inputs.len(), outputs.len(), self.count];
        let largest = self.claims.iter().map(|claim| claim.span.len).chain(numbers).max().unwrap_or(0);
        if u32::try_from(HEADER + body.len()).is_err() || u32::try_from(largest).is_err() {
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
