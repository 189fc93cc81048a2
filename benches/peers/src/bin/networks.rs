//! What a network costs in memory, and what its threads cost each other.
//!
//!     networks FILE [BACKEND] [ROWS] [LENGTH]
//!
//! Prints the resident memory before and after loading FILE, after a prediction of made-up rows, and as a share of the
//! weights; then the time of a call in each of eight threads, sharing one model and with a model each.

use std::time::Instant;

use modelberth::ndarray::ArrayD;
use modelberth::{DType, Dim, Loader, Model, Tensor, Tensors};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("which file?")?;
    let loader = match args.next() {
        Some(backend) if backend != "-" => Loader::new().backend(backend.parse()?),
        _ => Loader::new(),
    };
    let rows: usize = args.next().map_or(Ok(8), |n| n.parse())?;
    let length: usize = args.next().map_or(Ok(16), |n| n.parse())?;

    let before = resident()?;
    let start = Instant::now();
    let model = loader.load(&path)?;
    let loading = start.elapsed();
    let loaded = resident()?;
    let description = model.describe();
    println!("{path}: {} ({}), loaded in {loading:.1?}", description.backend, description.engine);
    let weights = 4 * description.parameters;
    let share = |bytes: u64| bytes.saturating_sub(before) as f64 / weights as f64;
    let mb = |bytes: u64| bytes as f64 / 1e6;
    println!("weights {:.1} MB as float32", mb(weights));
    println!("after load {:.1} MB more than before, {:.2} of the weights", mb(loaded - before), share(loaded));
    let inputs = made_up(&*model, rows, length)?;
    let start = Instant::now();
    model.predict_batch(&inputs)?;
    println!("first prediction of {rows} x {length}: {:.1?}", start.elapsed());
    let used = resident()?;
    println!("after it {:.1} MB more than before, {:.2} of the weights", mb(used - before), share(used));

    // In turns, so that a slow spell of the machine falls on both.
    let (mut shared, mut separate) = (Vec::new(), Vec::new());
    let own = (0..8).map(|_| loader.load(&path)).collect::<Result<Vec<_>, _>>()?;
    for _ in 0..5 {
        shared.push(median_call_ns(&(0..8).map(|_| &*model).collect::<Vec<_>>(), &inputs));
        separate.push(median_call_ns(&own.iter().map(|model| &**model).collect::<Vec<_>>(), &inputs));
    }
    let (shared, separate) = (median(shared), median(separate));
    println!(
        "eight threads, a call: {shared:.0} ns sharing one model, {separate:.0} ns with one each, {:.3}",
        shared / separate
    );
    Ok(())
}

/// The median over the threads of the mean processor time of a call. Processor time, since there may be fewer cores than
/// threads.
fn median_call_ns(models: &[&dyn Model], inputs: &Tensors<'_>) -> f64 {
    let per_thread = |model: &dyn Model| {
        let once = Instant::now();
        let _ = model.predict_batch(inputs);
        let calls = (100_000_000 / once.elapsed().as_nanos().max(1)).clamp(3, 20_000);
        let start = thread_time_ns();
        for _ in 0..calls {
            let _ = std::hint::black_box(model.predict_batch(inputs));
        }
        (thread_time_ns() - start) as f64 / calls as f64
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = models.iter().map(|model| scope.spawn(move || per_thread(*model))).collect();
        median(running.into_iter().filter_map(|thread| thread.join().ok()).collect())
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The processor time of this thread, from the kernel's scheduler (Linux).
fn thread_time_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// The resident memory of this process in bytes (Linux).
fn resident() -> Result<u64, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find(|l| l.starts_with("VmRSS")).ok_or("no VmRSS")?;
    let kilobytes: u64 = line.split_whitespace().nth(1).ok_or("no number")?.parse()?;
    Ok(kilobytes * 1024)
}

/// Rows of small numbers; open axes have `length` entries.
fn made_up(model: &dyn Model, rows: usize, length: usize) -> modelberth::Result<Tensors<'static>> {
    let specs = model.signature().inputs();
    let tensor = |spec: &modelberth::TensorSpec| {
        let shape: Vec<usize> = spec
            .dims()
            .iter()
            .map(|dim| match dim {
                Dim::Batch => rows,
                Dim::Fixed(n) => *n,
                _ => length,
            })
            .collect();
        match spec.dtype() {
            DType::I64 => Tensor::from(ArrayD::<i64>::ones(shape)).cast(DType::I64),
            other => Tensor::from(ArrayD::<f32>::from_elem(shape, 0.5)).cast(other),
        }
    };
    specs.iter().map(|spec| Ok((spec.name().clone(), tensor(spec)?))).collect()
}
