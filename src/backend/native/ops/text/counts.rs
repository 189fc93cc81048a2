//! TfIdfVectorizer: how often the n-grams of a pool occur in each row.

use std::sync::Arc;

use smallvec::smallvec;

use super::grams::{Grams, Place};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::value::{Data, Shape, Value};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("TfIdfVectorizer", build)];

/// What becomes of a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// It stays.
    Counts,
    /// It becomes 1, times the weight of the n-gram.
    Presence,
    /// It is multiplied by the weight of the n-gram.
    Weighted,
}

/// The pool, of strings or of whole numbers.
#[derive(Debug)]
enum Pool {
    Words(Grams<String>),
    Numbers(Grams<i64>),
}

/// Counts the n-grams of rows.
#[derive(Debug)]
pub(super) struct Counter {
    mode: Mode,
    /// The shortest and the longest n-gram that count.
    lengths: [usize; 2],
    /// How many items may be left out between the items of an n-gram.
    max_skip: usize,
    pool: Pool,
    /// The number of n-grams.
    grams: usize,
    /// The number of columns.
    pub(super) width: usize,
}

/// The operator.
#[derive(Debug)]
pub(super) struct TfIdfVectorizer {
    counter: Arc<Counter>,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let mode = match node.string_or("mode", "")? {
        "TF" => Mode::Counts,
        "IDF" => Mode::Presence,
        "TFIDF" => Mode::Weighted,
        other => return Err(node.malformed(format!("TfIdfVectorizer has no mode `{other}`"))),
    };
    let length = |name: &str| -> Result<usize> {
        let given = node.int(name)?.and_then(|n| usize::try_from(n).ok());
        given.ok_or_else(|| node.malformed(format!("`{name}` of TfIdfVectorizer must be given and not negative")))
    };
    let (shortest, longest) = (length("min_gram_length")?, length("max_gram_length")?);
    let max_skip = length("max_skip_count")?;
    let starts = node.ints("ngram_counts")?.unwrap_or_default();
    if shortest == 0 || shortest > longest || longest > starts.len() {
        return Err(node.malformed("the lengths of n-grams do not fit `ngram_counts`"));
    }
    let columns = node.ints("ngram_indexes")?.unwrap_or_default();
    let columns: Vec<usize> = columns
        .iter()
        .map(|&i| usize::try_from(i).map_err(|_| node.malformed("an entry of `ngram_indexes` is negative")))
        .collect::<Result<_>>()?;
    let width = columns.iter().max().map(|&c| c.saturating_add(1));
    let width = width.ok_or_else(|| node.malformed("TfIdfVectorizer has no `ngram_indexes`"))?;
    let weights = node.floats("weights")?.unwrap_or_default();
    if !weights.is_empty() && weights.len() != columns.len() {
        return Err(node.malformed("`weights` and `ngram_indexes` of TfIdfVectorizer differ in length"));
    }
    let weights = if mode == Mode::Counts { &[] } else { weights };
    let layout = Layout { node, starts, columns: &columns, weights, lengths: [shortest, longest] };
    let pool = match (node.strings("pool_strings")?, node.ints("pool_int64s")?) {
        (Some(words), _) if !words.is_empty() => Pool::Words(layout.grams(&words)?),
        (_, Some(numbers)) if !numbers.is_empty() => Pool::Numbers(layout.grams(numbers)?),
        _ => return Err(node.malformed("TfIdfVectorizer has no pool")),
    };
    let counter = Counter { mode, lengths: [shortest, longest], max_skip, pool, grams: columns.len(), width };
    Ok(Box::new(TfIdfVectorizer { counter: Arc::new(counter) }))
}

/// How the pool is laid out: n-grams by length, each length from its own start.
struct Layout<'n> {
    node: &'n Node<'n>,
    starts: &'n [i64],
    columns: &'n [usize],
    /// One an n-gram, or none.
    weights: &'n [f32],
    lengths: [usize; 2],
}

impl Layout<'_> {
    fn grams<T: std::hash::Hash + Eq + Clone>(&self, pool: &[T]) -> Result<Grams<T>> {
        let mut grams = Grams::new();
        let mut id = 0;
        for (i, &start) in self.starts.iter().enumerate() {
            let length = i + 1;
            let end = self.starts.get(length).map_or(Some(pool.len()), |&end| usize::try_from(end).ok());
            let start = usize::try_from(start).ok();
            let items = start.zip(end).and_then(|(start, end)| pool.get(start..end));
            let items = items.ok_or_else(|| self.node.malformed("`ngram_counts` does not fit the pool"))?;
            if items.len() % length != 0 {
                return Err(self.node.malformed(format!("the pool does not hold whole {length}-grams")));
            }
            for gram in items.chunks_exact(length) {
                if (self.lengths[0]..=self.lengths[1]).contains(&length) {
                    let column = self.columns.get(id);
                    let column = *column.ok_or_else(|| self.node.malformed("`ngram_indexes` is too short"))?;
                    let weight = self.weights.get(id).copied().unwrap_or(1.0);
                    if !grams.insert(gram, Place { column, weight }) {
                        return Err(self.node.malformed(format!("the pool has a {length}-gram twice")));
                    }
                }
                id += 1;
            }
        }
        grams.finish();
        Ok(grams)
    }
}

impl TfIdfVectorizer {
    /// Whether some n-gram has `word`.
    pub(super) fn counts_word(&self, word: &str) -> bool {
        match &self.counter.pool {
            Pool::Words(grams) => grams.item(word).is_some(),
            Pool::Numbers(_) => true,
        }
    }

    /// What counts, for an operator that takes this one in.
    pub(super) fn shared(&self) -> Arc<Counter> {
        Arc::clone(&self.counter)
    }
}

impl Counter {
    /// Adds the weights of the n-grams of a row of words to `out`, which holds one number a column, all 0 at first.
    /// `None` stands for a word that no n-gram has.
    pub(super) fn count_words<'t>(
        &self,
        words: impl Iterator<Item = Option<&'t str>>,
        ids: &mut Vec<Option<u32>>,
        out: &mut [f32],
    ) {
        if let Pool::Words(grams) = &self.pool {
            ids.clear();
            ids.extend(words.map(|word| word.and_then(|word| grams.item(word))));
            self.count(grams, ids, out);
        }
    }

    fn count_numbers(&self, numbers: impl Iterator<Item = i64>, ids: &mut Vec<Option<u32>>, out: &mut [f32]) {
        if let Pool::Numbers(grams) = &self.pool {
            ids.clear();
            ids.extend(numbers.map(|n| grams.item(&n)));
            self.count(grams, ids, out);
        }
    }

    fn count<T: std::hash::Hash + Eq + Clone>(&self, grams: &Grams<T>, ids: &[Option<u32>], out: &mut [f32]) {
        let [shortest, longest] = self.lengths;
        let once = self.mode == Mode::Presence;
        let mut hit = |node: u32| {
            if let Some(place) = grams.place(node)
                && let Some(answer) = out.get_mut(place.column)
            {
                *answer = if once { place.weight } else { *answer + place.weight };
            }
        };
        // Single items occur once, whatever may be left out between others.
        if shortest == 1 {
            ids.iter().flatten().filter_map(|&id| grams.start(id)).for_each(&mut hit);
        }
        let shortest = shortest.max(2);
        if longest < shortest {
            return;
        }
        for distance in 1..=self.max_skip.min(ids.len()) + 1 {
            for start in 0..ids.len() {
                let mut node = ids[start].and_then(|id| grams.start(id));
                let rest = ids[start..].iter().step_by(distance).enumerate().skip(1);
                for (i, id) in rest.take_while(|(i, _)| *i < longest) {
                    node = node.zip(*id).and_then(|(node, id)| grams.follow(node, id));
                    let Some(node) = node else { break };
                    if i + 1 >= shortest {
                        hit(node);
                    }
                }
            }
        }
    }

    /// Whether n-grams of more than one item count, so that the order of items matters.
    pub(super) fn has_order(&self) -> bool {
        self.lengths[1] > 1
    }

    /// The number of learned numbers.
    pub(super) fn parameters(&self) -> usize {
        self.grams
    }
}

impl Op for TfIdfVectorizer {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let counter = &*self.counter;
        let (rows, length, shape): (usize, usize, Shape) = match *value.shape() {
            [] => (1, 1, smallvec![counter.width]),
            [n] => (1, n, smallvec![counter.width]),
            [m, n] => (m, n, smallvec![m, counter.width]),
            _ => {
                return Err(Error::new(ErrorKind::WrongShape, "TfIdfVectorizer takes items (n,) or (m, n)")
                    .actual(shape_text(value.shape())));
            }
        };
        let n = cx.check_shape(&shape)?;
        let mut out = cx.buffer::<f32>(n);
        out.resize(n, 0.0);
        let mut ids = Vec::new();
        for (row, out) in (0..rows).zip(out.chunks_exact_mut(counter.width.max(1))) {
            let range = row * length..(row + 1) * length;
            match (value.data(), &counter.pool) {
                (Data::String(items), Pool::Words(_)) => {
                    counter.count_words(items[range].iter().map(|s| Some(s.as_str())), &mut ids, out);
                }
                (Data::I64(items), Pool::Numbers(_)) => {
                    counter.count_numbers(items[range].iter().copied(), &mut ids, out);
                }
                (Data::I32(items), Pool::Numbers(_)) => {
                    counter.count_numbers(items[range].iter().map(|&i| i.into()), &mut ids, out);
                }
                (_, Pool::Words(_)) => return Err(value.type_error("string")),
                (_, Pool::Numbers(_)) => return Err(value.type_error("i32 or i64")),
            }
        }
        Ok(smallvec![Value::new(shape, out)])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.first().is_some_and(|i| i.any() && (i.rank() != 2 || !i.only_first()))
    }

    fn parameters(&self) -> usize {
        self.counter.parameters()
    }
}
