//! The arguments of each verb of the registry.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use modelberth::Backend;

#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "\
REF is NAME@ALIAS, NAME:N, or NAME for the newest version that is not archived. The registry is a directory or a URL, in
--store or in the variable MODELBERTH_STORE; other commands take registry:REF wherever they take a model file.

Examples:
  modelberth registry --store models register fraud fraud.onnx --metric auc=0.93 --tag team=risk
  modelberth registry --store models alias set fraud champion 3 --expect 2
  modelberth predict registry:fraud@champion --store models --input rows.csv --output answers.csv")]
pub(crate) struct RegistryArgs {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

impl RegistryArgs {
    /// Whether 1 as exit status is an answer and no error.
    pub(crate) const fn answers_with_status(&self) -> bool {
        matches!(&self.verb, Verb::Test(_) | Verb::Verify(_))
            || matches!(&self.verb, Verb::Alias(Alias { verb: AliasVerb::Check(_) }))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Registers a model file as the next version; prints its number.
    Register(Register),
    /// Lists the models, or the versions of one.
    List(List),
    /// Shows a version's record, or writes its file.
    Get(Get),
    /// Finds versions by tag, metric, digest, parent or text.
    Search(Search),
    /// Compares two versions: signature, metrics, size, lineage.
    Diff(Diff),
    /// Shows what a version was made from, and what was made from it.
    Lineage(Show),
    /// Shows notes, verdicts and archivings of a model's versions.
    Events(Events),
    /// Prints a version's model card, in Markdown.
    Card(Document),
    /// Prints a version's bill of materials, as CycloneDX 1.6.
    Bom(Document),
    /// Appends a note to a version.
    Note(Note),
    /// Archives a version.
    Archive(Archive),
    /// Takes a version out of the archive.
    Restore(Archive),
    /// Shows and moves aliases.
    Alias(Alias),
    /// Moves an alias back to the version it named before its last move.
    Rollback(Rollback),
    /// Shows or sets what an alias demands of a version.
    Gate(Gate),
    /// Records the report of a test as a verdict on a version.
    Verdict(Verdict),
    /// Tests a version as a suite says, and records the verdict.
    Test(Test),
    /// Prints a line whenever a reference names another version.
    Watch(Watch),
    /// Reads everything and compares every digest.
    Verify(Plain),
    /// Deletes files that no version needs.
    Gc(Gc),
    /// Writes versions to one file.
    Export(Export),
    /// Registers the versions of an export.
    Import(Import),
    /// Registers a model that MLflow logged; prints its number.
    #[cfg(feature = "mlflow")]
    // It asks for a version by a flag of that name.
    #[command(disable_version_flag = true)]
    Mlflow(Mlflow),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Standard output is the number of the version alone.

Examples:
  modelberth registry --store models register fraud fraud.onnx
  modelberth registry --store models register fraud small.onnx --parent fraud:3='pruned from' --metric auc=0.93,0.91,0.95 \\
      --data train-2026-11 --data-file train.parquet --code https://example.org/fraud@4f2a9c1")]
pub(crate) struct Register {
    /// The model's name: letters, digits, `.`, `_` and `-`.
    pub(crate) name: String,
    /// The model file, or directory.
    pub(crate) file: PathBuf,
    /// Says what the version is.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) description: String,
    /// A tag; may be repeated.
    #[arg(long, value_name = "K=V", value_parser = pair)]
    pub(crate) tag: Vec<(String, String)>,
    /// A metric, with its interval where there is one; may be repeated.
    #[arg(long, value_name = "K=V[,LOW,HIGH]", value_parser = metric)]
    pub(crate) metric: Vec<(String, f64, Option<[f64; 2]>)>,
    /// Names training data; may be repeated.
    #[arg(long, value_name = "NAME[,rows=N][,sha256=H]")]
    pub(crate) data: Vec<String>,
    /// Training data whose name and digest are taken from a file; may be repeated.
    #[arg(long, value_name = "FILE")]
    pub(crate) data_file: Vec<PathBuf>,
    /// The code that trained it.
    #[arg(long, value_name = "REPOSITORY@COMMIT")]
    pub(crate) code: Option<String>,
    /// A version that it was made from, and how; may be repeated.
    #[arg(long, value_name = "NAME:N[=HOW]")]
    pub(crate) parent: Vec<String>,
    /// The training run.
    #[arg(long, value_name = "ID")]
    pub(crate) run: Option<String>,
    /// A hyperparameter; may be repeated.
    #[arg(long, value_name = "K=V", value_parser = pair)]
    pub(crate) param: Vec<(String, String)>,
    /// A library that trained or exported it, and its version; may be repeated.
    #[arg(long, value_name = "K=V", value_parser = pair)]
    pub(crate) library: Vec<(String, String)>,
    /// The report of a test, as `modelberth test --json FILE` writes it; may be repeated.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Vec<PathBuf>,
    /// The backend to use; chosen by the loader unless given [native, tract, candle, ort].
    #[arg(long, value_name = "B")]
    pub(crate) backend: Option<Backend>,
    /// Takes the file as it is, without loading it: there is no signature then.
    #[arg(long)]
    pub(crate) unloaded: bool,
    /// Prints the record instead of the number.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// The model; all of them unless given.
    pub(crate) name: Option<String>,
    /// Prints JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// NAME@ALIAS, NAME:N, or NAME.
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
    /// Writes the model file here, checked against its digest; a directory where there are several.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Prints the record as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  modelberth registry search --tag team=risk --metric 'auc>=0.9'
  modelberth registry search --digest 4f2a9c1d --json")]
pub(crate) struct Search {
    /// Of this model alone.
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// With this tag; without a value, with any. May be repeated.
    #[arg(long, value_name = "K[=V]")]
    pub(crate) tag: Vec<String>,
    /// With a metric of which this holds; may be repeated.
    #[arg(long, value_name = "K>=V")]
    pub(crate) metric: Vec<String>,
    /// With a file whose digest begins so.
    #[arg(long, value_name = "HEX")]
    pub(crate) digest: Option<String>,
    /// Made from this version.
    #[arg(long, value_name = "NAME:N")]
    pub(crate) parent: Option<String>,
    /// With these words in its name, description or tags.
    #[arg(long, value_name = "WORDS")]
    pub(crate) text: Option<String>,
    /// Prints JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The one version.
    #[arg(value_name = "REF")]
    pub(crate) before: String,
    /// The other.
    #[arg(value_name = "REF")]
    pub(crate) after: String,
    /// Prints JSON instead of a page.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// NAME@ALIAS, NAME:N, or NAME.
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
    /// Prints JSON instead of a page.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Events {
    /// The model.
    pub(crate) name: String,
    /// Prints JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Document {
    /// NAME@ALIAS, NAME:N, or NAME.
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
    /// Writes to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Prints the text as a JSON object with the keys `version` and `text`.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Note {
    /// NAME@ALIAS, NAME:N, or NAME.
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
    /// The note.
    pub(crate) text: String,
    /// Prints what was written as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Archive {
    /// NAME:N.
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
    /// Says why.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) reason: String,
    /// Prints what was written as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Alias {
    #[command(subcommand)]
    pub(crate) verb: AliasVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AliasVerb {
    /// Moves an alias to a version, if what it demands is there and its callers can call the version.
    Set(AliasSet),
    /// Prints the number of the version that an alias names.
    Get(AliasName),
    /// Lists the aliases of a model.
    List(Events),
    /// Lists every move of an alias.
    History(AliasName),
    /// Takes an alias away; its history stays.
    Remove(Rollback),
    /// Says what stands against moving an alias to a version. Exit status: 0 nothing, 1 something.
    Check(AliasCheck),
}

#[derive(Debug, Args)]
pub(crate) struct AliasSet {
    /// The model.
    pub(crate) name: String,
    /// The alias.
    pub(crate) alias: String,
    /// The number of the version.
    pub(crate) number: u64,
    /// Moves the alias only if it names this version now (`none`: no version).
    #[arg(long, value_name = "M|none", value_parser = expected)]
    pub(crate) expect: Option<Expected>,
    /// Says why, for the history.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) reason: String,
    /// Moves it whatever stands against it, for this reason, which is recorded.
    #[arg(long = "override", value_name = "REASON")]
    pub(crate) force: Option<String>,
    /// Prints what was written as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AliasName {
    /// The model.
    pub(crate) name: String,
    /// The alias.
    pub(crate) alias: String,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AliasCheck {
    /// The model.
    pub(crate) name: String,
    /// The alias.
    pub(crate) alias: String,
    /// The number of the version.
    pub(crate) number: u64,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// The model.
    pub(crate) name: String,
    /// The alias.
    pub(crate) alias: String,
    /// Only if it names this version now.
    #[arg(long, value_name = "M|none", value_parser = expected)]
    pub(crate) expect: Option<Expected>,
    /// Says why, for the history.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) reason: String,
    /// Prints what was written as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Without --suite and --clear it shows what the alias demands.

Examples:
  modelberth registry gate fraud champion --suite churn --against-current
  modelberth registry gate fraud champion --clear")]
pub(crate) struct Gate {
    /// The model.
    pub(crate) name: String,
    /// The alias.
    pub(crate) alias: String,
    /// A suite that a version must have passed; may be repeated. Replaces what was demanded before.
    #[arg(long, value_name = "SUITE", conflicts_with = "clear")]
    pub(crate) suite: Vec<String>,
    /// Demands that it was passed against the version that the alias names.
    #[arg(long, requires = "suite")]
    pub(crate) against_current: bool,
    /// Demands nothing any more.
    #[arg(long)]
    pub(crate) clear: bool,
    /// Says why, for the history.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) reason: String,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Verdict {
    /// NAME@ALIAS, NAME:N, or NAME.
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
    /// The report, as `modelberth test --json FILE` writes it.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: PathBuf,
    /// The version that it was compared with.
    #[arg(long, value_name = "REF")]
    pub(crate) against: Option<String>,
    /// The data, whose digest is recorded.
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,
    /// Prints what was written as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 passed, 1 failed, 2 not run.")]
pub(crate) struct Test {
    /// NAME@ALIAS, NAME:N, or NAME.
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
    /// The suite.
    #[arg(long, value_name = "S")]
    pub(crate) suite: PathBuf,
    /// The data set, .csv, .parquet or .npz.
    #[arg(long, value_name = "D")]
    pub(crate) data: PathBuf,
    /// The version to compare with.
    #[arg(long, value_name = "REF")]
    pub(crate) against: Option<String>,
    /// How many threads one call may use.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) threads: usize,
    /// Prints the verdict as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// NAME@ALIAS, or NAME for its newest version.
    #[arg(value_name = "REF")]
    pub(crate) reference: String,
    /// Seconds between two looks.
    #[arg(long, value_name = "S", default_value = "5", value_parser = duration)]
    pub(crate) every: Duration,
    /// Ends after so many lines.
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// Prints a JSON object per line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Plain {
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Gc {
    /// Says what would be deleted, and deletes nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Spares files younger than this: 90s, 30m, 12h, 7d.
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = duration)]
    pub(crate) grace: Duration,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The versions; everything unless given.
    #[arg(value_name = "REF")]
    pub(crate) references: Vec<String>,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Prints what was written as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The export.
    pub(crate) file: PathBuf,
    /// Moves aliases to what they named where the export was made.
    #[arg(long)]
    pub(crate) aliases: bool,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(feature = "mlflow")]
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  modelberth registry mlflow fraud mlruns/1/models/m-4f2a/artifacts
  modelberth registry mlflow fraud http://127.0.0.1:5000 --model fraud-onnx --version @champion --aliases")]
pub(crate) struct Mlflow {
    /// The model's name here.
    pub(crate) name: String,
    /// The directory that holds `MLmodel`, or the URL of a tracking server.
    #[arg(value_name = "DIR|URL")]
    pub(crate) source: String,
    /// The model's name there, where it is another.
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// The version there: its number, or an alias as @ALIAS; the newest unless given.
    #[arg(long, value_name = "N|@ALIAS", default_value = "")]
    pub(crate) version: String,
    /// Moves the aliases that name it there to it here.
    #[arg(long)]
    pub(crate) aliases: bool,
    /// Prints the record instead of the number.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The version that an alias must name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected(pub(crate) Option<u64>);

fn expected(text: &str) -> Result<Expected, String> {
    if text == "none" {
        return Ok(Expected(None));
    }
    text.parse()
        .map(|number| Expected(Some(number)))
        .map_err(|_| "it must be the number of a version, or `none`".to_owned())
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("it must be KEY=VALUE".to_owned()),
    }
}

fn metric(text: &str) -> Result<(String, f64, Option<[f64; 2]>), String> {
    let (key, value) = pair(text)?;
    let numbers: Option<Vec<f64>> = value.split(',').map(|number| number.trim().parse().ok()).collect();
    match numbers.as_deref() {
        Some([value]) => Ok((key, *value, None)),
        Some([value, low, high]) => Ok((key, *value, Some([*low, *high]))),
        _ => Err("it must be NAME=NUMBER, or NAME=NUMBER,LOW,HIGH".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = text.split_at(text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).len());
    let seconds = match unit {
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => return Err("it must be a number with s, m, h or d".to_owned()),
    };
    let number: f64 = digits.parse().map_err(|_| "it must be a number with s, m, h or d".to_owned())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| "it is too long, or negative".to_owned())
}
