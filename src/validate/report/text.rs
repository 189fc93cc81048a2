use std::fmt::Write;

use crate::validate::{Comparison, Report, SliceReport};
use crate::{Error, ErrorKind, Result};

impl Report {
    /// The whole report as one JSON object.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`] when a number can't be written.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self)
            .map_err(|e| Error::new(ErrorKind::InvalidValue, "the report can't be written as JSON").with_source(e))
    }

    /// The checks as JUnit XML, which continuous integration shows: a test case for each.
    #[must_use]
    pub fn to_junit(&self) -> String {
        let evidence = &self.verdict.evidence;
        let failures = evidence.iter().filter(|c| !c.pass).count();
        let suite = escaped(if self.suite.is_empty() { "modelberth" } else { &self.suite });
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let _ = writeln!(out, "<testsuites tests=\"{}\" failures=\"{failures}\">", evidence.len());
        let _ = writeln!(
            out,
            "  <testsuite name=\"{suite}\" tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"0\">",
            evidence.len()
        );
        for check in evidence {
            let (kind, name) = (check.kind.as_str(), escaped(&check.name));
            if check.pass {
                let _ = writeln!(out, "    <testcase classname=\"{kind}\" name=\"{name}\"/>");
                continue;
            }
            let _ = writeln!(out, "    <testcase classname=\"{kind}\" name=\"{name}\">");
            let _ = write!(out, "      <failure message=\"{}\">", escaped(&check.message));
            for example in &check.examples {
                let row = example.row.map_or_else(String::new, |r| format!("row {r}: "));
                let line = format!("{row}expected {}, got {}\n", example.expected, example.actual);
                out.push_str(&escaped(&line));
            }
            out.push_str("</failure>\n    </testcase>\n");
        }
        out.push_str("  </testsuite>\n</testsuites>\n");
        out
    }

    /// The report as Markdown, for a pull request or a model card.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut out = String::new();
        let title = if self.suite.is_empty() { "Model test" } else { &self.suite };
        let _ = writeln!(out, "# {}: {}\n", cell(title), if self.passed() { "passed" } else { "FAILED" });
        let _ = writeln!(out, "{}, {} rows, {} checks.\n", cell(&self.model), self.rows, self.verdict.evidence.len());
        if !self.verdict.reasons.is_empty() {
            out.push_str("## Why not\n\n");
            for check in self.verdict.evidence.iter().filter(|c| !c.pass) {
                let _ = writeln!(out, "- **{}** {}: {}", check.kind.as_str(), cell(&check.name), cell(&check.message));
                for example in &check.examples {
                    let row = example.row.map_or_else(String::new, |r| format!("row {r}: "));
                    let _ =
                        writeln!(out, "  - {row}expected {}, got {}", cell(&example.expected), cell(&example.actual));
                }
            }
            out.push('\n');
        }
        out.push_str("## Metrics\n\n| metric | value | interval |\n|---|---|---|\n");
        for m in &self.metrics {
            let _ = match m.value.estimate() {
                Some(e) => writeln!(
                    out,
                    "| {} | {:.4} | [{:.4}, {:.4}] |",
                    cell(&m.metric.to_string()),
                    e.value,
                    e.interval.low,
                    e.interval.high
                ),
                None => writeln!(out, "| {} | {} | |", cell(&m.metric.to_string()), cell(&m.value.to_string())),
            };
        }
        if !self.slices.is_empty() {
            out.push_str("\n## Slices\n\n| slice | rows | metric | value | rest | worse by | adjusted p |\n|---|---|---|---|---|---|---|\n");
            self.slices.iter().for_each(|slice| slice_rows(&mut out, slice));
        }
        if !self.fairness.is_empty() {
            out.push_str("\n## Groups\n\n| column | metric | difference | ratio |\n|---|---|---|---|\n");
            for f in &self.fairness {
                let number = |x: Option<f64>| x.map_or_else(|| "undefined".to_string(), |x| format!("{x:.4}"));
                let _ = writeln!(
                    out,
                    "| {} | {} | {} | {} |",
                    cell(&f.by),
                    f.metric,
                    number(f.difference),
                    number(f.ratio)
                );
            }
        }
        if let Some(against) = &self.against {
            incumbent(&mut out, against);
        }
        out
    }
}

fn slice_rows(out: &mut String, slice: &SliceReport) {
    for m in &slice.metrics {
        let gap = m.worse_by.map_or_else(String::new, |g| format!("{g:+.4}"));
        let p = match m.p_adjusted {
            Some(p) => format!("{p:.2e}"),
            None if slice.supported => String::new(),
            None => "too few rows".to_string(),
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {gap} | {p} |",
            cell(&slice.name),
            slice.rows,
            cell(&m.metric.to_string()),
            cell(&m.value.to_string()),
            cell(&m.rest.to_string())
        );
    }
}

fn incumbent(out: &mut String, against: &Comparison) {
    out.push_str("\n## Against the incumbent\n\n");
    let interval = against.interval.map_or_else(String::new, |i| format!(" [{:+.4}, {:+.4}]", i.low, i.high));
    let _ = writeln!(out, "- mean loss {:+.4}{interval}", against.worse_by);
    if let Some(p) = against.p_value {
        let _ = writeln!(out, "- p-value of no difference {p:.2e}");
    }
    if let Some(flips) = against.flips {
        let _ = writeln!(out, "- {:.2} % of the rows changed their class", 100.0 * flips);
    }
}

/// Text as it may stand in a Markdown table.
fn cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '`' | '*' | '_' | '<' | '[' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\n' | '\r' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Text as it may stand in XML and HTML; control characters, which XML has none of, become spaces.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
