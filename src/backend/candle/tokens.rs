//! From texts to the numbers of tokens.

use serde::Deserialize;
use tokenizers::normalizers::{Lowercase, NormalizerWrapper, Sequence};
use tokenizers::{PostProcessor, Tokenizer, TruncationDirection, TruncationParams};

use super::config::Config;
use super::files::Files;
use super::sentence::{Recipe, json};
use crate::backend::contain::contained;
use crate::{Error, ErrorKind, Result};

const FILE: &str = "tokenizer.json";

/// A tokenizer that cuts off what is too long.
pub(super) struct Tokens {
    tokenizer: Tokenizer,
    /// The number that fills short sequences up.
    pub(super) pad: u32,
    /// The most tokens of a text.
    pub(super) longest: usize,
}

#[derive(Deserialize, Default)]
struct TokenizerConfig {
    /// Written as 1e30 where there is no limit.
    model_max_length: Option<f64>,
}

impl Tokens {
    /// Reads `tokenizer.json`.
    ///
    /// Texts are cut to the length that sentence-transformers would take for a directory of its own
    /// (`sentence_bert_config.json`, then `tokenizer_config.json`, then `tokenizer.json`), and to what `tokenizer.json`
    /// says elsewhere; never to more than the network has positions for.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::Malformed`].
    pub(super) fn read(files: &mut Files<'_>, config: &Config, recipe: &Recipe, sentences: bool) -> Result<Self> {
        let Some(bytes) = files.read(FILE)? else {
            let message = "the directory has no `tokenizer.json`, so texts can't be read; write one with \
                           `tokenizer.save_pretrained(directory)`, or ask for hidden states with \
                           `Loader::outputs([\"hidden_states\"])`";
            return Err(Error::new(ErrorKind::NotFound, message));
        };
        let written = json::<TokenizerConfig>(files, "tokenizer_config.json")?.unwrap_or_default();
        let mut tokenizer = contained("tokenizers", ErrorKind::Malformed, "reading `tokenizer.json`", || {
            Tokenizer::from_bytes(&bytes)
        })?;
        let truncation = tokenizer.get_truncation().cloned();
        let of_tokenizer = truncation.as_ref().map(|t| t.max_length);
        let of_model = written.model_max_length.filter(|n| *n >= 1.0).map(|n| n as usize);
        let preferred = if sentences { of_model.or(of_tokenizer) } else { of_tokenizer.or(of_model) };
        let longest = recipe.max_tokens.or(preferred).unwrap_or(usize::MAX).min(config.max_tokens());

        let added = tokenizer.get_post_processor().map_or(0, |p| p.added_tokens(false));
        if longest <= added {
            return Err(Error::new(ErrorKind::Malformed, "texts are cut to a length that has no room for a token")
                .expected(format!("more than the {added} tokens that are added to each text"))
                .actual(longest));
        }
        let pad = tokenizer.get_padding().map_or(config.pad, |p| p.pad_id);
        if pad as usize >= config.vocabulary {
            return Err(beyond(pad, config));
        }
        contained("tokenizers", ErrorKind::Malformed, "setting up the tokenizer", || {
            if recipe.lowercase {
                let mut steps = vec![NormalizerWrapper::from(Lowercase)];
                steps.extend(tokenizer.get_normalizer().cloned());
                tokenizer.with_normalizer(Some(Sequence::new(steps)))?;
            }
            tokenizer.with_padding(None);
            let direction = truncation.map_or(TruncationDirection::Right, |t| t.direction);
            tokenizer.with_truncation(Some(TruncationParams {
                max_length: longest,
                direction,
                ..TruncationParams::default()
            }))?;
            Ok::<_, tokenizers::Error>(())
        })?;
        Ok(Self { tokenizer, pad, longest })
    }

    /// The numbers of the tokens of `text`, all below the size of the vocabulary.
    ///
    /// # Errors
    /// [`ErrorKind::Backend`]; [`ErrorKind::Malformed`] when the tokenizer belongs to another vocabulary.
    pub(super) fn encode(&self, text: &str, config: &Config) -> Result<Vec<u32>> {
        let encoding = contained("tokenizers", ErrorKind::Backend, "cutting a text into tokens", || {
            self.tokenizer.encode_fast(text, true)
        })?;
        let mut ids = encoding.get_ids().to_vec();
        ids.truncate(config.max_tokens());
        match ids.iter().find(|id| **id as usize >= config.vocabulary) {
            Some(id) => Err(beyond(*id, config)),
            None => Ok(ids),
        }
    }
}

fn beyond(id: u32, config: &Config) -> Error {
    Error::new(ErrorKind::Malformed, "the tokenizer gives a number beyond the vocabulary of `config.json`")
        .expected(format!("below {}", config.vocabulary))
        .actual(id)
}
