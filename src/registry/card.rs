//! A version's model card.

use std::fmt::Write;

use super::aliases::verdicts;
use super::event::EventKind;
use super::record::Version;
use super::registry::Registry;
use crate::{Result, TensorSpec};

impl Registry {
    /// The model card of a version, in Markdown, from what is recorded of it.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn card(&self, reference: &str) -> Result<String> {
        let version = self.get(reference).await?;
        let events = self.events(&version.model).await?;
        let aliases = self.aliases(&version.model).await?;
        let mut card = Card(String::new());
        card.head(&version);
        let names: Vec<String> = aliases
            .iter()
            .filter(|entry| entry.version == Some(version.number))
            .map(|entry| format!("`{}` since {}", entry.alias, entry.at))
            .collect();
        if !names.is_empty() {
            card.line(&format!("In use as {}.", names.join(", ")));
        }
        if super::event::is_archived(&events, version.number) {
            card.line("**Archived.**");
        }
        card.signature(&version);
        card.metrics(&version);
        card.verdicts(&verdicts(&version, &events));
        card.lineage(&version);
        card.environment(&version);
        card.files(&version);
        let notes: Vec<Vec<String>> = events
            .iter()
            .filter(|event| event.version == version.number)
            .filter_map(|event| match &event.what {
                EventKind::Note { text } => Some(vec![event.at.to_string(), event.by.clone(), text.clone()]),
                _ => None,
            })
            .collect();
        card.table("Notes", &["when", "who", "note"], notes);
        Ok(card.0)
    }
}

/// Markdown in the making.
struct Card(String);

impl Card {
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.0, "{text}\n");
    }

    /// A section with a table; nothing where it would be empty.
    fn table(&mut self, title: &str, columns: &[&str], rows: Vec<Vec<String>>) {
        if rows.is_empty() {
            return;
        }
        let _ = writeln!(self.0, "## {title}\n\n| {} |\n|{}", columns.join(" | "), "---|".repeat(columns.len()));
        for row in rows {
            let cells: Vec<String> = row.iter().map(|cell| escaped(cell)).collect();
            let _ = writeln!(self.0, "| {} |", cells.join(" | "));
        }
        self.0.push('\n');
    }

    fn head(&mut self, version: &Version) {
        self.line(&format!("# {}, version {}", version.model, version.number));
        if !version.description.is_empty() {
            self.line(&escaped(&version.description));
        }
        let mut rows = vec![
            vec!["registered".to_owned(), format!("{} by {}", version.created_at, version.created_by)],
            vec!["format".to_owned(), version.format.clone()],
        ];
        if !version.backend.is_empty() {
            rows.push(vec!["backend".to_owned(), version.backend.clone()]);
        }
        if version.parameters > 0 {
            rows.push(vec!["learned numbers".to_owned(), version.parameters.to_string()]);
        }
        rows.push(vec!["size".to_owned(), format!("{} bytes", version.bytes())]);
        rows.extend(version.tags.iter().map(|(key, value)| vec![key.clone(), value.clone()]));
        self.table("Details", &["what", "value"], rows);
    }

    fn signature(&mut self, version: &Version) {
        let Some(signature) = &version.signature else { return };
        let row = |side: &str, spec: &TensorSpec| {
            let features = spec.features().join(", ");
            vec![side.to_owned(), spec.name().to_string(), spec.dtypes_text(), spec.shape_text(), features]
        };
        let inputs = signature.inputs().iter().map(|spec| row("input", spec));
        let rows = inputs.chain(signature.outputs().iter().map(|spec| row("output", spec))).collect();
        self.table("Signature", &["side", "name", "type", "shape", "entries"], rows);
    }

    fn metrics(&mut self, version: &Version) {
        let rows = version.metrics.iter().map(|(name, metric)| {
            let interval = metric.interval.map_or(String::new(), |[low, high]| format!("[{low}, {high}]"));
            vec![name.clone(), metric.value.to_string(), interval]
        });
        self.table("Metrics", &["metric", "value", "95 % interval"], rows.collect());
    }

    fn verdicts(&mut self, verdicts: &[&super::verdict::VerdictRecord]) {
        let rows = verdicts.iter().map(|verdict| {
            let against = verdict.against.as_ref().map_or(String::new(), |a| format!("{}:{}", a.model, a.number));
            let word = if verdict.pass { "passed" } else { "failed" };
            let rows = verdict.rows.map_or(String::new(), |rows| rows.to_string());
            let checks =
                format!("{} of {}", verdict.evidence.iter().filter(|e| e.pass).count(), verdict.evidence.len());
            vec![verdict.suite.clone(), word.to_owned(), against, rows, checks, verdict.reasons.join("; ")]
        });
        self.table("Evaluation", &["suite", "verdict", "against", "rows", "checks passed", "reasons"], rows.collect());
    }

    fn lineage(&mut self, version: &Version) {
        let lineage = &version.lineage;
        let mut rows: Vec<Vec<String>> = Vec::new();
        for data in &lineage.data {
            let mut parts = vec![data.name.clone()];
            parts.extend(data.rows.map(|rows| format!("{rows} rows")));
            parts.extend(data.from.map(|from| format!("from {from}")));
            parts.extend(data.to.map(|to| format!("to {to}")));
            parts.extend(data.sha256.map(|digest| format!("sha256 {digest}")));
            rows.push(vec!["training data".to_owned(), parts.join(", ")]);
        }
        rows.extend(
            lineage.code.iter().map(|code| vec!["code".to_owned(), format!("{} at {}", code.repository, code.commit)]),
        );
        rows.extend(lineage.parents.iter().map(|p| vec![p.relation.clone(), format!("{}:{}", p.model, p.number)]));
        rows.extend(lineage.run.iter().map(|run| vec!["training run".to_owned(), run.clone()]));
        rows.extend(lineage.hyperparameters.iter().map(|(key, value)| vec![key.clone(), value.clone()]));
        rows.extend(version.origin.iter().map(|origin| {
            vec!["copy of".to_owned(), format!("{}:{} in registry {}", origin.model, origin.number, origin.registry)]
        }));
        self.table("Where it came from", &["what", "value"], rows);
    }

    fn environment(&mut self, version: &Version) {
        let environment = &version.environment;
        let mut rows = vec![
            vec!["modelberth".to_owned(), environment.modelberth.clone()],
            vec!["platform".to_owned(), format!("{} {}", environment.system, environment.architecture)],
            vec!["processor".to_owned(), environment.cpu_features.join(", ")],
        ];
        rows.extend(environment.libraries.iter().map(|(name, version)| vec![name.clone(), version.clone()]));
        self.table("Registered on", &["what", "value"], rows);
    }

    fn files(&mut self, version: &Version) {
        let rows = version
            .files
            .iter()
            .map(|file| vec![file.path.clone(), file.bytes.to_string(), format!("`{}`", file.blob.sha256)]);
        self.table("Files", &["file", "bytes", "SHA-256"], rows.collect());
    }
}

/// Text that can't end a cell of a table, or begin markup.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;").replace(['\n', '\r'], " ")
}
