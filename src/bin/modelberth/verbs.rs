//! What each verb does.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use clap::CommandFactory;
use modelberth::bench::{OperatorTime, Timing};
use modelberth::table::{TableFormat, TableOptions, TableReader, TableWriter, predict_table};
use modelberth::{Backend, Error, ErrorKind, Inspection, Loader, Model, Result, Signature};

use crate::args::{Bench, Cli, Completions, Inspect, Output, Predict};
use crate::draw::Bar;

/// The rows that `bench` draws when it is given none; fewer where one batch is smaller.
const DRAWN_ROWS: usize = 10_000;

pub(crate) fn inspect(args: &Inspect) -> Result<()> {
    let model = load(loader(args.backend).tree_engine(args.tree_engine), &args.model)?;
    let inspection = Inspection::of(&model);
    let mut text = if args.json { json(&inspection)? } else { inspection.to_string() };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    print(text.as_bytes())
}

pub(crate) fn predict(args: &Predict) -> Result<()> {
    let mut loader = loader(args.backend).threads(args.threads).cast(args.cast);
    if let Some(outputs) = &args.outputs {
        loader = loader.outputs(outputs.iter().map(String::as_str));
    }
    let model = load(loader, &args.model)?;
    let signature = model.signature();
    let options = TableOptions::default().extra_columns(args.ignore_extra);
    let mut input = open(&args.input, signature, &options)?;
    if input.is_headless() {
        eprintln!("note: the first line of the table holds only numbers, so it was read as data and not as a header");
    }
    let output = match &args.output {
        Output::Standard => TableWriter::to_stream("standard output", io::stdout(), TableFormat::Csv, signature)?,
        Output::File(path) => TableWriter::create(path, signature)?,
    };
    // A bar between the lines of a terminal would garble both.
    let shared = matches!(args.output, Output::Standard) && io::stdout().is_terminal();
    let bar = Bar::new();
    let predicted = if shared {
        predict_table(&model, &mut input, output, args.batch, &modelberth::NoProgress)
    } else {
        predict_table(&model, &mut input, output, args.batch, &bar)
    };
    bar.clear();
    predicted.map(|_| ())
}

/// A line of `bench` as JSON.
#[derive(serde::Serialize)]
struct Timed {
    #[serde(flatten)]
    timing: Timing,
    #[serde(skip_serializing_if = "Option::is_none")]
    operators: Option<Vec<OperatorTime>>,
}

pub(crate) fn bench(args: &Bench) -> Result<()> {
    let loader = loader(args.backend).threads(args.threads).tree_engine(args.tree_engine);
    let model = load(loader, &args.model)?;
    let signature = model.signature();
    let inputs = match &args.input {
        Some(path) => open(path, signature, &TableOptions::default())?.read_all()?,
        None => modelberth::bench::draw_inputs(signature, DRAWN_ROWS, 0)?,
    };
    for &batch in &args.batch {
        let bar = Bar::new();
        let timing = modelberth::bench::measure(&model, &inputs, batch, args.seconds, &bar);
        let operators =
            args.operators.then(|| modelberth::bench::operators(&model, &inputs, batch, args.seconds, &bar));
        bar.clear();
        let (timing, operators) = (timing?, operators.transpose()?);
        let mut lines = String::new();
        if args.json {
            lines.push_str(&json(&Timed { timing, operators })?);
        } else {
            lines.push_str(&timing.to_string());
            lines.extend(operators.iter().flatten().map(|operator| format!("\n{operator}")));
        }
        print(format!("{lines}\n").as_bytes())?;
    }
    Ok(())
}

pub(crate) fn completions(args: &Completions) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "modelberth", &mut script);
    print(&script)
}

pub(crate) fn loader(backend: Option<Backend>) -> Loader {
    match backend {
        Some(backend) => Loader::new().backend(backend),
        None => Loader::new(),
    }
}

pub(crate) fn load(loader: Loader, path: &Path) -> Result<Arc<dyn Model>> {
    #[cfg(feature = "registry")]
    if let Some(reference) = crate::registry::is_reference(path) {
        return crate::registry::load(reference, &loader);
    }
    loader.load(path)
}

fn open(path: &Path, signature: &Signature, options: &TableOptions) -> Result<TableReader> {
    if path == Path::new("-") {
        TableReader::from_reader("standard input", io::stdin(), signature, options)
    } else {
        TableReader::open_with(path, signature, options)
    }
}

pub(crate) fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|e| Error::new(ErrorKind::Io, "the result can't be written as JSON").with_source(e))
}

pub(crate) fn print(text: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text).and_then(|()| out.flush()).map_err(|e| {
        let kind = Error::from(io::Error::from(e.kind())).kind();
        Error::new(kind, "standard output can't be written").with_source(e)
    })
}
