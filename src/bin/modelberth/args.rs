//! The arguments of each verb.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use modelberth::table::TableFormat;
use modelberth::{Backend, TreeEngine};

/// Runs trained models: say what one is, predict a data set, time it.
#[derive(Debug, Parser)]
#[command(
    name = "modelberth",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(after_help = "\
Examples:
  modelberth inspect churn.onnx
  modelberth predict churn.onnx --input customers.csv --output answers.parquet
  modelberth bench churn.onnx --batch 1,100,10000

Exit status: 0 done, 1 failed (the reason is on standard error), 2 wrong usage.")]
pub(crate) struct Cli {
    /// The registry, for `modelberth registry` and for models that are named `registry:NAME@ALIAS`: a directory, or
    /// s3://BUCKET/PATH, gs://BUCKET/PATH, az://CONTAINER/PATH [default: the variable MODELBERTH_STORE].
    #[cfg(feature = "registry")]
    #[arg(long, value_name = "DIR|URL", global = true)]
    pub(crate) store: Option<String>,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Says what a model is: format, backend and why, signature, operators, parameters, bytes.
    Inspect(Inspect),
    /// Predicts every row of a data set.
    Predict(Predict),
    /// Times a model: nanoseconds per row at each batch size.
    Bench(Bench),
    /// Tests a model on a data set as a suite says: metrics, slices, behaviours, contracts, an incumbent.
    #[cfg(feature = "validate")]
    Test(Test),
    /// Finds the slices of a table on which errors are highest.
    #[cfg(feature = "validate")]
    Slices(Slices),
    /// Brings a network's numbers to fewer bits and reports the loss.
    #[cfg(feature = "optimize")]
    Quantize(crate::optimize::Quantize),
    /// Takes the parts of a model out that matter least and reports the loss.
    #[cfg(feature = "optimize")]
    Prune(crate::optimize::Prune),
    /// Teaches a small model what a large one answers.
    #[cfg(feature = "optimize")]
    Distill(crate::optimize::Distill),
    /// Writes a booster's own file, or a perceptron in safetensors, as ONNX.
    #[cfg(feature = "optimize")]
    Convert(crate::optimize::Convert),
    /// Compares two models on the same data: outputs, metric, bytes, latency.
    #[cfg(feature = "optimize")]
    Compare(crate::optimize::Compare),
    /// Keeps models: versions, aliases, lineage, gates, in a directory or a bucket.
    #[cfg(feature = "registry")]
    Registry(crate::registry::RegistryArgs),
    /// Prints a completion script for a shell.
    Completions(Completions),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  modelberth inspect churn.onnx
  modelberth inspect churn.onnx --json | jq .signature.inputs")]
pub(crate) struct Inspect {
    /// The model file, or registry:NAME@ALIAS.
    pub(crate) model: PathBuf,
    /// Prints one JSON object instead of a page.
    #[arg(long)]
    pub(crate) json: bool,
    /// The backend to use; chosen by the loader unless given [native, tract, candle, ort].
    #[arg(long, value_name = "B")]
    pub(crate) backend: Option<Backend>,
    /// How trees are scored: auto, bit-vector, oblivious (both in bins of a byte), walk, scalar (thresholds as floats) or
    /// portable.
    #[arg(long, value_name = "E", default_value = "auto")]
    pub(crate) tree_engine: TreeEngine,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Input: .npy, .npz, .csv or .parquet; told from the content.
  .npz      arrays by input name (a leading `in:` is dropped, other keys are ignored); a model with one input takes the
            only array, or the only one under `in:`, whatever its name
  .csv, .parquet
            columns by name where the model has feature or input names, else by position if their number fits
  -         standard input
Output: .npz, .csv, .parquet, or .npy for a single output; told from the extension.
  -         standard output, as CSV
The file appears whole or not at all.

Examples:
  modelberth predict churn.onnx --input customers.csv --output answers.csv
  modelberth predict digits.onnx --input digits.npy --output answers.npz --threads 8
  modelberth predict churn.onnx --input big.parquet --output - --outputs label | sort | uniq -c")]
pub(crate) struct Predict {
    /// The model file, or registry:NAME@ALIAS.
    pub(crate) model: PathBuf,
    /// The data set to predict, or `-` for standard input.
    #[arg(long, value_name = "IN")]
    pub(crate) input: PathBuf,
    /// The file to write, or `-` for standard output.
    #[arg(long, value_name = "OUT")]
    pub(crate) output: Output,
    /// The backend to use; chosen by the loader unless given [native, tract, candle, ort].
    #[arg(long, value_name = "B")]
    pub(crate) backend: Option<Backend>,
    /// How many threads one call may use.
    #[arg(long, value_name = "N", default_value = "1", value_parser = at_least_one)]
    pub(crate) threads: usize,
    /// Rows per call [default: 8192, or all at once where the answer for a row depends on the others].
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) batch: Option<usize>,
    /// Only these outputs, in this order, separated by commas.
    #[arg(long, value_name = "a,b", value_delimiter = ',')]
    pub(crate) outputs: Option<Vec<String>>,
    /// Lets the loaded model cast inputs of another number type.
    #[arg(long)]
    pub(crate) cast: bool,
    /// Passes over columns that the model does not take, where it finds all of its own by name.
    #[arg(long)]
    pub(crate) ignore_extra: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Walks the rows of IN in consecutive windows, wrapping round, for S seconds per batch size, and prints a line for each.
A batch of 1 is a batch prediction of one row. Calls of less than 5 us are timed in groups.

Examples:
  modelberth bench churn.onnx
  modelberth bench churn.onnx --input customers.parquet --batch 1,64 --seconds 5 --json
  modelberth bench network.onnx --batch 32 --operators")]
pub(crate) struct Bench {
    /// The model file, or registry:NAME@ALIAS.
    pub(crate) model: PathBuf,
    /// The data set whose rows are used; drawn from the signature unless given.
    #[arg(long, value_name = "IN")]
    pub(crate) input: Option<PathBuf>,
    /// Batch sizes, separated by commas.
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "1,100,10000", value_parser = at_least_one)]
    pub(crate) batch: Vec<usize>,
    /// How many threads one call may use.
    #[arg(long, value_name = "N", default_value = "1", value_parser = at_least_one)]
    pub(crate) threads: usize,
    /// Seconds per batch size.
    #[arg(long, value_name = "S", default_value = "1", value_parser = seconds)]
    pub(crate) seconds: Duration,
    /// The backend to use; chosen by the loader unless given [native, tract, candle, ort].
    #[arg(long, value_name = "B")]
    pub(crate) backend: Option<Backend>,
    /// How trees are scored: auto, bit-vector, oblivious (both in bins of a byte), walk, scalar (thresholds as floats) or
    /// portable.
    #[arg(long, value_name = "E", default_value = "auto")]
    pub(crate) tree_engine: TreeEngine,
    /// Times each operator as well, for S seconds more: a line for each, or `operators` in the JSON object.
    #[arg(long)]
    pub(crate) operators: bool,
    /// Prints a JSON object per line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(feature = "validate")]
#[derive(Debug, Args)]
#[command(after_help = "\
The suite is a TOML file; the data hold the model's columns, the label and whatever the suite's slices look at.
Prints what failed, with examples. Exit status: 0 passed, 1 failed, 2 not run (a bad suite, model or data set).

Examples:
  modelberth test churn.onnx --suite churn.toml --data holdout.parquet
  modelberth test new.onnx --suite churn.toml --data holdout.csv --against old.onnx --html report.html --junit report.xml")]
pub(crate) struct Test {
    /// The model file, or registry:NAME@ALIAS.
    pub(crate) model: PathBuf,
    /// The suite.
    #[arg(long, value_name = "S")]
    pub(crate) suite: PathBuf,
    /// The data set, .csv, .parquet or .npz.
    #[arg(long, value_name = "D")]
    pub(crate) data: PathBuf,
    /// The model in production, to compare with.
    #[arg(long, value_name = "INCUMBENT")]
    pub(crate) against: Option<PathBuf>,
    /// The backend to use; chosen by the loader unless given [native, tract, candle, ort].
    #[arg(long, value_name = "B")]
    pub(crate) backend: Option<Backend>,
    /// How many threads one call may use.
    #[arg(long, value_name = "N", default_value = "1", value_parser = at_least_one)]
    pub(crate) threads: usize,
    /// Writes the report as JSON, to a file or, without one, to standard output.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    pub(crate) json: Option<PathBuf>,
    /// Writes the checks as JUnit XML.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Writes the report as Markdown.
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    /// Writes the report as one HTML page.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

#[cfg(feature = "validate")]
#[derive(Debug, Args)]
#[command(after_help = "\
Every column but the errors is a feature: text and whole numbers as they are, fractions by quantiles. A slice is a
conjunction of values of columns; its score weighs its mean error against its size (SliceLine). Only scores above 0 are
listed, best first, and none better is left out. P-values are adjusted for all slices that the search counted.

Examples:
  modelberth slices answers.csv --errors wrong
  modelberth slices answers.parquet --errors absolute_error --top 20 --alpha 0.9 --min-support 500 --max-level 3 --json")]
pub(crate) struct Slices {
    /// The table, .csv, .parquet or .npz, with a column of errors: 0 where the model is right, else above 0.
    pub(crate) data: PathBuf,
    /// The column that holds the error of each row.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) errors: String,
    /// How many slices to list.
    #[arg(long, value_name = "K", default_value = "10", value_parser = at_least_one)]
    pub(crate) top: usize,
    /// How much a high error counts against a small size, above 0 and up to 1.
    #[arg(long, value_name = "A", default_value = "0.95")]
    pub(crate) alpha: f64,
    /// The fewest rows of a slice [default: the larger of 32 and a hundredth of the rows].
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) min_support: Option<usize>,
    /// The most predicates of a slice [default: as many as there are columns].
    #[arg(long, value_name = "L", value_parser = at_least_one)]
    pub(crate) max_level: Option<usize>,
    /// Prints a JSON array instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  modelberth completions bash > ~/.local/share/bash-completion/completions/modelberth
  modelberth completions zsh > ~/.zfunc/_modelberth")]
pub(crate) struct Completions {
    /// The shell.
    pub(crate) shell: clap_complete::Shell,
}

/// Where predictions go.
#[derive(Debug, Clone)]
pub(crate) enum Output {
    Standard,
    File(PathBuf),
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "-" {
            return Ok(Self::Standard);
        }
        let path = Path::new(text);
        if TableFormat::from_path(path).is_some() {
            Ok(Self::File(path.to_owned()))
        } else {
            Err("its extension must be .npz, .csv, .parquet or .npy".to_owned())
        }
    }
}

pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("it must be at least 1".to_owned()),
        Ok(n) => Ok(n),
        Err(_) => Err("it must be a whole number".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "it must be a number of seconds".to_owned())?;
    if seconds > 0.0 {
        Duration::try_from_secs_f64(seconds).map_err(|_| "it is too long".to_owned())
    } else {
        Err("it must be more than 0".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_does_not_contradict_itself() {
        super::Cli::command().debug_assert();
    }
}
