//! Columns that a booster computes from categories, as ONNX.
//!
//! CatBoost's file knows categories by the hashes of their texts, which no operator computes. The texts that a data set holds
//! are hashed here instead, as CatBoost's own exporters do: each feature becomes the number of its text, several together one
//! number, and tables say what the booster makes of that. A text that the data set lacks is one that was never seen.

use super::boosters::Draft;
use crate::backend::native::boosters::{Combination, Rows, Stage};
use crate::onnx::{builder, data_type};
use crate::{Error, ErrorKind, Result};

/// The most rows of a table.
const MOST_ROWS: usize = 1 << 20;

/// Stands for all texts that the data lack.
const NEVER_SEEN: &str = "\0never seen";

/// The texts of each column of categories.
pub(super) type Vocabulary = Vec<Vec<String>>;

/// A float feature of a combination: its borders in order, and whether NaN is above them.
struct Levels {
    feature: u32,
    borders: Vec<f32>,
    nan_true: bool,
}

fn levels(floats: &[(u32, f32, bool)]) -> Vec<Levels> {
    let mut all: Vec<Levels> = Vec::new();
    for &(feature, border, nan_true) in floats {
        match all.iter_mut().find(|level| level.feature == feature) {
            Some(level) => level.borders.push(border),
            None => all.push(Levels { feature, borders: vec![border], nan_true }),
        }
    }
    for level in &mut all {
        level.borders.sort_by(f32::total_cmp);
        level.borders.dedup();
    }
    all
}

impl Draft {
    /// The columns that `stage` computes of `x` (m, n) and `categories` (m, k), as `columns`.
    ///
    /// # Errors
    /// [`ErrorKind::LimitExceeded`] where the texts have too many combinations; those of the stage.
    pub(super) fn staged(&mut self, stage: &dyn Stage, n: usize, texts: &Vocabulary) -> Result<()> {
        for (cat, known) in texts.iter().enumerate() {
            let count = known.len() as i64;
            self.constant(builder::dense_tensor(&format!("place of {cat}"), &[1], vec![cat as i64])?);
            let gather = [builder::int("axis", 1)];
            let (place, text, number) =
                (format!("place of {cat}"), format!("text of {cat}"), format!("number of {cat}"));
            self.nodes.push(builder::node("Gather", "", &["categories", &place], &[&text], gather));
            // An encoder has one key at least.
            let keys: Vec<&str> =
                if known.is_empty() { vec![NEVER_SEEN] } else { known.iter().map(String::as_str).collect() };
            let attributes = [
                builder::strings("keys_strings", &keys),
                builder::ints("values_int64s", (0..count.max(1)).collect::<Vec<i64>>()),
                builder::int("default_int64", count),
            ];
            self.nodes.push(builder::node("LabelEncoder", "ai.onnx.ml", &[&text], &[&number], attributes));
        }
        let width = stage.sources().len();
        // The columns in the order in which they are made, each with its place.
        let (mut parts, mut order) = (Vec::new(), Vec::new());
        let kept = stage.kept();
        if !kept.is_empty() {
            let features: Vec<i64> = kept.iter().map(|(feature, _)| i64::from(*feature)).collect();
            self.constant(builder::dense_tensor("features", &[kept.len()], features)?);
            self.nodes.push(builder::node("Gather", "", &["x", "features"], &["numbers"], [builder::int("axis", 1)]));
            parts.push("numbers".to_owned());
            order.extend(kept.iter().map(|(_, column)| *column));
        }
        for (i, combination) in stage.combinations().iter().enumerate() {
            parts.push(self.combined(stage, n, texts, combination, i)?);
            order.extend(&combination.columns);
        }
        if parts.is_empty() {
            // Trees that ask nothing still count rows.
            self.constant(builder::dense_tensor("features", &[1], vec![0i64])?);
            self.nodes.push(builder::node("Gather", "", &["x", "features"], &["numbers"], [builder::int("axis", 1)]));
            parts.push("numbers".to_owned());
            order.push(0);
        }
        let names: Vec<&str> = parts.iter().map(String::as_str).collect();
        self.nodes.push(builder::node("Concat", "", &names, &["made"], [builder::int("axis", 1)]));
        let at = |column: u32| order.iter().position(|made| *made == column).unwrap_or(0) as i64;
        self.constant(builder::dense_tensor("order", &[width], (0..width as u32).map(at).collect::<Vec<i64>>())?);
        self.nodes.push(builder::node("Gather", "", &["made", "order"], &["columns"], [builder::int("axis", 1)]));
        Ok(())
    }

    /// The columns of one combination.
    fn combined(
        &mut self,
        stage: &dyn Stage,
        n: usize,
        texts: &Vocabulary,
        combination: &Combination,
        i: usize,
    ) -> Result<String> {
        let levels = levels(&combination.floats);
        let cats = combination.cats.iter().map(|cat| texts[*cat as usize].len() + 1);
        let counts: Vec<usize> = cats.chain(levels.iter().map(|level| level.borders.len() + 1)).collect();
        let rows = counts.iter().try_fold(1usize, |rows, n| rows.checked_mul(*n)).filter(|rows| *rows <= MOST_ROWS);
        let rows = rows.ok_or_else(|| {
            Error::new(ErrorKind::LimitExceeded, "the categories of the data have too many combinations for tables")
                .expected(format!("at most {MOST_ROWS}"))
                .actual(format!("{counts:?} together"))
        })?;
        // What the booster makes of every combination.
        let (width, k) = (stage.sources().len(), texts.len());
        let mut table = Vec::with_capacity(rows * combination.columns.len());
        let (mut x, mut text, mut columns) = (vec![0.0f32; n], vec![String::new(); k], Vec::new());
        for row in 0..rows {
            let mut rest = row;
            for (at, count) in counts.iter().enumerate().rev() {
                let value = rest % count;
                rest /= count;
                match combination.cats.get(at) {
                    Some(cat) => {
                        let known = texts[*cat as usize].get(value).map_or(NEVER_SEEN, String::as_str);
                        text[*cat as usize] = known.to_owned();
                    }
                    None => {
                        let level = &levels[at - combination.cats.len()];
                        // The least number above so many borders.
                        x[level.feature as usize] = match value.checked_sub(1) {
                            Some(below) => level.borders[below].next_up(),
                            None => level.borders[0],
                        };
                    }
                }
            }
            columns.clear();
            stage.fill(Rows::F32(&x), n, &text, &mut columns)?;
            debug_assert_eq!(columns.len(), width);
            table.extend(combination.columns.iter().map(|column| columns[*column as usize]));
        }
        let mut parts: Vec<String> = combination.cats.iter().map(|cat| format!("number of {cat}")).collect();
        for level in &levels {
            parts.push(self.level(level, format!("level {} of {i}", level.feature))?);
        }
        // One number of several: each times what the later ones have room for.
        let mut key = parts[0].clone();
        for (at, part) in parts.iter().enumerate().skip(1) {
            let (by, more, sum) =
                (format!("room {at} of {i}"), format!("more {at} of {i}"), format!("key {at} of {i}"));
            self.constant(builder::dense_tensor(&by, &[], vec![counts[at] as i64])?);
            self.node("Mul", &[&key, &by], &more);
            self.node("Add", &[&more, part], &sum);
            key = sum;
        }
        let (flat, entries, picked) = (format!("flat {i}"), format!("table {i}"), format!("columns of {i}"));
        self.constant(builder::dense_tensor(&format!("all {i}"), &[1], vec![-1i64])?);
        self.node("Reshape", &[&key, &format!("all {i}")], &flat);
        self.constant(builder::f32_tensor(&entries, &[rows, combination.columns.len()], table)?);
        self.node("Gather", &[&entries, &flat], &picked);
        Ok(picked)
    }

    /// Above how many of its borders a feature lies, (m, 1).
    fn level(&mut self, level: &Levels, name: String) -> Result<String> {
        let named = |what: &str| format!("{what} of {name}");
        let (feature, x, borders) = (named("feature"), named("x"), named("borders"));
        self.constant(builder::dense_tensor(&feature, &[1], vec![i64::from(level.feature)])?);
        self.nodes.push(builder::node("Gather", "", &["x", &feature], &[&x], [builder::int("axis", 1)]));
        self.constant(builder::f32_tensor(&borders, &[1, level.borders.len()], level.borders.clone())?);
        let mut above = named("above");
        self.node("Greater", &[&x, &borders], &above);
        if level.nan_true {
            let (missing, either) = (named("missing"), named("either"));
            self.node("IsNaN", &[&x], &missing);
            self.node("Or", &[&above, &missing], &either);
            above = either;
        }
        let (counted, axis) = (named("counted"), named("axis"));
        self.cast(&above, data_type::INT64, &counted);
        self.constant(builder::dense_tensor(&axis, &[1], vec![1i64])?);
        self.node("ReduceSum", &[&counted, &axis], &name);
        Ok(name)
    }
}
