//! The network: BERT's encoder, under the names that each of its relatives gives to the same weights.
//!
//! candle's own collection of networks has these too, but its DistilBERT approximates GELU by a hyperbolic tangent
//! where the reference takes the error function, and its masks become NaN in f16.

use candle_core::{Device, Tensor};

use super::config::{Architecture, Config};
use super::ops::{Mask, Norm, Row, finish, product};
use super::weights::Weights;
use crate::backend::contain::contained;
use crate::{Error, ErrorKind, Result};

/// An encoder with its weights.
pub(super) struct Encoder {
    /// The vectors of tokens (vocabulary, d).
    words: Tensor,
    /// The vectors of positions (positions, d), that of the first segment added.
    positions: Tensor,
    /// No bias, in the form that an addition takes.
    nothing: Row,
    first: Norm,
    layers: Vec<Layer>,
    config: Config,
    device: Device,
    /// The most elements of one tensor while predicting.
    max_elements: usize,
}

struct Layer {
    /// Queries, keys and values. One matrix of all three would be a copy of their weights while the model loads.
    attended: [Dense; 3],
    joined: Dense,
    after_attention: Norm,
    up: Dense,
    down: Dense,
    after: Norm,
}

/// A matrix (out, in) with its bias (out,).
struct Dense {
    weight: Tensor,
    bias: Row,
}

impl Dense {
    /// The product of x (m, in) with the matrix, without the bias.
    fn product(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        product(x, &self.weight, true)
    }
}

/// Sequences of token numbers, each filled up to the longest.
pub(super) struct Batch {
    ids: Vec<u32>,
    seen: Vec<bool>,
    /// The number of sequences m.
    rows: usize,
    /// The length n of each.
    tokens: usize,
}

impl Batch {
    /// The numbers (m, n) of tokens, and which of them are there.
    pub(super) fn new(ids: Vec<u32>, seen: Vec<bool>, rows: usize, tokens: usize) -> Self {
        debug_assert!(ids.len() == rows * tokens && seen.len() == rows * tokens);
        Self { ids, seen, rows, tokens }
    }

    /// Sequences of different lengths, filled up with `pad`.
    pub(super) fn padded<'s>(sequences: impl ExactSizeIterator<Item = &'s [u32]> + Clone, pad: u32) -> Self {
        let (rows, tokens) = (sequences.len(), sequences.clone().map(<[u32]>::len).max().unwrap_or(0));
        let (mut ids, mut seen) = (vec![pad; rows * tokens], vec![false; rows * tokens]);
        for (i, sequence) in sequences.enumerate() {
            let place = i * tokens..i * tokens + sequence.len();
            ids[place.clone()].copy_from_slice(sequence);
            seen[place].fill(true);
        }
        Self { ids, seen, rows, tokens }
    }
}

/// What an architecture calls the parts of a layer.
struct Names {
    query: &'static str,
    key: &'static str,
    value: &'static str,
    joined: &'static str,
    after_attention: &'static str,
    up: &'static str,
    down: &'static str,
    after: &'static str,
}

const BERT: Names = Names {
    query: "attention.self.query",
    key: "attention.self.key",
    value: "attention.self.value",
    joined: "attention.output.dense",
    after_attention: "attention.output.LayerNorm",
    up: "intermediate.dense",
    down: "output.dense",
    after: "output.LayerNorm",
};

const DISTILBERT: Names = Names {
    query: "attention.q_lin",
    key: "attention.k_lin",
    value: "attention.v_lin",
    joined: "attention.out_lin",
    after_attention: "sa_layer_norm",
    up: "ffn.lin1",
    down: "ffn.lin2",
    after: "output_layer_norm",
};

impl Encoder {
    /// Takes the network's weights out of `weights`.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when a weight is missing or of another shape than the configuration says.
    pub(super) fn new(config: Config, weights: &mut Weights, max_elements: usize) -> Result<Self> {
        const WORDS: &str = "embeddings.word_embeddings.weight";
        weights.find_prefix(WORDS)?;
        let d = config.hidden;
        let words = weights.take(WORDS, &[config.vocabulary, d])?;
        let mut positions = weights.take("embeddings.position_embeddings.weight", &[config.positions, d])?;
        if config.segments > 0 {
            let segments = weights.take("embeddings.token_type_embeddings.weight", &[config.segments, d])?;
            positions = made(|| finish(positions, &Row::new(segments.get(0)?)?, None))?;
        }
        let device = weights.device().clone();
        let nothing = made(|| Row::new(Tensor::zeros(d, words.dtype(), &device)?))?;
        let first = norm(weights, &config, "embeddings.LayerNorm")?;
        let (place, names) = match config.architecture {
            Architecture::Bert | Architecture::Roberta => ("encoder.layer", BERT),
            Architecture::DistilBert => ("transformer.layer", DISTILBERT),
        };
        let layers = (0..config.layers)
            .map(|i| {
                let name = |part: &str| format!("{place}.{i}.{part}");
                let mut attended = |part| dense(weights, &name(part), d, d);
                Ok(Layer {
                    attended: [attended(names.query)?, attended(names.key)?, attended(names.value)?],
                    joined: dense(weights, &name(names.joined), d, d)?,
                    after_attention: norm(weights, &config, &name(names.after_attention))?,
                    up: dense(weights, &name(names.up), config.intermediate, d)?,
                    down: dense(weights, &name(names.down), d, config.intermediate)?,
                    after: norm(weights, &config, &name(names.after))?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { words, positions, nothing, first, layers, config, device, max_elements })
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// The hidden states (m, n, d) of a batch of m >= 1 sequences of n >= 1 tokens, whose numbers are below the size
    /// of the vocabulary.
    ///
    /// # Errors
    /// [`ErrorKind::LimitExceeded`]; [`ErrorKind::Backend`].
    pub(super) fn states(&self, batch: &Batch) -> Result<Vec<f32>> {
        let Batch { rows, tokens, .. } = *batch;
        let widest = (self.config.heads * tokens).max(self.config.hidden).max(self.config.intermediate);
        if crate::tensor::checked_len(&[rows, tokens, widest]).is_none_or(|n| n > self.max_elements) {
            return Err(Error::new(ErrorKind::LimitExceeded, "the batch needs tensors beyond `Limits::max_elements`")
                .expected(format!("at most {} elements", self.max_elements))
                .actual(format!("{rows} sequences of {tokens} tokens by {widest}")));
        }
        contained("candle", ErrorKind::Backend, "computing hidden states", || self.forward(batch))
    }

    fn forward(&self, batch: &Batch) -> candle_core::Result<Vec<f32>> {
        let Batch { ids, seen, rows, tokens } = batch;
        let (m, n, d) = (*rows, *tokens, self.config.hidden);
        let mask = Mask::new(seen, n);
        let ids = Tensor::from_slice(ids, m * n, &self.device)?;
        let positions = Tensor::from_vec(self.numbers_of_positions(batch), m * n, &self.device)?;
        let words = self.words.index_select(&ids, 0)?;
        let mut x = self.first.add_norm(words, &self.nothing, &self.positions.index_select(&positions, 0)?)?;
        let heads = self.config.heads;
        let width = d / heads;
        let scale = 1.0 / (width as f64).sqrt();
        for layer in &self.layers {
            let of_heads = |part: &Dense| {
                let states = finish(part.product(&x)?, &part.bias, None)?;
                // One copy puts each head's tokens in a row.
                states.reshape((m, n, heads, width))?.transpose(1, 2)?.contiguous()
            };
            let [query, key, value] = &layer.attended;
            let (query, key, value) = (of_heads(query)?, of_heads(key)?, of_heads(value)?);
            let attention = mask.attention(product(&query, &key, true)?, scale)?;
            let joined = product(&attention, &value, false)?.transpose(1, 2)?.reshape((m * n, d))?;
            let y = layer.after_attention.add_norm(layer.joined.product(&joined)?, &layer.joined.bias, &x)?;
            let up = finish(layer.up.product(&y)?, &layer.up.bias, Some(self.config.activation))?;
            x = layer.after.add_norm(layer.down.product(&up)?, &layer.down.bias, &y)?;
        }
        x.to_dtype(candle_core::DType::F32)?.flatten_all()?.to_vec1()
    }

    /// The number of each token's position.
    fn numbers_of_positions(&self, batch: &Batch) -> Vec<u32> {
        match self.config.architecture {
            Architecture::Bert | Architecture::DistilBert => {
                (0..batch.rows).flat_map(|_| 0..batch.tokens as u32).collect()
            }
            // Counted over all tokens but the padding's, which stands at the position of its own number.
            Architecture::Roberta => {
                let pad = self.config.pad;
                let of_row = |row: &[u32]| {
                    let mut last = pad;
                    row.iter()
                        .map(|id| {
                            last += u32::from(*id != pad);
                            if *id == pad { pad } else { last }
                        })
                        .collect::<Vec<_>>()
                };
                batch.ids.chunks_exact(batch.tokens).flat_map(of_row).collect()
            }
        }
    }
}

/// What candle makes of tensors at load.
fn made<R>(f: impl FnOnce() -> candle_core::Result<R>) -> Result<R> {
    contained("candle", ErrorKind::Backend, "preparing the weights", f)
}

fn norm(weights: &mut Weights, config: &Config, name: &str) -> Result<Norm> {
    let scale = weights.take(&format!("{name}.weight"), &[config.hidden])?;
    let shift = weights.take(&format!("{name}.bias"), &[config.hidden])?;
    made(|| Norm::new(scale, shift, config.epsilon))
}

/// The matrix (`outputs`, `inputs`) and the bias of a product.
fn dense(weights: &mut Weights, name: &str, outputs: usize, inputs: usize) -> Result<Dense> {
    let weight = weights.take(&format!("{name}.weight"), &[outputs, inputs])?;
    let bias = weights.take(&format!("{name}.bias"), &[outputs])?;
    made(|| Ok(Dense { weight, bias: Row::new(bias)? }))
}
