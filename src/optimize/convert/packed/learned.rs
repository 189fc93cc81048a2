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
            "SVMRegressor" => self.machine(node)?,
            "LinearClassifier" => return self.linear_classifier(node),
            "TreeEnsembleRegressor" => self.tree_regressor(node)?,
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
        let keys: Vec<f32> = (0..labels.len()).map(|i| i as f32).collect();
        let other = if kind == Kind::Text { -1.0 } else { 0.0 };
        let span = self.program.lookup(winners, &keys, labels, other);
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
        let whole = self.program.constant(&vec![f32::from(u8::from(from_one)); positive.len]);
        let negative = self.program.zip(Binary::Subtract, whole, positive);
        let from = Span { at: positive.at, len: negative.at + negative.len - positive.at };
        let places: Vec<usize> = (0..positive.len).flat_map(|i| [negative.at - positive.at + i, i]).collect();
        self.program.gather(from, &places)
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

    /// A support vector machine of one score: the weighted sum of kernels plus rho.
    fn machine(&mut self, node: &NodeProto) -> Result<Value> {
        let x = self.input(node, 0)?;
        let (weights, vectors) = (floats(node, "coefficients"), floats(node, "support_vectors"));
        let count = usize::try_from(int(node, "n_supports", 0)).unwrap_or(0);
        let (rows, k) = x.rows();
        let rho = floats(node, "rho").first().copied().unwrap_or(0.0);
        let expected = if count == 0 { k } else { count };
        if rows != 1 || k == 0 || weights.len() != expected || Some(vectors.len()) != count.checked_mul(k) {
            return Err(unsupported(node, "a support vector machine of this shape"));
        }
        let span = self.span(&x);
        let parameters = floats(node, "kernel_params");
        let [gamma, coef0, degree] = [0, 1, 2].map(|i| parameters.get(i).copied().unwrap_or(0.0));
        let kernels = match text(node, "kernel_type", "LINEAR").as_str() {
            _ if count == 0 => span,
            "LINEAR" => self.program.dense(span, k, vectors, &vec![0.0; count]),
            "RBF" => {
                let distances = self.program.distances(span, count, vectors);
                let scaled = self.program.zip_with(Binary::Multiply, distances, -gamma);
                self.program.map(Unary::Exp, scaled)
            }
            name @ ("POLY" | "SIGMOID") => {
                let scaled: Vec<f32> = vectors.iter().map(|v| gamma * v).collect();
                let products = self.program.dense(span, k, &scaled, &vec![coef0; count]);
                if name == "POLY" {
                    self.program.zip_with(Binary::Power, products, degree)
                } else {
                    self.program.map(Unary::Tanh, products)
                }
            }
            other => return Err(unsupported(node, &format!("the kernel `{other}`"))),
        };
        let mut score = self.program.dense(kernels, expected, weights, &[rho]);
        if int(node, "one_class", 0) != 0 {
            let inside = self.program.zip_with(Binary::Greater, score, 0.0);
            let (one, other) = (self.program.constant(&[1.0]), self.program.constant(&[-1.0]));
            score = self.program.select(inside, one, other);
        }
        Ok(Value::slot(&[1, 1], Kind::F32, score))
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
        let with = self.spread(&Value::known(&[with.len()], Kind::F32, with), &x.shape);
        let (span, with) = (self.span(&x), self.span(&with));
        let gone = if replaced.is_nan() {
            self.program.map(Unary::IsNan, span)
        } else {
            self.program.zip_with(Binary::Equal, span, replaced)
        };
        Ok(Value::slot(&x.shape, x.kind, self.program.select(gone, with, span)))
    }

    /// Elements of a known list at computed places.
    pub(super) fn looked_up(&mut self, items: &[f32], kind: Kind, places: Span, shape: &[usize]) -> Value {
        let keys: Vec<f32> = (0..items.len()).map(|i| i as f32).collect();
        Value::slot(shape, kind, self.program.lookup(places, &keys, items, 0.0))
    }

    fn extracted(&mut self, node: &NodeProto) -> Result<Value> {
        let (x, at) = (self.input(node, 0)?, self.input(node, 1)?);
        let (rows, n) = x.rows();
        let mut shape = x.shape.clone();
        match shape.as_mut_slice() {
            [_] => shape = vec![1, at.len()],
            [.., last] => *last = at.len(),
            [] => return Err(unsupported(node, "an element of a scalar")),
        }
        match (&x.data, &at.data) {
            (Data::Known(items), Data::Slot(places)) if rows == 1 => Ok(self.looked_up(items, x.kind, *places, &shape)),
            (_, Data::Slot(_)) => Err(unsupported(node, "elements of computed values at computed places")),
            (_, Data::Known(places)) => {
                if places.iter().any(|place| *place < 0.0 || *place as usize >= n) {
                    return Err(unsupported(node, "a feature past the end"));
                }
                let places: Vec<usize> =
                    (0..rows).flat_map(|row| places.iter().map(move |p| row * n + *p as usize)).collect();
                Ok(self.arranged(&x, &shape, &places))
            }
        }
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
