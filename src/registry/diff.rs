//! Two versions side by side.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::compat::incompatibilities;
use super::record::Version;
use super::registry::Registry;
use crate::{Result, Signature};

/// What is different between two versions.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// The one.
    pub before: String,
    /// The other.
    pub after: String,
    /// Whether their files are the same.
    pub same_files: bool,
    /// The bytes of both.
    pub bytes: [u64; 2],
    /// The learned numbers of both.
    pub parameters: [u64; 2],
    /// What is different in their signatures: inputs and outputs with both forms.
    pub signature: Vec<Change>,
    /// Why callers of the one can't call the other; empty when they can.
    pub incompatibilities: Vec<String>,
    /// Metrics that either has.
    pub metrics: Vec<MetricChange>,
    /// What else is different: format, backend, description, tags, lineage, environment.
    pub other: Vec<Change>,
}

/// Something that has another form in the other version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// What.
    pub what: String,
    /// In the one; nothing when it is not there.
    pub before: Option<String>,
    /// In the other.
    pub after: Option<String>,
}

/// A metric in both versions.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MetricChange {
    /// Its name.
    pub metric: String,
    /// In the one.
    pub before: Option<f64>,
    /// In the other.
    pub after: Option<f64>,
    /// The other less the one.
    pub change: Option<f64>,
}

impl Registry {
    /// What is different between two versions, of one model or of two.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn diff(&self, before: &str, after: &str) -> Result<Difference> {
        Ok(Difference::between(&self.get(before).await?, &self.get(after).await?))
    }
}

impl Difference {
    /// What is different between two records.
    #[must_use]
    pub fn between(before: &Version, after: &Version) -> Self {
        let digests = |version: &Version| {
            version.files.iter().map(|file| (file.path.clone(), file.blob.sha256)).collect::<Vec<_>>()
        };
        let names: BTreeSet<&String> = before.metrics.keys().chain(after.metrics.keys()).collect();
        let metrics = names.into_iter().map(|name| {
            let value = |version: &Version| version.metrics.get(name).map(|metric| metric.value);
            let (before, after) = (value(before), value(after));
            MetricChange { metric: name.clone(), before, after, change: after.zip(before).map(|(a, b)| a - b) }
        });
        let incompatible = match (&before.signature, &after.signature) {
            (Some(before), Some(after)) => incompatibilities(before, after),
            _ => Vec::new(),
        };
        Self {
            before: before.reference(),
            after: after.reference(),
            same_files: digests(before) == digests(after),
            bytes: [before.bytes(), after.bytes()],
            parameters: [before.parameters, after.parameters],
            signature: changes(tensors(before.signature.as_ref()), tensors(after.signature.as_ref())),
            incompatibilities: incompatible,
            metrics: metrics.collect(),
            other: changes(facts(before), facts(after)),
        }
    }
}

type Facts = Vec<(String, String)>;

fn changes(before: Facts, after: Facts) -> Vec<Change> {
    let value = |facts: &Facts, what: &str| facts.iter().find(|(key, _)| key == what).map(|(_, value)| value.clone());
    let mut seen = BTreeSet::new();
    let keys = before.iter().chain(&after).map(|(key, _)| key).filter(|key| seen.insert((*key).clone()));
    keys.map(|what| Change { what: what.clone(), before: value(&before, what), after: value(&after, what) })
        .filter(|change| change.before != change.after)
        .collect()
}

fn tensors(signature: Option<&Signature>) -> Facts {
    let Some(signature) = signature else { return Vec::new() };
    let side = |side: &str, specs: &[crate::TensorSpec]| {
        let text = |spec: &crate::TensorSpec| {
            let features =
                if spec.features().is_empty() { String::new() } else { format!(" {}", spec.features().join(", ")) };
            format!("{} {}{features}", spec.dtypes_text(), spec.shape_text())
        };
        specs.iter().map(|spec| (format!("{side} {}", spec.name()), text(spec))).collect::<Facts>()
    };
    [side("input", signature.inputs()), side("output", signature.outputs())].concat()
}

fn facts(version: &Version) -> Facts {
    let mut facts = Facts::new();
    let mut add = |what: String, value: String| {
        if !value.is_empty() {
            facts.push((what, value));
        }
    };
    add("format".to_owned(), version.format.clone());
    add("backend".to_owned(), version.backend.clone());
    add("description".to_owned(), version.description.clone());
    version.tags.iter().for_each(|(key, value)| add(format!("tag {key}"), value.clone()));
    let lineage = &version.lineage;
    for data in &lineage.data {
        let digest = data.sha256.map_or(String::new(), |digest| format!(" sha256:{digest}"));
        let rows = data.rows.map_or(String::new(), |rows| format!(" {rows} rows"));
        add(format!("data {}", data.name), format!("{}{rows}{digest}", data.name));
    }
    if let Some(code) = &lineage.code {
        add("code".to_owned(), format!("{} {}", code.repository, code.commit));
    }
    add(
        "parents".to_owned(),
        lineage
            .parents
            .iter()
            .map(|p| format!("{} {}:{}", p.relation, p.model, p.number))
            .collect::<Vec<_>>()
            .join(", "),
    );
    add("run".to_owned(), lineage.run.clone().unwrap_or_default());
    lineage.hyperparameters.iter().for_each(|(key, value)| add(format!("hyperparameter {key}"), value.clone()));
    let environment = &version.environment;
    add("architecture".to_owned(), environment.architecture.clone());
    add("system".to_owned(), environment.system.clone());
    add("modelberth".to_owned(), environment.modelberth.clone());
    add("cpu features".to_owned(), environment.cpu_features.join(", "));
    environment.libraries.iter().for_each(|(key, value)| add(format!("library {key}"), value.clone()));
    facts
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} and {}", self.before, self.after)?;
        writeln!(f, "files       {}", if self.same_files { "the same" } else { "different" })?;
        writeln!(f, "bytes       {} -> {}", self.bytes[0], self.bytes[1])?;
        writeln!(f, "parameters  {} -> {}", self.parameters[0], self.parameters[1])?;
        let list = |f: &mut fmt::Formatter<'_>, title: &str, changes: &[Change]| -> fmt::Result {
            if !changes.is_empty() {
                writeln!(f, "{title}")?;
            }
            changes.iter().try_for_each(|change| {
                let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "none".to_owned());
                writeln!(f, "  {}: {} -> {}", change.what, side(&change.before), side(&change.after))
            })
        };
        if self.signature.is_empty() {
            writeln!(f, "signature   the same")?;
        }
        list(f, "signature", &self.signature)?;
        if !self.incompatibilities.is_empty() {
            writeln!(f, "callers of {} can't call {}", self.before, self.after)?;
            self.incompatibilities.iter().try_for_each(|why| writeln!(f, "  {why}"))?;
        }
        if !self.metrics.is_empty() {
            writeln!(f, "metrics")?;
        }
        for metric in &self.metrics {
            let number = |value: Option<f64>| value.map_or_else(|| "none".to_owned(), |value| value.to_string());
            write!(f, "  {}: {} -> {}", metric.metric, number(metric.before), number(metric.after))?;
            match metric.change {
                Some(change) => writeln!(f, " ({change:+.6})")?,
                None => writeln!(f)?,
            }
        }
        list(f, "other", &self.other)
    }
}
