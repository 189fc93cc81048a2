//! What `config.json` says about the network.

use serde::Deserialize;

use crate::{Error, ErrorKind, Limits, Result};

/// The most layers that are believed.
const MAX_LAYERS: usize = 1024;

/// The families of encoders that this backend has, by their `model_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Architecture {
    Bert,
    DistilBert,
    /// XLM-RoBERTa, RoBERTa and CamemBERT: BERT with positions that are counted from behind the padding's number.
    Roberta,
}

impl Architecture {
    fn of(model_type: &str) -> Option<Self> {
        match model_type {
            "bert" => Some(Self::Bert),
            "distilbert" => Some(Self::DistilBert),
            "xlm-roberta" | "roberta" | "camembert" => Some(Self::Roberta),
            _ => None,
        }
    }
}

/// What follows the first matrix product of a layer's second half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    /// x Φ(x), with the error function.
    Gelu,
    /// Its approximation by a hyperbolic tangent.
    GeluTanh,
    Relu,
}

/// The sizes of an encoder.
#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) model_type: String,
    pub(super) architecture: Architecture,
    pub(super) vocabulary: usize,
    /// The width d of a hidden state.
    pub(super) hidden: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    /// The width inside of a layer's second half.
    pub(super) intermediate: usize,
    /// The rows of the table of positions.
    pub(super) positions: usize,
    /// The rows of the table of segments; none where there is no such table.
    pub(super) segments: usize,
    pub(super) activation: Activation,
    pub(super) epsilon: f64,
    pub(super) pad: u32,
}

/// The file as it is written; DistilBERT calls the same things by other names.
#[derive(Deserialize)]
struct Written {
    model_type: Option<String>,
    architectures: Option<Vec<String>>,
    vocab_size: Option<usize>,
    #[serde(alias = "dim")]
    hidden_size: Option<usize>,
    #[serde(alias = "n_layers")]
    num_hidden_layers: Option<usize>,
    #[serde(alias = "n_heads")]
    num_attention_heads: Option<usize>,
    #[serde(alias = "hidden_dim")]
    intermediate_size: Option<usize>,
    #[serde(alias = "activation")]
    hidden_act: Option<String>,
    max_position_embeddings: Option<usize>,
    type_vocab_size: Option<usize>,
    layer_norm_eps: Option<f64>,
    pad_token_id: Option<u32>,
    position_embedding_type: Option<String>,
    is_decoder: Option<bool>,
}

impl Config {
    /// Reads `config.json`.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`]; [`ErrorKind::Unsupported`], naming the architecture or the setting that this backend
    /// lacks; [`ErrorKind::LimitExceeded`].
    pub(super) fn parse(json: &[u8], limits: &Limits) -> Result<Self> {
        let written: Written = serde_json::from_slice(json)
            .map_err(|e| Error::new(ErrorKind::Malformed, "`config.json` can't be read").with_source(e))?;
        let known = || "`bert`, `distilbert`, `xlm-roberta`, `roberta` or `camembert`";
        let Some(model_type) = written.model_type else {
            return Err(Error::new(ErrorKind::Unsupported, "`config.json` does not name its `model_type`")
                .expected(known())
                .actual(written.architectures.unwrap_or_default().join(", ")));
        };
        let Some(architecture) = Architecture::of(&model_type) else {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "the architecture `{model_type}` is not among those of the backend `candle`; export it to ONNX"
                ),
            )
            .expected(known())
            .actual(format!("`{model_type}`")));
        };
        let distil = architecture == Architecture::DistilBert;
        let size = |name: &str, value: Option<usize>, most: usize| match value {
            Some(n) if (1..=most).contains(&n) => Ok(n),
            Some(n) => Err(Error::new(ErrorKind::LimitExceeded, format!("`{name}` in `config.json` is out of range"))
                .expected(format!("1 to {most}"))
                .actual(n)),
            None => Err(Error::new(ErrorKind::Malformed, format!("`config.json` lacks `{name}`"))),
        };
        let most = limits.max_elements.min(u32::MAX as usize);
        let config = Self {
            architecture,
            vocabulary: size("vocab_size", written.vocab_size, most)?,
            hidden: size("hidden_size", written.hidden_size, most)?,
            layers: size("num_hidden_layers", written.num_hidden_layers, MAX_LAYERS)?,
            heads: size("num_attention_heads", written.num_attention_heads, most)?,
            intermediate: size("intermediate_size", written.intermediate_size, most)?,
            positions: size("max_position_embeddings", written.max_position_embeddings.or(Some(512)), most)?,
            segments: if distil { 0 } else { size("type_vocab_size", written.type_vocab_size.or(Some(2)), most)? },
            activation: match written.hidden_act.as_deref() {
                None | Some("gelu" | "gelu_python") => Activation::Gelu,
                Some("gelu_new" | "gelu_pytorch_tanh" | "gelu_fast") => Activation::GeluTanh,
                Some("relu") => Activation::Relu,
                Some(other) => return Err(lacking("hidden_act", other)),
            },
            epsilon: if distil { 1e-12 } else { written.layer_norm_eps.unwrap_or(1e-12) },
            pad: written.pad_token_id.unwrap_or(u32::from(architecture == Architecture::Roberta)),
            model_type,
        };
        if let Some(kind) = written.position_embedding_type.filter(|kind| kind != "absolute") {
            return Err(lacking("position_embedding_type", &kind));
        }
        if written.is_decoder == Some(true) {
            return Err(lacking("is_decoder", "true"));
        }
        if !config.hidden.is_multiple_of(config.heads) {
            return Err(Error::new(ErrorKind::Malformed, "`hidden_size` in `config.json` is no multiple of its heads")
                .expected(format!("a multiple of {}", config.heads))
                .actual(config.hidden));
        }
        if config.first_position() >= config.positions {
            return Err(Error::new(ErrorKind::Malformed, "`config.json` leaves no position for a token")
                .expected(format!("`max_position_embeddings` above {}", config.first_position()))
                .actual(config.positions));
        }
        Ok(config)
    }

    /// The number of the first token's position.
    pub(super) fn first_position(&self) -> usize {
        if self.architecture == Architecture::Roberta { self.pad as usize + 1 } else { 0 }
    }

    /// The most tokens that a sequence can have.
    pub(super) fn max_tokens(&self) -> usize {
        self.positions - self.first_position()
    }
}

fn lacking(setting: &str, value: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("the backend `candle` lacks this setting of `config.json`: `{setting}`"))
        .actual(format!("`{value}`"))
}
