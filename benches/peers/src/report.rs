//! The table, the bars and the file for machines.

use std::path::Path;

use serde_json::{Value, json};

use crate::args::Args;
use crate::case::Case;
use crate::{Fault, median};

/// The contenders, ours first: the ratios are ours over theirs.
pub const LANES: [&str; 6] = ["modelberth", "onnxruntime", "its library", "tract", "lleaves", "one thread"];
pub const ORT: usize = 1;
/// The library that fitted the model.
const LIBRARY: usize = 2;
const LLEAVES: usize = 4;
/// Ourselves with one thread, where we are timed with several.
const ONE_THREAD: usize = 5;
const TRACT: &str = if cfg!(feature = "tract") { "0.23.9" } else { "(left out)" };

/// Where tract stands among the contenders.
const TRACT_LANE: usize = 3;
/// How far a network's answers may be from ONNX Runtime's on average, as a share of their range.
const NETS_OFF: f64 = 0.01;
/// The most that we may add to a call of tract's: this share of it, or this many nanoseconds.
const NETS_BAR: f64 = 1.02;
const NETS_BAR_NS: f64 = 300.0;
/// The most that the geometric mean and a single ratio to ONNX Runtime may be: in f32 and in int8.
const LARGE_BARS: [(&str, f64, f64); 2] = [("f32", 1.0, 1.25), ("int8", 1.0, 1.35)];
/// The most that loading MiniLM may take of ONNX Runtime's time, and two threads of one's.
const LARGE_LOADING_BAR: f64 = 2.0;
const LARGE_THREADS_BAR: f64 = 1.0 / 1.7;
/// The most that MiniLM's peak memory may be of ONNX Runtime's.
const LARGE_MEMORY_BAR: f64 = 1.0;
const LINEAR_BAR_NS: f64 = 250.0;
/// Batch size and the most that our time may be of ONNX Runtime's.
const DIGITS_BARS: [(usize, f64); 3] = [(1, 0.2), (100, 0.6), (10_000, 0.5)];
const ZOO_BAR: f64 = 0.6;
/// Model, batch size, peer and the most that our time may be of the peer's.
const TREES_BARS: [(&str, usize, usize, f64); 20] = [
    ("lightgbm 100 x 31", 10_000, ORT, 1.0 / 15.0),
    ("lightgbm 100 x 31", 10_000, LLEAVES, 1.0 / 6.0),
    ("lightgbm 1000 x 31", 10_000, ORT, 0.1),
    ("lightgbm 1000 x 31", 10_000, LLEAVES, 0.25),
    ("xgboost 100, depth 6", 10_000, LIBRARY, 0.5),
    ("xgboost 1000, depth 6", 10_000, LIBRARY, 0.5),
    ("lightgbm 100 x 31", 1, ORT, 1.0 / 3.0),
    ("lightgbm 1000 x 31", 1, ORT, 1.0 / 3.0),
    ("xgboost 100, depth 6", 1, ORT, 1.0 / 3.0),
    ("xgboost 1000, depth 6", 1, ORT, 1.0 / 3.0),
    ("forest 200 x 5000", 10_000, ORT, 0.5),
    ("catboost 500, depth 6", 10_000, LIBRARY, 1.0),
    ("lightgbm 100 x 31, portable", 10_000, ORT, 0.5),
    ("lightgbm 1000 x 31, portable", 10_000, ORT, 0.5),
    ("lightgbm 100 x 31, 2 threads", 10_000, ONE_THREAD, 1.0 / 1.8),
    ("lightgbm 1000 x 31, 2 threads", 10_000, ONE_THREAD, 1.0 / 1.8),
    ("xgboost 1000, depth 6, 2 threads", 10_000, ONE_THREAD, 1.0 / 1.8),
    ("lightgbm 1000 x 31", 0, LIBRARY, 1.0),
    ("xgboost 1000, depth 6", 0, LIBRARY, 1.0),
    ("catboost 500, depth 6", 0, LIBRARY, 1.0),
];

/// One model at one batch size.
pub struct Row {
    pub group: String,
    pub name: String,
    pub batch: usize,
    /// The backend that our side was told to use.
    pub backend: Option<String>,
    /// Per contender, the median of each of its turns.
    pub ns_per_row: [Vec<f64>; LANES.len()],
    /// Our answers are not ONNX Runtime's.
    pub differs: bool,
    /// How far each contender's answers are from ONNX Runtime's on average, as a share of their range.
    pub off: [Option<f64>; LANES.len()],
    pub notes: Vec<String>,
}

pub struct Bar {
    pub what: String,
    pub limit: f64,
    pub found: Option<f64>,
    pub unit: &'static str,
    pub met: bool,
    pub remark: String,
}

impl Row {
    pub fn new(case: &Case, batch: usize) -> Self {
        Self {
            group: case.group.clone(),
            name: case.name.clone(),
            batch,
            backend: case.backend.clone(),
            ns_per_row: Default::default(),
            differs: false,
            off: [None; LANES.len()],
            notes: Vec::new(),
        }
    }

    fn ns(&self, lane: usize) -> Option<f64> {
        let mut turns = self.ns_per_row[lane].clone();
        (!turns.is_empty()).then(|| median(&mut turns))
    }

    /// The median over the rounds of ours over theirs, both of the same round.
    fn ratio(&self, lane: usize) -> Option<f64> {
        let pairs = self.ns_per_row[0].iter().zip(&self.ns_per_row[lane]);
        let mut ratios: Vec<f64> = pairs.map(|(ours, theirs)| ours / theirs).collect();
        (!ratios.is_empty()).then(|| median(&mut ratios))
    }

    /// What we add to a call of a contender's, in nanoseconds: the median over the rounds.
    fn added_ns(&self, lane: usize) -> Option<f64> {
        let pairs = self.ns_per_row[0].iter().zip(&self.ns_per_row[lane]);
        let mut added: Vec<f64> = pairs.map(|(ours, theirs)| (ours - theirs) * self.batch as f64).collect();
        (!added.is_empty()).then(|| median(&mut added))
    }
}

pub fn heading(args: &Args, ort: &str, sklearn: &str) {
    println!("onnxruntime {ort} (C API), {sklearn}, tract {}", TRACT);
    println!(
        "one thread each where not said otherwise, {} turns of {} s, taken in rotation; ns per row, medians",
        args.rounds, args.seconds
    );
    println!();
    println!(
        "{:<42} {:>6} | {:>11} {:>11} {:>12} {:>11} {:>11} {:>11} | {:>7} {:>9} {:>7} {:>9} {:>12}",
        "model",
        "batch",
        LANES[0],
        LANES[1],
        LANES[2],
        LANES[3],
        LANES[4],
        LANES[5],
        "/ ort",
        "/ library",
        "/ tract",
        "/ lleaves",
        "/ one thread"
    );
    println!("{}", "-".repeat(180));
}

pub fn line(row: &Row) {
    let ns = |lane| row.ns(lane).map_or("-".to_owned(), |ns| format!("{ns:.1}"));
    let ratio = |lane| row.ratio(lane).map_or("-".to_owned(), |ratio| format!("{ratio:.3}"));
    let mark = if row.notes.is_empty() { "" } else { " *" };
    println!(
        "{:<42} {:>6} | {:>11} {:>11} {:>12} {:>11} {:>11} {:>11} | {:>7} {:>9} {:>7} {:>9} {:>12}{mark}",
        row.name,
        row.batch,
        ns(0),
        ns(1),
        ns(2),
        ns(3),
        ns(4),
        ns(5),
        ratio(1),
        ratio(2),
        ratio(3),
        ratio(4),
        ratio(5)
    );
}

/// The bars that the groups present in `rows` are held against.
pub fn bars(rows: &[Row]) -> Vec<Bar> {
    let mut bars = Vec::new();
    for row in rows {
        if row.group == "linear" {
            bars.push(
                Bar::new("linear, one-row predict".to_owned(), LINEAR_BAR_NS, row.ns(0), " ns").unless(row.differs),
            );
        }
        if let Some((batch, limit)) = DIGITS_BARS.iter().find(|(b, _)| row.group == "digits" && *b == row.batch) {
            bars.push(
                Bar::new(format!("digits, batch {batch}, against ONNX Runtime"), *limit, row.ratio(ORT), "x")
                    .unless(row.differs),
            );
        }
    }
    for (name, batch, peer, limit) in TREES_BARS {
        if let Some(row) = rows.iter().find(|row| row.name == name && row.batch == batch) {
            let what = if batch == 0 { "loading".to_owned() } else { format!("batch {batch}") };
            let what = format!("{name}, {what}, against {}", LANES[peer]);
            bars.push(Bar::new(what, limit, row.ratio(peer), "x"));
        }
    }
    for row in rows.iter().filter(|row| row.group == "nets" && row.backend.as_deref() == Some("tract")) {
        let Some(added) = row.added_ns(TRACT_LANE) else { continue };
        let what = format!("{} at {}, over raw tract", row.name, row.batch);
        // Who answers wrongly does other work, which says nothing about ours.
        if let [Some(ours), Some(theirs)] = [row.off[0], row.off[TRACT_LANE]]
            && ours <= NETS_OFF
            && theirs > NETS_OFF
        {
            println!(
                "NONE {what}: raw tract is {:.1} % of the range off on average, ours {:.1} %",
                theirs * 1e2,
                ours * 1e2
            );
            continue;
        }
        let mut bar = Bar::new(what, NETS_BAR, row.ratio(TRACT_LANE), "x");
        bar.met |= added <= NETS_BAR_NS;
        bar.remark = format!("{added:+.0} ns a call, {NETS_BAR_NS} are allowed");
        bars.push(bar);
    }
    bars.extend(large_bars(rows));
    let zoo: Vec<&Row> = rows.iter().filter(|row| row.group == "zoo" && row.ns(ORT).is_some()).collect();
    if !zoo.is_empty() {
        let ratios: Vec<f64> = zoo.iter().filter_map(|row| row.ratio(ORT)).collect();
        let mut bar = Bar::new(
            "zoo, batch 1000, geometric mean against ONNX Runtime".to_owned(),
            ZOO_BAR,
            geometric_mean(&ratios),
            "x",
        );
        bar.remark = format!("{} of {} models", ratios.len(), zoo.len());
        // Some differ rightly, where ONNX Runtime itself is off: said, and left to the reader.
        match zoo.iter().filter(|row| row.differs).count() {
            0 => {}
            some => bar.remark += &format!(", {some} answer otherwise"),
        }
        // A model that only the peer runs is no win.
        bar.met &= ratios.len() == zoo.len();
        bars.push(bar);
    }
    bars
}

fn large_bars(rows: &[Row]) -> Vec<Bar> {
    let large = || rows.iter().filter(|row| row.group == "large");
    let mut bars = Vec::new();
    for (kind, mean, most) in LARGE_BARS {
        let of_kind = |row: &&Row| row.name.ends_with("int8") == (kind == "int8");
        let cells: Vec<(&Row, f64)> = large()
            .filter(of_kind)
            .filter(|row| row.batch > 0)
            .filter_map(|row| row.ratio(ORT).map(|ratio| (row, ratio)))
            .collect();
        let Some((worst, ratio)) = cells.iter().max_by(|a, b| a.1.total_cmp(&b.1)) else { continue };
        let ratios: Vec<f64> = cells.iter().map(|cell| cell.1).collect();
        let what = format!("large networks in {kind}, geometric mean against ONNX Runtime");
        let mut bar = Bar::new(what, mean, geometric_mean(&ratios), "x");
        bar.remark = format!("{} cells", cells.len());
        bars.push(bar);
        let what = format!("large networks in {kind}, the worst: {} at {}", worst.name, worst.batch);
        bars.push(Bar::new(what, most, Some(*ratio), "x"));
    }
    for row in large() {
        if let Some(ratio) = row.ratio(ONE_THREAD) {
            bars.push(Bar::new(format!("{}, against one", row.name), LARGE_THREADS_BAR, Some(ratio), "x"));
        }
        if row.batch == 0 {
            let what = format!("{}, loading, against ONNX Runtime", row.name);
            bars.push(Bar::new(what, LARGE_LOADING_BAR, row.ratio(ORT), "x"));
        }
    }
    bars
}

/// The most memory of ours against ONNX Runtime's, in kilobytes.
pub fn memory_bar(name: &str, [ours, ort]: [u64; 2]) -> Bar {
    let ratio = Some(ours as f64 / ort as f64);
    let mut bar = Bar::new(format!("{name}, most memory, against ONNX Runtime"), LARGE_MEMORY_BAR, ratio, "x");
    bar.remark = format!("{} and {} MB", ours / 1000, ort / 1000);
    bar
}

impl Bar {
    fn new(what: String, limit: f64, found: Option<f64>, unit: &'static str) -> Self {
        Self { what, limit, found, unit, met: found.is_some_and(|found| found <= limit), remark: String::new() }
    }

    /// A time for other answers meets no bar.
    fn unless(mut self, differs: bool) -> Self {
        if differs {
            self.met = false;
            self.remark = "the answers differ".to_owned();
        }
        self
    }
}

fn geometric_mean(ratios: &[f64]) -> Option<f64> {
    (!ratios.is_empty()).then(|| (ratios.iter().map(|r| r.ln()).sum::<f64>() / ratios.len() as f64).exp())
}

/// Geometric mean of ours over a contender's in the zoo, with the number of models that both ran.
fn zoo_mean(rows: &[Row], lane: usize) -> Option<(f64, usize)> {
    let ratios: Vec<f64> = rows.iter().filter(|row| row.group == "zoo").filter_map(|row| row.ratio(lane)).collect();
    Some((geometric_mean(&ratios)?, ratios.len()))
}

pub fn closing(rows: &[Row], bars: &[Bar]) {
    println!();
    for lane in [ORT, 3] {
        let zoo = || rows.iter().filter(|row| row.group == "zoo");
        if zoo().next().is_some() {
            let ran = zoo().filter(|row| row.ns(lane).is_some()).count();
            let mean = zoo_mean(rows, lane).map_or("-".to_owned(), |(mean, n)| format!("{mean:.3} over {n} models"));
            println!("zoo: {} runs {ran} of {} models; geometric mean of our ratio {mean}", LANES[lane], zoo().count());
        }
    }
    for bar in bars {
        let found = bar.found.map_or("not measured".to_owned(), |found| format!("{found:.3}{}", bar.unit));
        let verdict = if bar.met { "PASS" } else { "FAIL" };
        let remark = if bar.remark.is_empty() { String::new() } else { format!(" ({})", bar.remark) };
        println!("{verdict} {}: {found}{remark}, bar <= {}{}", bar.what, bar.limit, bar.unit);
    }
    if rows.iter().any(|row| !row.notes.is_empty()) {
        println!("\nnotes (*)");
    }
    for row in rows {
        for note in &row.notes {
            let short: String = note.chars().take(160).collect();
            println!("  {} at {}: {short}", row.name, row.batch);
        }
    }
}

pub fn write_json(path: &Path, args: &Args, ort: &str, sklearn: &str, rows: &[Row], bars: &[Bar]) -> Result<(), Fault> {
    let lanes = |value: &dyn Fn(usize) -> Value| -> Value {
        LANES.iter().enumerate().map(|(i, name)| ((*name).to_owned(), value(i))).collect()
    };
    let row = |row: &Row| {
        json!({
            "group": row.group,
            "model": row.name,
            "batch": row.batch,
            "ns_per_row": lanes(&|i| json!(row.ns(i))),
            "turns_ns_per_row": lanes(&|i| json!(row.ns_per_row[i])),
            "our_answers_differ": row.differs,
            "ours_over": lanes(&|i| json!(row.ratio(i))),
            "notes": row.notes,
        })
    };
    let bar = |bar: &Bar| {
        json!({
            "what": bar.what, "limit": bar.limit, "found": bar.found, "met": bar.met, "remark": bar.remark,
        })
    };
    let all = json!({
        "versions": { "onnxruntime": ort, "python": sklearn, "tract": TRACT },
        "threads": 1,
        "rounds": args.rounds,
        "seconds": args.seconds,
        "rows": rows.iter().map(row).collect::<Vec<_>>(),
        "bars": bars.iter().map(bar).collect::<Vec<_>>(),
    });
    std::fs::write(path, serde_json::to_string_pretty(&all)? + "\n")?;
    Ok(())
}
