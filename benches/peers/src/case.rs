//! What is measured: a model file and a pool of distinct rows for each of its inputs.

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::{ArrayD, IxDyn};
use serde_json::Value;

use crate::Fault;

/// The rows of one input, rows along the first axis.
pub enum Pool {
    F32(ArrayD<f32>),
    F64(ArrayD<f64>),
    I64(ArrayD<i64>),
    Text(ArrayD<String>),
}

pub struct Input {
    pub name: String,
    pub pool: Pool,
}

pub struct Case {
    pub name: String,
    pub group: String,
    pub batches: Vec<usize>,
    pub model: PathBuf,
    /// The backend that our side is to use; its own choice where none is named.
    pub backend: Option<String>,
    /// The engine that our side is to use for trees; its own choice where none is named.
    pub engine: Option<String>,
    /// How many threads our side is to use. With more than one, it is timed against itself with one, and nobody else.
    pub threads: usize,
    /// The same model as an ONNX graph.
    pub onnx: PathBuf,
    pub inputs: Vec<Input>,
    /// The library that fitted the model, as a pickle for the Python side, where it is timed.
    pub fitted: Option<PathBuf>,
    /// The model compiled by lleaves, where it can be.
    pub compiled: Option<PathBuf>,
}

impl Pool {
    pub fn shape(&self) -> &[usize] {
        match self {
            Pool::F32(a) => a.shape(),
            Pool::F64(a) => a.shape(),
            Pool::I64(a) => a.shape(),
            Pool::Text(a) => a.shape(),
        }
    }

    /// `(batch, ...)`, the shape of one window.
    pub fn window_shape(&self, batch: usize) -> Vec<usize> {
        let mut shape = self.shape().to_vec();
        shape[0] = batch;
        shape
    }
}

/// Window number `at` of a pool as a slice, row-major.
pub fn rows<T>(pool: &ArrayD<T>, batch: usize, at: usize) -> &[T] {
    let width: usize = pool.shape()[1..].iter().product();
    let all = pool.as_slice().expect("pools are read row-major");
    &all[at * batch * width..(at + 1) * batch * width]
}

impl Case {
    /// Windows of `batch` rows that the pool holds.
    pub fn windows(&self, batch: usize) -> usize {
        self.inputs.iter().map(|i| i.pool.shape()[0] / batch.max(1)).min().unwrap_or(0)
    }
}

/// Reads the list that `export.py` writes.
pub fn read(list: &Path) -> Result<Vec<Case>, Fault> {
    let cases: Value = serde_json::from_slice(&fs::read(list)?)?;
    cases.as_array().ok_or("the list of cases is no list")?.iter().map(case).collect()
}

fn case(value: &Value) -> Result<Case, Fault> {
    Ok(Case {
        name: text(value, "name")?,
        group: text(value, "group")?,
        batches: numbers(value, "batches")?,
        model: text(value, "model")?.into(),
        backend: value["backend"].as_str().map(str::to_owned),
        engine: value["engine"].as_str().map(str::to_owned),
        threads: value["threads"].as_u64().unwrap_or(1) as usize,
        inputs: value["inputs"]
            .as_array()
            .ok_or("a case without inputs")?
            .iter()
            .map(input)
            .collect::<Result<_, _>>()?,
        onnx: value["onnx"].as_str().or(value["model"].as_str()).unwrap_or_default().into(),
        fitted: value["fitted"].as_str().map(PathBuf::from),
        compiled: value["compiled"].as_str().map(PathBuf::from),
    })
}

fn input(value: &Value) -> Result<Input, Fault> {
    let shape = IxDyn(&numbers(value, "shape")?);
    let bytes = fs::read(text(value, "file")?)?;
    let pool = match text(value, "kind")?.as_str() {
        "f32" => Pool::F32(ArrayD::from_shape_vec(shape, numbers_from(&bytes, f32::from_le_bytes))?),
        "f64" => Pool::F64(ArrayD::from_shape_vec(shape, numbers_from(&bytes, f64::from_le_bytes))?),
        "i64" => Pool::I64(ArrayD::from_shape_vec(shape, numbers_from(&bytes, i64::from_le_bytes))?),
        "str" => Pool::Text(ArrayD::from_shape_vec(shape, serde_json::from_slice(&bytes)?)?),
        other => return Err(format!("no such kind of input: {other}").into()),
    };
    Ok(Input { name: text(value, "name")?, pool })
}

fn numbers_from<T, const N: usize>(bytes: &[u8], read: fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|chunk| read(*chunk)).collect()
}

fn text(value: &Value, key: &str) -> Result<String, Fault> {
    Ok(value[key].as_str().ok_or_else(|| format!("the list of cases lacks {key}"))?.to_owned())
}

fn numbers(value: &Value, key: &str) -> Result<Vec<usize>, Fault> {
    let list = value[key].as_array().ok_or_else(|| format!("the list of cases lacks {key}"))?;
    list.iter().map(|n| Ok(n.as_u64().ok_or("not a count")? as usize)).collect()
}
