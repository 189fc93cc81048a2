//! A whole file.

use super::text::{Field, Lines, malformed, need};
use super::tree::Tree;
use crate::{Error, ErrorKind, Limits, Result};

/// A model as its file describes it, with every check done.
#[derive(Debug)]
pub(super) struct File<'f> {
    /// How many sums a row has; tree i adds to sum i modulo this.
    pub(super) targets: usize,
    pub(super) objective: Option<Field<'f>>,
    /// Whether sums are divided by the number of their trees, as random forests are.
    pub(super) averaged: bool,
    pub(super) feature_names: Vec<&'f str>,
    pub(super) trees: Vec<Tree>,
    /// What training saw of each feature: `[low:high]` of numbers, `a:b:...` of categories, or `none`. May be empty.
    pub(super) feature_infos: Vec<&'f str>,
    /// The features that training took for categories.
    pub(super) categorical: Vec<usize>,
    /// The categories of a data frame, as JSON.
    pub(super) pandas_categorical: Option<Field<'f>>,
    /// The version of the format.
    pub(super) version: Option<&'f str>,
}

/// The lines before the first tree.
#[derive(Default)]
struct Header<'f> {
    version: Option<Field<'f>>,
    num_class: Option<Field<'f>>,
    num_tree_per_iteration: Option<Field<'f>>,
    max_feature_idx: Option<Field<'f>>,
    objective: Option<Field<'f>>,
    average_output: Option<Field<'f>>,
    feature_names: Option<Field<'f>>,
    feature_infos: Option<Field<'f>>,
    tree_sizes: Option<Field<'f>>,
    /// The number of the last line.
    end: usize,
}

const END_OF_TREES: &str = "end of trees";

impl<'f> Header<'f> {
    /// Reads up to the first tree and gives its line.
    fn read(lines: &mut Lines<'f>) -> Result<(Self, &'f str)> {
        let mut header = Self::default();
        if lines.next() != Some("tree") {
            return Err(malformed(1, "a LightGBM model begins with the line `tree`"));
        }
        while let Some(line) = lines.next() {
            header.end = lines.number;
            if line.starts_with("Tree=") || line == END_OF_TREES {
                return Ok((header, line));
            }
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            let slot = match key {
                "version" => &mut header.version,
                "num_class" => &mut header.num_class,
                "num_tree_per_iteration" => &mut header.num_tree_per_iteration,
                "max_feature_idx" => &mut header.max_feature_idx,
                "objective" => &mut header.objective,
                "average_output" => &mut header.average_output,
                "feature_names" => &mut header.feature_names,
                "feature_infos" => &mut header.feature_infos,
                "tree_sizes" => &mut header.tree_sizes,
                _ => continue,
            };
            Field { key, value, line: lines.number }.set(slot)?;
        }
        Err(malformed(lines.number, "the file ends before the first tree; it is truncated"))
    }

    /// A number that must be there and at least `least`.
    fn number(&self, field: Option<Field<'_>>, key: &str, least: i32) -> Result<usize> {
        let field = need(field, key, self.end)?;
        let n = field.one::<i32>()?;
        if n < least {
            return Err(field.malformed(format_args!("is {n}, and must be at least {least}")));
        }
        Ok(n as usize)
    }

    /// The names of the features, as many as the file says there are.
    fn feature_names(&self) -> Result<Vec<&'f str>> {
        let count = self.number(self.max_feature_idx, "max_feature_idx", 0)? + 1;
        let field = need(self.feature_names, "feature_names", self.end)?;
        let names: Vec<&str> = field.words().collect();
        if names.len() != count {
            let found = names.len();
            return Err(field.malformed(format_args!("holds {found} names, and `max_feature_idx` says {count}")));
        }
        Ok(names)
    }
}

impl<'f> File<'f> {
    /// # Errors
    /// [`ErrorKind::Malformed`] with the tree and the line, and [`ErrorKind::LimitExceeded`] for more nodes than a
    /// model may have elements.
    pub(super) fn read(bytes: &'f [u8], limits: &Limits) -> Result<Self> {
        let mut lines = Lines::new(bytes)?;
        let (header, line) = Header::read(&mut lines)?;
        let classes = header.number(header.num_class, "num_class", 1)?;
        let targets = match header.num_tree_per_iteration {
            None => classes,
            some => header.number(some, "num_tree_per_iteration", 1)?,
        };
        if classes != targets {
            let field = need(header.num_class, "num_class", header.end)?;
            return Err(field.malformed(format_args!("is {classes}, and `num_tree_per_iteration` is {targets}")));
        }
        let feature_names = header.feature_names()?;
        let trees = trees(&mut lines, line, &header, feature_names.len(), limits)?;
        if !trees.len().is_multiple_of(targets) {
            let count = trees.len();
            return Err(malformed(
                lines.number,
                format_args!("{count} trees don't make whole iterations of {targets}; the file is truncated"),
            ));
        }
        let mut file = Self {
            targets,
            objective: header.objective,
            averaged: header.average_output.is_some(),
            feature_names,
            trees,
            feature_infos: header.feature_infos.iter().flat_map(Field::words).collect(),
            categorical: Vec::new(),
            pandas_categorical: None,
            version: header.version.map(|v| v.value),
        };
        file.read_rest(&mut lines);
        if file.categorical.is_empty() {
            // Without parameters in the file, this tells it.
            let is_set = |(_, info): &(usize, &&str)| !info.starts_with('[') && **info != "none";
            file.categorical = file.feature_infos.iter().enumerate().filter(is_set).map(|(i, _)| i).collect();
        }
        Ok(file)
    }

    /// Reads what stands after the trees: of the parameters, which features are categories; of the data frame, its
    /// categories.
    fn read_rest(&mut self, lines: &mut Lines<'f>) {
        while let Some(line) = lines.next() {
            if let Some(list) = line.strip_prefix("[categorical_feature: ").and_then(|l| l.strip_suffix(']')) {
                self.categorical = list.split(',').map_while(|f| f.trim().parse().ok()).collect();
                self.categorical.sort_unstable();
                self.categorical.dedup();
            } else if let Some(value) = line.strip_prefix("pandas_categorical:") {
                self.pandas_categorical = Some(Field { key: "pandas_categorical", value, line: lines.number });
            }
        }
    }
}

/// The trees, from the line `line` that was read already to `end of trees`.
fn trees<'f>(
    lines: &mut Lines<'f>,
    mut line: &'f str,
    header: &Header<'_>,
    features: usize,
    limits: &Limits,
) -> Result<Vec<Tree>> {
    let declared = header.tree_sizes.map(|sizes| sizes.words().count());
    let mut trees = Vec::new();
    let mut nodes = 0usize;
    loop {
        if line == END_OF_TREES || line.starts_with("feature importances:") {
            break;
        }
        if !line.is_empty() {
            let number = trees.len();
            if line.strip_prefix("Tree=").and_then(|n| n.parse().ok()) != Some(number) {
                let message = format!("`Tree={number}` or `{END_OF_TREES}` must stand here");
                return Err(malformed(lines.number, message));
            }
            let tree = Tree::read(lines, features).map_err(|e| e.within(format_args!("tree {number}")))?;
            nodes = nodes.saturating_add(tree.leaf_values.len() + tree.features.len());
            if nodes > limits.max_elements.min(u32::MAX as usize) {
                return Err(Error::new(
                    ErrorKind::LimitExceeded,
                    "the trees have more nodes than a model may have elements",
                )
                .expected(format!("at most {}", limits.max_elements)));
            }
            trees.push(tree);
        }
        match lines.next() {
            Some(next) => line = next,
            // Where the number of trees is known, the mark may be missing: old releases wrote none.
            None if declared == Some(trees.len()) => break,
            None => {
                let message = format!("the file ends without `{END_OF_TREES}`; it is truncated");
                return Err(malformed(lines.number, message));
            }
        }
    }
    match declared {
        Some(count) if count != trees.len() => {
            let found = trees.len();
            Err(malformed(
                lines.number,
                format_args!(
                    "the file has {found} trees, and `tree_sizes` lists {count}; it is truncated or was edited"
                ),
            ))
        }
        _ => Ok(trees),
    }
}
