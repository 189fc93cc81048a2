use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::validate::{Average, Rate};
use crate::{Error, ErrorKind, Result};

/// A metric by name, as suites ask for it.
///
/// | name | of |
/// |---|---|
/// | `accuracy`, `balanced_accuracy` | classes |
/// | `precision`, `recall`, `f1` | the positive class; `precision:CLASS` of another |
/// | `precision_macro`, `recall_weighted`, `f1_micro`, ... | averages over the classes |
/// | `roc_auc`, `pr_auc` | the probability of the positive class |
/// | `log_loss`, `brier`, `ece` | probabilities |
/// | `mae`, `rmse`, `r2`, `mape`, `quantile_loss@Q` | numbers |
/// | `ndcg`, `ndcg@K`, `map`, `mrr` | rankings within a query |
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the variants are the metrics they are named after")]
pub enum Metric {
    Accuracy,
    BalancedAccuracy,
    /// Of a class, or of the positive one.
    OfClass(Rate, Option<String>),
    Averaged(Rate, Average),
    RocAuc,
    PrAuc,
    LogLoss,
    Brier,
    CalibrationError,
    Mae,
    Rmse,
    R2,
    Mape,
    QuantileLoss(f64),
    Ndcg(Option<usize>),
    Map,
    Mrr,
}

impl Metric {
    /// Whether more is better.
    #[must_use]
    pub fn higher_is_better(&self) -> bool {
        !matches!(
            self,
            Self::LogLoss
                | Self::Brier
                | Self::CalibrationError
                | Self::Mae
                | Self::Rmse
                | Self::Mape
                | Self::QuantileLoss(_)
        )
    }

    /// Whether it measures numbers, not classes or rankings.
    pub(in crate::validate) fn of_numbers(&self) -> bool {
        matches!(self, Self::Mae | Self::Rmse | Self::R2 | Self::Mape | Self::QuantileLoss(_))
    }

    pub(in crate::validate) fn of_rankings(&self) -> bool {
        matches!(self, Self::Ndcg(_) | Self::Map | Self::Mrr)
    }
}

const fn rate_name(rate: Rate) -> &'static str {
    match rate {
        Rate::Precision => "precision",
        Rate::Recall => "recall",
        Rate::F1 => "f1",
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accuracy => "accuracy",
            Self::BalancedAccuracy => "balanced_accuracy",
            Self::OfClass(rate, None) => rate_name(*rate),
            Self::OfClass(rate, Some(class)) => return write!(f, "{}:{class}", rate_name(*rate)),
            Self::Averaged(rate, average) => {
                let average = match average {
                    Average::Macro => "macro",
                    Average::Micro => "micro",
                    Average::Weighted => "weighted",
                };
                return write!(f, "{}_{average}", rate_name(*rate));
            }
            Self::RocAuc => "roc_auc",
            Self::PrAuc => "pr_auc",
            Self::LogLoss => "log_loss",
            Self::Brier => "brier",
            Self::CalibrationError => "ece",
            Self::Mae => "mae",
            Self::Rmse => "rmse",
            Self::R2 => "r2",
            Self::Mape => "mape",
            Self::QuantileLoss(q) => return write!(f, "quantile_loss@{q}"),
            Self::Ndcg(None) => "ndcg",
            Self::Ndcg(Some(k)) => return write!(f, "ndcg@{k}"),
            Self::Map => "map",
            Self::Mrr => "mrr",
        })
    }
}

impl FromStr for Metric {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let rate = |text: &str| match text {
            "precision" => Some(Rate::Precision),
            "recall" => Some(Rate::Recall),
            "f1" => Some(Rate::F1),
            _ => None,
        };
        let plain = match name {
            "accuracy" => Some(Self::Accuracy),
            "balanced_accuracy" => Some(Self::BalancedAccuracy),
            "roc_auc" => Some(Self::RocAuc),
            "pr_auc" => Some(Self::PrAuc),
            "log_loss" => Some(Self::LogLoss),
            "brier" => Some(Self::Brier),
            "ece" => Some(Self::CalibrationError),
            "mae" => Some(Self::Mae),
            "rmse" => Some(Self::Rmse),
            "r2" => Some(Self::R2),
            "mape" => Some(Self::Mape),
            "ndcg" => Some(Self::Ndcg(None)),
            "map" => Some(Self::Map),
            "mrr" => Some(Self::Mrr),
            other => rate(other).map(|r| Self::OfClass(r, None)),
        };
        let parametric = || {
            if let Some((head, class)) = name.split_once(':') {
                return rate(head).map(|r| Self::OfClass(r, Some(class.to_string())));
            }
            match name.split_once('@') {
                Some(("ndcg", k)) => return k.parse().ok().filter(|k| *k > 0).map(|k| Self::Ndcg(Some(k))),
                Some(("quantile_loss", q)) => {
                    return q.parse().ok().filter(|q| *q > 0.0 && *q < 1.0).map(Self::QuantileLoss);
                }
                _ => {}
            }
            let (head, average) = name.rsplit_once('_')?;
            let average = match average {
                "macro" => Average::Macro,
                "micro" => Average::Micro,
                "weighted" => Average::Weighted,
                _ => return None,
            };
            rate(head).map(|r| Self::Averaged(r, average))
        };
        plain.or_else(parametric).ok_or_else(|| {
            Error::new(ErrorKind::InvalidArgument, "no metric has this name")
                .expected(
                    "accuracy, balanced_accuracy, precision, recall, f1 (also :CLASS, _macro, _micro, _weighted), \
                     roc_auc, pr_auc, log_loss, brier, ece, mae, rmse, r2, mape, quantile_loss@Q, ndcg@K, map or mrr",
                )
                .actual(name)
        })
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}
