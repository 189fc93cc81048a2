//! The verbs that read.

use std::path::Path;

use modelberth::registry::blocking::Registry;
use modelberth::registry::{AliasEntry, EventKind, Listed, Query, Version};
use modelberth::{Error, Result};
use serde_json::json;

use super::args::{AliasCheck, AliasName, Diff, Document, Events, Get, List, Plain, Search, Show, Watch};
use super::text::{bytes, table};
use crate::draw::Bar;
use crate::verbs::{json as as_json, print};

/// Prints `value` as a line of JSON, or the text that people read.
pub(super) fn answer(json: bool, value: &impl serde::Serialize, text: impl FnOnce() -> String) -> Result<()> {
    let text = if json { as_json(value)? + "\n" } else { text() };
    print(text.as_bytes())
}

pub(super) fn list(registry: &Registry, args: &List) -> Result<()> {
    if let Some(name) = &args.name {
        let versions = registry.list(name)?;
        return answer(args.json, &versions, || versions_table(&versions));
    }
    let models = registry.models()?;
    answer(args.json, &models, || {
        let rows: Vec<Vec<String>> = models
            .iter()
            .map(|summary| {
                let aliases: Vec<String> = summary.aliases.iter().map(|(alias, n)| format!("{alias}={n}")).collect();
                vec![summary.model.clone(), summary.versions.to_string(), aliases.join(" ")]
            })
            .collect();
        table(&["model", "versions", "aliases"], &rows)
    })
}

fn versions_table(versions: &[Listed]) -> String {
    let rows: Vec<Vec<String>> = versions
        .iter()
        .map(|listed| {
            let version = &listed.version;
            let metrics: Vec<String> = version.metrics.iter().map(|(name, m)| format!("{name}={}", m.value)).collect();
            let tags: Vec<String> = version.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let mut state = listed.aliases.clone();
            if listed.archived {
                state.push("archived".to_owned());
            }
            vec![
                version.model.clone(),
                version.number.to_string(),
                state.join(" "),
                version.created_at.to_string(),
                version.created_by.clone(),
                version.format.clone(),
                bytes(version.bytes()),
                metrics.join(" "),
                tags.join(" "),
            ]
        })
        .collect();
    table(&["model", "version", "aliases", "created", "by", "format", "size", "metrics", "tags"], &rows)
}

pub(super) fn get(registry: &Registry, args: &Get) -> Result<()> {
    match &args.output {
        Some(path) => {
            let version = registry.download(&args.reference, path)?;
            if args.json { print((as_json(&version)? + "\n").as_bytes()) } else { Ok(()) }
        }
        None => {
            let version = registry.get(&args.reference)?;
            answer(args.json, &version, || page(&version))
        }
    }
}

fn page(version: &Version) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut line = |key: &str, value: String| {
        if !value.is_empty() {
            rows.push(vec![key.to_owned(), value]);
        }
    };
    line("created", format!("{} by {}", version.created_at, version.created_by));
    line("description", version.description.clone());
    line("format", version.format.clone());
    line("backend", version.backend.clone());
    for file in &version.files {
        line("file", format!("{} {} sha256 {}", file.path, bytes(file.bytes), file.blob.sha256));
    }
    if let Some(signature) = &version.signature {
        signature.inputs().iter().for_each(|spec| line("input", spec.to_string()));
        signature.outputs().iter().for_each(|spec| line("output", spec.to_string()));
    }
    version.metrics.iter().for_each(|(name, metric)| line("metric", format!("{name} {metric}")));
    version.tags.iter().for_each(|(key, value)| line("tag", format!("{key}={value}")));
    let lineage = &version.lineage;
    for data in &lineage.data {
        let rows = data.rows.map_or(String::new(), |rows| format!(", {rows} rows"));
        line("data", format!("{}{rows}", data.name));
    }
    lineage.code.iter().for_each(|code| line("code", format!("{} at {}", code.repository, code.commit)));
    lineage.parents.iter().for_each(|p| line("parent", format!("{} {}:{}", p.relation, p.model, p.number)));
    lineage.run.iter().for_each(|run| line("run", run.clone()));
    lineage.hyperparameters.iter().for_each(|(key, value)| line("hyperparameter", format!("{key}={value}")));
    for verdict in &version.verdicts {
        line("verdict", format!("{} {}", verdict.suite, if verdict.pass { "passed" } else { "failed" }));
    }
    let environment = &version.environment;
    line(
        "environment",
        format!("{} {}, modelberth {}", environment.system, environment.architecture, environment.modelberth),
    );
    table(&["version", &version.reference()], &rows)
}

pub(super) fn search(registry: &Registry, args: &Search) -> Result<()> {
    let mut query = Query::new();
    if let Some(model) = &args.model {
        query = query.model(model);
    }
    for tag in &args.tag {
        query = match tag.split_once('=') {
            Some((key, value)) => query.tag(key, value),
            None => query.has_tag(tag),
        };
    }
    for metric in &args.metric {
        query = query.metric(metric)?;
    }
    if let Some(digest) = &args.digest {
        query = query.digest(digest)?;
    }
    if let Some(parent) = &args.parent {
        query = query.parent(parent)?;
    }
    if let Some(text) = &args.text {
        query = query.text(text);
    }
    let found = registry.search(&query)?;
    answer(args.json, &found, || versions_table(&found))
}

pub(super) fn diff(registry: &Registry, args: &Diff) -> Result<()> {
    let difference = registry.diff(&args.before, &args.after)?;
    answer(args.json, &difference, || difference.to_string())
}

pub(super) fn lineage(registry: &Registry, args: &Show) -> Result<()> {
    let tree = registry.lineage(&args.reference)?;
    answer(args.json, &tree, || tree.to_string())
}

pub(super) fn events(registry: &Registry, args: &Events) -> Result<()> {
    let events = registry.events(&args.name)?;
    answer(args.json, &events, || {
        let rows: Vec<Vec<String>> = events
            .iter()
            .map(|event| {
                let (what, text) = match &event.what {
                    EventKind::Note { text } => ("note", text.clone()),
                    EventKind::Archived { reason } => ("archived", reason.clone()),
                    EventKind::Restored { reason } => ("restored", reason.clone()),
                    EventKind::Verdict { verdict } => {
                        let word = if verdict.pass { "passed" } else { "failed" };
                        let against = verdict
                            .against
                            .as_ref()
                            .map_or(String::new(), |a| format!(" against {}:{}", a.model, a.number));
                        ("verdict", format!("{word} {}{against}", verdict.suite))
                    }
                    _ => ("other", String::new()),
                };
                vec![event.version.to_string(), event.at.to_string(), event.by.clone(), what.to_owned(), text]
            })
            .collect();
        table(&["version", "when", "by", "what", "text"], &rows)
    })
}

pub(super) fn document(
    registry: &Registry,
    args: &Document,
    make: fn(&Registry, &str) -> Result<String>,
) -> Result<()> {
    let text = make(registry, &args.reference)?;
    match &args.output {
        Some(path) => write(path, &text),
        None => {
            answer(args.json, &json!({ "version": args.reference, "text": text }), || text.trim_end().to_owned() + "\n")
        }
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|e| Error::from(e).file(path.display()))
}

pub(super) fn alias(registry: &Registry, args: &AliasName) -> Result<()> {
    let number = registry.alias(&args.name, &args.alias)?;
    answer(args.json, &json!({ "model": args.name, "alias": args.alias, "version": number }), || format!("{number}\n"))
}

pub(super) fn aliases(registry: &Registry, args: &Events) -> Result<()> {
    let entries = registry.aliases(&args.name)?;
    answer(args.json, &entries, || entries_table(&entries))
}

pub(super) fn history(registry: &Registry, args: &AliasName) -> Result<()> {
    let entries = registry.history(&args.name, &args.alias)?;
    answer(args.json, &entries, || entries_table(&entries))
}

fn entries_table(entries: &[AliasEntry]) -> String {
    let number = |version: Option<u64>| version.map_or_else(|| "none".to_owned(), |number| number.to_string());
    let rows: Vec<Vec<String>> = entries
        .iter()
        .map(|entry| {
            let overridden = if entry.overridden.is_empty() {
                String::new()
            } else {
                format!("OVERRIDDEN: {}", entry.overridden.join("; "))
            };
            vec![
                entry.alias.clone(),
                entry.number.to_string(),
                entry.action.as_str().to_owned(),
                number(entry.version),
                number(entry.previous),
                entry.at.to_string(),
                entry.by.clone(),
                [entry.reason.clone(), overridden].join(" "),
            ]
        })
        .collect();
    table(&["alias", "move", "action", "version", "before", "when", "by", "reason"], &rows)
}

pub(super) fn check(registry: &Registry, args: &AliasCheck) -> Result<bool> {
    let against = registry.check_alias(&args.name, &args.alias, args.number)?;
    answer(args.json, &against, || match against.as_slice() {
        [] => "nothing stands against it\n".to_owned(),
        several => several.iter().map(|why| format!("{why}\n")).collect(),
    })?;
    Ok(against.is_empty())
}

pub(super) fn watch(registry: &Registry, args: &Watch) -> Result<()> {
    let mut watch = registry.watch(&args.reference, args.every)?;
    let mut lines = 0;
    while args.count.is_none_or(|count| lines < count) {
        match watch.next() {
            Ok(loaded) => {
                loaded.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
                answer(args.json, &loaded.version, || format!("{}\n", loaded.version.reference()))?;
                lines += 1;
            }
            // The first one tells whether there is anything to watch.
            Err(error) if lines == 0 => return Err(error),
            Err(error) => eprintln!("warning: {error}"),
        }
    }
    Ok(())
}

pub(super) fn verify(registry: &Registry, args: &Plain) -> Result<bool> {
    let bar = Bar::new();
    let done = registry.verify(&bar);
    bar.clear();
    let done = done?;
    answer(args.json, &done, || {
        let mut text = String::new();
        for fault in &done.faults {
            let digests = match (&fault.expected, &fault.found) {
                (Some(expected), Some(found)) => format!(" (expected {expected}, found {found})"),
                _ => String::new(),
            };
            text += &format!("FAULT {}: {}{digests}\n", fault.place, fault.message);
        }
        let word = if done.faults.is_empty() { "sound" } else { "NOT SOUND" };
        text + &format!("{word}: {} records, {} files, {}\n", done.records, done.blobs, bytes(done.bytes))
    })?;
    Ok(done.faults.is_empty())
}
