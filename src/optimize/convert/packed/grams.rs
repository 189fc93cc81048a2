//! `TfIdfVectorizer`: how often the n-grams of a pool occur.

use super::attention::number;
use super::learned::{floats, ints, text};
use super::network::misfit;
use super::values::{Packer, Value, unsupported};
use crate::Result;
use crate::edge::{Binary, Kind, Reduction};
use crate::onnx::NodeProto;
use crate::onnx::node::int;

/// An n-gram of the pool: places of its items among those that differ, its column, and the weight of a hit.
struct Gram {
    items: Vec<usize>,
    column: usize,
    weight: f32,
}

/// What a node counts.
struct Pool {
    /// The items that differ, numbers or codes of texts.
    keys: Vec<f32>,
    grams: Vec<Gram>,
    columns: usize,
    /// Whether a gram counts once at most.
    once: bool,
    most_skipped: usize,
}

impl Packer {
    /// The pool of a node, with the n-grams of the lengths that count.
    fn pool_of(&mut self, node: &NodeProto, kind: Kind) -> Result<Pool> {
        let wrong = || misfit(node, "lists of n-grams that do not fit each other");
        let (own, items) = self.labels(node, "pool_int64s", "pool_strings")?;
        if (own == Kind::Text) != (kind == Kind::Text) {
            return Err(unsupported(node, "a pool of another type than the items"));
        }
        let length = |name: &str| usize::try_from(int(node, name, -1)).map_err(|_| wrong());
        let (shortest, longest) = (length("min_gram_length")?, length("max_gram_length")?);
        let mode = text(node, "mode", "");
        let starts: Option<Vec<usize>> =
            ints(node, "ngram_counts").iter().map(|n| usize::try_from(*n).ok()).chain([Some(items.len())]).collect();
        let starts = starts.ok_or_else(wrong)?;
        let columns: Option<Vec<usize>> =
            ints(node, "ngram_indexes").iter().map(|n| usize::try_from(*n).ok().filter(|n| *n < 1 << 24)).collect();
        let (columns, weights) = (columns.ok_or_else(wrong)?, floats(node, "weights"));
        let mut pool = Pool {
            keys: Vec::new(),
            grams: Vec::new(),
            columns: columns.iter().max().map_or(0, |column| column + 1),
            once: mode == "IDF",
            most_skipped: length("max_skip_count")?,
        };
        let mut column = columns.into_iter().enumerate();
        for (length, ends) in (1..).zip(starts.windows(2)) {
            let own = items.get(ends[0]..ends[1]).filter(|own| own.len() % length == 0).ok_or_else(wrong)?;
            for gram in own.chunks_exact(length) {
                let (i, column) = column.next().ok_or_else(wrong)?;
                if !(shortest..=longest).contains(&length) {
                    continue;
                }
                let mut place = |item: &f32| {
                    pool.keys.iter().position(|key| key == item).unwrap_or_else(|| {
                        pool.keys.push(*item);
                        pool.keys.len() - 1
                    })
                };
                let items = gram.iter().map(&mut place).collect();
                let weight = if mode == "TF" { None } else { weights.get(i).copied() };
                pool.grams.push(Gram { items, column, weight: weight.unwrap_or(1.0) });
            }
        }
        let mut used: Vec<usize> = pool.grams.iter().map(|gram| gram.column).collect();
        used.sort_unstable();
        if pool.once && used.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(unsupported(node, "a column for several n-grams that count once"));
        }
        Ok(pool)
    }

    /// Rows of columns, from items (n,) or (m, n).
    pub(super) fn grams(&mut self, node: &NodeProto) -> Result<Value> {
        let x = self.input(node, 0)?;
        let pool = self.pool_of(node, x.kind)?;
        let (rows, n) = x.rows();
        let mut shape = x.shape.clone();
        shape.pop();
        shape.push(pool.columns);
        if shape.len() > 2 {
            return Err(misfit(node, "items of more than two axes"));
        }
        if x.len() == 0 || pool.grams.is_empty() {
            return Ok(Value::known(&shape, Kind::F32, vec![0.0; rows * pool.columns]));
        }
        let k = pool.keys.len();
        self.check(node, &[rows, n, k])?;
        self.check(node, &[pool.columns, pool.grams.len()])?;
        // Whether each item is each of the keys.
        let span = self.span(&x);
        let hot = Value::slot(&[rows, n, k], Kind::Bool, self.program.one_hot(span, &pool.keys));
        let longest = pool.grams.iter().map(|gram| gram.items.len()).max().unwrap_or(1);
        let mut counts = Vec::new();
        for length in 1..=longest {
            let grams: Vec<&Gram> = pool.grams.iter().filter(|gram| gram.items.len() == length).collect();
            // A single item leaves none out.
            let apart = if length == 1 { 1 } else { pool.most_skipped.min(n) + 1 };
            self.check(node, &[apart, n])?;
            let starts: Vec<(usize, usize)> = (1..=apart)
                .flat_map(|apart| (0..n.saturating_sub((length - 1) * apart)).map(move |start| (start, apart)))
                .collect();
            if grams.is_empty() {
                continue;
            }
            let len = self.check(node, &[rows, grams.len(), starts.len()])?;
            if len == 0 {
                counts.push(Value::known(&[rows, grams.len()], Kind::F32, vec![0.0; rows * grams.len()]));
                continue;
            }
            let mut hits = None;
            for item in 0..length {
                let mut places = Vec::with_capacity(len);
                for row in 0..rows {
                    for gram in &grams {
                        let at =
                            |(start, apart): &(usize, usize)| (row * n + start + item * apart) * k + gram.items[item];
                        places.extend(starts.iter().map(at));
                    }
                }
                let own = self.arranged(&hot, &[rows, grams.len(), starts.len()], &places);
                hits = Some(match hits {
                    None => own,
                    Some(before) => self.zip(node, Binary::Multiply, &before, &own, Kind::F32)?,
                });
            }
            if let Some(hits) = hits {
                let span = self.span(&hits);
                let span = self.program.reduce(Reduction::Sum, span, starts.len(), 1);
                counts.push(Value::slot(&[rows, grams.len()], Kind::F32, span));
            }
        }
        let mut counts = self.concat(node, &counts, 1)?;
        if pool.once {
            counts = self.zip(node, Binary::Greater, &counts, &number(0.0), Kind::F32)?;
        }
        // Longer n-grams come behind shorter ones here as in the pool.
        let width = pool.grams.len();
        let mut weights = vec![0.0; pool.columns * width];
        for (i, gram) in pool.grams.iter().enumerate() {
            weights[gram.column * width + i] = gram.weight;
        }
        let span = self.span(&counts);
        let span = self.program.dense(span, width, &weights, &vec![0.0; pool.columns]);
        Ok(Value::slot(&shape, Kind::F32, span))
    }
}
