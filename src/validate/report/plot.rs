//! Plots as inline SVG.

use std::fmt::Write;

use super::text::escaped;
use crate::validate::{CalibrationBin, Report};

/// The most slices that a plot of gaps shows, the worst first.
const MOST_GAPS: usize = 40;

/// The gaps of the slices to the rest with their intervals.
pub(super) fn gaps(report: &Report) -> String {
    let mut gaps: Vec<(String, f64, f64, f64, bool)> = Vec::new();
    for slice in report.slices.iter().filter(|s| s.supported) {
        for m in &slice.metrics {
            if let (Some(gap), Some(i)) = (m.worse_by, m.interval) {
                let sure = m.p_adjusted.is_some_and(|p| p <= 0.05) && gap > 0.0;
                gaps.push((format!("{}: {}", slice.name, m.metric), gap, i.low, i.high, sure));
            }
        }
    }
    if gaps.is_empty() {
        return String::new();
    }
    gaps.sort_by(|a, b| b.1.total_cmp(&a.1));
    let left_out = gaps.len().saturating_sub(MOST_GAPS);
    gaps.truncate(MOST_GAPS);
    let low = gaps.iter().map(|g| g.2).fold(0.0, f64::min);
    let high = gaps.iter().map(|g| g.3).fold(0.0, f64::max);
    let span = (high - low).max(f64::MIN_POSITIVE);
    let (left, width, step) = (330.0, 420.0, 22.0);
    let x = |v: f64| left + (v - low) / span * width;
    let height = gaps.len() as f64 * step + 40.0;
    let mut svg = format!(
        "<svg viewBox=\"0 0 800 {height:.0}\" role=\"img\" aria-label=\"gaps of the slices to the other rows\">"
    );
    let zero = x(0.0);
    let _ =
        write!(svg, "<line class=\"axis\" x1=\"{zero:.1}\" y1=\"8\" x2=\"{zero:.1}\" y2=\"{:.1}\"/>", height - 28.0);
    for (i, (name, gap, from, to, sure)) in gaps.iter().enumerate() {
        let y = 20.0 + i as f64 * step;
        let class = if *sure { "bad" } else { "plain" };
        let shown: String = name.chars().take(48).collect();
        let dots = if shown.len() < name.len() { "\u{2026}" } else { "" };
        let _ = write!(
            svg,
            "<g class=\"{class}\"><title>{} worse by {gap:.4} [{from:.4}, {to:.4}]</title><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}{dots}</text><line x1=\"{:.1}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\"/><circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4\"/></g>",
            escaped(name),
            left - 10.0,
            y + 4.0,
            escaped(&shown),
            x(*from),
            x(*to),
            x(*gap),
        );
    }
    for v in [low, 0.0, high] {
        let _ = write!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{v:.3}</text>", x(v), height - 10.0);
    }
    svg.push_str("</svg>");
    if left_out > 0 {
        let _ = write!(svg, "<p>{left_out} more are in the table.</p>");
    }
    svg
}

/// The share of right rows over the confidence of the model.
pub(super) fn calibration(bins: &[CalibrationBin]) -> String {
    if bins.is_empty() {
        return String::new();
    }
    let (left, top, size) = (50.0, 10.0, 300.0);
    let (x, y) = (|v: f64| left + v * size, |v: f64| top + (1.0 - v) * size);
    let most = bins.iter().map(|b| b.weight).fold(0.0, f64::max);
    let mut svg = String::from("<svg viewBox=\"0 0 380 360\" role=\"img\" aria-label=\"calibration\">");
    let _ = write!(svg, "<rect class=\"frame\" x=\"{left}\" y=\"{top}\" width=\"{size}\" height=\"{size}\"/>");
    let _ = write!(
        svg,
        "<line class=\"axis\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
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
        let _ = write!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{v}</text>", x(v), top + size + 18.0);
        let _ = write!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{v}</text>", left - 6.0, y(v) + 4.0);
    }
    let _ = write!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">confidence</text>",
        x(0.5),
        top + size + 36.0
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
        return format!("<p>{} classes are too many to draw; the JSON report has them.</p>", classes.len());
    }
    let mut table = String::from("<table class=\"confusion\"><tr><th>true \\ predicted</th>");
    for class in classes {
        let _ = write!(table, "<th>{}</th>", escaped(class));
    }
    table.push_str("</tr>");
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
                share * 0.7,
                share * 100.0
            );
        }
        table.push_str("</tr>");
    }
    table.push_str("</table>");
    table
}
