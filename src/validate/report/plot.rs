//! Plots as inline SVG.

use std::fmt::Write;

use super::text::escaped;
use crate::validate::{CalibrationBin, Comparison, Interval, Metric, Report};

/// The most slices that a plot shows, the worst first.
const MOST_BARS: usize = 40;

/// One line of a plot of intervals.
struct Bar<'r> {
    name: &'r str,
    value: f64,
    interval: Interval,
    /// Whether it surely lies above 0.
    sure: bool,
}

/// For each metric the gaps of the slices to the other rows, with their intervals.
pub(super) fn gaps(report: &Report) -> Vec<(String, String)> {
    let mut metrics: Vec<&Metric> = Vec::new();
    for m in report.slices.iter().flat_map(|s| &s.metrics) {
        if !metrics.contains(&&m.metric) {
            metrics.push(&m.metric);
        }
    }
    let of_metric = |metric: &&Metric| {
        let mut bars = Vec::new();
        for slice in report.slices.iter().filter(|s| s.supported) {
            for m in slice.metrics.iter().filter(|m| m.metric == **metric) {
                if let (Some(value), Some(interval)) = (m.worse_by, m.interval) {
                    let sure = m.p_adjusted.is_some_and(|p| p <= report.alpha) && value > 0.0;
                    bars.push(Bar { name: &slice.name, value, interval, sure });
                }
            }
        }
        (
            metric.to_string(),
            intervals(bars, report.max_gap, &format!("{metric}: gaps of the slices to the other rows")),
        )
    };
    metrics.iter().map(of_metric).filter(|(_, svg)| !svg.is_empty()).collect()
}

/// The losses of a model less those of its incumbent, by slice.
pub(super) fn losses(against: &Comparison, alpha: f64) -> String {
    let bars = against.slices.iter().filter_map(|s| {
        let sure = s.p_adjusted <= alpha && s.worse_by > 0.0;
        Some(Bar { name: &s.name, value: s.worse_by, interval: s.interval?, sure })
    });
    intervals(bars.collect(), None, "loss less the incumbent's, by slice")
}

/// Values with their intervals about a line at 0, the largest on top; a dashed line at `bound`.
fn intervals(mut bars: Vec<Bar<'_>>, bound: Option<f64>, label: &str) -> String {
    if bars.is_empty() {
        return String::new();
    }
    bars.sort_by(|a, b| b.value.total_cmp(&a.value));
    let left_out = bars.len().saturating_sub(MOST_BARS);
    bars.truncate(MOST_BARS);
    let low = bars.iter().map(|b| b.interval.low).fold(0.0, f64::min);
    let high = bars.iter().map(|b| b.interval.high).fold(bound.unwrap_or(0.0), f64::max);
    let ticks = ticks(low, high);
    let (low, high) = (ticks[0].min(low), ticks[ticks.len() - 1].max(high));
    let span = (high - low).max(f64::MIN_POSITIVE);
    let (left, width, step, top) = (290.0, 440.0, 22.0, 8.0);
    let x = |v: f64| left + (v - low) / span * width;
    let bottom = top + bars.len() as f64 * step + 6.0;
    let mut svg = format!(
        "<svg class=\"wide\" viewBox=\"0 0 760 {:.0}\" role=\"img\" aria-label=\"{}\">",
        bottom + 26.0,
        escaped(label)
    );
    let line = |svg: &mut String, class: &str, v: f64| {
        let at = x(v);
        let _ = write!(svg, "<line class=\"{class}\" x1=\"{at:.1}\" y1=\"{top}\" x2=\"{at:.1}\" y2=\"{bottom:.1}\"/>");
    };
    ticks.iter().for_each(|&v| line(&mut svg, if v == 0.0 { "axis" } else { "grid" }, v));
    bound.iter().for_each(|&v| line(&mut svg, "bound", v));
    for (i, bar) in bars.iter().enumerate() {
        let y = top + 14.0 + i as f64 * step;
        let class = if bar.sure { "bad" } else { "plain" };
        let shown: String = bar.name.chars().take(44).collect();
        let dots = if shown.len() < bar.name.len() { "\u{2026}" } else { "" };
        let Interval { low, high } = bar.interval;
        let _ = write!(
            svg,
            "<g class=\"{class}\"><title>{} {:+.4} [{low:+.4}, {high:+.4}]</title><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}{dots}</text><line x1=\"{:.1}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\"/><circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4\"/></g>",
            escaped(bar.name),
            bar.value,
            left - 12.0,
            y + 4.0,
            escaped(&shown),
            x(low),
            x(high),
            x(bar.value),
        );
    }
    for &v in &ticks {
        let _ = write!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{v}</text>", x(v), bottom + 18.0);
    }
    svg.push_str("</svg>");
    if left_out > 0 {
        let _ = write!(svg, "<p class=\"note\">{left_out} more are in the table.</p>");
    }
    svg
}

/// Round numbers that cover a range, 0 among them; about five.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let span = if high > low { high - low } else { 1.0 };
    let unit = 10f64.powf((span / 5.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * unit).find(|s| span / s <= 6.0).unwrap_or(10.0 * unit);
    let (from, to) = ((low / step).floor() as i64, (high / step).ceil() as i64);
    // Steps are counted in whole numbers and rounded to their last digit, so that no label ends in 0000001.
    let digits = 10f64.powi((-step.log10().floor()).max(0.0) as i32);
    (from..=to).map(|i| (i as f64 * step * digits).round() / digits).collect()
}

/// The share of right rows over the confidence of the model.
pub(super) fn calibration(bins: &[CalibrationBin]) -> String {
    if bins.is_empty() {
        return String::new();
    }
    let (left, top, size) = (58.0, 10.0, 300.0);
    let (x, y) = (|v: f64| left + v * size, |v: f64| top + (1.0 - v) * size);
    let most = bins.iter().map(|b| b.weight).fold(0.0, f64::max);
    let mut svg =
        String::from("<svg class=\"square\" viewBox=\"0 0 380 360\" role=\"img\" aria-label=\"calibration\">");
    for v in [0.25, 0.5, 0.75] {
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{0:.1}\" y1=\"{1:.1}\" x2=\"{0:.1}\" y2=\"{2:.1}\"/><line class=\"grid\" x1=\"{3:.1}\" y1=\"{4:.1}\" x2=\"{5:.1}\" y2=\"{4:.1}\"/>",
            x(v),
            y(0.0),
            y(1.0),
            x(0.0),
            y(v),
            x(1.0)
        );
    }
    let _ = write!(
        svg,
        "<rect class=\"frame\" x=\"{left}\" y=\"{top}\" width=\"{size}\" height=\"{size}\"/><line class=\"axis\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
        x(0.0),
        y(0.0),
        x(1.0),
        y(1.0)
    );
    let points: Vec<String> = bins.iter().map(|b| format!("{:.1},{:.1}", x(b.confidence), y(b.accuracy))).collect();
    let _ = write!(svg, "<polyline points=\"{}\"/>", points.join(" "));
    for b in bins {
        let radius = 3.0 + 5.0 * (b.weight / most).sqrt();
        let _ = write!(
            svg,
            "<circle class=\"dot\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"{radius:.1}\"><title>{} rows, confidence {:.3}, right {:.3}</title></circle>",
            x(b.confidence),
            y(b.accuracy),
            b.rows,
            b.confidence,
            b.accuracy
        );
    }
    for v in [0.0, 0.5, 1.0] {
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{v}</text><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{v}</text>",
            x(v),
            top + size + 18.0,
            left - 8.0,
            y(v) + 4.0
        );
    }
    let _ = write!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">confidence</text><text transform=\"rotate(-90)\" x=\"{:.1}\" y=\"16\" text-anchor=\"middle\">share right</text>",
        x(0.5),
        top + size + 38.0,
        -y(0.5)
    );
    svg.push_str("</svg>");
    svg
}

/// The confusion matrix, shaded by the share of the true class.
pub(super) fn confusion(classes: &[String], cells: &[Vec<f64>]) -> String {
    const MOST: usize = 40;
    if cells.is_empty() {
        return String::new();
    }
    if classes.len() > MOST {
        return format!(
            "<p class=\"note\">{} classes are too many to draw; the JSON report has them.</p>",
            classes.len()
        );
    }
    let mut table = format!(
        "<table class=\"confusion\"><thead><tr><td></td><th colspan=\"{}\">predicted</th></tr><tr><th>true</th>",
        classes.len()
    );
    for class in classes {
        let _ = write!(table, "<th>{}</th>", escaped(class));
    }
    table.push_str("</tr></thead><tbody>");
    for (i, (class, row)) in classes.iter().zip(cells).enumerate() {
        let total: f64 = row.iter().sum();
        let _ = write!(table, "<tr><th>{}</th>", escaped(class));
        for (j, &weight) in row.iter().enumerate() {
            let share = if total > 0.0 { weight / total } else { 0.0 };
            let colour = if i == j { "46,125,50" } else { "198,40,40" };
            let shown = if weight.fract() == 0.0 { format!("{weight:.0}") } else { format!("{weight:.2}") };
            let _ = write!(
                table,
                "<td style=\"background:rgba({colour},{:.2})\" title=\"{:.1} % of the row\">{shown}</td>",
                share * 0.6,
                share * 100.0
            );
        }
        table.push_str("</tr>");
    }
    table.push_str("</tbody></table>");
    table
}
