//! Runs the cases of ONNX's own test suite and says of each whether it passes, is unsupported, wrong, or a crash.
//!
//! The cases come with the Python package `onnx`; give the directory that holds them:
//!
//! ```sh
//! pip download --no-deps onnx==1.22.0 && unzip -q onnx-1.22.0-*.whl -d suite
//! cargo run --release --features full --example onnx_suite -- suite/onnx/backend/test/data
//! ```
//!
//! Options: `--json FILE` writes every case, `--backend NAME` uses one backend alone, `--packed` converts every model to the
//! packed form first, `--only TEXT` runs the cases whose names contain it, `--list` prints the cases that do not pass. Exits
//! with 1 where one is wrong or a crash.
//!
//! Every case runs in a child process, many cases one after the other: where the child ends or does not answer in time,
//! the case is a crash, and another child goes on with the next.

mod case;
mod proto;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use case::{How, Verdict};

/// The parts of the suite that hold models with inputs and outputs beside them.
const KINDS: [&str; 4] = ["node", "simple", "pytorch-converted", "pytorch-operator"];
/// How long a case may take.
const PATIENCE: Duration = Duration::from_secs(60);

type Fault = Box<dyn std::error::Error>;

struct Options {
    directory: PathBuf,
    json: Option<PathBuf>,
    how: How,
    only: Option<String>,
    list: bool,
    child: bool,
}

impl Options {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, Fault> {
        let mut options =
            Self { directory: PathBuf::new(), json: None, how: How::default(), only: None, list: false, child: false };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("`{word}` needs a value"));
            match word.as_str() {
                "--json" => options.json = Some(value()?.into()),
                "--backend" => options.how.backend = Some(value()?.parse()?),
                "--packed" => options.how.packed = true,
                "--only" => options.only = Some(value()?),
                "--list" => options.list = true,
                "--child" => options.child = true,
                _ if word.starts_with('-') => return Err(format!("there is no option `{word}`").into()),
                _ => options.directory = word.into(),
            }
        }
        Ok(options)
    }

    /// The directories of the cases, in order.
    fn cases(&self) -> Result<Vec<(String, PathBuf)>, Fault> {
        let mut cases = Vec::new();
        for kind in KINDS {
            let folder = self.directory.join(kind);
            let entries = std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
            for entry in entries {
                let path = entry?.path();
                let name = format!("{kind}/{}", path.file_name().unwrap_or_default().to_string_lossy());
                let chosen = self.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
                if chosen && path.join("model.onnx").is_file() {
                    cases.push((name, path));
                }
            }
        }
        cases.sort();
        Ok(cases)
    }
}

/// A child process that answers one case after the other.
struct Worker {
    child: Child,
    input: ChildStdin,
    answers: Receiver<String>,
}

impl Worker {
    fn start(how: How) -> Result<Self, Fault> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--child");
        if let Some(backend) = how.backend {
            command.args(["--backend", backend.as_str()]);
        }
        if how.packed {
            command.arg("--packed");
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let (input, output) = (child.stdin.take().ok_or("no input")?, child.stdout.take().ok_or("no output")?);
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, input, answers })
    }

    /// The verdict on the case in `path`; a crash where there is none. Then the worker is of no use any more.
    fn ask(&mut self, path: &Path) -> Verdict {
        let asked = writeln!(self.input, "{}", path.display()).and_then(|()| self.input.flush());
        let why = match asked.map(|()| self.answers.recv_timeout(PATIENCE)) {
            Ok(Ok(line)) => return Verdict::from_line(&line),
            Ok(Err(RecvTimeoutError::Timeout)) => format!("no answer within {} s", PATIENCE.as_secs()),
            Ok(Err(RecvTimeoutError::Disconnected)) | Err(_) => {
                self.child.wait().map_or_else(|e| e.to_string(), |status| format!("the process ended: {status}"))
            }
        };
        Verdict::Crash(why)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Answers the cases whose paths come in.
fn answer(how: How) -> Result<(), Fault> {
    // What panics is seen by the verdict; contained panics of an engine are nobody's news.
    std::panic::set_hook(Box::new(|_| {}));
    for line in std::io::stdin().lock().lines() {
        let verdict = case::run(Path::new(&line?), how);
        println!("{}", verdict.to_line());
    }
    Ok(())
}

fn run(options: &Options) -> Result<bool, Fault> {
    let cases = options.cases()?;
    let mut worker = Worker::start(options.how)?;
    let mut verdicts = Vec::with_capacity(cases.len());
    for (name, path) in &cases {
        let verdict = worker.ask(path);
        if matches!(&verdict, Verdict::Crash(_)) {
            worker = Worker::start(options.how)?;
        }
        verdicts.push((name.as_str(), verdict));
    }
    report(&verdicts, options.list);
    if let Some(file) = &options.json {
        std::fs::write(file, json(&verdicts))?;
    }
    Ok(verdicts.iter().all(|(_, v)| matches!(v, Verdict::Pass | Verdict::Unsupported(_))))
}

fn report(verdicts: &[(&str, Verdict)], list: bool) {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, verdict) in verdicts {
        match verdict {
            Verdict::Unsupported(reason) => *reasons.entry(reason).or_default() += 1,
            Verdict::Wrong(why) | Verdict::Crash(why) => println!("{} {name}: {why}", verdict.word()),
            Verdict::Pass => {}
        }
        if list && let Verdict::Unsupported(reason) = verdict {
            println!("unsupported {name}: {reason}");
        }
    }
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(reason, count)| (std::cmp::Reverse(*count), *reason));
    println!("\nunsupported, by reason");
    for (reason, count) in reasons {
        println!("{count:6}  {reason}");
    }
    println!("\n{:20}{:>7}{:>13}{:>7}{:>7}{:>7}", "", "pass", "unsupported", "wrong", "crash", "all");
    for kind in KINDS.into_iter().chain([""]) {
        let of: Vec<&Verdict> = verdicts.iter().filter(|(name, _)| name.starts_with(kind)).map(|(_, v)| v).collect();
        let count = |word: &str| of.iter().filter(|v| v.word() == word).count();
        let [pass, unsupported, wrong, crash] = ["pass", "unsupported", "wrong", "crash"].map(count);
        let shown = if kind.is_empty() { "all" } else { kind };
        println!("{shown:20}{pass:>7}{unsupported:>13}{wrong:>7}{crash:>7}{:>7}", of.len());
    }
}

fn json(verdicts: &[(&str, Verdict)]) -> String {
    let mut counts = BTreeMap::new();
    let cases: Vec<serde_json::Value> = verdicts
        .iter()
        .map(|(name, verdict)| {
            *counts.entry(verdict.word()).or_insert(0) += 1;
            serde_json::json!({ "case": name, "verdict": verdict.word(), "why": verdict.why() })
        })
        .collect();
    serde_json::json!({ "counts": counts, "cases": cases }).to_string()
}

fn main() -> ExitCode {
    let done = Options::parse(std::env::args().skip(1))
        .and_then(|options| if options.child { answer(options.how).map(|()| true) } else { run(&options) });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::from(2)
        }
    }
}
