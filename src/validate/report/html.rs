use std::fmt::Write;

use super::plot;
use super::text::escaped;
use crate::validate::{Measured, Report};

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c2430;--paper:#fff;--line:#d5dae1;--soft:#f4f6f8;--bad:#c62828;--good:#2e7d32;--plot:#1565c0}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ee;--paper:#14181d;--line:#39424d;--soft:#1d232a;--bad:#ff8a80;--good:#81c784;--plot:#90caf9}}\
*{box-sizing:border-box}body{margin:0 auto;max-width:72rem;padding:2rem 1.25rem 4rem;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}\
h1{font-size:1.7rem;margin:0 0 .25rem}h2{font-size:1.2rem;margin:2.2rem 0 .6rem}p{margin:.3rem 0}\
.verdict{display:inline-block;padding:.15rem .7rem;border-radius:1rem;color:var(--paper);font-weight:600}.pass{background:var(--good)}.fail{background:var(--bad)}\
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.92rem}th,td{padding:.3rem .65rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}\
thead th{background:var(--soft)}td.n{text-align:right}.confusion td{text-align:right}.no{color:var(--bad);font-weight:600}.yes{color:var(--good)}\
svg{max-width:100%;height:auto;font:12px system-ui,sans-serif}svg text{fill:var(--ink)}svg .axis{stroke:var(--line);stroke-width:1.5}svg .frame{fill:none;stroke:var(--line)}\
svg .plain line{stroke:var(--plot);stroke-width:2}svg .plain circle,svg .dot{fill:var(--plot)}svg .bad line{stroke:var(--bad);stroke-width:2}svg .bad circle{fill:var(--bad)}svg polyline{fill:none;stroke:var(--plot);stroke-width:2}\
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(20rem,1fr));gap:1.5rem;align-items:start}ul{margin:.2rem 0;padding-left:1.2rem}details summary{cursor:pointer}";

impl Report {
    /// The report as one HTML page that needs nothing beside it: no script, no font, no network.
    #[must_use]
    pub fn to_html(&self) -> String {
        let title = if self.suite.is_empty() { "Model test" } else { &self.suite };
        let (word, class) = if self.passed() { ("passed", "pass") } else { ("failed", "fail") };
        let failed = self.verdict.reasons.len();
        let mut out = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{0}: {word}</title><style>{STYLE}</style></head><body><main><h1>{0}</h1><p><span class=\"verdict {class}\">{word}</span> {failed} of {1} checks failed, {2} rows</p><p>{3}</p>",
            escaped(title),
            self.verdict.evidence.len(),
            self.rows,
            escaped(&self.model),
        );
        self.failures(&mut out);
        section(&mut out, "Metrics", &self.metric_table());
        let pair: Vec<String> = [
            ("Calibration", plot::calibration(&self.calibration)),
            ("Confusion", plot::confusion(&self.classes, &self.confusion)),
        ]
        .into_iter()
        .filter(|(_, content)| !content.is_empty())
        .map(|(name, content)| format!("<section><h2>{name}</h2><div class=\"scroll\">{content}</div></section>"))
        .collect();
        if !pair.is_empty() {
            let _ = write!(out, "<div class=\"pair\">{}</div>", pair.concat());
        }
        section(&mut out, "Gaps of the slices", &plot::gaps(self));
        section(&mut out, "Slices", &self.slice_table());
        section(&mut out, "Groups", &self.group_tables());
        section(&mut out, "Against the incumbent", &self.comparison());
        section(&mut out, "Checks", &self.check_table());
        out.push_str("</main></body></html>\n");
        out
    }

    fn failures(&self, out: &mut String) {
        if self.passed() {
            return;
        }
        out.push_str("<section><h2>Why not</h2><ul>");
        for check in self.verdict.evidence.iter().filter(|c| !c.pass) {
            let _ = write!(
                out,
                "<li><strong>{}</strong> {}: {}",
                check.kind.as_str(),
                escaped(&check.name),
                escaped(&check.message)
            );
            if !check.examples.is_empty() {
                out.push_str("<details open><summary>examples</summary><ul>");
                for e in &check.examples {
                    let row = e.row.map_or_else(String::new, |r| format!("row {r}: "));
                    let _ = write!(out, "<li>{row}expected {}, got {}</li>", escaped(&e.expected), escaped(&e.actual));
                }
                out.push_str("</ul></details>");
            }
            out.push_str("</li>");
        }
        out.push_str("</ul></section>");
    }

    fn metric_table(&self) -> String {
        let mut table = head(&["metric", "value", "interval", "rows", "method"]);
        for m in &self.metrics {
            let name = escaped(&m.metric.to_string());
            let _ = match &m.value {
                Measured::Value(e) => write!(
                    table,
                    "<tr><td>{name}</td><td class=\"n\">{:.4}</td><td>[{:.4}, {:.4}]</td><td class=\"n\">{}</td><td>{:?}</td></tr>",
                    e.value, e.interval.low, e.interval.high, e.rows, e.method
                ),
                Measured::Undefined(reason) => {
                    write!(table, "<tr><td>{name}</td><td colspan=\"4\">undefined: {}</td></tr>", escaped(reason))
                }
            };
        }
        tail(table)
    }

    fn slice_table(&self) -> String {
        if self.slices.is_empty() {
            return String::new();
        }
        let mut table = head(&["slice", "rows", "share", "metric", "value", "rest", "worse by", "p", "adjusted p"]);
        for slice in &self.slices {
            for m in &slice.metrics {
                let number = |x: Option<f64>| x.map_or_else(String::new, |x| format!("{x:+.4}"));
                let p = |x: Option<f64>| x.map_or_else(String::new, |x| format!("{x:.2e}"));
                let adjusted = if slice.supported { p(m.p_adjusted) } else { "too few rows".to_string() };
                let _ = write!(
                    table,
                    "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{:.1} %</td><td>{}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{adjusted}</td></tr>",
                    escaped(&slice.name),
                    slice.rows,
                    slice.share * 100.0,
                    escaped(&m.metric.to_string()),
                    escaped(&m.value.to_string()),
                    escaped(&m.rest.to_string()),
                    number(m.worse_by),
                    p(m.p_value),
                );
            }
        }
        tail(table)
    }

    fn group_tables(&self) -> String {
        let mut out = String::new();
        for f in &self.fairness {
            let number = |x: Option<f64>| x.map_or_else(|| "undefined".to_string(), |x| format!("{x:.4}"));
            let _ = write!(
                out,
                "<p>{} by {}: difference {}, ratio {}</p>",
                escaped(&f.metric.to_string()),
                escaped(&f.by),
                number(f.difference),
                number(f.ratio)
            );
            let mut table = head(&["group", "value"]);
            for (group, value) in &f.groups {
                let _ = write!(table, "<tr><td>{}</td><td>{}</td></tr>", escaped(group), escaped(&value.to_string()));
            }
            out.push_str(&tail(table));
        }
        out
    }

    fn comparison(&self) -> String {
        let Some(against) = &self.against else {
            return String::new();
        };
        let mut out = format!("<p>Mean loss {:+.4}", against.worse_by);
        if let Some(i) = against.interval {
            let _ = write!(out, " [{:+.4}, {:+.4}]", i.low, i.high);
        }
        if let Some(p) = against.p_value {
            let _ = write!(out, ", p-value of no difference {p:.2e}");
        }
        if let Some(flips) = against.flips {
            let _ = write!(out, "; {:.2} % of the rows changed their class", flips * 100.0);
        }
        out.push_str("</p>");
        if !against.slices.is_empty() {
            let mut table = head(&["slice", "rows", "loss", "adjusted p"]);
            for s in &against.slices {
                let _ = write!(
                    table,
                    "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{:+.4}</td><td class=\"n\">{:.2e}</td></tr>",
                    escaped(&s.name),
                    s.rows,
                    s.worse_by,
                    s.p_adjusted
                );
            }
            out.push_str(&tail(table));
        }
        out
    }

    fn check_table(&self) -> String {
        let mut table = head(&["", "kind", "check", "found"]);
        for check in &self.verdict.evidence {
            let mark = if check.pass { "<td class=\"yes\">pass</td>" } else { "<td class=\"no\">fail</td>" };
            let _ = write!(
                table,
                "<tr>{mark}<td>{}</td><td>{}</td><td>{}</td></tr>",
                check.kind.as_str(),
                escaped(&check.name),
                escaped(&check.message)
            );
        }
        tail(table)
    }
}

fn section(out: &mut String, name: &str, content: &str) {
    if !content.is_empty() {
        let _ = write!(out, "<section><h2>{name}</h2>{content}</section>");
    }
}

fn head(names: &[&str]) -> String {
    let cells: String = names.iter().map(|n| format!("<th>{n}</th>")).collect();
    format!("<div class=\"scroll\"><table><thead><tr>{cells}</tr></thead><tbody>")
}

fn tail(mut table: String) -> String {
    table.push_str("</tbody></table></div>");
    table
}
