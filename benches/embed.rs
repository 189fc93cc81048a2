//! A sentence-embedding model as it is used: time per call, memory after load, eight threads on one model.
//!
//! `MODELBERTH_BERT=DIRECTORY cargo bench --features candle --bench embed`; without a directory it does nothing.
//! `benches/peers/torch_embed.py` measures the same with PyTorch.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use modelberth::ndarray::Array2;
use modelberth::{Loader, Model, Tensors, tensors};

const CALLS: usize = 15;

fn main() {
    let Some(home) = std::env::var_os("MODELBERTH_BERT") else {
        println!("set MODELBERTH_BERT to the directory of a model");
        return;
    };
    let home = Path::new(&home);
    let before = resident();
    let start = Instant::now();
    let sentences = Loader::new().load(home).expect("the directory is a sentence-embedding model");
    let (loaded, after) = (start.elapsed(), resident());
    let bytes = sentences.describe().bytes as f64;
    println!("load            {loaded:>10.1?}");
    println!("resident memory {:>7.1} MB more, {:.2} of the weights", (after - before) / 1e6, (after - before) / bytes);

    let states = Loader::new().outputs(["hidden_states"]).load(home).expect("the directory gives hidden states");
    for (m, n) in [(8, 128), (1, 128), (1, 16), (32, 16)] {
        let inputs = tokens(m, n);
        let times = timed(&*states, &inputs);
        println!("tokens {m:>3} x {n:<4} median {:>8.2?}  least {:>8.2?}", times[times.len() / 2], times[0]);
    }
    let texts =
        Tensors::one("text", vec!["The cat sits outside while it rains, and the door stays shut.".to_owned(); 32]);
    let times = timed(&*sentences, &texts);
    println!("texts  32        median {:>8.2?}  least {:>8.2?}", times[times.len() / 2], times[0]);
    drop(states);

    // In turn, so that the state of the machine is the same for both.
    let own: Vec<Arc<dyn Model>> = (0..8).map(|_| Loader::new().load(home).expect("it loaded before")).collect();
    let one: Vec<Arc<dyn Model>> = (0..8).map(|_| Arc::clone(&own[0])).collect();
    let (mut shared, mut separate) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        shared.push(at_once(&one));
        separate.push(at_once(&own));
    }
    shared.sort();
    separate.sort();
    println!("eight threads   one model {:>8.2?} a call, eight models {:>8.2?} a call", shared[2], separate[2]);
}

fn tokens(m: usize, n: usize) -> Tensors<'static> {
    let ids = Array2::from_shape_fn((m, n), |(i, j)| 1000 + ((i * 131 + j * 17) % 20_000) as i64);
    tensors! { "input_ids" => ids, "attention_mask" => Array2::<i64>::ones((m, n)) }.expect("the names differ")
}

/// The times of calls, sorted.
fn timed(model: &dyn Model, inputs: &Tensors<'_>) -> Vec<Duration> {
    let call = |_| {
        let start = Instant::now();
        model.predict_batch(inputs).expect("the inputs fit");
        start.elapsed()
    };
    // The first call starts threads.
    call(0);
    let mut times: Vec<Duration> = (0..CALLS).map(call).collect();
    times.sort();
    times
}

/// The time of a call where each model is asked by a thread of its own at the same time.
fn at_once(models: &[Arc<dyn Model>]) -> Duration {
    const ROUNDS: u32 = 4;
    let text = "The cat sits outside while it rains, and the door stays shut.".to_owned();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for model in models {
            let texts = Tensors::one("text", vec![text.clone(); 8]);
            scope.spawn(move || (0..ROUNDS).for_each(|_| drop(model.predict_batch(&texts).expect("a text fits"))));
        }
    });
    start.elapsed() / ROUNDS
}

/// The resident memory of this process in bytes; 0 where the system does not tell.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) * 1024.0
}
