use std::fmt::Write;

use super::plot;
use super::text::escaped;
use crate::validate::{Measured, Report};

/// Widths, colours for light and dark, and what scrolls where a screen is narrow.
const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c2430;--mute:#5b6673;--paper:#fff;--line:#d8dde4;--soft:#f4f6f8;--bad:#c62828;--good:#2e7d32;--plot:#1565c0}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ee;--mute:#9aa5b1;--paper:#14181d;--line:#343d47;--soft:#1d232a;--bad:#ff8a80;--good:#81c784;--plot:#90caf9}}\
*{box-sizing:border-box}body{margin:0 auto;max-width:70rem;padding:2rem 1.25rem 4rem;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}\
h1{font-size:1.7rem;margin:0 0 .4rem;overflow-wrap:anywhere}h2{font-size:1.2rem;margin:2.4rem 0 .7rem}h3{font-size:1rem;margin:1.2rem 0 .4rem}p{margin:.3rem 0}.note,.mute{color:var(--mute)}\
.verdict{display:inline-block;padding:.1rem .75rem;margin-right:.4rem;border-radius:1rem;color:var(--paper);font-weight:600}.pass{background:var(--good)}.fail{background:var(--bad)}\
.why{list-style:none;margin:0;padding:0}.why>li{padding:.55rem 0 .55rem .8rem;border-left:3px solid var(--bad);margin:0 0 .7rem;background:linear-gradient(90deg,var(--soft),transparent)}\
.kind{display:inline-block;font-size:.8rem;padding:0 .5rem;border:1px solid var(--line);border-radius:.6rem;color:var(--mute);margin-right:.35rem}\
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.92rem}th,td{padding:.32rem .7rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top;white-space:nowrap}\
td.w{white-space:normal;min-width:14rem;overflow-wrap:anywhere}td.text{white-space:normal;min-width:20rem}thead th{background:var(--soft)}td.n,th.n{text-align:right}.no{color:var(--bad);font-weight:600}.yes{color:var(--good)}\
.confusion th,.confusion td{border:1px solid var(--line);text-align:center;padding:.5rem .9rem}.confusion tbody th{background:var(--soft)}.confusion thead td{border:0}\
svg{height:auto;font:12px system-ui,sans-serif;display:block}svg.wide{width:100%;min-width:38rem;max-width:60rem}svg.square{width:100%;max-width:24rem}\
svg text{fill:var(--ink)}svg .axis{stroke:var(--mute);stroke-width:1.5}svg .grid{stroke:var(--line)}svg .bound{stroke:var(--bad);stroke-dasharray:4 4}svg .frame{fill:none;stroke:var(--line)}\
svg .plain line{stroke:var(--plot);stroke-width:2}svg .plain circle,svg .dot{fill:var(--plot)}svg .bad line{stroke:var(--bad);stroke-width:2}svg .bad circle{fill:var(--bad)}svg polyline{fill:none;stroke:var(--plot);stroke-width:2}\
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(20rem,100%),1fr));gap:0 2rem;align-items:start}details{margin:.3rem 0}summary{cursor:pointer;color:var(--mute)}details table{margin:.4rem 0}";

impl Report {
    /// The report as one HTML page that needs nothing beside it: no script, no font, no network.
    #[must_use]
    pub fn to_html(&self) -> String {
        let title = if self.suite.is_empty() { "Model test" } else { &self.suite };
        let (word, class) = if self.passed() { ("passed", "pass") } else { ("failed", "fail") };
        let (all, failed) = (self.verdict.evidence.len(), self.verdict.reasons.len());
        let mut out = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{0}: {word}</title><style>{STYLE}</style></head><body><main><h1>{0}</h1><p><span class=\"verdict {class}\">{word}</span> {1} of {all} checks passed on {2} rows</p><p class=\"mute\">{3}</p>",
            escaped(title),
            all - failed,
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
        section(&mut out, "Gaps of the slices", &self.gap_plots());
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
        out.push_str("<section><h2>Why not</h2><ul class=\"why\">");
        for check in self.verdict.evidence.iter().filter(|c| !c.pass) {
            let _ = write!(
                out,
                "<li><span class=\"kind\">{}</span><strong>{}</strong><br>{}",
                check.kind.as_str(),
                escaped(&check.name),
                escaped(&check.message)
            );
            if !check.examples.is_empty() {
                let table = head(&["row", "expected", "got"]);
                out.push_str("<details><summary>examples</summary>");
                out.push_str(&table);
                for e in &check.examples {
                    let row = e.row.map_or_else(String::new, |r| r.to_string());
                    let (expected, actual) = (escaped(&e.expected), escaped(&e.actual));
                    let _ = write!(out, "<tr><td>{row}</td><td>{expected}</td><td>{actual}</td></tr>");
                }
                out.push_str("</tbody></table></div></details>");
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
                    "<tr><td>{name}</td><td>{:.4}</td><td>[{:.4}, {:.4}]</td><td>{}</td><td>{}</td></tr>",
                    e.value, e.interval.low, e.interval.high, e.rows, e.method
                ),
                Measured::Undefined(reason) => {
                    write!(
                        table,
                        "<tr><td>{name}</td><td class=\"w\" colspan=\"4\">undefined: {}</td></tr>",
                        escaped(reason)
                    )
                }
            };
        }
        tail(table)
    }

    fn gap_plots(&self) -> String {
        let plots = plot::gaps(self);
        if plots.is_empty() {
            return String::new();
        }
        let mut out = String::from(
            "<p class=\"note\">How much worse each slice is than the other rows, with intervals; red where it is surely worse.</p>",
        );
        for (metric, svg) in plots {
            let _ = write!(out, "<h3>{}</h3><div class=\"scroll\">{svg}</div>", escaped(&metric));
        }
        out
    }

    fn slice_table(&self) -> String {
        if self.slices.is_empty() {
            return String::new();
        }
        let mut table = head(&["slice", "rows", "metric", "value", "the others", "worse by", "adjusted p"]);
        for slice in &self.slices {
            for m in &slice.metrics {
                let gap = m.worse_by.map_or_else(String::new, |x| format!("{x:+.4}"));
                let (p, class) = match m.p_adjusted {
                    Some(p) => (p_value(p), if p <= self.alpha && m.worse_by > Some(0.0) { "no" } else { "" }),
                    None if slice.supported => (String::new(), ""),
                    None => ("too few rows".to_string(), "mute"),
                };
                let _ = write!(
                    table,
                    "<tr><td class=\"w\">{}</td><td>{} <span class=\"mute\">{:.1} %</span></td><td>{}</td>{}{}<td>{gap}</td><td class=\"{class}\">{p}</td></tr>",
                    escaped(&slice.name),
                    slice.rows,
                    slice.share * 100.0,
                    escaped(&m.metric.to_string()),
                    measured(&m.value),
                    measured(&m.rest),
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
                "<h3>{} by {}</h3><p>difference {}, ratio {}</p>",
                escaped(&f.metric.to_string()),
                escaped(&f.by),
                number(f.difference),
                number(f.ratio)
            );
            let mut table = head(&["group", "value"]);
            for (group, value) in &f.groups {
                let _ = write!(table, "<tr><td>{}</td>{}</tr>", escaped(group), measured(value));
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
            let _ = write!(out, ", p-value of no difference {}", p_value(p));
        }
        if let Some(flips) = against.flips {
            let _ = write!(out, "; {:.2} % of the rows changed their class", flips * 100.0);
        }
        out.push_str("</p>");
        if against.slices.is_empty() {
            return out;
        }
        let _ = write!(out, "<div class=\"scroll\">{}</div>", plot::losses(against, self.alpha));
        let mut table =
            head(&["slice", "rows", "loss", "interval", "p of no difference", "adjusted p of worse", "flips"]);
        for s in &against.slices {
            let interval = s.interval.map_or_else(String::new, |i| format!("[{:+.4}, {:+.4}]", i.low, i.high));
            let flips = s.flips.map_or_else(String::new, |f| format!("{:.2} %", 100.0 * f));
            let _ = write!(
                table,
                "<tr><td class=\"w\">{}</td><td>{}</td><td>{:+.4}</td><td>{interval}</td><td>{}</td><td>{}</td><td>{flips}</td></tr>",
                escaped(&s.name),
                s.rows,
                s.worse_by,
                s.p_value.map_or_else(String::new, p_value),
                p_value(s.p_adjusted)
            );
        }
        out.push_str(&tail(table));
        out
    }

    fn check_table(&self) -> String {
        let mut table = head(&["", "kind", "check", "found"]);
        for check in &self.verdict.evidence {
            let mark = if check.pass { "<td class=\"yes\">pass</td>" } else { "<td class=\"no\">fail</td>" };
            let _ = write!(
                table,
                "<tr>{mark}<td>{}</td><td class=\"w\">{}</td><td class=\"text\">{}</td></tr>",
                check.kind.as_str(),
                escaped(&check.name),
                escaped(&check.message)
            );
        }
        let table = tail(table);
        format!("<details><summary>all {}</summary>{table}</details>", self.verdict.evidence.len())
    }
}

/// A cell with a value and, less loud, its interval.
fn measured(value: &Measured) -> String {
    match value {
        Measured::Value(e) => format!(
            "<td>{:.4} <span class=\"mute\">[{:.4}, {:.4}]</span></td>",
            e.value, e.interval.low, e.interval.high
        ),
        Measured::Undefined(reason) => format!("<td class=\"w mute\">undefined: {}</td>", escaped(reason)),
    }
}

fn p_value(p: f64) -> String {
    if p >= 0.001 { format!("{p:.3}") } else { format!("{p:.1e}") }
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
