//! The operators of ONNX-ML.

use super::program::Span;
use super::values::{Data, Packer, Value, common_shape, unsupported, whole};
use crate::edge::{Binary, Kind, Reduction, Unary};
use crate::onnx::NodeProto;
use crate::onnx::node::{float, int};
use crate::{Error, ErrorKind, Result};

/// An attribute that is a list of floats.
pub(super) fn floats<'n>(node: &'n NodeProto, name: &str) -> &'n [f32] {
    node.find_attribute(name).map_or(&[], |a| &a.floats)
}

/// An attribute that is a list of integers.
pub(super) fn ints<'n>(node: &'n NodeProto, name: &str) -> &'n [i64] {
    node.find_attribute(name).map_or(&[], |a| &a.ints)
}

/// An attribute that is a list of texts.
pub(super) fn texts(node: &NodeProto, name: &str) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    node.find_attribute(name).map_or_else(Vec::new, |a| a.strings.iter().map(|s| text(s.as_slice())).collect())
}

/// An attribute that is a text.
pub(super) fn text(node: &NodeProto, name: &str, default: &str) -> String {
    let found = node.find_attribute(name).and_then(|a| a.s.as_ref());
    found.map_or_else(|| default.to_owned(), |s| String::from_utf8_lossy(s.as_slice()).into_owned())
}

/// What becomes of the scores of classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Post {
    None,
    Softmax,
    Logistic,
}

impl Post {
    pub(super) fn of(node: &NodeProto) -> Result<Self> {
        match text(node, "post_transform", "NONE").as_str() {
            "NONE" => Ok(Self::None),
            "SOFTMAX" => Ok(Self::Softmax),
            "LOGISTIC" => Ok(Self::Logistic),
            other => Err(unsupported(node, &format!("the post_transform `{other}`"))),
        }
    }
}

impl Packer {
    /// Packs a node of the domain `ai.onnx.ml`.
    pub(super) fn learned(&mut self, node: &NodeProto) -> Result<()> {
        let value = match node.operator() {
            "LinearRegressor" => {
                let n = usize::try_from(int(node, "targets", 1)).unwrap_or(0);
                let (x, scores) = self.scores(node, n)?;
                if Post::of(node)? != Post::None {
                    return Err(unsupported(node, "a transform behind a regression"));
                }
                Value::slot(&[x, n], Kind::F32, scores)
            }
            "SVMRegressor" => self.svm_regressor(node)?,
            "SVMClassifier" => return self.svm_classifier(node),
            "LinearClassifier" => return self.linear_classifier(node),
            "TreeEnsembleRegressor" => self.tree_regressor(node)?,
            "TreeEnsemble" => self.tree_ensemble(node)?,
            "TreeEnsembleClassifier" => return self.tree_classifier(node),
            "Scaler" => {
                let mut x = self.input(node, 0)?;
                for (name, f) in [("offset", Binary::Subtract), ("scale", Binary::Multiply)] {
                    let by = floats(node, name).to_vec();
                    if !by.is_empty() {
                        x = self.zip(node, f, &x, &Value::known(&[by.len()], Kind::F32, by), Kind::F32)?;
                    }
                }
                x
            }
            "Normalizer" => {
                let x = self.input(node, 0)?;
                let f = match text(node, "norm", "MAX").as_str() {
                    "MAX" => Reduction::Maximum,
                    "L1" => Reduction::L1,
                    "L2" => Reduction::L2,
                    _ => return Err(unsupported(node, "this norm")),
                };
                self.normalised(&x, f)
            }
            "Imputer" => self.imputed(node)?,
            "Binarizer" => {
                let x = self.input(node, 0)?;
                let by = Value::known(&[], Kind::F32, vec![float(node, "threshold", 0.0)]);
                self.zip(node, Binary::Greater, &x, &by, Kind::F32)?
            }
            "ArrayFeatureExtractor" => self.extracted(node)?,
            "OneHotEncoder" => self.one_hot(node)?,
            "LabelEncoder" => self.encoded(node)?,
            // A map of names to numbers is a row of these here.
            "ZipMap" => self.input(node, 0)?,
            "FeatureVectorizer" => {
                let parts = (0..node.input.len()).map(|i| self.input(node, i)).collect::<Result<Vec<_>>>()?;
                self.concat(node, &parts, -1)?
            }
            operator => return Err(unsupported(node, &format!("the operator `{operator}`"))),
        };
        self.give(node, 0, value);
        Ok(())
    }

    /// The rows of input 0 and their scores by the coefficients.
    fn scores(&mut self, node: &NodeProto, n: usize) -> Result<(usize, Span)> {
        let x = self.input(node, 0)?;
        let (rows, k) = x.rows();
        let weights = floats(node, "coefficients");
        let mut bias = floats(node, "intercepts").to_vec();
        bias.resize(n, 0.0);
        if n == 0 || k == 0 || Some(weights.len()) != k.checked_mul(n) {
            return Err(Error::new(ErrorKind::WrongShape, "the coefficients do not fit the rows").node(node.label()));
        }
        let span = self.span(&x);
        Ok((rows, self.program.dense(span, k, weights, &bias)))
    }

    /// The class labels of `node`, by the names of their attributes, as floats.
    pub(super) fn labels(&mut self, node: &NodeProto, numbered: &str, named: &str) -> Result<(Kind, Vec<f32>)> {
        let names = texts(node, named);
        if !names.is_empty() {
            return Ok((Kind::Text, names.iter().map(|name| self.program.code(name)).collect()));
        }
        Ok((Kind::I64, ints(node, numbered).iter().map(|x| whole(*x)).collect::<Result<_>>()?))
    }

    /// Output 0: the labels of `winners`, numbers of classes.
    pub(super) fn give_labels(&mut self, node: &NodeProto, winners: Span, kind: Kind, labels: &[f32]) {
        let span = self.program.rows(winners, 1, labels);
        self.give(node, 0, Value::slot(&[winners.len], kind, span));
    }

    /// Scores of classes after the transform.
    pub(super) fn finished(&mut self, scores: Span, classes: usize, post: Post) -> Span {
        match post {
            Post::None => scores,
            Post::Softmax => self.program.softmax(scores, classes),
            Post::Logistic => self.program.map(Unary::Sigmoid, scores),
        }
    }

    /// Pairs of `1 - p` and `p`, or of `-p` and `p`.
    pub(super) fn both(&mut self, positive: Span, from_one: bool) -> Span {
        let whole = self.program.constant(&[f32::from(u8::from(from_one))]);
        let negative = self.program.zip(Binary::Subtract, whole, positive);
        let joined = self.program.join(&[negative, positive]);
        let n = positive.len;
        if n == 1 {
            return joined;
        }
        let places: Vec<usize> = (0..n).flat_map(|i| [i, n + i]).collect();
        self.program.gather(joined, &places)
    }

    fn linear_classifier(&mut self, node: &NodeProto) -> Result<()> {
        let (kind, mut labels) = self.labels(node, "classlabels_ints", "classlabels_strings")?;
        let n = match floats(node, "intercepts").len() {
            0 => labels.len(),
            n => n,
        };
        let post = Post::of(node)?;
        let (rows, raw) = self.scores(node, n)?;
        if n == 1 && labels.len() == 1 && kind == Kind::I64 {
            labels.insert(0, 0.0);
        }
        let (winners, scores, classes) = if n == 1 {
            let winners = self.program.zip_with(Binary::Greater, raw, 0.0);
            let positive = if post == Post::Logistic { self.program.map(Unary::Sigmoid, raw) } else { raw };
            let binary = labels.len() == 2;
            (winners, if binary { self.both(positive, true) } else { positive }, if binary { 2 } else { 1 })
        } else {
            (self.program.reduce(Reduction::ArgMax, raw, n, 1), self.finished(raw, n, post), n)
        };
        self.give_labels(node, winners, kind, &labels);
        self.give(node, 1, Value::slot(&[rows, classes], Kind::F32, scores));
        Ok(())
    }

    fn imputed(&mut self, node: &NodeProto) -> Result<Value> {
        let x = self.input(node, 0)?;
        let with: Vec<f32> = match floats(node, "imputed_value_floats") {
            [] => ints(node, "imputed_value_int64s").iter().map(|x| whole(*x)).collect::<Result<_>>()?,
            with => with.to_vec(),
        };
        let replaced = match node.find_attribute("replaced_value_int64").and_then(|a| a.i) {
            Some(x) => whole(x)?,
            None => float(node, "replaced_value_float", 0.0),
        };
        if common_shape(node, &[with.len()], &x.shape)? != x.shape {
            return Err(unsupported(node, "an imputer of another number of features"));
        }
        let with = self.repeated(&Value::known(&[with.len()], Kind::F32, with), &x.shape);
        let (span, with) = (self.span(&x), self.span(&with));
        let gone = if replaced.is_nan() {
            self.program.map(Unary::IsNan, span)
        } else {
            self.program.zip_with(Binary::Equal, span, replaced)
        };
        Ok(Value::slot(&x.shape, x.kind, self.program.select(gone, with, span)))
    }

    /// `ArrayFeatureExtractor`: the same places of every row.
    fn extracted(&mut self, node: &NodeProto) -> Result<Value> {
        let (x, at) = (self.input(node, 0)?, self.input(node, 1)?);
        let mut shape = x.shape.clone();
        match shape.as_mut_slice() {
            [_] => shape = vec![1, at.len()],
            [.., last] => *last = at.len(),
            [] => return Err(unsupported(node, "an element of a scalar")),
        }
        let at = Value { shape: vec![at.len()], ..at };
        let taken = self.taken(node, &x, &at, x.shape.len() - 1)?;
        Ok(Value { shape, ..taken })
    }

    fn one_hot(&mut self, node: &NodeProto) -> Result<Value> {
        let x = self.input(node, 0)?;
        let (kind, keys) = self.labels(node, "cats_int64s", "cats_strings")?;
        if (kind == Kind::Text) != (x.kind == Kind::Text) {
            return Err(unsupported(node, "categories of another type than the rows"));
        }
        let mut shape = x.shape.clone();
        shape.push(keys.len());
        self.check(node, &shape)?;
        let span = self.span(&x);
        Ok(Value::slot(&shape, Kind::F32, self.program.one_hot(span, &keys)))
    }

    /// Keys or values of a label encoder: the attribute of one of these types.
    fn list(&mut self, node: &NodeProto, of: &str) -> Result<(Kind, Vec<f32>)> {
        if let Some(tensor) = node.find_attribute(&format!("{of}_tensor")).and_then(|a| a.t.as_deref()) {
            let value = self.tensor(tensor)?;
            let Data::Known(items) = value.data else { return Err(unsupported(node, "this list")) };
            return Ok((value.kind, items));
        }
        let numbers = floats(node, &format!("{of}_floats"));
        if !numbers.is_empty() {
            return Ok((Kind::F32, numbers.to_vec()));
        }
        self.labels(node, &format!("{of}_int64s"), &format!("{of}_strings"))
    }

    fn encoded(&mut self, node: &NodeProto) -> Result<Value> {
        let x = self.input(node, 0)?;
        let (key_kind, keys) = self.list(node, "keys")?;
        let (kind, values) = self.list(node, "values")?;
        if keys.is_empty() || keys.len() != values.len() || (key_kind == Kind::Text) != (x.kind == Kind::Text) {
            return Err(unsupported(node, "a label encoder of this form"));
        }
        let other = match (node.find_attribute("default_tensor").and_then(|a| a.t.as_deref()), kind) {
            (Some(tensor), _) => match self.tensor(tensor)?.data {
                Data::Known(items) => items.first().copied().unwrap_or(0.0),
                Data::Slot(_) => 0.0,
            },
            (None, Kind::Text) => {
                let name = text(node, "default_string", "_Unused");
                self.program.code(&name)
            }
            (None, Kind::I64) => whole(int(node, "default_int64", -1))?,
            (None, _) => float(node, "default_float", -0.0),
        };
        let span = self.span(&x);
        Ok(Value::slot(&x.shape, kind, self.program.lookup(span, &keys, &values, other)))
    }
}
