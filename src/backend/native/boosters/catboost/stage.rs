//! The columns that trees compare, from rows with categories.

use std::collections::HashMap;

use super::city;
use super::ctr::Group;
#[cfg(feature = "optimize")]
use super::ctr::Projection;
use super::features::{Features, Question};
use super::trees::Test;
use crate::Result;
#[cfg(feature = "optimize")]
use crate::backend::native::boosters::Combination;
use crate::backend::native::boosters::{Rows, Stage};

/// Which columns the questions of a model need, found while its trees are written down.
#[derive(Debug, Default)]
pub(super) struct Plan {
    columns: Vec<Column>,
    places: HashMap<Column, u32>,
}

/// A column that trees compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Column {
    /// A float feature as it is.
    Float(u32),
    /// 1 where a categorical feature has one of its values, else 0.
    Value { cat: u32, value: u32 },
    /// A statistic.
    Ctr(u32),
}

impl Plan {
    /// The question as a comparison of a column.
    pub(super) fn test(&mut self, question: Question, features: &Features) -> Test {
        let (column, border, nan_true) = match question {
            Question::Above { float, border } => {
                (Column::Float(float), border, features.floats[float as usize].nan_true)
            }
            Question::Is { cat, value } => (Column::Value { cat, value }, 0.5, false),
            Question::CtrAbove { ctr, border } => (Column::Ctr(ctr), border, false),
        };
        let columns = &mut self.columns;
        let place = *self.places.entry(column).or_insert_with(|| {
            columns.push(column);
            columns.len() as u32 - 1
        });
        Test { column: place, border, nan_true }
    }

    /// What computes the columns.
    pub(super) fn finish(self, features: &Features, groups: Vec<Group>) -> Encoder {
        let mut floats = Vec::new();
        let mut values = vec![Vec::new(); features.cats.len()];
        for (column, place) in self.columns.iter().zip(0..) {
            match *column {
                Column::Float(float) => floats.push((float, place)),
                Column::Value { cat, value } => {
                    values[cat as usize].push((features.cats[cat as usize].values[value as usize], place));
                }
                Column::Ctr(_) => {}
            }
        }
        values.iter_mut().for_each(|v| v.sort_unstable());
        let rank = |flat: &u32| features.rank(*flat);
        let mut of_ctr = HashMap::new();
        for (g, group) in groups.iter().enumerate() {
            of_ctr.extend(group.ctrs.iter().map(|&ctr| (ctr, g)));
        }
        let sources = self.columns.iter().map(|column| match *column {
            Column::Float(float) => vec![rank(&features.floats[float as usize].flat)],
            Column::Value { cat, .. } => vec![rank(&features.cats[cat as usize].flat)],
            Column::Ctr(ctr) => groups[of_ctr[&ctr]].projection.sources(features).iter().map(rank).collect(),
        });
        let mut sources: Vec<Vec<u32>> = sources.collect();
        // Trees that ask nothing get a column that nothing asks for, since rows are counted by their columns.
        if sources.is_empty() {
            sources.push(vec![0]);
        }
        let placed = |group: Group| {
            let places = group.ctrs.iter().map(|&ctr| self.places.get(&Column::Ctr(ctr)).copied()).collect();
            (group, places)
        };
        Encoder { sources, cats: features.cats.len(), floats, values, groups: groups.into_iter().map(placed).collect() }
    }
}

/// Computes the columns of a model with categories.
#[derive(Debug)]
pub(super) struct Encoder {
    /// For each column the features behind it.
    sources: Vec<Vec<u32>>,
    cats: usize,
    /// Float features with their columns.
    floats: Vec<(u32, u32)>,
    /// For each categorical feature the hashes that are asked for, sorted, with their columns.
    values: Vec<Vec<(i32, u32)>>,
    /// Statistics with their columns; none where no tree asks for one.
    groups: Vec<(Group, Vec<Option<u32>>)>,
}

impl Encoder {
    fn row(&self, floats: impl Fn(u32) -> f32 + Copy, cats: &[i32], row: &mut [f32]) {
        for &(float, column) in &self.floats {
            row[column as usize] = floats(float);
        }
        for (hash, values) in cats.iter().zip(&self.values) {
            if let Ok(at) = values.binary_search_by_key(hash, |&(value, _)| value) {
                row[values[at].1 as usize] = 1.0;
            }
        }
        for (group, places) in &self.groups {
            for (statistic, place) in group.of_row(floats, cats).iter().zip(places) {
                if let Some(column) = place {
                    row[*column as usize] = *statistic;
                }
            }
        }
    }
}

impl Stage for Encoder {
    fn sources(&self) -> Vec<Vec<u32>> {
        self.sources.clone()
    }

    fn fill(&self, rows: Rows<'_>, n: usize, text: &[String], columns: &mut Vec<f32>) -> Result<()> {
        let width = self.sources.len();
        let mut hashes = vec![0; self.cats];
        for (r, cells) in text.chunks_exact(self.cats.max(1)).enumerate() {
            hashes.iter_mut().zip(cells).for_each(|(hash, cell)| *hash = city::category(cell));
            let start = columns.len();
            columns.resize(start + width, 0.0);
            let row = &mut columns[start..];
            match rows {
                Rows::F32(x) => self.row(|i| x[r * n + i as usize], &hashes, row),
                Rows::F64(x) => self.row(|i| x[r * n + i as usize] as f32, &hashes, row),
                Rows::Text(_) => unreachable!("the floats of a model with categories are numbers"),
            }
        }
        Ok(())
    }

    #[cfg(feature = "optimize")]
    fn kept(&self) -> Vec<(u32, u32)> {
        self.floats.clone()
    }

    #[cfg(feature = "optimize")]
    fn combinations(&self) -> Vec<Combination> {
        let values = self.values.iter().zip(0..).filter(|(values, _)| !values.is_empty());
        let values = values.map(|(values, cat)| Combination {
            cats: vec![cat],
            floats: Vec::new(),
            columns: values.iter().map(|(_, column)| *column).collect(),
        });
        let groups = self.groups.iter().map(|(group, places)| {
            let Projection { cats, floats, values } = &group.projection;
            let mut cats: Vec<u32> = cats.iter().copied().chain(values.iter().map(|(cat, _)| *cat)).collect();
            cats.sort_unstable();
            cats.dedup();
            Combination { cats, floats: floats.clone(), columns: places.iter().flatten().copied().collect() }
        });
        values.chain(groups).filter(|combination| !combination.columns.is_empty()).collect()
    }

    fn size(&self) -> (u64, u64) {
        self.groups.iter().map(|(group, _)| group.size()).fold((0, 0), |(n, bytes), (m, more)| (n + m, bytes + more))
    }
}
