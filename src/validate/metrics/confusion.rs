use crate::validate::stats::wilson_estimate;
use crate::validate::{Estimate, Measured};

/// How the values of classes become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Average {
    /// The mean over the classes that occur.
    Macro,
    /// From the sums over all classes; with one label a row this is accuracy.
    Micro,
    /// The mean over the classes, weighted by how many rows are truly of each.
    Weighted,
}

/// Precision, recall or F1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rate {
    /// Of the rows predicted as the class, the share that is of it.
    Precision,
    /// Of the rows of the class, the share predicted as it.
    Recall,
    /// The harmonic mean of the two: 2 TP / (2 TP + FP + FN).
    F1,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Cell {
    rows: u64,
    weight: f64,
    squares: f64,
}

/// The confusion matrix (k, k) of a stream, rows by the true class, columns by the predicted one; batches and threads
/// are merged.
///
/// Every metric of it has the standard error of the delta method over its cells; intervals are Wilson's at the number of
/// rows that this standard error stands for, so that an accuracy, a precision or a recall gets exactly Wilson's interval.
///
/// ```
/// use modelberth::validate::Confusion;
/// let mut seen = Confusion::new(2);
/// for (truth, predicted) in [(0, 0), (1, 1), (1, 0), (1, 1)] {
///     seen.add(truth, predicted, 1.0);
/// }
/// assert_eq!(seen.accuracy(0.95).value(), Some(0.75));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Confusion {
    classes: usize,
    cells: Vec<Cell>,
}

impl Confusion {
    /// An empty matrix of `classes` classes.
    #[must_use]
    pub fn new(classes: usize) -> Self {
        Self { classes, cells: vec![Cell::default(); classes * classes] }
    }

    /// The number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Adds a row; a class the matrix doesn't have makes it larger. A weight of 0 adds nothing.
    pub fn add(&mut self, truth: usize, predicted: usize, weight: f64) {
        let most = truth.max(predicted);
        if most >= self.classes {
            self.grow(most + 1);
        }
        if weight != 0.0 {
            let cell = &mut self.cells[truth * self.classes + predicted];
            cell.rows += 1;
            cell.weight += weight;
            cell.squares += weight * weight;
        }
    }

    /// Adds what `other` has seen.
    pub fn merge(&mut self, other: &Self) {
        self.grow(other.classes);
        for truth in 0..other.classes {
            for predicted in 0..other.classes {
                let from = other.cells[truth * other.classes + predicted];
                let cell = &mut self.cells[truth * self.classes + predicted];
                cell.rows += from.rows;
                cell.weight += from.weight;
                cell.squares += from.squares;
            }
        }
    }

    fn grow(&mut self, classes: usize) {
        if classes <= self.classes {
            return;
        }
        let mut cells = vec![Cell::default(); classes * classes];
        for truth in 0..self.classes {
            let from = truth * self.classes;
            cells[truth * classes..][..self.classes].copy_from_slice(&self.cells[from..from + self.classes]);
        }
        (self.classes, self.cells) = (classes, cells);
    }

    /// The rows of class `truth` that were predicted as `predicted`.
    #[must_use]
    pub fn rows(&self, truth: usize, predicted: usize) -> u64 {
        self.cell(truth, predicted).rows
    }

    /// Their weight.
    #[must_use]
    pub fn weight(&self, truth: usize, predicted: usize) -> f64 {
        self.cell(truth, predicted).weight
    }

    fn cell(&self, truth: usize, predicted: usize) -> Cell {
        self.cells.get(truth * self.classes + predicted).copied().unwrap_or_default()
    }

    /// The rows seen.
    #[must_use]
    pub fn total_rows(&self) -> u64 {
        self.cells.iter().map(|c| c.rows).sum()
    }

    /// The rows on the diagonal.
    #[must_use]
    pub fn right_rows(&self) -> u64 {
        (0..self.classes).map(|c| self.cell(c, c).rows).sum()
    }

    /// Whether every row had weight 1.
    #[must_use]
    pub fn is_unweighted(&self) -> bool {
        self.cells.iter().all(|c| c.weight == c.rows as f64 && c.squares == c.rows as f64)
    }

    /// The share of rows whose class was predicted.
    #[must_use]
    pub fn accuracy(&self, level: f64) -> Measured {
        let total = self.total();
        if total == 0.0 {
            return no_rows();
        }
        let value = (0..self.classes).map(|c| self.cell(c, c).weight).sum::<f64>() / total;
        self.measured(value, level, |_, _| true, |i, j| (f64::from(i == j) - value) / total)
    }

    /// The mean recall over the classes that have rows.
    #[must_use]
    pub fn balanced_accuracy(&self, level: f64) -> Measured {
        let margins = self.margins();
        let present: Vec<usize> = (0..self.classes).filter(|&c| margins[c].truth > 0.0).collect();
        if present.is_empty() {
            return no_rows();
        }
        let share = 1.0 / present.len() as f64;
        let value = present.iter().map(|&c| margins[c].value(Rate::Recall)).sum::<f64>() * share;
        self.measured(value, level, |_, _| true, |i, j| share * margins[i].slope(Rate::Recall, i, j))
    }

    /// Precision, recall or F1 of one class.
    #[must_use]
    pub fn of_class(&self, rate: Rate, class: usize, level: f64) -> Measured {
        let margins = self.margins();
        let Some(margin) = margins.get(class).filter(|m| m.base(rate) > 0.0) else {
            return Measured::undefined(match rate {
                Rate::Precision => "no row was predicted as this class",
                Rate::Recall => "no row is of this class",
                Rate::F1 => "no row is of this class or was predicted as it",
            });
        };
        let relevant = |i: usize, j: usize| match rate {
            Rate::Precision => j == class,
            Rate::Recall => i == class,
            Rate::F1 => i == class || j == class,
        };
        self.measured(margin.value(rate), level, relevant, |i, j| margin.slope(rate, i, j))
    }

    /// Precision, recall or F1 over all classes. A class without rows to divide by counts as 0, as in scikit-learn.
    #[must_use]
    pub fn average(&self, rate: Rate, average: Average, level: f64) -> Measured {
        let (margins, total) = (self.margins(), self.total());
        if total == 0.0 {
            return no_rows();
        }
        let all = |_: usize, _: usize| true;
        match average {
            Average::Micro => self.accuracy(level),
            Average::Macro => {
                let present: Vec<&Margin> = margins.iter().filter(|m| m.truth + m.predicted > 0.0).collect();
                let share = 1.0 / present.len() as f64;
                let value = present.iter().map(|m| m.value(rate)).sum::<f64>() * share;
                self.measured(value, level, all, |i, j| {
                    let own = margins[i].slope(rate, i, j);
                    share * if i == j { own } else { own + margins[j].slope(rate, i, j) }
                })
            }
            Average::Weighted => {
                let value = margins.iter().map(|m| m.truth * m.value(rate)).sum::<f64>() / total;
                self.measured(value, level, all, |i, j| {
                    let own = margins[i].truth * margins[i].slope(rate, i, j);
                    let other = if i == j { 0.0 } else { margins[j].truth * margins[j].slope(rate, i, j) };
                    (margins[i].value(rate) - value + own + other) / total
                })
            }
        }
    }

    fn total(&self) -> f64 {
        self.cells.iter().map(|c| c.weight).sum()
    }

    fn margins(&self) -> Vec<Margin> {
        let mut margins: Vec<Margin> = (0..self.classes).map(|class| Margin { class, ..Margin::default() }).collect();
        for truth in 0..self.classes {
            for predicted in 0..self.classes {
                let weight = self.cell(truth, predicted).weight;
                margins[truth].truth += weight;
                margins[predicted].predicted += weight;
            }
            margins[truth].right = self.cell(truth, truth).weight;
        }
        margins
    }

    /// A value with its interval. `relevant` are the cells it depends on, `slope` its derivative by the weight of a row
    /// in a cell.
    fn measured(
        &self,
        value: f64,
        level: f64,
        relevant: impl Fn(usize, usize) -> bool,
        slope: impl Fn(usize, usize) -> f64,
    ) -> Measured {
        let (mut variance, mut rows, mut weight, mut squares) = (0.0, 0, 0.0, 0.0);
        for i in 0..self.classes {
            for j in 0..self.classes {
                let cell = self.cell(i, j);
                if cell.rows > 0 && relevant(i, j) {
                    variance += cell.squares * slope(i, j).powi(2);
                    rows += cell.rows;
                    weight += cell.weight;
                    squares += cell.squares;
                }
            }
        }
        let estimate: Estimate = wilson_estimate(value, variance.sqrt(), weight * weight / squares, rows, level);
        Measured::Value(estimate)
    }
}

/// The weights of one class: true, predicted, both.
#[derive(Debug, Clone, Copy, Default)]
struct Margin {
    class: usize,
    truth: f64,
    predicted: f64,
    right: f64,
}

impl Margin {
    fn base(&self, rate: Rate) -> f64 {
        match rate {
            Rate::Precision => self.predicted,
            Rate::Recall => self.truth,
            Rate::F1 => self.truth + self.predicted,
        }
    }

    fn value(&self, rate: Rate) -> f64 {
        let base = self.base(rate);
        let twice = if rate == Rate::F1 { 2.0 } else { 1.0 };
        if base > 0.0 { twice * self.right / base } else { 0.0 }
    }

    /// The derivative by the weight of a row in cell (i, j).
    fn slope(&self, rate: Rate, i: usize, j: usize) -> f64 {
        let base = self.base(rate);
        if base == 0.0 {
            return 0.0;
        }
        let (of, as_it) = (f64::from(i == self.class), f64::from(j == self.class));
        let value = self.value(rate);
        match rate {
            Rate::Precision => as_it * (of - value) / base,
            Rate::Recall => of * (as_it - value) / base,
            Rate::F1 => (2.0 * of * as_it - value * (of + as_it)) / base,
        }
    }
}

fn no_rows() -> Measured {
    Measured::undefined("there are no rows")
}
