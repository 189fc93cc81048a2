//! What turns hidden states into an embedding: `modules.json`, the pooling's configuration and the limits on length.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::files::Files;
use crate::{Error, ErrorKind, Result};

/// How the hidden states of a sequence become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Pooling {
    /// The state of the first token.
    #[serde(rename = "cls")]
    First,
    /// The largest value of each entry.
    #[serde(rename = "max")]
    Max,
    /// The mean over the tokens.
    #[serde(rename = "mean")]
    Mean,
    /// The sum over the tokens by the square root of their number.
    #[serde(rename = "mean_sqrt_len_tokens")]
    MeanSqrt,
    /// The mean with weights 1, 2, 3, ...
    #[serde(rename = "weightedmean")]
    Weighted,
    /// The state of the last token.
    #[serde(rename = "lasttoken")]
    Last,
}

/// What follows the network of a sentence-embedding model.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    /// One after another, their vectors make the embedding.
    pub(super) poolings: Vec<Pooling>,
    /// Whether the embedding is brought to length 1.
    pub(super) normalize: bool,
    /// The most tokens of a text, where sentence-transformers' own file says so.
    pub(super) max_tokens: Option<usize>,
    /// Whether texts are put into lower case before they are cut into tokens.
    pub(super) lowercase: bool,
}

#[derive(Deserialize)]
struct ModuleEntry {
    #[serde(default)]
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

/// `1_Pooling/config.json`, in the way it was written up to version 5 of sentence-transformers and since.
#[derive(Deserialize)]
struct PoolingFile {
    pooling_mode: Option<OneOrMany>,
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_max_tokens: bool,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
    #[serde(default)]
    pooling_mode_mean_sqrt_len_tokens: bool,
    #[serde(default)]
    pooling_mode_weightedmean_tokens: bool,
    #[serde(default)]
    pooling_mode_lasttoken: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(Pooling),
    Many(Vec<Pooling>),
}

#[derive(Deserialize, Default)]
struct LengthFile {
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: bool,
}

impl PoolingFile {
    fn poolings(self) -> Vec<Pooling> {
        match self.pooling_mode {
            Some(OneOrMany::One(one)) => return vec![one],
            Some(OneOrMany::Many(many)) => return many,
            None => {}
        }
        let modes = [
            (self.pooling_mode_cls_token, Pooling::First),
            (self.pooling_mode_max_tokens, Pooling::Max),
            (self.pooling_mode_mean_tokens, Pooling::Mean),
            (self.pooling_mode_mean_sqrt_len_tokens, Pooling::MeanSqrt),
            (self.pooling_mode_weightedmean_tokens, Pooling::Weighted),
            (self.pooling_mode_lasttoken, Pooling::Last),
        ];
        modes.into_iter().filter(|(chosen, _)| *chosen).map(|(_, mode)| mode).collect()
    }
}

impl Recipe {
    /// What sentence-transformers does with a directory that it did not write: the mean over the tokens.
    pub(super) fn plain() -> Self {
        Self { poolings: vec![Pooling::Mean], normalize: false, max_tokens: None, lowercase: false }
    }

    /// What `modules.json` says, or nothing where there is no such file.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`]; [`ErrorKind::Unsupported`], naming the module that this backend lacks.
    pub(super) fn read(files: &mut Files<'_>) -> Result<Option<Self>> {
        let Some(modules) = json::<Vec<ModuleEntry>>(files, "modules.json")? else { return Ok(None) };
        let mut recipe = Self { poolings: Vec::new(), ..Self::plain() };
        for (i, module) in modules.iter().enumerate() {
            // The name of the class, without that of its Python module, which changes between versions.
            let class = module.kind.rsplit('.').next().unwrap_or_default();
            match class {
                "Transformer" if i == 0 && module.path.is_empty() => {}
                "Pooling" if recipe.poolings.is_empty() => {
                    let path = format!("{}/config.json", module.path.trim_end_matches('/'));
                    let pooling = json::<PoolingFile>(files, &path)?.ok_or_else(|| missing(&path))?;
                    recipe.poolings = pooling.poolings();
                    if recipe.poolings.is_empty() {
                        return Err(Error::new(ErrorKind::Malformed, format!("`{path}` names no pooling")));
                    }
                }
                "Normalize" if !recipe.poolings.is_empty() => recipe.normalize = true,
                // Only of use in training.
                "Dropout" => {}
                _ => {
                    return Err(Error::new(
                        ErrorKind::Unsupported,
                        "`modules.json` has a module that the backend `candle` lacks, or in another order; \
                         hidden states alone are there with `Loader::outputs([\"hidden_states\"])`",
                    )
                    .expected("a Transformer in the directory itself, a Pooling, and perhaps Normalize")
                    .actual(format!("`{}` in `{}`", module.kind, module.path)));
                }
            }
        }
        if recipe.poolings.is_empty() {
            return Err(Error::new(ErrorKind::Malformed, "`modules.json` names no pooling"));
        }
        let length = json::<LengthFile>(files, "sentence_bert_config.json")?.unwrap_or_default();
        recipe.max_tokens = length.max_seq_length;
        recipe.lowercase = length.do_lower_case;
        Ok(Some(recipe))
    }

    /// The recipe in words.
    pub(super) fn text(&self) -> String {
        let names: Vec<&str> = self
            .poolings
            .iter()
            .map(|pooling| match pooling {
                Pooling::First => "first token",
                Pooling::Max => "max",
                Pooling::Mean => "mean",
                Pooling::MeanSqrt => "mean by square root of length",
                Pooling::Weighted => "weighted mean",
                Pooling::Last => "last token",
            })
            .collect();
        let length = if self.normalize { ", brought to length 1" } else { "" };
        format!("pooling: {}{length}", names.join(" + "))
    }

    /// The embedding of one sequence of hidden states (n, d), written to `embedding`, which has d entries per pooling.
    /// That of no tokens is zero.
    pub(super) fn embed(&self, states: &[f32], d: usize, embedding: &mut [f32]) {
        embedding.fill(0.0);
        let n = states.len() / d;
        if n == 0 {
            return;
        }
        for (pooling, vector) in self.poolings.iter().zip(embedding.chunks_exact_mut(d)) {
            pooling.pool(states, n, vector);
        }
        if self.normalize {
            let length = embedding.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-12);
            embedding.iter_mut().for_each(|v| *v /= length);
        }
    }
}

impl Pooling {
    /// Pools `n` >= 1 states into `vector`, which is zero.
    fn pool(self, states: &[f32], n: usize, vector: &mut [f32]) {
        let d = vector.len();
        let mut sum = |weight: fn(usize) -> f32| {
            for (i, state) in states.chunks_exact(d).enumerate() {
                let weight = weight(i);
                vector.iter_mut().zip(state).for_each(|(v, s)| *v += weight * s);
            }
        };
        let divisor = match self {
            Self::First => return vector.copy_from_slice(&states[..d]),
            Self::Last => return vector.copy_from_slice(&states[(n - 1) * d..]),
            Self::Max => {
                vector.copy_from_slice(&states[..d]);
                for state in states.chunks_exact(d) {
                    vector.iter_mut().zip(state).for_each(|(v, s)| *v = v.max(*s));
                }
                return;
            }
            Self::Mean => {
                sum(|_| 1.0);
                n as f32
            }
            Self::MeanSqrt => {
                sum(|_| 1.0);
                (n as f32).sqrt()
            }
            Self::Weighted => {
                sum(|i| (i + 1) as f32);
                (n * (n + 1)) as f32 / 2.0
            }
        };
        vector.iter_mut().for_each(|v| *v /= divisor);
    }
}

fn missing(path: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("`modules.json` names `{path}`, which is not there"))
}

/// The JSON file at `path`, or nothing where there is none.
pub(super) fn json<T: DeserializeOwned>(files: &mut Files<'_>, path: &str) -> Result<Option<T>> {
    let Some(content) = files.read(path)? else { return Ok(None) };
    let parsed = serde_json::from_slice(&content)
        .map_err(|e| Error::new(ErrorKind::Malformed, format!("`{path}` can't be read")).with_source(e))?;
    Ok(Some(parsed))
}
