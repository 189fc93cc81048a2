//! modelberth against its peers; see README.md beside the manifest.

mod args;
mod case;
mod lane;
mod memory;
mod report;

use std::cell::RefCell;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::rc::Rc;

use args::Args;
use case::Case;
use lane::ort::Library;
use lane::python::{self, Python};
use lane::{Answer, InProcess, Lane, contained, difference};
use report::{LANES, Row};

pub type Fault = Box<dyn Error>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some((memory::VERB, words)) = words.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return match memory::alone(words) {
            Ok(()) => ExitCode::SUCCESS,
            Err(fault) => {
                eprintln!("{fault}");
                ExitCode::FAILURE
            }
        };
    }
    let args = match args::parse(words.into_iter()) {
        Ok(Some(args)) => args,
        Ok(None) => {
            print!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Err(fault) => {
            eprintln!("error: {fault}");
            return ExitCode::from(2);
        }
    };
    // Contained panics are told in the notes; the hook would print them twice, across the table.
    std::panic::set_hook(Box::new(|_| ()));
    match contained(|| compare(&args)) {
        Ok(missed) if missed && args.check => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("error: {fault}");
            ExitCode::FAILURE
        }
    }
}

/// Whether a bar was missed.
fn compare(args: &Args) -> Result<bool, Fault> {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scratch = if args.models.is_none() { Some(Scratch::new()?) } else { None };
    let folder = args.models.as_deref().or(scratch.as_ref().map(|s| s.0.as_path())).unwrap_or(Path::new("."));
    let list = folder.join("cases.json");
    if !list.exists() {
        std::fs::create_dir_all(folder)?;
        export(args, &scripts.join("export.py"), folder)?;
    }
    let mut cases = case::read(&list)?;
    cases.retain(|case| case.name.contains(&args.filter));
    if cases.is_empty() {
        return Err("nothing to measure: no model fits --only, --filter and --zoo".into());
    }
    let library = Library::open(&args.ort)?;
    let python = Python::start(&args.python, &scripts.join("python_peer.py"))?;
    report::heading(args, &library.version, &python.borrow().version);
    if args.zoo.is_none() && args.groups.contains("zoo") {
        println!("note: there is no zoo folder; give --zoo DIR for the third comparison");
    }

    let mut rows = Vec::new();
    for case in &cases {
        // Several threads need several processors; whoever has one stays on the one that the script chose.
        let _everywhere = (case.threads > 1).then(Unpinned::new);
        for &batch in &case.batches {
            let row = measure(args, library, &python, case, batch)?;
            report::line(&row);
            rows.push(row);
        }
    }
    let mut bars = report::bars(&rows);
    // Linux alone tells it.
    let encoders = cases.iter().filter(|c| c.name.starts_with("minilm, 128") && c.threads == 1);
    for case in encoders.filter(|_| cfg!(all(feature = "ours", target_os = "linux"))) {
        let batch = case.batches.iter().copied().max().unwrap_or(1);
        bars.push(report::memory_bar(&case.name, memory::most(args, folder, case, batch)?));
    }
    report::closing(&rows, &bars);
    if let Some(path) = &args.json {
        report::write_json(path, args, &library.version, &python.borrow().version, &rows, &bars)?;
    }
    Ok(bars.iter().any(|bar| !bar.met))
}

fn export(args: &Args, script: &Path, out: &Path) -> Result<(), Fault> {
    let mut command = Command::new(&args.python);
    command.arg(script).arg(out).args(["--groups", &args.groups]);
    for (option, folder) in [("--zoo", &args.zoo), ("--nets", &args.nets), ("--minilm", &args.minilm)] {
        let Some(folder) = folder else { continue };
        if !folder.is_dir() {
            return Err(format!("{option}: {} is no folder", folder.display()).into());
        }
        command.arg(option).arg(folder);
    }
    let status = command.status().map_err(|e| format!("{}: {e}", args.python.display()))?;
    status.success().then_some(()).ok_or_else(|| "the models could not be exported, see above".into())
}

type Loaded<'c> = Result<Box<dyn Lane + 'c>, Fault>;

/// In the order of `LANES`; `tract_first` says which of the two that share their kernels is loaded before the other.
fn lanes_of<'c>(
    library: &'static Library,
    python: &Rc<RefCell<Python>>,
    case: &'c Case,
    batch: usize,
    tract_first: bool,
) -> [Option<Loaded<'c>>; LANES.len()] {
    let windows = case.windows(batch);
    if batch == LOADING {
        return loading(library, python, case);
    }
    #[cfg(feature = "ours")]
    let of_threads = |threads| {
        Some(contained(|| {
            let caller = lane::ours::Ours::load(case, batch, threads)?;
            Ok(Box::new(InProcess::new(caller, windows)) as Box<dyn Lane>)
        }))
    };
    #[cfg(not(feature = "ours"))]
    let of_threads = |_| None;
    // tract leaves nodes out of trees, so that its time for them says nothing.
    #[cfg(feature = "tract")]
    let load_tract = || {
        (case.group != "trees" && case.threads == 1).then(|| {
            lane::tract::Tract::load(case, batch)
                .map(|caller| Box::new(InProcess::new(caller, windows)) as Box<dyn Lane>)
        })
    };
    #[cfg(not(feature = "tract"))]
    let load_tract = || None;
    let early = if tract_first { load_tract() } else { None };
    let ours = of_threads(case.threads);
    if case.threads > 1 {
        return [ours, None, None, None, None, of_threads(1)];
    }
    let tract = early.or_else(load_tract);
    let ort = lane::ort::Ort::load(library, case, batch)
        .map(|caller| Box::new(InProcess::new(caller, windows)) as Box<dyn Lane>);
    let in_python = |pickle: &Option<PathBuf>| {
        pickle
            .clone()
            .map(|pickle| Ok(Box::new(python::Library { python: Rc::clone(python), pickle, batch }) as Box<dyn Lane>))
    };
    [ours, Some(ort), in_python(&case.fitted), tract, in_python(&case.compiled), None]
}

/// How often networks are loaded for one comparison, at most; every other time tract's before ours.
const LAYOUTS: usize = 8;

/// A batch of this size stands for loading the model.
const LOADING: usize = 0;

/// The lanes that load models, in the order of `LANES`.
fn loading<'c>(
    library: &'static Library,
    python: &Rc<RefCell<Python>>,
    case: &'c Case,
) -> [Option<Loaded<'c>>; LANES.len()] {
    let timed = |load: Box<dyn Fn() -> Result<(), Fault> + 'c>| -> Loaded<'c> {
        Ok(Box::new(InProcess::new(lane::Loading(load), 1)))
    };
    #[cfg(feature = "ours")]
    let ours = Some(timed(Box::new(|| Ok(drop(modelberth::load(&case.model)?)))));
    #[cfg(not(feature = "ours"))]
    let ours = None;
    let ort = timed(Box::new(move || lane::ort::Ort::load(library, case, 1).map(drop)));
    let fitted = case.fitted.clone().map(|pickle| {
        Ok(Box::new(python::Library { python: Rc::clone(python), pickle, batch: LOADING }) as Box<dyn Lane>)
    });
    [ours, Some(ort), fitted, None, None, None]
}

fn measure(
    args: &Args,
    library: &'static Library,
    python: &Rc<RefCell<Python>>,
    case: &Case,
    batch: usize,
) -> Result<Row, Fault> {
    let mut row = Row::new(case, batch);
    if case.windows(batch) == 0 {
        return Err(format!("{}: the pool holds fewer than {batch} rows", case.name).into());
    }
    // Neither the order of loading nor where weights come to lie is to decide, so networks are loaded anew several times.
    let layouts = if case.group == "nets" { LAYOUTS.min(args.rounds).max(1) } else { 1 };
    let mut failed = [false; LANES.len()];
    for layout in 0..layouts {
        let mut lanes = [const { None }; LANES.len()];
        for (i, loaded) in lanes_of(library, python, case, batch, layout % 2 == 1).into_iter().enumerate() {
            match loaded.transpose() {
                Ok(lane) => lanes[i] = lane.filter(|_| !failed[i]),
                Err(_) if failed[i] => {}
                Err(fault) => {
                    row.notes.push(format!("{}: {fault}", LANES[i]));
                    row.ns_per_row[i].clear();
                    failed[i] = true;
                }
            }
        }
        if layout == 0 {
            note_differences(&mut row, &mut lanes);
        }
        // The contenders take turns, so that whatever else this machine does falls on all of them.
        let turns = (args.rounds * (layout + 1)) / layouts - (args.rounds * layout) / layouts;
        for _ in 0..turns {
            for (i, slot) in lanes.iter_mut().enumerate() {
                let Some(lane) = slot else { continue };
                match contained(|| lane.median_ns(args.seconds)) {
                    Ok(ns) => row.ns_per_row[i].push(ns / batch.max(1) as f64),
                    Err(fault) => {
                        row.notes.push(format!("{}: {fault}", LANES[i]));
                        row.ns_per_row[i].clear();
                        (failed[i], *slot) = (true, None);
                    }
                }
            }
        }
    }
    Ok(row)
}

/// Everyone's answers for the first window against ONNX Runtime's: work that is not the same is not compared silently.
fn note_differences(row: &mut Row, lanes: &mut [Option<Box<dyn Lane + '_>>; LANES.len()]) {
    let mut answers: [Vec<Answer>; LANES.len()] = Default::default();
    for (i, lane) in lanes.iter_mut().enumerate() {
        let Some(lane) = lane else { continue };
        match contained(|| lane.answers()) {
            Ok(found) => answers[i] = found,
            Err(fault) => row.notes.push(format!("{}: {fault}", LANES[i])),
        }
    }
    for i in 0..LANES.len() {
        if i == report::ORT || answers[i].is_empty() || answers[report::ORT].is_empty() {
            continue;
        }
        row.off[i] = off(&answers[i], &answers[report::ORT]);
        if let Some(difference) = difference(&answers[i], &answers[report::ORT]) {
            row.differs |= i == 0;
            row.notes.push(format!("{} answers otherwise than {}: {difference}", LANES[i], LANES[report::ORT]));
        }
    }
}

/// How far numbers are from those expected on average, as a share of the range of these.
fn off(got: &[Answer], expected: &[Answer]) -> Option<f64> {
    let numbers = |answers: &[Answer]| -> Vec<f64> {
        let each =
            answers.iter().filter_map(|a| if let Answer::Numbers(x) = a { Some(x.iter().copied()) } else { None });
        each.flatten().collect()
    };
    let (got, expected) = (numbers(got), numbers(expected));
    let ends = expected.iter().fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(*x), high.max(*x)));
    let sum: f64 = got.iter().zip(&expected).map(|(a, b)| (a - b).abs()).sum();
    (!got.is_empty() && got.len() == expected.len() && ends.1 > ends.0)
        .then(|| sum / got.len() as f64 / (ends.1 - ends.0))
}

/// The median; of an even count, the mean of the middle two.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// While this lives, the process may run on all processors, where `taskset` is there to ask for that.
struct Unpinned {
    /// The processors that it was pinned to.
    before: Option<String>,
}

impl Unpinned {
    fn new() -> Self {
        let asked = taskset(&["-pc", &std::process::id().to_string()]);
        let before = asked.and_then(|told| told.rsplit(' ').next().map(|list| list.trim().to_owned()));
        if before.is_some() {
            pin("0-1023");
        }
        Self { before }
    }
}

impl Drop for Unpinned {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            pin(before);
        }
    }
}

/// Moves all threads of this process to some processors.
fn pin(processors: &str) {
    // Where it can't be done, threads share the one processor, and the ratio says so.
    let _ = taskset(&["-apc", processors, &std::process::id().to_string()]);
}

fn taskset(words: &[&str]) -> Option<String> {
    let output = Command::new("taskset").args(words).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A folder for exported models that goes when the run ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, Fault> {
        let path = std::env::temp_dir().join(format!("modelberth-peers-{}", std::process::id()));
        std::fs::create_dir(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left behind, it costs some megabytes of the temporary folder, nothing else.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
