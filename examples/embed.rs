//! Semantic search over the lines of a text file.
//!
//! `cargo run --release --features candle --example embed -- MODEL TEXTS [QUERY...]`
//!
//! MODEL is the directory of a sentence-embedding model as Hugging Face's libraries save it (`config.json`,
//! `tokenizer.json`, `model.safetensors`, `modules.json`), TEXTS a file of one text a line. Each QUERY is answered with
//! the lines that are nearest to it and the cosine of the angle between the two. Without one, queries are read from
//! standard input, a line each.

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::time::Instant;
use std::{env, fs};

use modelberth::ndarray::{Array2, ArrayView1, Ix2};
use modelberth::prelude::*;

const HITS: usize = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [model, texts, queries @ ..] = arguments.as_slice() else {
        eprintln!("usage: embed MODEL TEXTS [QUERY...]");
        return ExitCode::from(2);
    };
    match search(&mut io::stdout().lock(), model, texts, queries) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Answers each query with the texts of a file that are nearest to it.
pub(crate) fn search(out: &mut impl Write, model: &str, file: &str, queries: &[String]) -> Result<(), Box<dyn Error>> {
    let texts = lines(file)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let start = Instant::now();
    let model = Loader::new().threads(threads).outputs(["embedding"]).load(model)?;
    let loaded = start.elapsed();
    let embeddings = embed(&model, texts.clone())?;
    eprintln!("loaded in {loaded:.2?}; {} texts embedded in {:.2?}", texts.len(), start.elapsed() - loaded);

    if queries.is_empty() {
        for query in io::stdin().lock().lines() {
            answer(out, &model, &query?, &texts, &embeddings)?;
        }
    }
    queries.iter().try_for_each(|query| answer(out, &model, query, &texts, &embeddings))
}

/// The lines of a file that are not blank.
fn lines(file: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let bytes = fs::read(file).map_err(|e| format!("{file} can't be read: {e}"))?;
    let mut texts = Vec::new();
    for (i, line) in bytes.split(|b| *b == b'\n').enumerate() {
        let text = std::str::from_utf8(line).map_err(|e| {
            format!("{file} is not UTF-8 in line {}, byte {}; convert it first", i + 1, e.valid_up_to() + 1)
        })?;
        if !text.trim().is_empty() {
            texts.push(text.trim().to_owned());
        }
    }
    if texts.is_empty() { Err(format!("{file} has no text in it").into()) } else { Ok(texts) }
}

/// The embeddings (m, d) of m texts, each of length 1.
fn embed(model: &dyn Model, texts: Vec<String>) -> Result<Array2<f32>, Box<dyn Error>> {
    let mut answers = model.predict_batch(&Tensors::one("text", texts))?;
    let mut embeddings = answers.take("embedding")?.into_array::<f32>()?.into_dimensionality::<Ix2>()?;
    // Not every model normalises, and a cosine needs it.
    for mut row in embeddings.rows_mut() {
        let length = row.dot(&row).sqrt().max(1e-12);
        row /= length;
    }
    Ok(embeddings)
}

fn answer(
    out: &mut impl Write,
    model: &dyn Model,
    query: &str,
    texts: &[String],
    embeddings: &Array2<f32>,
) -> Result<(), Box<dyn Error>> {
    let query_embedding = embed(model, vec![query.to_owned()])?;
    let cosines = embeddings.dot(&ArrayView1::from(query_embedding.row(0)));
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by(|&a, &b| cosines[b].total_cmp(&cosines[a]));
    writeln!(out, "{query}")?;
    for i in order.into_iter().take(HITS) {
        writeln!(out, "  {:6.3}  {}", cosines[i], texts[i])?;
    }
    Ok(())
}
