//! What a search asks for.

use std::str::FromStr;

use super::name::Reference;
use super::record::Version;
use crate::{Error, ErrorKind, Result};

/// Which versions a search finds: those that everything asked for holds of.
///
/// ```
/// use modelberth::registry::Query;
/// let query = Query::new().tag("team", "risk").metric("auc>=0.9")?;
/// # Ok::<(), modelberth::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Query {
    model: Option<String>,
    tags: Vec<(String, Option<String>)>,
    metrics: Vec<MetricTest>,
    digests: Vec<String>,
    parents: Vec<Reference>,
    text: Vec<String>,
}

impl Query {
    /// A query that finds every version.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Of this model alone.
    #[must_use]
    pub fn model(mut self, name: impl Into<String>) -> Self {
        self.model = Some(name.into());
        self
    }

    /// With this tag.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((key.into(), Some(value.into())));
        self
    }

    /// With a tag of this key, whatever its value.
    #[must_use]
    pub fn has_tag(mut self, key: impl Into<String>) -> Self {
        self.tags.push((key.into(), None));
        self
    }

    /// With a metric for which `test` holds: `auc>=0.9`, `loss<1`, `rows=100`. A version without the metric is not found.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when it is no such test.
    pub fn metric(mut self, test: &str) -> Result<Self> {
        self.metrics.push(test.parse()?);
        Ok(self)
    }

    /// With a file whose SHA-256 digest begins with these digits.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when they are no hexadecimal digits, or fewer than four.
    pub fn digest(mut self, digits: &str) -> Result<Self> {
        let digits = digits.strip_prefix("sha256:").unwrap_or(digits).to_ascii_lowercase();
        if !(4..=64).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "a digest is found by its first 4 to 64 hexadecimal digits",
            )
            .actual(digits));
        }
        self.digests.push(digits);
        Ok(self)
    }

    /// Made from version `NAME:N`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when it is no such reference.
    pub fn parent(mut self, reference: &str) -> Result<Self> {
        let reference: Reference = reference.parse()?;
        if !matches!(reference.selector(), super::Selector::Number(_)) {
            return Err(Error::new(ErrorKind::InvalidArgument, "a parent is named by its number").expected("NAME:N"));
        }
        self.parents.push(reference);
        Ok(self)
    }

    /// With these words in its name, description or tags, in capitals or not.
    #[must_use]
    pub fn text(mut self, words: &str) -> Self {
        self.text.push(words.to_lowercase());
        self
    }

    pub(crate) fn only_model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    pub(crate) fn finds(&self, version: &Version) -> bool {
        let tagged = |(key, value): &(String, Option<String>)| {
            version.tags.get(key).is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
        };
        let digest =
            |digits: &String| version.files.iter().any(|file| file.blob.sha256.to_string().starts_with(digits));
        let parent = |reference: &Reference| version.lineage.parents.iter().any(|parent| parent.is(reference));
        let text = |words: &String| {
            let of = |text: &str| text.to_lowercase().contains(words);
            of(&version.model) || of(&version.description) || version.tags.iter().any(|(k, v)| of(k) || of(v))
        };
        self.tags.iter().all(tagged)
            && self.metrics.iter().all(|test| test.holds(version))
            && self.digests.iter().all(digest)
            && self.parents.iter().all(parent)
            && self.text.iter().all(text)
    }
}

/// A comparison of a metric with a number.
#[derive(Debug, Clone)]
struct MetricTest {
    name: String,
    sign: Sign,
    value: f64,
}

#[derive(Debug, Clone, Copy)]
enum Sign {
    AtLeast,
    AtMost,
    Above,
    Below,
    Equal,
}

impl MetricTest {
    fn holds(&self, version: &Version) -> bool {
        version.metrics.get(&self.name).is_some_and(|metric| match self.sign {
            Sign::AtLeast => metric.value >= self.value,
            Sign::AtMost => metric.value <= self.value,
            Sign::Above => metric.value > self.value,
            Sign::Below => metric.value < self.value,
            Sign::Equal => metric.value == self.value,
        })
    }
}

impl FromStr for MetricTest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let signs =
            [(">=", Sign::AtLeast), ("<=", Sign::AtMost), (">", Sign::Above), ("<", Sign::Below), ("=", Sign::Equal)];
        let split =
            signs.iter().find_map(|(sign, kind)| text.split_once(sign).map(|(name, value)| (name, *kind, value)));
        split
            .and_then(|(name, sign, value)| {
                let value = value.trim().parse().ok().filter(|v: &f64| !v.is_nan())?;
                let name = name.trim();
                (!name.is_empty()).then(|| Self { name: name.to_owned(), sign, value })
            })
            .ok_or_else(|| {
                Error::new(ErrorKind::InvalidArgument, "this is no test of a metric")
                    .expected("NAME>=NUMBER, or with <=, >, < or =")
                    .actual(format!("`{text}`"))
            })
    }
}
