//! The options of the command.

use std::path::PathBuf;

use crate::Fault;

pub const HELP: &str = "\
Time modelberth against ONNX Runtime's C API, the libraries that fit models, and tract: one thread each, same run,
medians.

usage: benches/peers/run [options]

  --zoo DIR        models to run at batch 1000: NAME.onnx with NAME.npz (in:* arrays) or NAME.csv
                   (default: tests/data/zoo of this repository, where it is there)
  --nets DIR       networks to run at batch 1 and 32: NAME.onnx with NAME.npz (in:* arrays)
                   (default: tests/data/nets of this repository, where it is there)
  --minilm DIR     minilm.onnx and minilm_int8.onnx as export_minilm.py makes them (default: left out)
  --only GROUPS    some of linear,digits,zoo,trees,nets,large (default: all)
  --models DIR     the models that an earlier run left in DIR; without any there, they are made and left there
  --filter TEXT    only models whose name holds TEXT
  --seconds S      length of one contender's turn (default 0.3)
  --rounds N       turns per contender (default 3)
  --json FILE      write the results for machines too
  --check          exit 1 when a bar is missed
  --ort FILE       ONNX Runtime's shared library (default: ORT_DYLIB_PATH, else the one in the environment)
  --python FILE    the interpreter of the environment (the script passes it)
  --help           this text
";

const GROUPS: [&str; 6] = ["linear", "digits", "zoo", "trees", "nets", "large"];

#[derive(Debug)]
pub struct Args {
    pub zoo: Option<PathBuf>,
    pub nets: Option<PathBuf>,
    pub minilm: Option<PathBuf>,
    pub groups: String,
    pub models: Option<PathBuf>,
    pub filter: String,
    pub seconds: f64,
    pub rounds: usize,
    pub json: Option<PathBuf>,
    pub check: bool,
    pub ort: PathBuf,
    pub python: PathBuf,
}

/// `None` when the help was asked for.
pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Args>, Fault> {
    let mut args = Args {
        zoo: None,
        nets: None,
        minilm: None,
        groups: GROUPS.join(","),
        models: None,
        filter: String::new(),
        seconds: 0.3,
        rounds: 3,
        json: None,
        check: false,
        ort: std::env::var_os("ORT_DYLIB_PATH").unwrap_or_default().into(),
        python: "python3".into(),
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
        match word.as_str() {
            "--nets" => args.nets = Some(value()?.into()),
            "--minilm" => args.minilm = Some(value()?.into()),
            "--zoo" => args.zoo = Some(value()?.into()),
            "--only" => args.groups = value()?,
            "--models" => args.models = Some(value()?.into()),
            "--filter" => args.filter = value()?,
            "--seconds" => args.seconds = value()?.parse().map_err(|e| format!("--seconds: {e}"))?,
            "--rounds" => args.rounds = value()?.parse().map_err(|e| format!("--rounds: {e}"))?,
            "--json" => args.json = Some(value()?.into()),
            "--check" => args.check = true,
            "--ort" => args.ort = value()?.into(),
            "--python" => args.python = value()?.into(),
            "--help" | "-h" => return Ok(None),
            other => return Err(format!("no such option: {other}; see --help").into()),
        }
    }
    for group in args.groups.split(',') {
        if !GROUPS.contains(&group) {
            return Err(format!("--only: no such group: {group}").into());
        }
    }
    if !(args.seconds > 0.0 && args.seconds <= 3600.0) || args.rounds == 0 {
        return Err("--seconds and --rounds are positive".into());
    }
    if args.ort.as_os_str().is_empty() {
        return Err("ONNX Runtime's library is not known: give --ort FILE or set ORT_DYLIB_PATH".into());
    }
    for (folder, default) in [
        (&mut args.zoo, concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/zoo")),
        (&mut args.nets, concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/nets")),
    ] {
        if folder.is_none() {
            *folder = Some(PathBuf::from(default)).filter(|default| default.is_dir());
        }
    }
    Ok(Some(args))
}
