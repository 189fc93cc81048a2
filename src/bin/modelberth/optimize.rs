//! The verbs that make models smaller and faster.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use modelberth::optimize::{
    self, Activation, Budget, Calibration, Data, Optimized, Pruning, Student, Target, WeightForm, refuse_same_file,
};
use modelberth::validate::Metric;
use modelberth::{Backend, Error, Result};

use crate::args::at_least_one;
use crate::draw::Bar;
use crate::verbs::{json, load, loader, print};

/// Rows to measure on.
#[derive(Debug, Args)]
pub(crate) struct Rows {
    /// A data set as `predict` takes it, with a column or array of labels where a metric is wanted.
    #[arg(long, value_name = "D")]
    pub(crate) data: Option<PathBuf>,
    /// The column, or the array of an .npz, that holds the truth.
    #[arg(long, value_name = "L", requires = "data")]
    pub(crate) label: Option<String>,
    /// The metric: accuracy for classes and mae for numbers unless given.
    #[arg(long, value_name = "M", requires = "label")]
    pub(crate) metric: Option<Metric>,
}

impl Rows {
    fn data<'d>(&self) -> Option<Data<'d>> {
        let mut data = Data::file(self.data.as_ref()?);
        if let Some(label) = &self.label {
            data = data.label(label);
        }
        if let Some(metric) = &self.metric {
            data = data.metric(metric.clone());
        }
        Some(data)
    }
}

/// What the result must keep to, and where the report goes.
#[derive(Debug, Args)]
pub(crate) struct Bounds {
    /// How much worse the metric may become; the worst layers are left as they are until it holds.
    #[arg(long, value_name = "X", requires = "label")]
    pub(crate) max_drop: Option<f64>,
    /// The most bytes.
    #[arg(long, value_name = "N")]
    pub(crate) max_bytes: Option<u64>,
    /// How many times faster it must be.
    #[arg(long, value_name = "X", requires = "data")]
    pub(crate) min_speedup: Option<f64>,
    /// The longest that a row may take, in microseconds.
    #[arg(long, value_name = "US", requires = "data")]
    pub(crate) max_latency: Option<f64>,
}

impl Bounds {
    fn budget(&self) -> Result<Budget> {
        let latency = self.max_latency.map(|us| Duration::try_from_secs_f64(us / 1e6));
        let latency = latency.transpose().map_err(|e| {
            Error::new(modelberth::ErrorKind::InvalidArgument, "the latency is no time in microseconds").with_source(e)
        })?;
        Ok(Budget {
            max_metric_drop: self.max_drop,
            max_bytes: self.max_bytes,
            min_speedup: self.min_speedup,
            max_latency: latency,
        })
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Targets:
  int8-dynamic  weights in 8 bits, activations by the range of each call; needs no data
  int8-static   weights and activations in 8 bits, by the ranges of --data
  int8-weights, int4-weights
                weights alone
  f16, bf16     weights in half the bytes
Exit status: 0 done, 1 failed or the budget can't be held (the nearest model is written), 2 wrong usage.

Examples:
  modelberth quantize encoder.onnx encoder_int8.onnx --to int8-dynamic
  modelberth quantize digits.onnx digits_int8.onnx --to int8-static --data digits.npz --label label --max-drop 0.005")]
pub(crate) struct Quantize {
    /// The float model, an ONNX file.
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,
    /// The file to write; it appears whole or not at all.
    #[arg(value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// What to bring it to.
    #[arg(long, value_name = "TARGET")]
    pub(crate) to: Target,
    #[command(flatten)]
    pub(crate) rows: Rows,
    #[command(flatten)]
    pub(crate) bounds: Bounds,
    /// Writes the report, as JSON, or as Markdown where the name ends in .md.
    #[arg(long, value_name = "R.json")]
    pub(crate) report: Option<PathBuf>,
    /// One scale for all weights of a layer, not one for each channel.
    #[arg(long)]
    pub(crate) per_tensor: bool,
    /// Weights with zero points.
    #[arg(long, conflicts_with = "symmetric")]
    pub(crate) asymmetric: bool,
    /// Weights without zero points: the default but for int4-weights.
    #[arg(long)]
    pub(crate) symmetric: bool,
    /// Weights of 7 bits, for ONNX Runtime on processors without VNNI.
    #[arg(long)]
    pub(crate) reduce_range: bool,
    /// Rounds weights one by one, without a look at the activations (int8-dynamic and int4-weights take one, on --data or on
    /// made-up ids where a model takes nothing but whole numbers).
    #[arg(long)]
    pub(crate) weights_alone: bool,
    /// How ranges are found: min-max, percentile, percentile@P or entropy.
    #[arg(long, value_name = "C", default_value = "min-max")]
    pub(crate) calibration: Calibration,
    /// Weights in a block [default: 32, for int4-weights 64].
    #[arg(long, value_name = "N")]
    pub(crate) block: Option<usize>,
    /// The operators that carry weights: channels, n-bits or blocked-qdq [default: channels, for int4-weights n-bits].
    #[arg(long, value_name = "F")]
    pub(crate) form: Option<WeightForm>,
    /// Layers and constants that stay as they are, by name.
    #[arg(long, value_name = "a,b", value_delimiter = ',')]
    pub(crate) keep: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Kinds:
  structured    neurons and channels: the graph becomes smaller; with --data the layers behind are fitted anew
  magnitude, magnitude-global
                the smallest weights of each layer, or of all, become zero
  trees         equal leaves become one, and the trees whose answers vary least go
  features      of linear models
Exit status: 0 done, 1 failed or the budget can't be held (the nearest model is written), 2 wrong usage.

Examples:
  modelberth prune digits.onnx digits_small.onnx --kind structured --share 0.5 --data rows.npz
  modelberth prune forest.onnx forest_small.onnx --kind trees --share 0.3 --data rows.csv --label y --max-drop 0.01")]
pub(crate) struct Prune {
    /// The model, an ONNX file.
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,
    /// The file to write; it appears whole or not at all.
    #[arg(value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// What to take out.
    #[arg(long, value_name = "KIND", default_value = "structured")]
    pub(crate) kind: Pruning,
    /// How much of it, from 0 to below 1.
    #[arg(long, value_name = "S")]
    pub(crate) share: f64,
    #[command(flatten)]
    pub(crate) rows: Rows,
    #[command(flatten)]
    pub(crate) bounds: Bounds,
    /// Writes the report, as JSON, or as Markdown where the name ends in .md.
    #[arg(long, value_name = "R.json")]
    pub(crate) report: Option<PathBuf>,
    /// Layers that stay as they are, by name.
    #[arg(long, value_name = "a,b", value_delimiter = ',')]
    pub(crate) keep: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Students:
  mlp           a perceptron with the layers of --hidden
  linear        a perceptron without hidden layers
  tree, forest  regression trees of the depth of --depth, 1 or as many as --trees
The student has the teacher's inputs and outputs and is written as ONNX. Labels are not needed; where --label is given,
they weigh 1 - alpha. Training that is cut off leaves nothing behind and begins anew.

Examples:
  modelberth distill forest.onnx small.onnx --to mlp --hidden 64,32 --data rows.npz
  modelberth distill ensemble.json tree.onnx --to tree --depth 6 --data rows.csv --seed 7")]
pub(crate) struct Distill {
    /// The teacher: any model that loads.
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,
    /// The file to write; it appears whole or not at all.
    #[arg(value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// What learns.
    #[arg(long, value_name = "STUDENT", value_parser = ["mlp", "linear", "tree", "forest"])]
    pub(crate) to: String,
    /// The widths of hidden layers.
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "32", value_parser = at_least_one)]
    pub(crate) hidden: Vec<usize>,
    /// The number of trees.
    #[arg(long, value_name = "N", default_value = "10", value_parser = at_least_one)]
    pub(crate) trees: usize,
    /// The most branches on a path.
    #[arg(long, value_name = "N", default_value = "8", value_parser = at_least_one)]
    pub(crate) depth: usize,
    /// How far the teacher's probabilities are softened.
    #[arg(long, value_name = "T", default_value = "2")]
    pub(crate) temperature: f64,
    /// The weight of the teacher against the labels.
    #[arg(long, value_name = "A", default_value = "0.9")]
    pub(crate) alpha: f64,
    /// The most epochs.
    #[arg(long, value_name = "N", default_value = "300", value_parser = at_least_one)]
    pub(crate) epochs: usize,
    /// The seed of everything random.
    #[arg(long, value_name = "N", default_value = "0")]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) rows: Rows,
    #[command(flatten)]
    pub(crate) bounds: Bounds,
    /// Writes the report, as JSON, or as Markdown where the name ends in .md.
    #[arg(long, value_name = "R.json")]
    pub(crate) report: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Converted are XGBoost's JSON and UBJSON, LightGBM's text, CatBoost's JSON, and safetensors files that hold the layers of a
perceptron. CatBoost's models of categories become ONNX with --data, which holds their texts. A safetensors file of an encoder becomes GGUF, which as model.gguf takes the place of model.safetensors. With --data, answers and latency before and after are compared.

Examples:
  modelberth convert churn.xgb.json churn.onnx --data rows.csv
  modelberth convert churn.onnx churn.mbp --to packed --data rows.csv
  modelberth convert encoder.onnx encoder.mbp --to packed --size sequence=64
  modelberth convert mlp.safetensors mlp.onnx --activation tanh
  modelberth convert encoder/model.safetensors small/model.gguf --to gguf-q8")]
pub(crate) struct Convert {
    /// The model.
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,
    /// The file to write; it appears whole or not at all.
    #[arg(value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// What to write: onnx; packed, which is for devices without an operating system; or of a safetensors file gguf-q8 or
    /// gguf-q4.
    #[arg(long, value_name = "F", default_value = "onnx", value_parser = ["onnx", "packed", "gguf-q8", "gguf-q4"])]
    pub(crate) to: String,
    /// What a size that the model leaves open is in the packed form, as NAME=N, or INPUT:AXIS=N for one without a name; may be
    /// given several times.
    #[arg(long, value_name = "NAME=N", value_parser = size)]
    pub(crate) size: Vec<(String, usize)>,
    #[command(flatten)]
    pub(crate) rows: Rows,
    /// What stands between the layers of a perceptron: relu, tanh or sigmoid.
    #[arg(long, value_name = "A", default_value = "relu")]
    pub(crate) activation: Activation,
    /// Writes the report, as JSON, or as Markdown where the name ends in .md.
    #[arg(long, value_name = "R.json")]
    pub(crate) report: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  modelberth compare encoder.onnx encoder_int8.onnx --data sentences.npz
  modelberth compare old.onnx new.onnx --data holdout.parquet --label churned --metric roc_auc --json")]
pub(crate) struct Compare {
    /// The first model.
    #[arg(value_name = "A")]
    pub(crate) first: PathBuf,
    /// The second model.
    #[arg(value_name = "B")]
    pub(crate) second: PathBuf,
    #[command(flatten)]
    pub(crate) rows: Rows,
    /// The rows of a call that is timed.
    #[arg(long, value_name = "N", default_value = "32", value_parser = at_least_one)]
    pub(crate) batch: usize,
    /// The backend to use; chosen by the loader unless given [native, tract, candle, ort].
    #[arg(long, value_name = "B")]
    pub(crate) backend: Option<Backend>,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn quantize(args: &Quantize) -> Result<bool> {
    refuse_same_file(&args.input, &args.output)?;
    let bar = Bar::new();
    let mut quantize = optimize::Quantize::to(args.to)
        .per_channel(!args.per_tensor)
        .reduce_range(args.reduce_range)
        .activation_aware(!args.weights_alone)
        .calibration(args.calibration)
        .keep(&args.keep)
        .budget(args.bounds.budget()?)
        .progress(&bar);
    if args.asymmetric || args.symmetric {
        quantize = quantize.symmetric(args.symmetric);
    }
    if let Some(block) = args.block {
        quantize = quantize.block(block);
    }
    if let Some(form) = args.form {
        quantize = quantize.form(form);
    }
    if let Some(data) = args.rows.data() {
        quantize = quantize.data(data);
    }
    let done = quantize.run(&args.input);
    bar.clear();
    deliver(&done?, &args.output, args.report.as_deref())
}

pub(crate) fn prune(args: &Prune) -> Result<bool> {
    refuse_same_file(&args.input, &args.output)?;
    let bar = Bar::new();
    let mut prune =
        optimize::Prune::new(args.kind, args.share).keep(&args.keep).budget(args.bounds.budget()?).progress(&bar);
    if let Some(data) = args.rows.data() {
        prune = prune.data(data);
    }
    let done = prune.run(&args.input);
    bar.clear();
    deliver(&done?, &args.output, args.report.as_deref())
}

pub(crate) fn distill(args: &Distill) -> Result<bool> {
    refuse_same_file(&args.input, &args.output)?;
    let student = match args.to.as_str() {
        "mlp" => Student::Mlp(args.hidden.clone()),
        "tree" => Student::Tree { depth: args.depth },
        "forest" => Student::Forest { trees: args.trees, depth: args.depth },
        _ => Student::Linear,
    };
    let teacher = load(loader(None), &args.input)?;
    let bar = Bar::new();
    let mut distill = optimize::Distill::to(student)
        .seed(args.seed)
        .temperature(args.temperature)
        .alpha(args.alpha)
        .epochs(args.epochs)
        .budget(args.bounds.budget()?)
        .progress(&bar);
    if let Some(data) = args.rows.data() {
        distill = distill.data(data);
    }
    let done = distill.run(&teacher);
    bar.clear();
    deliver(&done?, &args.output, args.report.as_deref())
}

fn size(text: &str) -> std::result::Result<(String, usize), String> {
    let parts = text.rsplit_once('=').and_then(|(name, n)| Some((name.to_owned(), n.parse().ok()?)));
    parts.filter(|(name, _)| !name.is_empty()).ok_or_else(|| "a size is given as NAME=N".to_owned())
}

pub(crate) fn convert(args: &Convert) -> Result<bool> {
    refuse_same_file(&args.input, &args.output)?;
    let bar = Bar::new();
    let mut convert = optimize::Convert::new().activation(args.activation).progress(&bar);
    match args.to.as_str() {
        "gguf-q8" => convert = convert.gguf(8),
        "gguf-q4" => convert = convert.gguf(4),
        "packed" => convert = convert.packed(),
        _ => {}
    }
    for (name, n) in &args.size {
        convert = convert.size(name, *n);
    }
    if let Some(data) = args.rows.data() {
        convert = convert.data(data);
    }
    let done = convert.run(&args.input);
    bar.clear();
    deliver(&done?, &args.output, args.report.as_deref())
}

/// Writes the model and the report, prints the report; whether the budget held.
pub(crate) fn deliver(done: &Optimized, output: &Path, report: Option<&Path>) -> Result<bool> {
    done.write(output)?;
    if let Some(path) = report {
        done.report.write(path)?;
    }
    print(done.report.to_string().as_bytes())?;
    Ok(done.report.budget.as_ref().is_none_or(|b| b.held))
}

pub(crate) fn compare(args: &Compare) -> Result<()> {
    let Some(data) = args.rows.data() else {
        let what = "two models are compared on rows; give a data set with --data";
        return Err(Error::new(modelberth::ErrorKind::InvalidArgument, what));
    };
    let open = |path: &Path| load(loader(args.backend), path);
    let (first, second) = (open(&args.first)?, open(&args.second)?);
    let bar = Bar::new();
    let time = Duration::from_millis(500);
    let compared = optimize::compare(&first, &second, &data, args.batch, time, &bar);
    bar.clear();
    let compared = compared?;
    let text = if args.json { json(&compared)? + "\n" } else { compared.to_string() };
    print(text.as_bytes())
}
