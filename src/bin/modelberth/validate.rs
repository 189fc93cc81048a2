//! The verbs that test models.

use std::fmt::Write;
use std::path::Path;

use modelberth::table::{Columns, TableOptions};
use modelberth::validate::{DiscoveredSlice, Report, SliceFinder, Suite};
use modelberth::{Error, Result};

use crate::args::{Slices, Test};
use crate::draw::Bar;
use crate::verbs::{json, load, loader, print};

/// Runs a suite; whether the model passed.
pub(crate) fn test(args: &Test) -> Result<bool> {
    let suite = Suite::read(&args.suite)?;
    let open = |path: &Path| load(loader(args.backend).threads(args.threads), path);
    let model = open(&args.model)?;
    let incumbent = args.against.as_deref().map(open).transpose()?;
    let bar = Bar::new();
    let mut run = suite.test(&model).progress(&bar);
    if let Some(incumbent) = &incumbent {
        run = run.against(incumbent);
    }
    let report = run.on_file(&args.data);
    bar.clear();
    let report = report?;
    for (path, text) in [
        (&args.junit, Report::to_junit as fn(&Report) -> String),
        (&args.markdown, Report::to_markdown),
        (&args.html, Report::to_html),
    ] {
        if let Some(path) = path {
            write(path, &text(&report))?;
        }
    }
    match args.json.as_deref() {
        Some(path) if path == Path::new("-") => print((report.to_json()? + "\n").as_bytes())?,
        Some(path) => write(path, &report.to_json()?)?,
        None => {}
    }
    if args.json.as_deref() != Some(Path::new("-")) {
        print(summary(&report).as_bytes())?;
    }
    Ok(report.passed())
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|e| Error::from(e).file(path.display()))
}

pub(crate) fn summary(report: &Report) -> String {
    let mut text = String::new();
    for metric in &report.metrics {
        let _ = writeln!(text, "{:<20} {}", metric.metric.to_string(), metric.value);
    }
    for check in report.verdict.evidence.iter().filter(|c| !c.pass) {
        let _ = writeln!(text, "FAIL {} `{}`: {}", check.kind.as_str(), check.name, check.message);
        for example in &check.examples {
            let row = example.row.map_or_else(String::new, |r| format!("row {r}: "));
            let _ = writeln!(text, "     {row}expected {}, got {}", example.expected, example.actual);
        }
    }
    for slice in report.slices.iter().filter(|s| !s.supported) {
        let _ = writeln!(text, "note: slice `{}` has {} rows, too few to be judged", slice.name, slice.rows);
    }
    let (all, failed) = (report.verdict.evidence.len(), report.verdict.reasons.len());
    let word = if report.passed() { "passed" } else { "failed" };
    let _ = writeln!(text, "{word}: {} of {all} checks passed on {} rows", all - failed, report.rows);
    text
}

pub(crate) fn slices(args: &Slices) -> Result<()> {
    let table = Columns::read(&args.data, None, &TableOptions::default())?;
    if table.rows() == 0 {
        eprintln!("note: the table has no rows");
    }
    let mut finder = SliceFinder::new().top(args.top).alpha(args.alpha);
    if let Some(rows) = args.min_support {
        finder = finder.min_support(rows);
    }
    if let Some(predicates) = args.max_level {
        finder = finder.max_level(predicates);
    }
    let bar = Bar::new();
    let found = finder.find_in_owned(table, &args.errors, &bar);
    bar.clear();
    let found = found?;
    let text = if args.json { json(&found)? + "\n" } else { listing(&found) };
    print(text.as_bytes())
}

fn listing(found: &[DiscoveredSlice]) -> String {
    if found.is_empty() {
        return "no slice scores above 0\n".to_owned();
    }
    let mut text = String::from("   score      rows  mean error  95 % interval         adjusted p  slice\n");
    for slice in found {
        let _ = writeln!(
            text,
            "{:8.4}  {:8}  {:10.4}  [{:8.4}, {:8.4}]  {:10.3e}  {slice}",
            slice.score, slice.size, slice.mean_error, slice.interval.low, slice.interval.high, slice.p_adjusted,
        );
    }
    text
}
