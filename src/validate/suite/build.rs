//! Suites written in Rust.

use super::file::{
    Against, Behaviour, Change, Contract, Expect, Fairness, Gaps, MetricCheck, Minimum, MustPass, OneOrMany, Outputs,
    SliceSpec, Suite, Value, Values, alpha, level, quantiles, support,
};
use crate::validate::{Adjustment, Metric};

impl Suite {
    /// A suite without checks for data with the truth in column `label`. The methods add the usual checks; everything
    /// else is set in its fields.
    ///
    /// ```
    /// use modelberth::validate::{Behaviour, Change, Expect, Metric, Suite};
    /// let suite = Suite::new("churned")
    ///     .require(Metric::Accuracy, 0.8)
    ///     .slice("country == 'FR' and age < 25")
    ///     .slices_by(["plan"])
    ///     .max_gap([Metric::Accuracy], 0.05)
    ///     .fair("sex", Metric::Accuracy, Some(0.1), None)
    ///     .must_pass([("age", 31.into()), ("plan", "pro".into())], "no")
    ///     .invariant(Behaviour::new([Change::to("name", ["Anna", "Mehmet"])]).tolerance(0.01))
    ///     .direction(Behaviour::new([Change::range("income", 0.0, 2e5, 20)]).expect(Expect::NotUp))
    ///     .minimum("tenure > 60", 0.02);
    /// assert_eq!(suite.slice.len(), 2);
    /// ```
    #[must_use]
    pub fn new(label: impl Into<String>) -> Self {
        Self {
            name: String::new(),
            label: label.into(),
            task: None,
            positive: None,
            weight: None,
            query: None,
            outputs: Outputs::default(),
            level: level(),
            alpha: alpha(),
            adjust: Adjustment::default(),
            min_support: support(),
            seed: 0,
            metric: Vec::new(),
            slice: Vec::new(),
            gaps: Gaps::default(),
            fairness: Vec::new(),
            must_pass: Vec::new(),
            invariance: Vec::new(),
            direction: Vec::new(),
            metamorphic: Vec::new(),
            minimum: Vec::new(),
            contract: Contract::default(),
            against: Against::default(),
            source: None,
        }
    }

    /// Calls the suite `name` in reports.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Requires at least `bound` of `metric` on all rows (at most, of a metric of which less is better).
    #[must_use]
    pub fn require(mut self, metric: Metric, bound: f64) -> Self {
        let higher = metric.higher_is_better();
        let (at_least, at_most) = if higher { (Some(bound), None) } else { (None, Some(bound)) };
        self.metric.push(MetricCheck { metric, at_least, at_most, surely: false });
        self
    }

    /// Measures the rows that `predicate` takes as a slice.
    #[must_use]
    pub fn slice(mut self, predicate: &str) -> Self {
        let predicate = Some(predicate.to_string());
        self.slice.push(SliceSpec { name: None, predicate, by: None, quantiles: quantiles() });
        self
    }

    /// Measures a slice for each combination of values of these columns.
    #[must_use]
    pub fn slices_by<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        let by = Some(OneOrMany::Many(columns.into_iter().map(Into::into).collect()));
        self.slice.push(SliceSpec { name: None, predicate: None, by, quantiles: quantiles() });
        self
    }

    /// Fails slices that are surely worse than the other rows by more than `gap` of any of `metrics`.
    #[must_use]
    pub fn max_gap(mut self, metrics: impl IntoIterator<Item = Metric>, gap: f64) -> Self {
        self.gaps = Gaps { metrics: metrics.into_iter().collect(), max_gap: Some(gap) };
        self
    }

    /// Bounds how far the groups of a column may lie apart: by their difference, their ratio, or both.
    #[must_use]
    pub fn fair(
        mut self,
        by: impl Into<String>,
        metric: Metric,
        max_difference: Option<f64>,
        min_ratio: Option<f64>,
    ) -> Self {
        self.fairness.push(Fairness { by: by.into(), metric, max_difference, min_ratio });
        self
    }

    /// Requires the answer `expect` for one example.
    #[must_use]
    pub fn must_pass<S: Into<String>>(
        mut self,
        input: impl IntoIterator<Item = (S, Value)>,
        expect: impl Into<Value>,
    ) -> Self {
        let input = input.into_iter().map(|(name, value)| (name.into(), value)).collect();
        self.must_pass.push(MustPass { name: None, input, row: Vec::new(), expect: expect.into(), tolerance: 0.0 });
        self
    }

    /// Requires that a change leaves the answer as it is.
    #[must_use]
    pub fn invariant(mut self, behaviour: Behaviour) -> Self {
        self.invariance.push(behaviour);
        self
    }

    /// Requires that a change moves the answer as [`Behaviour::expect`] says.
    #[must_use]
    pub fn direction(mut self, behaviour: Behaviour) -> Self {
        self.direction.push(behaviour);
        self
    }

    /// Allows at most this share of the rows that `predicate` takes to be wrong.
    #[must_use]
    pub fn minimum(mut self, predicate: &str, max_failure_rate: f64) -> Self {
        let predicate = predicate.to_string();
        self.minimum.push(Minimum { name: None, predicate, max_failure_rate, tolerance: 0.0 });
        self
    }

    /// Sets what the model promises.
    #[must_use]
    pub fn contract(mut self, contract: Contract) -> Self {
        self.contract = contract;
        self
    }

    /// Sets how the model may compare with an incumbent.
    #[must_use]
    pub fn against(mut self, against: Against) -> Self {
        self.against = against;
        self
    }
}

impl Behaviour {
    /// A behaviour under these changes, all made together.
    #[must_use]
    pub fn new(change: impl IntoIterator<Item = Change>) -> Self {
        Self {
            name: None,
            change: change.into_iter().collect(),
            expect: None,
            tolerance: None,
            class: None,
            predicate: None,
            max_failure_rate: 0.0,
        }
    }

    /// Sets [`expect`](Self::expect).
    #[must_use]
    pub fn expect(mut self, expect: Expect) -> Self {
        self.expect = Some(expect);
        self
    }

    /// Sets [`tolerance`](Self::tolerance).
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = Some(tolerance);
        self
    }

    /// Tries only the rows that `predicate` takes.
    #[must_use]
    pub fn on_rows(mut self, predicate: &str) -> Self {
        self.predicate = Some(predicate.to_string());
        self
    }

    /// Sets [`max_failure_rate`](Self::max_failure_rate).
    #[must_use]
    pub fn max_failure_rate(mut self, share: f64) -> Self {
        self.max_failure_rate = share;
        self
    }
}

impl Change {
    /// Sets `column` to each of `values` in turn.
    #[must_use]
    pub fn to<V: Into<Value>>(column: impl Into<String>, values: impl IntoIterator<Item = V>) -> Self {
        let to = Some(Values::Many(values.into_iter().map(Into::into).collect()));
        Self { column: column.into(), to, ..Self::default() }
    }

    /// Adds `number` to `column`.
    #[must_use]
    pub fn add(column: impl Into<String>, number: f64) -> Self {
        Self { column: column.into(), add: Some(number), ..Self::default() }
    }

    /// Multiplies `column` by `number`.
    #[must_use]
    pub fn multiply(column: impl Into<String>, number: f64) -> Self {
        Self { column: column.into(), multiply: Some(number), ..Self::default() }
    }

    /// Takes `column` from one number to another in `steps` steps, each compared with the one before.
    #[must_use]
    pub fn range(column: impl Into<String>, from: f64, to: f64, steps: usize) -> Self {
        Self { column: column.into(), range: Some([from, to]), steps: Some(steps), ..Self::default() }
    }
}

macro_rules! value_from {
    ($($t:ty => $variant:ident),*) => {$(
        impl From<$t> for Value {
            fn from(value: $t) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}
value_from!(bool => Bool, i32 => Int, i64 => Int, f32 => Float, f64 => Float, &str => Text, String => Text);
