//! A Hugging Face directory as a [`Model`].

use std::fmt;
use std::sync::Arc;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::config::Config;
use super::device;
use super::encoder::{Batch, Encoder};
use super::files::Files;
use super::sentence::Recipe;
use super::tokens::Tokens;
use super::weights::Weights;
use crate::load::Source;
use crate::{
    Artifact, ArtifactFile, Checked, DType, Description, Dim, Error, ErrorKind, Loader, Model, Result, Signature,
    Tensor, TensorSpec, Tensors,
};

const FORMAT: &str = "hugging face";
const CONFIG: &str = "config.json";
/// The outputs that a directory can give.
const EMBEDDING: &str = "embedding";
const HIDDEN_STATES: &str = "hidden_states";
/// The most sequences, and the most tokens of all of them, that go through the network together: enough to fill its
/// matrix products, and few enough to stay in the caches.
const MAX_ROWS: usize = 32;
const MAX_TOKENS: usize = 1024;

/// The model in the directory of which `source` is the `config.json`; `reason` says why this backend was chosen.
pub(crate) fn load(source: &Source, loader: &Loader, reason: String) -> Result<Arc<dyn Model>> {
    let limits = &loader.limits;
    let Some(folder) = source.folder() else {
        let message = "this is the configuration of a directory, whose other files can't be reached from memory; load \
                       the directory, or an artifact of it";
        return Err(Error::new(ErrorKind::NotFound, message));
    };
    let device = device::open(loader.device)?;
    let mut files = Files::new(ArtifactFile::in_memory(CONFIG, source.bytes.to_memory()), folder, limits);
    let config = Config::parse(&source.bytes, limits)?;
    let task = Task::choose(&mut files, &config, loader.outputs.as_deref())?;
    let mut weights = Weights::read(&mut files, &device, limits)?;
    let encoder = Encoder::new(config, &mut weights, limits.max_elements)?;

    let config = encoder.config();
    let mut description = Description::new(FORMAT, "candle", "candle 0.11, an encoder of the BERT family");
    description.reason = reason;
    description.threads = loader.threads;
    description.parameters = weights.parameters;
    description.bytes = weights.bytes;
    // Nothing of a sequence enters another; what is filled up is masked.
    description.row_independent = true;
    description.notes = vec![
        format!(
            "{}: {} layers, {} heads, {} entries per state, at most {} tokens",
            config.model_type,
            config.layers,
            config.heads,
            config.hidden,
            config.max_tokens()
        ),
        format!("computes on {}", loader.device),
    ];
    description.notes.extend(task.note());
    let signature = task.signature(config);
    let pool = match loader.threads {
        0 | 1 => None,
        n => Some(rayon::ThreadPoolBuilder::new().num_threads(n).build().map_err(|e| {
            Error::new(ErrorKind::Backend, "the threads of the model could not be started").with_source(e)
        })?),
    };
    let artifact = files.artifact(FORMAT);
    let model = Directory { encoder, task, pool, signature, description, artifact };
    Ok(Arc::new(Checked::new(model).cast(loader.cast)))
}

/// What a directory is asked for.
#[allow(clippy::large_enum_variant, reason = "there is one for each loaded model")]
enum Task {
    /// Texts in, an embedding each out.
    Sentences { tokens: Tokens, recipe: Recipe },
    /// Numbers of tokens in, a hidden state each out.
    Tokens,
}

impl Task {
    fn choose(files: &mut Files<'_>, config: &Config, outputs: Option<&[String]>) -> Result<Self> {
        let sentences = match outputs {
            Some([one]) if one == HIDDEN_STATES => return Ok(Self::Tokens),
            Some([one]) if one == EMBEDDING => true,
            Some(other) => {
                let message = "a Hugging Face directory gives one output";
                let error = Error::new(ErrorKind::UnknownTensor, message);
                return Err(error.expected(format!("`{EMBEDDING}` or `{HIDDEN_STATES}`")).actual(other.join(", ")));
            }
            None => false,
        };
        let recipe = Recipe::read(files)?;
        if recipe.is_none() && !sentences {
            return Ok(Self::Tokens);
        }
        let written = recipe.is_some();
        let recipe = recipe.unwrap_or_else(Recipe::plain);
        Ok(Self::Sentences { tokens: Tokens::read(files, config, &recipe, written)?, recipe })
    }

    fn signature(&self, config: &Config) -> Signature {
        match self {
            Self::Sentences { recipe, .. } => {
                let width = Dim::Fixed(config.hidden * recipe.poolings.len());
                Signature::new(
                    vec![TensorSpec::new("text", DType::String, [Dim::Batch])],
                    vec![TensorSpec::new(EMBEDDING, DType::F32, [Dim::Batch, width])],
                )
            }
            Self::Tokens => {
                let n = || Dim::Named("n".to_owned());
                let numbers = |name| TensorSpec::new(name, DType::I64, [Dim::Batch, n()]);
                let width = Dim::Fixed(config.hidden);
                Signature::new(
                    vec![numbers("input_ids"), numbers("attention_mask")],
                    vec![TensorSpec::new(HIDDEN_STATES, DType::F32, [Dim::Batch, n(), width])],
                )
            }
        }
    }

    fn note(&self) -> Option<String> {
        match self {
            Self::Sentences { tokens, recipe } => {
                Some(format!("{}; texts are cut to {} tokens", recipe.text(), tokens.longest))
            }
            Self::Tokens => None,
        }
    }
}

/// An encoder with what stands before and behind it.
struct Directory {
    encoder: Encoder,
    task: Task,
    pool: Option<rayon::ThreadPool>,
    signature: Signature,
    description: Description,
    artifact: Artifact,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").field("description", &self.description).finish_non_exhaustive()
    }
}

impl Directory {
    /// What `f` gives for each of `items`, on the threads of this model.
    fn each<T: Sync, R: Send>(&self, items: &[T], f: impl Fn(&T) -> Result<R> + Send + Sync) -> Result<Vec<R>> {
        match &self.pool {
            Some(pool) if items.len() > 1 => pool.install(|| items.par_iter().map(f).collect()),
            _ => items.iter().map(f).collect(),
        }
    }

    /// The most tokens that go through the network together where there are `all`, so that every thread gets some.
    fn together(&self, all: usize) -> usize {
        all.div_ceil(self.description.threads.max(1)).min(MAX_TOKENS)
    }

    /// The embeddings (m, d) of m texts.
    fn embeddings(&self, texts: &[String], tokens: &Tokens, recipe: &Recipe) -> Result<Tensor<'static>> {
        let config = self.encoder.config();
        let width = config.hidden * recipe.poolings.len();
        let rows: Vec<usize> = (0..texts.len()).collect();
        let encode = |&row: &usize| tokens.encode(&texts[row], config).map_err(|e| e.tensor("text").row(row as u64));
        let sequences = self.each(&rows, encode)?;
        // Sequences of about the same length waste little on being filled up.
        let mut order: Vec<usize> = (0..texts.len()).filter(|&i| !sequences[i].is_empty()).collect();
        order.sort_by_key(|&i| sequences[i].len());
        let most = self.together(sequences.iter().map(Vec::len).sum());
        let groups = groups(&order, |i| sequences[i].len(), most);
        let of_group = |group: &&[usize]| {
            let batch = Batch::padded(group.iter().map(|&i| sequences[i].as_slice()), tokens.pad);
            let states = self.encoder.states(&batch)?;
            let longest = states.len() / group.len();
            let mut embeddings = vec![0.0; group.len() * width];
            for ((states, &i), embedding) in
                states.chunks_exact(longest).zip(*group).zip(embeddings.chunks_exact_mut(width))
            {
                recipe.embed(&states[..sequences[i].len() * config.hidden], config.hidden, embedding);
            }
            Ok(embeddings)
        };
        let parts = self.each(&groups, of_group)?;
        // The embedding of no tokens is zero.
        let mut all = vec![0.0; texts.len() * width];
        for (group, part) in groups.iter().zip(parts) {
            for (&i, embedding) in group.iter().zip(part.chunks_exact(width)) {
                all[i * width..][..width].copy_from_slice(embedding);
            }
        }
        Tensor::from_vec(&[texts.len(), width], all)
    }

    /// The hidden states (m, n, d) of the tokens with the numbers `ids` (m, n), of which `mask` (m, n) leaves some out.
    fn states(&self, ids: &Tensor<'_>, mask: &Tensor<'_>) -> Result<Tensor<'static>> {
        let config = self.encoder.config();
        let [m, n] = *ids.shape() else { unreachable!("the signature demands two axes") };
        let shape = [m, n, config.hidden];
        if m == 0 || n == 0 {
            return Tensor::from_vec(&shape, Vec::<f32>::new());
        }
        if n > config.max_tokens() {
            return Err(Error::new(
                ErrorKind::WrongShape,
                "the sequences are longer than the network has positions for",
            )
            .tensor("input_ids")
            .expected(format!("at most {} tokens", config.max_tokens()))
            .actual(n));
        }
        let (ids, mask) = (ids.as_slice::<i64>()?, mask.as_slice::<i64>()?);
        if let Some(at) = ids.iter().position(|id| !(0..config.vocabulary as i64).contains(id)) {
            return Err(Error::new(ErrorKind::InvalidValue, "a token's number is not in the vocabulary")
                .tensor("input_ids")
                .row((at / n) as u64)
                .expected(format!("0 to {}", config.vocabulary - 1))
                .actual(ids[at]));
        }
        let rows = (self.together(ids.len()) / n).clamp(1, MAX_ROWS);
        let parts: Vec<(&[i64], &[i64])> = ids.chunks(rows * n).zip(mask.chunks(rows * n)).collect();
        let of_part = |(ids, mask): &(&[i64], &[i64])| {
            // In range, as was found above.
            let numbers = ids.iter().map(|id| *id as u32).collect();
            let seen = mask.iter().map(|seen| *seen != 0).collect();
            self.encoder.states(&Batch::new(numbers, seen, ids.len() / n, n))
        };
        let states = self.each(&parts, of_part)?;
        Tensor::from_vec(&shape, states.concat())
    }
}

/// Consecutive entries of `order`, which is sorted by length, in groups of at most `most` tokens, filled up, that go
/// through the network together.
fn groups(order: &[usize], length: impl Fn(usize) -> usize, most: usize) -> Vec<&[usize]> {
    let mut groups = Vec::new();
    let mut rest = order;
    while !rest.is_empty() {
        // The longest of a group comes last.
        let fits = |k: &usize| *k == 1 || k * length(rest[k - 1]) <= most;
        let k = (1..=rest.len().min(MAX_ROWS)).take_while(fits).last().unwrap_or(1);
        let (group, others) = rest.split_at(k);
        groups.push(group);
        rest = others;
    }
    groups
}

#[deny(clippy::missing_trait_methods)]
impl Model for Directory {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict_batch(&self, inputs: &Tensors<'_>) -> Result<Tensors<'static>> {
        let (name, answer) = match &self.task {
            Task::Sentences { tokens, recipe } => {
                let texts = inputs.tensor("text")?.as_slice::<String>()?;
                (EMBEDDING, self.embeddings(texts, tokens, recipe)?)
            }
            Task::Tokens => {
                let (ids, mask) = (inputs.tensor("input_ids")?, inputs.tensor("attention_mask")?);
                (HIDDEN_STATES, self.states(ids, mask)?)
            }
        };
        Ok(Tensors::one(name, answer))
    }

    fn predict(&self, input: &Tensors<'_>) -> Result<Tensors<'static>> {
        crate::model::predict_as_batch(self, input)
    }

    fn describe(&self) -> Description {
        self.description.clone()
    }

    fn artifact(&self) -> Result<Artifact> {
        Ok(self.artifact.clone())
    }
}
