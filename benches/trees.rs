//! Tree ensembles by engine, on made-up models: loading, one row, many rows.
//!
//! `cargo bench --bench trees`. Beside other libraries they are measured by `benches/peers`.

use std::fmt::Write;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use modelberth::{Loader, Tensor, TreeEngine, tensors};

const FEATURES: usize = 28;
/// Trees and levels; all trees are complete, those of the second kind too large for bit vectors.
const SHAPES: [(usize, u32); 3] = [(100, 5), (1000, 5), (50, 12)];

/// SplitMix64.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Between -2 and 2.
    fn number(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 51) as f64 - 2.0
    }
}

fn list(out: &mut String, key: &str, count: usize, mut item: impl FnMut(usize) -> String) {
    let items: Vec<String> = (0..count).map(&mut item).collect();
    writeln!(out, "{key}={}", items.join(" ")).expect("a string takes all");
}

/// A model as LightGBM writes it.
fn model(trees: usize, levels: u32) -> Vec<u8> {
    let mut draw = Draw(1);
    let names: Vec<String> = (0..FEATURES).map(|i| format!("f{i}")).collect();
    let mut text = format!(
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx={}\nobjective=regression\nfeature_names={}\n\n",
        FEATURES - 1,
        names.join(" ")
    );
    let leaves = 1usize << levels;
    let inner = leaves - 1;
    let child = |c: usize| if c < inner { c.to_string() } else { (!((c - inner) as i64)).to_string() };
    for tree in 0..trees {
        writeln!(text, "Tree={tree}\nnum_leaves={leaves}\nnum_cat=0").expect("a string takes all");
        list(&mut text, "split_feature", inner, |_| (draw.next() % FEATURES as u64).to_string());
        list(&mut text, "threshold", inner, |_| draw.number().to_string());
        list(&mut text, "decision_type", inner, |_| "2".to_owned());
        list(&mut text, "left_child", inner, |i| child(2 * i + 1));
        list(&mut text, "right_child", inner, |i| child(2 * i + 2));
        list(&mut text, "leaf_value", leaves, |_| draw.number().to_string());
        text.push_str("shrinkage=1\n\n");
    }
    text.push_str("end of trees\n");
    text.into_bytes()
}

fn trees(c: &mut Criterion) {
    let mut draw = Draw(2);
    let pool: Vec<f32> = (0..10_000 * FEATURES).map(|_| draw.number() as f32).collect();
    for (count, levels) in SHAPES {
        let file = model(count, levels);
        let mut group = c.benchmark_group(format!("{count} trees of {} leaves", 1 << levels));
        group.sample_size(20);
        group.bench_function("load", |b| b.iter(|| Loader::new().load_bytes("made-up.txt", file.clone())));
        for engine in [TreeEngine::Auto, TreeEngine::Walk, TreeEngine::Portable] {
            let model = Loader::new().tree_engine(engine).load_bytes("made-up.txt", file.clone()).expect("it is whole");
            let mut at = 0;
            group.bench_function(BenchmarkId::new(engine.as_str(), "one row"), |b| {
                b.iter(|| {
                    // Rows are walked in order: a repeated row flatters whatever branches.
                    at = (at + FEATURES) % pool.len();
                    model.predict(&tensors! { "x" => Tensor::from(&pool[at..at + FEATURES]) }?)
                });
            });
            group.throughput(Throughput::Elements(10_000));
            let rows = Tensor::from_slice(&[10_000, FEATURES], &pool).expect("the shape holds the elements");
            let rows = tensors! { "x" => rows }.expect("one name");
            group.bench_function(BenchmarkId::new(engine.as_str(), "10,000 rows"), |b| {
                b.iter(|| model.predict_batch(&rows));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, trees);
criterion_main!(benches);
