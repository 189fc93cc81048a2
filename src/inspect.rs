//! What there is to say about a model, as text and as JSON.

use std::fmt;

use serde::ser::{Serialize, SerializeMap, SerializeStruct, Serializer};

use crate::{Description, Digest, Model, Signature, TensorSpec};

/// What there is to say about a model: its signature, its description and its file.
///
/// `Display` gives a page for people. Serialised it is one object with the keys `format`, `backend`, `reason`, `engine`,
/// `signature` (`inputs`, `outputs`), `operators` (name to count), `parameters`, `bytes`, `threads`, `row_independent`,
/// `notes`, `file`, `sha256` and `parts` (objects with the keys of a description).
///
/// ```no_run
/// let model = modelberth::load("churn.onnx")?;
/// println!("{}", modelberth::Inspection::of(&model));
/// # Ok::<(), modelberth::Error>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Inspection {
    /// What the model takes and gives.
    pub signature: Signature,
    /// What it is.
    pub description: Description,
    /// The main file of its artifact, where it has one.
    pub file: Option<String>,
    /// The digest of that file.
    pub sha256: Option<Digest>,
}

impl Inspection {
    /// Inspects `model`.
    #[must_use]
    pub fn of(model: &dyn Model) -> Self {
        let main = model.artifact().ok().and_then(|artifact| artifact.files.into_iter().next());
        Self {
            signature: model.signature().clone(),
            description: model.describe(),
            sha256: main.as_ref().map(|f| f.sha256),
            file: main.map(|f| f.path),
        }
    }
}

impl Serialize for Inspection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let d = &self.description;
        let mut object = serializer.serialize_struct("Inspection", 14)?;
        object.serialize_field("format", &d.format)?;
        object.serialize_field("backend", &d.backend)?;
        object.serialize_field("reason", &d.reason)?;
        object.serialize_field("engine", &d.engine)?;
        object.serialize_field("signature", &self.signature)?;
        object.serialize_field("operators", &Operators(&d.operators))?;
        object.serialize_field("parameters", &d.parameters)?;
        object.serialize_field("bytes", &d.bytes)?;
        object.serialize_field("threads", &d.threads)?;
        object.serialize_field("row_independent", &d.row_independent)?;
        object.serialize_field("notes", &d.notes)?;
        object.serialize_field("file", &self.file)?;
        object.serialize_field("sha256", &self.sha256)?;
        object.serialize_field("parts", &d.parts.iter().map(Part).collect::<Vec<_>>())?;
        object.end()
    }
}

struct Operators<'d>(&'d [(String, usize)]);

impl Serialize for Operators<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        self.0.iter().try_for_each(|(name, count)| map.serialize_entry(name, count))?;
        map.end()
    }
}

struct Part<'d>(&'d Description);

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let d = self.0;
        let mut object = serializer.serialize_struct("Part", 11)?;
        object.serialize_field("format", &d.format)?;
        object.serialize_field("backend", &d.backend)?;
        object.serialize_field("reason", &d.reason)?;
        object.serialize_field("engine", &d.engine)?;
        object.serialize_field("operators", &Operators(&d.operators))?;
        object.serialize_field("parameters", &d.parameters)?;
        object.serialize_field("bytes", &d.bytes)?;
        object.serialize_field("threads", &d.threads)?;
        object.serialize_field("row_independent", &d.row_independent)?;
        object.serialize_field("notes", &d.notes)?;
        object.serialize_field("parts", &d.parts.iter().map(Part).collect::<Vec<_>>())?;
        object.end()
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let d = &self.description;
        if let Some(file) = &self.file {
            line(f, "file", file)?;
        }
        if let Some(sha256) = &self.sha256 {
            line(f, "sha256", sha256)?;
        }
        line(f, "format", &d.format)?;
        if d.reason.is_empty() {
            line(f, "backend", &d.backend)?;
        } else {
            line(f, "backend", format_args!("{} ({})", d.backend, d.reason))?;
        }
        line(f, "engine", &d.engine)?;
        specs(f, "inputs", self.signature.inputs(), "features")?;
        specs(f, "outputs", self.signature.outputs(), "classes")?;
        if !d.operators.is_empty() {
            writeln!(f, "operators")?;
            let width = d.operators.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
            d.operators.iter().try_for_each(|(name, count)| writeln!(f, "  {name:width$}  {count:>5}"))?;
        }
        line(f, "parameters", grouped(d.parameters))?;
        line(f, "bytes", grouped(d.bytes))?;
        line(f, "threads", d.threads)?;
        let rows = if d.row_independent {
            "yes: the answer for a row is the same whatever rows stand beside it"
        } else {
            "no, or not known: keep the rows of a batch together"
        };
        line(f, "row independent", rows)?;
        parts(f, &d.parts, 0)?;
        if !d.notes.is_empty() {
            writeln!(f, "notes")?;
            d.notes.iter().try_for_each(|note| writeln!(f, "  {note}"))?;
        }
        Ok(())
    }
}

fn line(f: &mut fmt::Formatter<'_>, key: &str, value: impl fmt::Display) -> fmt::Result {
    writeln!(f, "{key:<16} {value}")
}

fn specs(f: &mut fmt::Formatter<'_>, title: &str, specs: &[TensorSpec], entries: &str) -> fmt::Result {
    writeln!(f, "{title}")?;
    let names = specs.iter().map(|s| s.name().chars().count()).max().unwrap_or(0);
    let types = specs.iter().map(|s| s.dtypes_text().len()).max().unwrap_or(0);
    for spec in specs {
        writeln!(f, "  {:names$}  {:types$}  {}", spec.name().as_str(), spec.dtypes_text(), spec.shape_text())?;
        if !spec.features().is_empty() {
            writeln!(f, "    {entries}: {}", shortened(spec.features()))?;
        }
        for (i, categories) in spec.categories().iter().enumerate().filter(|(_, c)| !c.is_empty()) {
            let of = spec.features().get(i).filter(|_| spec.categories().len() > 1);
            let of = of.map_or(String::new(), |feature| format!(" of {feature}"));
            writeln!(f, "    categories{of}: {}", shortened(categories))?;
        }
    }
    Ok(())
}

fn parts(f: &mut fmt::Formatter<'_>, parts: &[Description], depth: usize) -> fmt::Result {
    if depth == 0 && !parts.is_empty() {
        writeln!(f, "parts")?;
    }
    for part in parts {
        let format = if part.format.is_empty() { String::new() } else { format!("{}, ", part.format) };
        writeln!(f, "{:indent$}{format}{}: {}", "", part.backend, part.engine, indent = 2 * depth + 2)?;
        for note in &part.notes {
            writeln!(f, "{:indent$}{note}", "", indent = 2 * depth + 4)?;
        }
        // A composed model may hold itself over and over; a page does not need more.
        if depth < 8 {
            self::parts(f, &part.parts, depth + 1)?;
        }
    }
    Ok(())
}

fn shortened(names: &[String]) -> String {
    const SHOWN: usize = 20;
    let more = names.len().saturating_sub(SHOWN);
    let shown = names[..names.len() - more].join(", ");
    if more > 0 { format!("{shown}, and {more} more") } else { shown }
}

/// A number with its digits in groups of three: `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
