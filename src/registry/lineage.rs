//! What a version was made from, and what was made from it.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::Serialize;

use super::log::Stored;
use super::record::{CodeSource, DataSource, Version};
use super::registry::Registry;
use crate::Result;

/// A version in a tree of lineage.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LineageNode {
    /// `NAME:N`.
    pub version: String,
    /// How it was made from the version above it, or how that was made from it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub relation: String,
    /// Whether it is in this registry; a copy from another one may name parents that are not.
    pub known: bool,
    /// The data that it was trained on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<DataSource>,
    /// The code that trained it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<CodeSource>,
    /// The training run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The versions one step further on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<LineageNode>,
}

/// The lineage of a version, both ways.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LineageTree {
    /// The version, with what it was made from.
    pub ancestors: LineageNode,
    /// The version, with what was made from it.
    pub descendants: LineageNode,
}

type Key = (String, u64);

impl Registry {
    /// What a version was made from and what was made from it, through all models.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn lineage(&self, reference: &str) -> Result<LineageTree> {
        let version = self.get(reference).await?;
        let mut known: HashMap<Key, Version> = HashMap::new();
        let mut children: HashMap<Key, Vec<(Key, String)>> = HashMap::new();
        for summary in self.models().await? {
            for Stored { record, .. } in self.all_versions(&summary.model).await? {
                let key = (record.model.clone(), record.number);
                for parent in &record.lineage.parents {
                    let made = (key.clone(), parent.relation.clone());
                    children.entry((parent.model.clone(), parent.number)).or_default().push(made);
                }
                known.insert(key, record);
            }
        }
        let parents = |key: &Key| {
            let parents = known.get(key).map(|version| version.lineage.parents.as_slice()).unwrap_or_default();
            parents.iter().map(|p| ((p.model.clone(), p.number), p.relation.clone())).collect()
        };
        let made = |key: &Key| children.get(key).cloned().unwrap_or_default();
        let root = (version.model.clone(), version.number);
        Ok(LineageTree {
            ancestors: node(&root, "", &known, &parents, &mut HashSet::new()),
            descendants: node(&root, "", &known, &made, &mut HashSet::new()),
        })
    }
}

fn node(
    key: &Key,
    relation: &str,
    known: &HashMap<Key, Version>,
    next: &dyn Fn(&Key) -> Vec<(Key, String)>,
    above: &mut HashSet<Key>,
) -> LineageNode {
    let record = known.get(key);
    // Parents are older than children, but a record that was written by hand may say otherwise.
    let fresh = above.len() < 64 && above.insert(key.clone());
    let beyond = if fresh { next(key) } else { Vec::new() };
    let next = beyond.iter().map(|(key, relation)| node(key, relation, known, next, above)).collect();
    if fresh {
        above.remove(key);
    }
    LineageNode {
        version: format!("{}:{}", key.0, key.1),
        relation: relation.to_owned(),
        known: record.is_some(),
        data: record.map(|version| version.lineage.data.clone()).unwrap_or_default(),
        code: record.and_then(|version| version.lineage.code.clone()),
        run: record.and_then(|version| version.lineage.run.clone()),
        next,
    }
}

impl fmt::Display for LineageTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ancestors.draw(f, 0, true)?;
        if !self.descendants.next.is_empty() {
            writeln!(f, "from which were made")?;
            self.descendants.next.iter().try_for_each(|node| node.draw(f, 1, false))?;
        }
        Ok(())
    }
}

impl LineageNode {
    fn draw(&self, f: &mut fmt::Formatter<'_>, depth: usize, up: bool) -> fmt::Result {
        let indent = 2 * depth;
        let unknown = if self.known { "" } else { " (not in this registry)" };
        match (self.relation.is_empty(), up) {
            (true, _) => writeln!(f, "{:indent$}{}{unknown}", "", self.version)?,
            (false, true) => writeln!(f, "{:indent$}{} {}{unknown}", "", self.relation, self.version)?,
            (false, false) => writeln!(f, "{:indent$}{}{unknown}, {}", "", self.version, self.relation)?,
        }
        if up {
            for data in &self.data {
                let rows = data.rows.map_or(String::new(), |rows| format!(", {rows} rows"));
                let digest = data.sha256.map_or(String::new(), |digest| format!(", sha256 {digest}"));
                writeln!(f, "{:indent$}  data {}{rows}{digest}", "", data.name)?;
            }
            if let Some(code) = &self.code {
                writeln!(f, "{:indent$}  code {} at {}", "", code.repository, code.commit)?;
            }
            if let Some(run) = &self.run {
                writeln!(f, "{:indent$}  run {run}", "")?;
            }
        }
        self.next.iter().try_for_each(|node| node.draw(f, depth + 1, up))
    }
}
