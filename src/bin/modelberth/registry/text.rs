//! Tables for people.

/// Rows under their headings, each column as wide as it needs.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let plain = |cell: &str| cell.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines: Vec<Vec<String>> = vec![headings.iter().map(|heading| (*heading).to_owned()).collect()];
    lines.extend(rows.iter().map(|row| row.iter().map(|cell| plain(cell)).collect()));
    let widths: Vec<usize> = (0..headings.len())
        .map(|column| lines.iter().map(|line| line.get(column).map_or(0, |c| c.chars().count())).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for line in lines {
        let padded: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A number of bytes as people read it.
pub(super) fn bytes(number: u64) -> String {
    let mut size = number as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if size < 1024.0 {
            return if unit == "B" { format!("{number} B") } else { format!("{size:.1} {unit}") };
        }
        size /= 1024.0;
    }
    format!("{size:.1} TiB")
}
