//! The one error type of the crate.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::fmt;

/// What the crate's fallible functions return.
pub type Result<T, E = Error> = core::result::Result<T, E>;

/// The broad reason of an [`Error`], for code that decides what to do next.
///
/// The list is the same under every set of features, so a `match` written against one build holds in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file, directory or named thing is not there.
    NotFound,
    /// Reading or writing failed in the operating system.
    Io,
    /// The bytes are not what their format demands: truncated, contradictory, or of no known format.
    Malformed,
    /// A well-formed model asks for something that no enabled backend can do (an operator, a type, a version).
    Unsupported,
    /// The crate can do it, but the feature was left out of this build. The message names the feature.
    FeatureDisabled,
    /// A limit on size, depth or count was passed. Limits are set on the `Loader`.
    LimitExceeded,
    /// An input tensor that the signature names was not given.
    MissingInput,
    /// A tensor was given, or asked for, that the signature does not name.
    UnknownTensor,
    /// A tensor has an element type that the signature does not accept.
    WrongType,
    /// A tensor has another rank, dimension or batch length than the signature demands.
    WrongShape,
    /// One value is not acceptable: out of range, not a number where one is needed, not parseable.
    InvalidValue,
    /// A call was made with arguments that contradict themselves or the model.
    InvalidArgument,
    /// Stored bytes do not have the digest that was recorded for them.
    Integrity,
    /// Someone else was first, or what was expected no longer holds.
    Conflict,
    /// A rule of the host's own forbids it: a gate was not passed, a version is archived. The message says which.
    Refused,
    /// The engine below a backend failed or panicked; the failure was contained.
    Backend,
}

impl ErrorKind {
    /// The kind in words, as messages show it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not found",
            Self::Io => "input/output failed",
            Self::Malformed => "malformed data",
            Self::Unsupported => "unsupported",
            Self::FeatureDisabled => "feature disabled",
            Self::LimitExceeded => "limit exceeded",
            Self::MissingInput => "missing input",
            Self::UnknownTensor => "unknown tensor",
            Self::WrongType => "wrong element type",
            Self::WrongShape => "wrong shape",
            Self::InvalidValue => "invalid value",
            Self::InvalidArgument => "invalid argument",
            Self::Integrity => "integrity check failed",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::Backend => "backend failed",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a call failed: a [`kind`](Error::kind), a message that says what to do next, where it happened, and the
/// error underneath where there is one.
///
/// ```
/// use modelberth::{Error, ErrorKind};
/// let e = Error::new(ErrorKind::WrongShape, "one observation has the wrong number of features")
///     .tensor("X")
///     .expected("4")
///     .actual("3");
/// assert_eq!(e.kind(), ErrorKind::WrongShape);
/// assert_eq!(
///     e.to_string(),
///     "one observation has the wrong number of features (tensor `X`, expected 4, got 3)"
/// );
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    context: Context,
    source: Option<Box<dyn core::error::Error + Send + Sync + 'static>>,
}

#[derive(Default)]
struct Context {
    model: Option<String>,
    file: Option<String>,
    node: Option<String>,
    tensor: Option<String>,
    row: Option<u64>,
    column: Option<String>,
    expected: Option<String>,
    actual: Option<String>,
}

macro_rules! context {
    ($($(#[$doc:meta])* $set:ident / $get:ident: $field:ident;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $set(mut self, value: impl ToString) -> Self {
            self.0.context.$field = Some(value.to_string());
            self
        }

        #[doc = concat!("What [`", stringify!($set), "`](Error::", stringify!($set), ") was given, where it was.")]
        #[must_use]
        pub fn $get(&self) -> Option<&str> {
            self.0.context.$field.as_deref()
        }
    )*};
}

impl Error {
    /// An error of `kind` whose `message` says what was wrong and what to do.
    #[must_use]
    #[cold]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), context: Context::default(), source: None }))
    }

    /// The broad reason.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message alone, without where it happened.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    context! {
        /// Names the model (a file name or a name in a registry).
        model / model_name: model;
        /// Names the file of a data set.
        file / file_name: file;
        /// Names the node of the graph.
        node / node_name: node;
        /// Names the tensor.
        tensor / tensor_name: tensor;
        /// Names the column of a table.
        column / column_name: column;
        /// Says what was expected.
        expected / expected_text: expected;
        /// Says what was found.
        actual / actual_text: actual;
    }

    /// Gives the row, counted from 0.
    #[must_use]
    pub fn row(mut self, row: u64) -> Self {
        self.0.context.row = Some(row);
        self
    }

    /// The row, counted from 0, where one was given.
    #[must_use]
    pub fn row_index(&self) -> Option<u64> {
        self.0.context.row
    }

    /// Says in front of the message where inside a larger whole it happened.
    #[must_use]
    #[cold]
    pub(crate) fn within(mut self, place: impl fmt::Display) -> Self {
        self.0.message = alloc::format!("{place}: {}", self.0.message);
        self
    }

    /// Attaches the error underneath, which [`source`](core::error::Error::source) then returns.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn core::error::Error + Send + Sync + 'static>>) -> Self {
        self.0.source = Some(source.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Context { model, file, node, tensor, row, column, expected, actual } = &self.0.context;
        if self.0.message.is_empty() {
            f.write_str(self.0.kind.as_str())?;
        } else {
            f.write_str(&self.0.message)?;
        }
        let mut separator = " (";
        let mut item = |f: &mut fmt::Formatter<'_>, text: fmt::Arguments<'_>| {
            f.write_str(separator)?;
            separator = ", ";
            f.write_fmt(text)
        };
        if let Some(model) = model {
            item(f, format_args!("model `{model}`"))?;
        }
        if let Some(file) = file {
            item(f, format_args!("file `{file}`"))?;
        }
        if let Some(node) = node {
            item(f, format_args!("node `{node}`"))?;
        }
        if let Some(tensor) = tensor {
            item(f, format_args!("tensor `{tensor}`"))?;
        }
        if let Some(row) = row {
            item(f, format_args!("row {row}"))?;
        }
        if let Some(column) = column {
            item(f, format_args!("column `{column}`"))?;
        }
        if let Some(expected) = expected {
            item(f, format_args!("expected {expected}"))?;
        }
        if let Some(actual) = actual {
            item(f, format_args!("got {actual}"))?;
        }
        if separator == ", " { f.write_str(")") } else { Ok(()) }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?}: {self}", self.0.kind)?;
        if let Some(source) = &self.0.source {
            write!(f, "; caused by: {source:?}")?;
        }
        f.write_str(")")
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.0.source.as_deref().map(|e| e as _)
    }
}

#[cfg(feature = "std")]
impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Io,
        };
        Self::new(kind, error.to_string()).with_source(error)
    }
}
