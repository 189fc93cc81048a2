//! The verbs that write.

use std::path::Path;

use modelberth::registry::blocking::Registry;
use modelberth::registry::{
    AliasEntry, DataSource, Event, NewVersion, Parent, Promotion, Reference, Selector, VerdictRecord,
};
use modelberth::validate::Suite;
use modelberth::{Digest, Error, ErrorKind, Loader, Result};

use super::args::{AliasSet, Archive, Expected, Export, Gate, Gc, Import, Note, Register, Rollback, Test, Verdict};
use super::show::answer;
use super::text::{bytes, table};
use crate::draw::Bar;
use crate::verbs::loader;

pub(super) fn register(registry: &Registry, args: &Register) -> Result<()> {
    let mut new = if args.unloaded {
        NewVersion::unloaded(&args.file)?
    } else {
        NewVersion::file_with(&args.file, &loader(args.backend))?
    };
    new = new.description(&args.description);
    for (key, value) in &args.tag {
        new = new.tag(key, value);
    }
    for (name, value, interval) in &args.metric {
        new = match interval {
            Some(interval) => new.metric(name, (*value, *interval)),
            None => new.metric(name, *value),
        };
    }
    for data in &args.data {
        new = new.trained_on(data_source(data)?);
    }
    for path in &args.data_file {
        let name =
            path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
        new = new.trained_on(DataSource { name, sha256: Some(digest(path)?), ..DataSource::default() });
    }
    if let Some(code) = &args.code {
        let (repository, commit) = code.rsplit_once('@').unwrap_or((code, ""));
        new = new.code(repository, commit);
    }
    for parent in &args.parent {
        let (reference, relation) = parent.split_once('=').unwrap_or((parent, "made from"));
        let (model, number) = numbered(registry, reference)?;
        new = new.parent(Parent::new(model, number, relation));
    }
    if let Some(run) = &args.run {
        new = new.run(run);
    }
    for (name, value) in &args.param {
        new = new.hyperparameter(name, value);
    }
    for (name, version) in &args.library {
        new = new.library(name, version);
    }
    for report in &args.report {
        new = new.verdict(VerdictRecord::from_report_json(&read(report)?)?);
    }
    let version = registry.register(&args.name, new)?;
    answer(args.json, &version, || format!("{}\n", version.number))
}

/// The model and the number of a version.
fn numbered(registry: &Registry, reference: &str) -> Result<(String, u64)> {
    let parsed: Reference = reference.parse()?;
    match parsed.selector() {
        Selector::Number(number) => Ok((parsed.model().to_owned(), *number)),
        _ => registry.get(reference).map(|version| (version.model, version.number)),
    }
}

fn data_source(text: &str) -> Result<DataSource> {
    let mut parts = text.split(',');
    let mut data = DataSource { name: parts.next().unwrap_or_default().to_owned(), ..DataSource::default() };
    for part in parts {
        match part.split_once('=') {
            Some(("rows", rows)) if rows.parse::<u64>().is_ok() => data.rows = rows.parse().ok(),
            Some(("sha256", digest)) => data.sha256 = Some(Digest::from_hex(digest)?),
            Some(("from", time)) => data.from = Some(time.parse()?),
            Some(("to", time)) => data.to = Some(time.parse()?),
            _ => {
                return Err(Error::new(ErrorKind::InvalidArgument, "this says nothing of training data")
                    .expected("NAME, then rows=N, sha256=HEX, from=TIME or to=TIME")
                    .actual(part));
            }
        }
    }
    Ok(data)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| Error::from(e).file(path.display()))
}

fn digest(path: &Path) -> Result<Digest> {
    read(path).map(|content| Digest::of(&content))
}

fn said(json: bool, event: &Event) -> Result<()> {
    answer(json, event, String::new)
}

pub(super) fn note(registry: &Registry, args: &Note) -> Result<()> {
    said(args.json, &registry.note(&args.reference, &args.text)?)
}

pub(super) fn archive(registry: &Registry, args: &Archive) -> Result<()> {
    said(args.json, &registry.archive(&args.reference, &args.reason)?)
}

pub(super) fn restore(registry: &Registry, args: &Archive) -> Result<()> {
    said(args.json, &registry.restore(&args.reference, &args.reason)?)
}

fn moved(json: bool, entry: &AliasEntry) -> Result<()> {
    let number = |version: Option<u64>| version.map_or_else(|| "none".to_owned(), |number| number.to_string());
    answer(json, entry, || {
        format!("{}@{}: {} -> {}\n", entry.model, entry.alias, number(entry.previous), number(entry.version))
    })
}

fn promotion(expect: Option<Expected>, reason: &str) -> Promotion {
    let promotion = Promotion::new().reason(reason);
    match expect {
        Some(Expected(version)) => promotion.expecting(version),
        None => promotion,
    }
}

pub(super) fn set_alias(registry: &Registry, args: &AliasSet) -> Result<()> {
    let mut promotion = promotion(args.expect, &args.reason);
    if let Some(reason) = &args.force {
        promotion = promotion.overriding(reason);
    }
    moved(args.json, &registry.set_alias(&args.name, &args.alias, args.number, &promotion)?)
}

pub(super) fn remove_alias(registry: &Registry, args: &Rollback) -> Result<()> {
    moved(args.json, &registry.remove_alias(&args.name, &args.alias, &promotion(args.expect, &args.reason))?)
}

pub(super) fn rollback(registry: &Registry, args: &Rollback) -> Result<()> {
    moved(args.json, &registry.rollback(&args.name, &args.alias, &promotion(args.expect, &args.reason))?)
}

pub(super) fn gate(registry: &Registry, args: &Gate) -> Result<()> {
    let gates = if args.suite.is_empty() && !args.clear {
        registry.alias_entry(&args.name, &args.alias)?.map(|entry| entry.gates).unwrap_or_default()
    } else {
        let gate = |suite: &String| {
            let gate = modelberth::registry::Gate::suite(suite);
            if args.against_current { gate.against_current() } else { gate }
        };
        let gates: Vec<_> = args.suite.iter().map(gate).collect();
        registry.set_gates(&args.name, &args.alias, &gates, &Promotion::new().reason(&args.reason))?.gates
    };
    answer(args.json, &gates, || {
        if gates.is_empty() {
            return "nothing is demanded\n".to_owned();
        }
        let against = |yes: bool| if yes { "the version that the alias names" } else { "" }.to_owned();
        let rows: Vec<Vec<String>> =
            gates.iter().map(|gate| vec![gate.suite.clone(), against(gate.against_current)]).collect();
        table(&["suite passed", "against"], &rows)
    })
}

pub(super) fn verdict(registry: &Registry, args: &Verdict) -> Result<()> {
    let mut verdict = VerdictRecord::from_report_json(&read(&args.report)?)?;
    if let Some(reference) = &args.against {
        let (model, number) = numbered(registry, reference)?;
        verdict = verdict.against(model, number);
    }
    if let Some(data) = &args.data {
        verdict = verdict.on_data(digest(data)?);
    }
    said(args.json, &registry.add_verdict(&args.reference, verdict)?)
}

/// Tests a version and records what was found; whether it passed.
pub(super) fn test(registry: &Registry, args: &Test) -> Result<bool> {
    let suite = Suite::read(&args.suite)?;
    let loader = Loader::new().threads(args.threads.max(1));
    let tested = registry.load_with(&args.reference, &loader)?;
    let incumbent = args.against.as_deref().map(|reference| registry.load_with(reference, &loader)).transpose()?;
    let bar = Bar::new();
    let mut run = suite.test(&tested.model).progress(&bar);
    if let Some(incumbent) = &incumbent {
        run = run.against(&incumbent.model);
    }
    let report = run.on_file(&args.data);
    bar.clear();
    let report = report?;
    let mut verdict = VerdictRecord::from(&report).on_data(digest(&args.data)?);
    if let Some(incumbent) = &incumbent {
        verdict = verdict.against(&incumbent.version.model, incumbent.version.number);
    }
    registry.add_verdict(&tested.version.reference(), verdict.clone())?;
    if args.json {
        answer(true, &verdict, String::new)?;
    } else {
        crate::verbs::print(crate::validate::summary(&report).as_bytes())?;
    }
    Ok(report.passed())
}

pub(super) fn gc(registry: &Registry, args: &Gc) -> Result<()> {
    let bar = Bar::new();
    let done = registry.gc(args.grace, args.dry_run, &bar);
    bar.clear();
    let done = done?;
    answer(args.json, &done, || {
        let word = if done.dry_run { "would delete" } else { "deleted" };
        let mut text: String = done.collected.iter().map(|key| format!("{word} {key}\n")).collect();
        text += &format!(
            "{word} {} files, {}; kept {} that versions need, {} younger than the grace period, {} of unfinished registers\n",
            done.collected.len(),
            bytes(done.collected_bytes),
            done.needed,
            done.young,
            done.pinned
        );
        text
    })
}

pub(super) fn export(registry: &Registry, args: &Export) -> Result<()> {
    let references: Vec<&str> = args.references.iter().map(String::as_str).collect();
    let bar = Bar::new();
    let done = registry.export(&references, &args.output, &bar);
    bar.clear();
    let done = done?;
    answer(args.json, &done, || format!("{} versions\n", done.versions.len()))
}

pub(super) fn import(registry: &Registry, args: &Import) -> Result<()> {
    let bar = Bar::new();
    let done = registry.import(&args.file, args.aliases, &bar);
    bar.clear();
    let done = done?;
    answer(args.json, &done, || {
        let state = |new: bool| if new { "new" } else { "was here" }.to_owned();
        let rows: Vec<Vec<String>> =
            done.iter().map(|one| vec![one.from.clone(), one.version.clone(), state(one.new)]).collect();
        table(&["there", "here", ""], &rows)
    })
}

#[cfg(feature = "mlflow")]
pub(super) fn mlflow(registry: &Registry, args: &super::args::Mlflow) -> Result<()> {
    use modelberth::registry::blocking::MlflowServer;
    let (new, aliases) = if args.source.contains("://") {
        let there = args.model.as_ref().unwrap_or(&args.name);
        let found = MlflowServer::new(&args.source)?.version(there, &args.version)?;
        (found.version, found.aliases)
    } else {
        (modelberth::registry::mlflow::from_directory(&args.source)?, Vec::new())
    };
    let version = registry.register(&args.name, new)?;
    if args.aliases {
        for alias in &aliases {
            registry.set_alias(&args.name, alias, version.number, &Promotion::new().reason("imported from MLflow"))?;
        }
    }
    answer(args.json, &version, || format!("{}\n", version.number))
}
