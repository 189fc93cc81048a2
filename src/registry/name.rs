//! Names of models and aliases, and references to versions.

use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorKind, Result};

/// The longest name, in bytes. With what the layout adds, a path stays within what every store takes.
const LONGEST: usize = 128;
/// Files of these names can't be made on Windows, whatever their extension.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
/// The alias that always names the newest version that is not archived.
pub(crate) const LATEST: &str = "latest";

/// Whether `name` can be a name of a model: letters, digits, `.`, `_` and `-` of ASCII, a letter or digit in front, at
/// most 128. Letters that merely look like these are of other alphabets and refused, so that no two names look alike.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] that says what is wrong with it.
pub(crate) fn check_model(name: &str) -> Result<()> {
    check("model", name)
}

/// Whether `name` can be the name of an alias: as that of a model, but not a number alone, and not `latest`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] that says what is wrong with it.
pub(crate) fn check_alias(name: &str) -> Result<()> {
    check("alias", name)?;
    if name.bytes().all(|b| b.is_ascii_digit()) {
        return Err(refused("alias", name, "it would look like the number of a version"));
    }
    if name == LATEST {
        return Err(refused("alias", name, "it always names the newest version and can't be moved"));
    }
    Ok(())
}

fn check(what: &str, name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(refused(what, name, "it is empty"));
    }
    if name.len() > LONGEST {
        return Err(refused(what, name, &format!("it has {} bytes, and {LONGEST} are the most", name.len())));
    }
    if let Some(odd) = name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
        let why = format!("`{}` is none of a-z, A-Z, 0-9, `.`, `_` and `-`", odd.escape_unicode());
        let why =
            if odd.is_ascii_graphic() { why.replace(&odd.escape_unicode().to_string(), &odd.to_string()) } else { why };
        return Err(refused(what, name, &why));
    }
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(refused(what, name, "it must begin with a letter or a digit"));
    }
    if name.contains("..") || name.ends_with('.') {
        return Err(refused(what, name, "it has `..`, or a `.` at its end"));
    }
    let stem = name.split('.').next().unwrap_or(name).to_ascii_lowercase();
    let numbered = |port: &str| stem.strip_prefix(port).is_some_and(|n| matches!(n.as_bytes(), [b'0'..=b'9']));
    if DEVICES.contains(&stem.as_str()) || numbered("com") || numbered("lpt") {
        return Err(refused(what, name, "no file can have this name on Windows"));
    }
    Ok(())
}

fn refused(what: &str, name: &str, why: &str) -> Error {
    let shown: String = name.chars().take(40).flat_map(char::escape_default).collect();
    let more = if name.chars().count() > 40 { "..." } else { "" };
    Error::new(ErrorKind::InvalidArgument, format!("this can't be the name of a {what}: {why}"))
        .actual(format!("`{shown}{more}`"))
}

/// Which version of a model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Selector {
    /// The newest that is not archived.
    Latest,
    /// That of this number.
    Number(u64),
    /// The one that an alias names.
    Alias(String),
}

/// A model with one of its versions: `fraud@champion`, `fraud:3`, or `fraud` for its newest version.
///
/// ```
/// use modelberth::registry::{Reference, Selector};
/// let reference: Reference = "fraud@champion".parse()?;
/// assert_eq!((reference.model(), reference.selector()), ("fraud", &Selector::Alias("champion".to_owned())));
/// assert!("../fraud".parse::<Reference>().is_err());
/// # Ok::<(), modelberth::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    model: String,
    selector: Selector,
}

impl Reference {
    /// Version `number` of `model`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for a name that no model can have, and for version 0.
    pub fn version(model: &str, number: u64) -> Result<Self> {
        format!("{model}:{number}").parse()
    }

    /// The model's name.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Which of its versions.
    #[must_use]
    pub const fn selector(&self) -> &Selector {
        &self.selector
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.selector {
            Selector::Latest => f.write_str(&self.model),
            Selector::Number(number) => write!(f, "{}:{number}", self.model),
            Selector::Alias(alias) => write!(f, "{}@{alias}", self.model),
        }
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (model, selector) = if let Some((model, alias)) = text.split_once('@') {
            if alias == LATEST {
                (model, Selector::Latest)
            } else {
                check_alias(alias)?;
                (model, Selector::Alias(alias.to_owned()))
            }
        } else if let Some((model, number)) = text.split_once(':') {
            let number = number.parse().ok().filter(|n| (1..=MOST).contains(n)).ok_or_else(|| {
                Error::new(ErrorKind::InvalidArgument, "a version is a number from 1 on")
                    .expected("NAME:N, NAME@ALIAS or NAME")
                    .actual(format!("`{}`", text.chars().take(200).flat_map(char::escape_default).collect::<String>()))
            })?;
            (model, Selector::Number(number))
        } else {
            (text, Selector::Latest)
        };
        check_model(model)?;
        Ok(Self { model: model.to_owned(), selector })
    }
}

/// The highest number that a log can reach: ten digits, so that keys sort as their numbers.
pub(crate) const MOST: u64 = 9_999_999_999;
