//! StringConcat, StringSplit and RegexFullMatch.

use smallvec::smallvec;

use super::pattern::Pattern;
use crate::Result;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::ops::layout::{broadcast, spreads, stretched};
use crate::backend::native::value::{Shape, Value};

pub(super) const GROUP: Group =
    &[("StringConcat", string_concat), ("StringSplit", string_split), ("RegexFullMatch", full_match)];

/// Input 0 followed by input 1, string by string.
#[derive(Debug)]
struct StringConcat;

fn string_concat(_node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(StringConcat))
}

impl Op for StringConcat {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (a, b) = (args.get(0)?, args.get(1)?);
        let (x, y) = (a.as_slice::<String>()?, b.as_slice::<String>()?);
        let join = |x: &str, y: &str| [x, y].concat();
        if a.shape() == b.shape() {
            let mut out = cx.buffer::<String>(x.len());
            out.extend(x.iter().zip(y).map(|(x, y)| join(x, y)));
            return Ok(smallvec![Value::new(a.shape(), out)]);
        }
        let shape: Shape = broadcast(a.shape(), b.shape())?;
        let (left, right) = (stretched(a, &shape, cx)?, stretched(b, &shape, cx)?);
        let (x, y) = (left.as_slice::<String>()?, right.as_slice::<String>()?);
        let mut out = cx.buffer::<String>(x.len());
        out.extend(x.iter().zip(y).map(|(x, y)| join(x, y)));
        Ok(smallvec![Value::new(shape, out)])
    }

    fn mixes_rows(&self, _inputs: &[Flow], outputs: &[Flow]) -> bool {
        spreads(outputs)
    }
}

/// The parts of each string between delimiters along a new last axis, filled up with empty strings, and their number.
#[derive(Debug)]
struct StringSplit {
    /// `None` for runs of spaces.
    delimiter: Option<String>,
    max_splits: usize,
}

fn string_split(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let delimiter = node.string("delimiter")?.filter(|d| !d.is_empty()).map(str::to_owned);
    let max_splits = match node.int("maxsplit")? {
        None => usize::MAX,
        Some(n) => usize::try_from(n).map_err(|_| node.malformed("`maxsplit` of StringSplit is negative"))?,
    };
    Ok(Box::new(StringSplit { delimiter, max_splits }))
}

impl StringSplit {
    fn split<'t>(&self, text: &'t str, parts: &mut Vec<&'t str>) {
        if text.is_empty() {
            return;
        }
        let pieces = self.max_splits.saturating_add(1);
        let Some(delimiter) = &self.delimiter else {
            let mut rest = text.trim_matches(' ');
            for _ in 1..pieces {
                let Some((part, after)) = rest.split_once(' ') else { break };
                parts.push(part);
                rest = after.trim_start_matches(' ');
            }
            if !rest.is_empty() {
                parts.push(rest);
            }
            return;
        };
        parts.extend(text.splitn(pieces, delimiter.as_str()));
    }
}

impl Op for StringSplit {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let texts = value.as_slice::<String>()?;
        let (mut parts, mut ends) = (Vec::new(), Vec::with_capacity(texts.len()));
        for text in texts {
            self.split(text, &mut parts);
            ends.push(parts.len());
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let mut counts = cx.buffer::<i64>(texts.len());
        counts.extend(starts.clone().zip(&ends).map(|(start, end)| (end - start) as i64));
        let width = counts.iter().copied().max().unwrap_or(0) as usize;
        let mut shape = Shape::from_slice(value.shape());
        shape.push(width);
        let n = cx.check_shape(&shape)?;
        let mut out = cx.buffer::<String>(n);
        for (start, &end) in starts.zip(&ends) {
            let from = out.len();
            out.extend(parts[start..end].iter().map(|&p| p.to_owned()));
            out.resize(from + width, String::new());
        }
        Ok(smallvec![Value::new(shape, out), Value::new(value.shape(), counts)])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        // How far a row is filled up depends on the one with most parts.
        inputs.iter().any(Flow::any)
    }
}

/// Whether each string matches an expression as a whole.
#[derive(Debug)]
struct RegexFullMatch(Pattern);

fn full_match(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let pattern = node.string("pattern")?.ok_or_else(|| node.malformed("RegexFullMatch has no `pattern`"))?;
    Ok(Box::new(RegexFullMatch(Pattern::whole(pattern)?)))
}

impl Op for RegexFullMatch {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let texts = value.as_slice::<String>()?;
        let mut out = cx.buffer::<bool>(texts.len());
        out.extend(texts.iter().map(|text| self.0.is_match(text)));
        Ok(smallvec![Value::new(value.shape(), out)])
    }

    fn mixes_rows(&self, _inputs: &[Flow], _outputs: &[Flow]) -> bool {
        false
    }
}
