use std::fmt;

use serde::{Serialize, Serializer};

use super::distribution::{normal_reach, t_reach};

/// The confidence of an interval where nothing else is asked for.
pub const DEFAULT_LEVEL: f64 = 0.95;

/// An interval of a given confidence; as JSON `[low, high]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Serialize for Interval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        [self.low, self.high].serialize(serializer)
    }
}

/// How an interval was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Method {
    /// Wilson's score interval of a proportion; with an effective number of rows where rows are weighted or the value is
    /// a function of several proportions (its variance by the delta method).
    Wilson,
    /// Student's t about a mean.
    StudentT,
    /// DeLong's variance of the area under the ROC curve.
    DeLong,
    /// The infinitesimal jackknife: the variance from each row's influence on the value.
    Jackknife,
    /// Quantiles of a seeded bootstrap.
    Bootstrap,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wilson => "Wilson",
            Self::StudentT => "Student's t",
            Self::DeLong => "DeLong",
            Self::Jackknife => "jackknife",
            Self::Bootstrap => "bootstrap",
        })
    }
}

/// A value with its standard error and interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The value on the rows at hand.
    pub value: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Where the value on all rows of the kind lies, with the confidence that was asked for.
    pub interval: Interval,
    /// How the interval was computed.
    pub method: Method,
    /// The rows it rests on.
    pub rows: u64,
}

/// A value, or the reason why there is none. A table of metrics never holds NaN.
#[derive(Debug, Clone, PartialEq)]
pub enum Measured {
    /// There is a value.
    Value(Estimate),
    /// There is none, for this reason.
    Undefined(String),
}

impl Measured {
    /// A value that is not defined, for `reason`.
    #[must_use]
    pub fn undefined(reason: impl Into<String>) -> Self {
        Self::Undefined(reason.into())
    }

    /// The estimate, where there is one.
    #[must_use]
    pub fn estimate(&self) -> Option<&Estimate> {
        match self {
            Self::Value(estimate) => Some(estimate),
            Self::Undefined(_) => None,
        }
    }

    /// The value, where there is one.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        self.estimate().map(|e| e.value)
    }

    /// Why there is no value, where there is none.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Value(_) => None,
            Self::Undefined(reason) => Some(reason),
        }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(e) => write!(f, "{:.4} [{:.4}, {:.4}]", e.value, e.interval.low, e.interval.high),
            Self::Undefined(reason) => write!(f, "undefined: {reason}"),
        }
    }
}

impl Serialize for Measured {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Undefined<'a> {
            undefined: &'a str,
        }
        match self {
            Self::Value(estimate) => estimate.serialize(serializer),
            Self::Undefined(reason) => Undefined { undefined: reason }.serialize(serializer),
        }
    }
}

/// Wilson's score interval of a proportion seen on `rows` rows (Wilson 1927); `rows` need not be whole.
///
/// ```
/// let interval = modelberth::validate::wilson(45.0 / 50.0, 50.0, 0.95);
/// assert!((interval.low - 0.7864).abs() < 1e-4 && (interval.high - 0.9565).abs() < 1e-4);
/// ```
#[must_use]
pub fn wilson(proportion: f64, rows: f64, level: f64) -> Interval {
    let z = normal_reach(level);
    let share = z * z / rows;
    let centre = (proportion + share / 2.0) / (1.0 + share);
    let reach = z / (1.0 + share) * ((proportion * (1.0 - proportion) + share / 4.0) / rows).sqrt();
    Interval { low: (centre - reach).max(0.0), high: (centre + reach).min(1.0) }
}

/// A proportion-like value in [0, 1] of known standard error: Wilson's interval at the number of rows at which a plain
/// proportion would have this standard error, or at `rows` where it is 0.
pub(in crate::validate) fn wilson_estimate(
    value: f64,
    standard_error: f64,
    rows: f64,
    count: u64,
    level: f64,
) -> Estimate {
    let effective = value * (1.0 - value) / (standard_error * standard_error);
    let effective = if effective.is_finite() && effective > 0.0 { effective } else { rows };
    Estimate { value, standard_error, interval: wilson(value, effective, level), method: Method::Wilson, rows: count }
}

/// A value with a symmetric normal interval, cut off at `range`.
pub(in crate::validate) fn normal_estimate(
    value: f64,
    standard_error: f64,
    range: Interval,
    method: Method,
    count: u64,
    level: f64,
) -> Estimate {
    let reach = normal_reach(level) * standard_error;
    let interval = Interval { low: (value - reach).max(range.low), high: (value + reach).min(range.high) };
    Estimate { value, standard_error, interval, method, rows: count }
}

/// A mean with Student's t interval.
pub(in crate::validate) fn t_estimate(value: f64, standard_error: f64, count: u64, level: f64) -> Estimate {
    let reach = t_reach(level, count as f64 - 1.0) * standard_error;
    let interval = Interval { low: value - reach, high: value + reach };
    Estimate { value, standard_error, interval, method: Method::StudentT, rows: count }
}
