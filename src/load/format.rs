use crate::{Error, ErrorKind};

/// A file format, told from the first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// An ONNX graph.
    Onnx,
    /// A composed model: a JSON file that names the files of its parts (see [`Manifest`](crate::Manifest)).
    Manifest,
    /// Weights in the safetensors format.
    Safetensors,
    /// The `config.json` of a directory in Hugging Face's layout, which stands for the whole directory.
    HuggingFace,
    /// An XGBoost model as JSON.
    XgboostJson,
    /// An XGBoost model as UBJSON.
    XgboostUbjson,
    /// A LightGBM model as text.
    LightGbm,
    /// A CatBoost model as JSON.
    CatBoostJson,
    /// CatBoost's own binary format.
    CatBoostBinary,
    /// A Python pickle (scikit-learn's `pickle.dump` or `joblib.dump`).
    Pickle,
    /// A zip archive: PyTorch's `torch.save`, skops, Keras.
    Zip,
    /// HDF5, as older Keras writes it.
    Hdf5,
    /// An array of numbers in NumPy's format, not a model.
    Npy,
    /// GGUF weights.
    Gguf,
    /// A TensorFlow Lite flatbuffer.
    TfLite,
    /// A packed model for devices without an operating system.
    Packed,
}

impl Format {
    /// What `bytes` are, if that can be told.
    #[must_use]
    pub fn sniff(bytes: &[u8]) -> Option<Self> {
        let head = &bytes[..bytes.len().min(4096)];
        let text_at = head.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(0);
        let text = &head[text_at..];
        let has = |needle: &[u8]| head.windows(needle.len()).any(|w| w == needle);
        if head.starts_with(b"tree\n") || head.starts_with(b"tree\r\n") {
            return Some(Self::LightGbm);
        }
        if text.starts_with(b"{") {
            if has(b"\"modelberth\"") {
                return Some(Self::Manifest);
            }
            if has(b"\"learner\"") {
                return Some(Self::XgboostJson);
            }
            if has(b"\"oblivious_trees\"") || has(b"\"features_info\"") || has(b"\"ctr_data\"") || has(b"\"trees\"") {
                return Some(Self::CatBoostJson);
            }
            if has(b"\"model_type\"") || has(b"\"architectures\"") {
                return Some(Self::HuggingFace);
            }
            if head.get(1).is_some_and(|b| b"LlUiIC".contains(b)) {
                return Some(Self::XgboostUbjson);
            }
            return None;
        }
        let magic: &[(&[u8], Self)] = &[
            (b"PK\x03\x04", Self::Zip),
            (b"\x89HDF", Self::Hdf5),
            (b"\x93NUMPY", Self::Npy),
            (b"GGUF", Self::Gguf),
            (b"MBPK", Self::Packed),
            (b"CBM1", Self::CatBoostBinary),
        ];
        if let Some((_, format)) = magic.iter().find(|(m, _)| head.starts_with(m)) {
            return Some(*format);
        }
        if matches!(head, [0x80, 2..=5, ..]) || (head.starts_with(b"x\x9c") || head.starts_with(b"x\x01")) {
            return Some(Self::Pickle);
        }
        if head.get(4..8) == Some(b"TFL3") {
            return Some(Self::TfLite);
        }
        if head.len() > 9 && head[8] == b'{' && head[..8].iter().skip(4).all(|&b| b == 0) {
            return Some(Self::Safetensors);
        }
        crate::onnx::looks_like_onnx(bytes).then_some(Self::Onnx)
    }

    /// Whether this is a booster's own file.
    #[cfg(feature = "native")]
    pub(crate) const fn is_booster(self) -> bool {
        matches!(self, Self::XgboostJson | Self::XgboostUbjson | Self::LightGbm | Self::CatBoostJson)
    }

    /// The name in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Onnx => "onnx",
            Self::Manifest => "manifest",
            Self::Safetensors => "safetensors",
            Self::HuggingFace => "hugging face",
            Self::XgboostJson => "xgboost json",
            Self::XgboostUbjson => "xgboost ubjson",
            Self::LightGbm => "lightgbm text",
            Self::CatBoostJson => "catboost json",
            Self::CatBoostBinary => "catboost binary",
            Self::Pickle => "pickle",
            Self::Zip => "zip archive",
            Self::Hdf5 => "hdf5",
            Self::Npy => "npy array",
            Self::Gguf => "gguf",
            Self::TfLite => "tflite",
            Self::Packed => "packed",
        }
    }

    /// Why a file of this format is not loaded, and what to do instead.
    pub(crate) fn refusal(self) -> Error {
        let (kind, message) = match self {
            Self::Safetensors | Self::HuggingFace if !cfg!(feature = "candle") => (
                ErrorKind::FeatureDisabled,
                "Hugging Face directories need the feature `candle`, which this build lacks",
            ),
            Self::Safetensors => (
                ErrorKind::Unsupported,
                "these are weights alone; load the directory with their `config.json` and `tokenizer.json`",
            ),
            Self::HuggingFace => (ErrorKind::Unsupported, "a Hugging Face directory is loaded by `Loader::load`"),
            Self::XgboostJson | Self::XgboostUbjson if cfg!(feature = "native") => {
                (ErrorKind::Unsupported, "XGBoost's own files are read by the backend `native`")
            }
            Self::XgboostJson | Self::XgboostUbjson => {
                (ErrorKind::FeatureDisabled, "XGBoost's own files need the feature `native`, which this build lacks")
            }
            Self::LightGbm if cfg!(feature = "native") => {
                (ErrorKind::Unsupported, "LightGBM's own files are read by the backend `native`")
            }
            Self::LightGbm => {
                (ErrorKind::FeatureDisabled, "LightGBM's own files need the feature `native`, which this build lacks")
            }
            Self::CatBoostJson if cfg!(feature = "native") => {
                (ErrorKind::Unsupported, "CatBoost's JSON files are read by the backend `native`")
            }
            Self::CatBoostJson => {
                (ErrorKind::FeatureDisabled, "CatBoost's JSON files need the feature `native`, which this build lacks")
            }
            Self::CatBoostBinary => (
                ErrorKind::Unsupported,
                "CatBoost's binary files are not read; save with `model.save_model(path, format=\"json\", pool=pool)`",
            ),
            Self::Pickle => (
                ErrorKind::Unsupported,
                "this is a Python pickle, which only Python can run (and which can run anything); export the model to ONNX with `skl2onnx.to_onnx(model, X[:1])`",
            ),
            Self::Zip => (
                ErrorKind::Unsupported,
                "this is a zip archive (PyTorch, skops and Keras write such files); export the model to ONNX",
            ),
            Self::Hdf5 | Self::TfLite => {
                (ErrorKind::Unsupported, "this format is not read; export the model to ONNX with `tf2onnx`")
            }
            Self::Npy => (ErrorKind::Malformed, "this is an array of numbers, not a model; was it meant as the input?"),
            Self::Packed if cfg!(feature = "edge") => {
                (ErrorKind::Unsupported, "packed models have an evaluator of their own; name no backend for them")
            }
            Self::Packed => {
                (ErrorKind::FeatureDisabled, "packed models need the feature `edge`, which this build lacks")
            }
            Self::Gguf => (ErrorKind::Unsupported, "GGUF weights are not read by this version"),
            Self::Manifest => (ErrorKind::Unsupported, "a manifest is loaded by `Loader::load`"),
            Self::Onnx => (ErrorKind::Unsupported, "no enabled backend takes this ONNX file"),
        };
        Error::new(kind, message).actual(self.as_str())
    }

    /// The error for bytes of no known format.
    pub(crate) fn unknown(bytes: &[u8]) -> Error {
        if bytes.is_empty() {
            return Error::new(ErrorKind::Malformed, "the file is empty");
        }
        let head: String = bytes.iter().take(16).flat_map(|b| std::ascii::escape_default(*b)).map(char::from).collect();
        Error::new(
            ErrorKind::Malformed,
            "the content is of no format that is known here; a whole ONNX file was expected",
        )
        .actual(format!("a file that starts with `{head}`"))
    }
}
