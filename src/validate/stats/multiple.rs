use std::fmt;

use serde::{Deserialize, Serialize};

/// How p-values are adjusted for how many tests were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Adjustment {
    /// Benjamini and Hochberg's step-up procedure (1995): bounds the expected share of false alarms among the alarms.
    BenjaminiHochberg,
    /// Holm's step-down procedure (1979): bounds the chance of any false alarm.
    #[default]
    Holm,
    /// None; each test stands alone.
    None,
}

impl fmt::Display for Adjustment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BenjaminiHochberg => "Benjamini-Hochberg",
            Self::Holm => "Holm",
            Self::None => "unadjusted",
        })
    }
}

/// The p-values adjusted for their number, in their order.
///
/// ```
/// use modelberth::validate::{adjust, Adjustment};
/// assert_eq!(adjust(&[0.01, 0.04, 0.03], Adjustment::Holm), [0.03, 0.06, 0.06]);
/// ```
#[must_use]
pub fn adjust(p_values: &[f64], adjustment: Adjustment) -> Vec<f64> {
    adjust_within(p_values, p_values.len(), adjustment)
}

/// The p-values adjusted as members of a family of `family` tests, of which the others are taken to be without any
/// evidence (p = 1). A family smaller than the list counts as the list.
#[must_use]
pub fn adjust_within(p_values: &[f64], family: usize, adjustment: Adjustment) -> Vec<f64> {
    let tests = family.max(p_values.len()) as f64;
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = p_values.to_vec();
    match adjustment {
        Adjustment::None => {}
        Adjustment::Holm => {
            let mut highest: f64 = 0.0;
            for (rank, &i) in order.iter().enumerate() {
                highest = highest.max(p_values[i] * (tests - rank as f64)).min(1.0);
                adjusted[i] = highest;
            }
        }
        Adjustment::BenjaminiHochberg => {
            let mut lowest: f64 = 1.0;
            for (rank, &i) in order.iter().enumerate().rev() {
                lowest = lowest.min(p_values[i] * tests / (rank + 1) as f64);
                adjusted[i] = lowest;
            }
        }
    }
    adjusted
}
