//! The most memory that loading a network and answering takes, each contender in a process of its own.

use std::path::Path;
use std::process::Command;

use crate::args::Args;
use crate::case::{self, Case};
use crate::lane::ort::Library;
use crate::lane::{InProcess, Lane};
use crate::{Fault, lane};

/// The first word of a process that measures one contender; then follow who, ONNX Runtime's library, the folder of the
/// models, the model and the rows of a call.
pub const VERB: &str = "most-memory-of";

/// What a process that was started with [`VERB`] does.
pub fn alone(words: &[String]) -> Result<(), Fault> {
    let [who, ort, folder, name, batch] = words else { return Err("this is for the program itself".into()) };
    let batch: usize = batch.parse()?;
    let mut cases = case::read(&Path::new(folder).join("cases.json"))?;
    cases.retain(|case| case.name == *name);
    let case = cases.first().ok_or("there is no such model")?;
    let library = if who == "ort" { Some(Library::open(Path::new(ort))?) } else { None };
    let before = status("VmRSS")?;
    let mut lane: Box<dyn Lane> = match library {
        Some(library) => Box::new(InProcess::new(lane::ort::Ort::load(library, case, batch)?, case.windows(batch))),
        #[cfg(feature = "ours")]
        None => Box::new(InProcess::new(lane::ours::Ours::load(case, batch, 1)?, case.windows(batch))),
        #[cfg(not(feature = "ours"))]
        None => return Err("built without us".into()),
    };
    lane.median_ns(0.1)?;
    println!("{}", status("VmHWM")?.saturating_sub(before));
    Ok(())
}

/// The kilobytes of ours and of ONNX Runtime.
pub fn most(args: &Args, folder: &Path, case: &Case, batch: usize) -> Result<[u64; 2], Fault> {
    let of = |who: &str| -> Result<u64, Fault> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(VERB).arg(who).arg(&args.ort).arg(folder).arg(&case.name).arg(batch.to_string());
        let done = command.output()?;
        if !done.status.success() {
            return Err(String::from_utf8_lossy(&done.stderr).into_owned().into());
        }
        Ok(String::from_utf8(done.stdout)?.trim().parse()?)
    };
    Ok([of("ours")?, of("ort")?])
}

/// A line of what Linux tells of this process, in kilobytes.
fn status(key: &str) -> Result<u64, Fault> {
    let all = std::fs::read_to_string("/proc/self/status")?;
    let line = all.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    Ok(line.and_then(|l| l.split_whitespace().next()).ok_or("the system tells no memory")?.parse()?)
}
