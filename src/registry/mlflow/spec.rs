//! The file `MLmodel`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::registry::NewVersion;
use crate::{Artifact, ArtifactFile, Error, ErrorKind, Format, Loader, Result, TreeEngine};

/// The name of the file.
pub(super) const NAME: &str = "MLmodel";
/// The largest that is read, in bytes.
pub(super) const LARGEST: u64 = 4 << 20;

/// What is read of it.
#[derive(Debug, Deserialize)]
pub(super) struct Spec {
    flavors: BTreeMap<String, Flavor>,
    #[serde(default)]
    mlflow_version: Option<String>,
    #[serde(default)]
    model_id: Option<String>,
    #[serde(default)]
    run_id: Option<String>,
    #[serde(default)]
    utc_time_created: Option<String>,
    #[serde(default)]
    signature: Option<Signature>,
}

#[derive(Debug, Deserialize)]
struct Signature {
    #[serde(default)]
    inputs: Option<String>,
    #[serde(default)]
    outputs: Option<String>,
}

/// What a flavor says of its file; the others of its fields differ by the library.
#[derive(Debug, Default, Deserialize)]
struct Flavor {
    #[serde(default)]
    data: Option<String>,
    #[serde(default)]
    onnx_version: Option<String>,
    #[serde(default)]
    xgb_version: Option<String>,
    #[serde(default)]
    lgb_version: Option<String>,
    #[serde(default)]
    catboost_version: Option<String>,
}

/// A flavor whose file may be readable, and what to log where it is not.
struct Readable {
    flavor: &'static str,
    library: &'static str,
    version: fn(&Flavor) -> Option<&String>,
    instead: &'static str,
}

const READABLE: [Readable; 4] = [
    Readable {
        flavor: "onnx",
        library: "onnx",
        version: |f| f.onnx_version.as_ref(),
        instead: "mlflow.onnx.log_model(onnx.load(path), name=\"model\")",
    },
    Readable {
        flavor: "xgboost",
        library: "xgboost",
        version: |f| f.xgb_version.as_ref(),
        instead: "mlflow.xgboost.log_model(model, name=\"model\", model_format=\"ubj\")",
    },
    Readable {
        flavor: "lightgbm",
        library: "lightgbm",
        version: |f| f.lgb_version.as_ref(),
        instead: "mlflow.lightgbm.log_model(model.booster_, name=\"model\")",
    },
    Readable {
        flavor: "catboost",
        library: "catboost",
        version: |f| f.catboost_version.as_ref(),
        instead: "mlflow.catboost.log_model(model, name=\"model\", format=\"json\")",
    },
];

/// Flavors that hold no file which could be read here, and what to log instead.
const UNREADABLE: [(&str, &str); 5] = [
    ("sklearn", "mlflow.onnx.log_model(skl2onnx.to_onnx(model, X[:1], options={\"zipmap\": False}), name=\"model\")"),
    (
        "pytorch",
        "torch.onnx.export(model, (x,), \"model.onnx\", dynamo=True); mlflow.onnx.log_model(onnx.load(\"model.onnx\"), name=\"model\")",
    ),
    ("tensorflow", "mlflow.onnx.log_model(tf2onnx.convert.from_keras(model)[0], name=\"model\")"),
    ("keras", "mlflow.onnx.log_model(tf2onnx.convert.from_keras(model)[0], name=\"model\")"),
    ("spark", "mlflow.onnx.log_model(onnxmltools.convert_sparkml(model, ...), name=\"model\")"),
];

impl Spec {
    pub(super) fn read(yaml: &[u8]) -> Result<Self> {
        let malformed = || Error::new(ErrorKind::Malformed, "the file `MLmodel` is not as MLflow writes it").file(NAME);
        let text = std::str::from_utf8(yaml).map_err(|e| malformed().with_source(e))?;
        serde_saphyr::from_str(text).map_err(|e| malformed().with_source(e))
    }

    /// The readable flavor of the model, and the path of its file.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] with the line that logs a readable one.
    pub(super) fn file(&self) -> Result<&str> {
        let readable = READABLE.iter().find_map(|one| self.flavors.get(one.flavor).map(|flavor| (one, flavor)));
        if let Some((one, flavor)) = readable {
            return match flavor.data.as_deref() {
                // Suffixes that MLflow gives to what only Python can run.
                Some(file) if !["skops", "pkl", "pickle"].iter().any(|end| file.ends_with(&format!(".{end}"))) => {
                    Ok(file)
                }
                file => Err(refused(one.flavor, file.unwrap_or("no file"), one.instead)),
            };
        }
        let known = UNREADABLE.iter().find(|(flavor, _)| self.flavors.contains_key(*flavor));
        Err(match known {
            Some((flavor, instead)) => refused(flavor, "a format that only Python can run", instead),
            None => {
                let names: Vec<&str> = self.flavors.keys().map(String::as_str).collect();
                Error::new(
                    ErrorKind::Unsupported,
                    "no flavor of this MLflow model can be read here; log it with `mlflow.onnx`",
                )
                .expected("onnx, xgboost, lightgbm or catboost")
                .actual(names.join(", "))
            }
        })
    }

    /// The version to register, of `files`, the first of which is the one that [`file`](Self::file) named.
    pub(super) fn version(&self, files: Vec<ArtifactFile>) -> Result<NewVersion> {
        let readable = READABLE.iter().find_map(|one| self.flavors.get(one.flavor).map(|flavor| (one, flavor)));
        let (one, flavor) = readable.ok_or_else(|| Error::new(ErrorKind::Unsupported, "no flavor can be read here"))?;
        let content = files.first().map(ArtifactFile::content).transpose()?.unwrap_or_default();
        let format = Format::sniff(&content);
        if let Some(Format::Pickle | Format::Zip | Format::CatBoostBinary) = format {
            return Err(refused(one.flavor, format.map_or("", Format::as_str), one.instead));
        }
        let artifact = Artifact { format: format.map_or("unknown", Format::as_str).to_owned(), files };
        let model = Loader::new().tree_engine(TreeEngine::Scalar).load_artifact(&artifact)?;
        let mut new = NewVersion::of(&model)?.tag("mlflow.flavor", one.flavor);
        if let Some(version) = (one.version)(flavor) {
            new = new.library(one.library, version);
        }
        if let Some(version) = &self.mlflow_version {
            new = new.library("mlflow", version);
        }
        if let Some(run) = &self.run_id {
            new = new.run(run);
        }
        let signature = self.signature.as_ref();
        let said = [
            ("mlflow.model_id", self.model_id.as_ref()),
            ("mlflow.utc_time_created", self.utc_time_created.as_ref()),
            ("mlflow.signature.inputs", signature.and_then(|s| s.inputs.as_ref())),
            ("mlflow.signature.outputs", signature.and_then(|s| s.outputs.as_ref())),
        ];
        for (key, value) in said.into_iter().filter_map(|(key, value)| Some((key, value?))) {
            new = new.tag(key, value);
        }
        Ok(new)
    }
}

fn refused(flavor: &str, what: &str, instead: &str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("MLflow logged this model (flavor `{flavor}`) as what can't be read here; log it with `{instead}`"),
    )
    .actual(what)
}
