//! The equation of an `Einsum`.

use crate::{Error, ErrorKind, Result};

/// An axis of the equation: a letter, or the place from the end of one that an ellipsis stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Label {
    /// Earlier axes of an ellipsis stand farther from its end.
    Rest(std::cmp::Reverse<usize>),
    Letter(u8),
}

/// One term of an equation: the letters before and after an ellipsis, if there is one.
#[derive(Debug, Clone, Default)]
struct Term {
    before: Vec<u8>,
    after: Option<Vec<u8>>,
}

impl Term {
    fn parse(text: &str) -> Result<Self> {
        let letters = |part: &str| -> Result<Vec<u8>> {
            let kept = part.bytes().filter(|b| !b.is_ascii_whitespace());
            kept.map(|b| if b.is_ascii_alphabetic() { Ok(b) } else { Err(bad_equation(text)) }).collect()
        };
        match text.split_once("...") {
            None => Ok(Self { before: letters(text)?, after: None }),
            Some((before, after)) => Ok(Self { before: letters(before)?, after: Some(letters(after)?) }),
        }
    }

    fn letters(&self) -> impl Iterator<Item = u8> + '_ {
        self.before.iter().chain(self.after.iter().flatten()).copied()
    }

    /// The labels of the axes of a value of `rank`, the ellipsis standing for those that no letter takes.
    fn labels(&self, rank: usize) -> Option<Vec<Label>> {
        let free = rank.checked_sub(self.letters().count())?;
        if self.after.is_none() && free > 0 {
            return None;
        }
        Some(self.with_ellipsis(free))
    }

    fn with_ellipsis(&self, free: usize) -> Vec<Label> {
        let letter = |&l: &u8| Label::Letter(l);
        let mut labels: Vec<Label> = self.before.iter().map(letter).collect();
        if let Some(after) = &self.after {
            labels.extend((0..free).rev().map(|i| Label::Rest(std::cmp::Reverse(i))));
            labels.extend(after.iter().map(letter));
        }
        labels
    }
}

#[cold]
fn bad_equation(text: &str) -> Error {
    Error::new(ErrorKind::Malformed, "Einsum can't read its equation")
        .expected("letters, one `...` a term, `,` and `->`")
        .actual(text)
}

/// The sum of the products of the inputs over the labels that the output does not have.
#[derive(Debug)]
pub(crate) struct Equation {
    terms: Vec<Term>,
    /// `None` for the labels that occur once, in order.
    output: Option<Term>,
}

/// The labels of the inputs and the output for inputs of given ranks.
pub(crate) struct Labels {
    pub(crate) inputs: Vec<Vec<Label>>,
    pub(crate) output: Vec<Label>,
}

impl Equation {
    /// The equation in `text`, of so many inputs.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] where it can't be read, or is of another number of inputs.
    pub(crate) fn parse(text: &str, inputs: usize) -> Result<Self> {
        let malformed = |what: &str| Err(Error::new(ErrorKind::Malformed, what));
        let (left, right) = match text.split_once("->") {
            Some((left, right)) => (left, Some(right)),
            None => (text, None),
        };
        let terms = left.split(',').map(Term::parse).collect::<Result<Vec<_>>>()?;
        let output = right.map(Term::parse).transpose()?;
        if terms.len() != inputs {
            return malformed("the equation of Einsum does not have one term for each input");
        }
        if let Some(output) = &output {
            let mut letters: Vec<u8> = output.letters().collect();
            if letters.iter().any(|&l| !terms.iter().any(|t| t.letters().any(|x| x == l))) {
                return malformed("the output of Einsum has a letter that no input has");
            }
            let count = letters.len();
            letters.sort_unstable();
            letters.dedup();
            if letters.len() != count {
                return malformed("the output of Einsum has a letter twice");
            }
        }
        Ok(Self { terms, output })
    }

    /// How many inputs it has.
    pub(crate) fn len(&self) -> usize {
        self.terms.len()
    }

    /// The labels for inputs of these ranks; `None` where they do not fit.
    pub(crate) fn labels(&self, ranks: impl Iterator<Item = usize>) -> Option<Labels> {
        let inputs: Vec<_> = self.terms.iter().zip(ranks).map(|(t, rank)| t.labels(rank)).collect::<Option<_>>()?;
        let free = |labels: &Vec<Label>| labels.iter().filter(|l| matches!(l, Label::Rest(_))).count();
        let rest = inputs.iter().map(free).max().unwrap_or(0);
        let output = match &self.output {
            Some(output) => output.with_ellipsis(rest),
            None => {
                let all: Vec<Label> = inputs.iter().flatten().copied().collect();
                let once = |l: &Label| matches!(l, Label::Letter(_)) && all.iter().filter(|x| *x == l).count() == 1;
                let mut letters: Vec<Label> = all.iter().copied().filter(once).collect();
                letters.sort_unstable();
                let mut output: Vec<Label> = (0..rest).rev().map(|i| Label::Rest(std::cmp::Reverse(i))).collect();
                output.extend(letters);
                output
            }
        };
        Some(Labels { inputs, output })
    }
}
