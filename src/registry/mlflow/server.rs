use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::directory::is_beside;
use super::spec::{self, Spec};
use crate::load::confined;
use crate::registry::blobs::blocking;
use crate::registry::{NewVersion, tls};
use crate::{ArtifactFile, Error, ErrorKind, Limits, Result};

/// The largest answer but for models, in bytes.
const LARGEST_ANSWER: u64 = 64 << 20;
/// The most files of one model.
const MOST_FILES: usize = 1000;

/// An MLflow tracking server.
///
/// Credentials come from the environment as for MLflow's own client: `MLFLOW_TRACKING_TOKEN`, or
/// `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`.
#[derive(Debug, Clone)]
pub struct MlflowServer {
    base: String,
    client: reqwest::Client,
}

/// A version of a registered model of MLflow.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MlflowModel {
    /// What is to be registered here.
    pub version: NewVersion,
    /// The name there.
    pub name: String,
    /// The number there.
    pub number: u64,
    /// The aliases that name it there.
    pub aliases: Vec<String>,
}

#[derive(Deserialize)]
struct VersionAnswer {
    model_version: VersionInfo,
}

#[derive(Deserialize)]
struct VersionsAnswer {
    #[serde(default)]
    model_versions: Vec<VersionInfo>,
}

#[derive(Deserialize)]
struct VersionInfo {
    version: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    source: String,
    #[serde(default)]
    run_id: Option<String>,
    #[serde(default)]
    tags: Vec<Pair>,
    #[serde(default)]
    aliases: Vec<String>,
}

#[derive(Deserialize)]
struct Pair {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
struct RunAnswer {
    run: Run,
}

#[derive(Deserialize)]
struct LoggedAnswer {
    model: Run,
}

#[derive(Deserialize)]
struct Run {
    #[serde(default)]
    data: RunData,
}

#[derive(Default, Deserialize)]
struct RunData {
    #[serde(default)]
    metrics: Vec<MetricPair>,
    #[serde(default)]
    params: Vec<Pair>,
    #[serde(default)]
    tags: Vec<Pair>,
}

#[derive(Deserialize)]
struct MetricPair {
    key: String,
    // Numbers that are no numbers come as text.
    value: serde_json::Value,
}

#[derive(Deserialize)]
struct FilesAnswer {
    #[serde(default)]
    files: Vec<FileInfo>,
}

#[derive(Deserialize)]
struct FileInfo {
    path: String,
    #[serde(default)]
    is_dir: bool,
}

impl MlflowServer {
    /// The server at `url`, such as `http://127.0.0.1:5000`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when it is no such URL; [`ErrorKind::Io`].
    pub fn new(url: &str) -> Result<Self> {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "a tracking server has a URL that begins with http:// or https://",
            )
            .actual(url));
        }
        tls::provide();
        let client = reqwest::Client::builder()
            .build()
            .map_err(|e| Error::new(ErrorKind::Io, "no connection can be made").with_source(e))?;
        Ok(Self { base: url.trim_end_matches('/').to_owned(), client })
    }

    /// The version of `name` that `which` names: a number, an alias behind `@`, or nothing for the newest.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::Unsupported`] with the line that logs a readable model, where this one is not;
    /// [`ErrorKind::Io`]; [`ErrorKind::Malformed`] when an answer is not as MLflow 3 gives it.
    pub async fn version(&self, name: &str, which: &str) -> Result<MlflowModel> {
        let info = self.info(name, which).await?;
        let number: u64 = info.version.parse().map_err(|_| malformed("a version").actual(&info.version))?;
        let logged = info.source.strip_prefix("models:/").filter(|id| id.starts_with("m-"));
        let of = [("name", name), ("version", info.version.as_str())];
        let description = self.artifact(&of, spec::NAME, spec::LARGEST).await?;
        let spec = Spec::read(&description)?;
        let main = spec.file()?.to_owned();
        let mut files = Vec::new();
        for path in self.paths(logged, &main).await? {
            let plain = confined(&path).ok_or_else(|| {
                Error::new(ErrorKind::Malformed, "the server names a file outside of the model's directory")
                    .actual(&path)
            })?;
            let content = self.artifact(&of, &plain, Limits::default().max_file_bytes).await?;
            files.push(ArtifactFile::in_memory(plain, content));
        }
        let mut new = blocking(move || spec.version(files)).await?;
        if let Some(text) = info.description.filter(|text| !text.is_empty()) {
            new = new.description(text);
        }
        let mut data = RunData::default();
        if let Some(run) = info.run_id.as_deref().filter(|run| !run.is_empty()) {
            let answer: RunAnswer = self.ask("api/2.0/mlflow/runs/get", &[("run_id", run)]).await?;
            data = answer.run.data;
            new = new.run(run);
        }
        if let Some(id) = logged {
            let answer: LoggedAnswer = self.ask(&format!("api/2.0/mlflow/logged-models/{id}"), &[]).await?;
            data.metrics.extend(answer.model.data.metrics);
            data.params.extend(answer.model.data.params);
        }
        new = with_data(new, data);
        for tag in &info.tags {
            new = new.tag(&tag.key, &tag.value);
        }
        new = new.tag("mlflow.source", format!("{}/#/models/{name}/versions/{number}", self.base));
        if !info.aliases.is_empty() {
            new = new.tag("mlflow.aliases", info.aliases.join(","));
        }
        Ok(MlflowModel { version: new, name: name.to_owned(), number, aliases: info.aliases })
    }

    async fn info(&self, name: &str, which: &str) -> Result<VersionInfo> {
        if let Some(alias) = which.strip_prefix('@') {
            let query = [("name", name), ("alias", alias)];
            let answer: VersionAnswer = self.ask("api/2.0/mlflow/registered-models/alias", &query).await?;
            return Ok(answer.model_version);
        }
        let number = if which.is_empty() { self.newest(name).await? } else { which.to_owned() };
        let query = [("name", name), ("version", number.as_str())];
        let answer: VersionAnswer = self.ask("api/2.0/mlflow/model-versions/get", &query).await?;
        Ok(answer.model_version)
    }

    /// The number of the newest version. A search does not tell a version's aliases, so that it is asked for by itself.
    async fn newest(&self, name: &str) -> Result<String> {
        let filter = format!("name='{}'", name.replace('\'', ""));
        let query = [("filter", filter.as_str()), ("order_by", "version_number DESC"), ("max_results", "1")];
        let answer: VersionsAnswer = self.ask("api/2.0/mlflow/model-versions/search", &query).await?;
        let newest = answer.model_versions.into_iter().next().ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "the tracking server has no version of this model").model(name)
        })?;
        Ok(newest.version)
    }

    /// The files of the model, `main` first. A model of before MLflow 3 can't be listed, and has that one alone.
    async fn paths(&self, logged: Option<&str>, main: &str) -> Result<Vec<String>> {
        let mut paths = vec![main.to_owned()];
        let Some(id) = logged else { return Ok(paths) };
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let within = [("artifact_directory_path", folder.as_str())];
            let query = if folder.is_empty() { &[][..] } else { &within[..] };
            let path = format!("api/2.0/mlflow/logged-models/{id}/artifacts/directories");
            let answer: FilesAnswer = self.ask(&path, query).await?;
            for file in answer.files {
                if file.is_dir && !is_beside(&format!("{}/", file.path)) {
                    folders.push(file.path);
                } else if !file.is_dir && file.path != main && !is_beside(&file.path) {
                    paths.push(file.path);
                }
                if paths.len() + folders.len() > MOST_FILES {
                    return Err(Error::new(ErrorKind::LimitExceeded, "the model has too many files")
                        .expected(format!("at most {MOST_FILES}")));
                }
            }
        }
        Ok(paths)
    }

    async fn artifact(&self, of: &[(&str, &str)], path: &str, limit: u64) -> Result<Vec<u8>> {
        let mut query = of.to_vec();
        query.push(("path", path));
        self.get("model-versions/get-artifact", &query, limit).await
    }

    async fn ask<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T> {
        let answer = self.get(path, query, LARGEST_ANSWER).await?;
        serde_json::from_slice(&answer).map_err(|e| malformed(path).with_source(e))
    }

    async fn get(&self, path: &str, query: &[(&str, &str)], limit: u64) -> Result<Vec<u8>> {
        let failed = |e: reqwest::Error| {
            Error::new(ErrorKind::Io, "the tracking server can't be reached; check its URL")
                .file(&self.base)
                .with_source(e)
        };
        let mut url = reqwest::Url::parse(&format!("{}/{path}", self.base))
            .map_err(|e| Error::new(ErrorKind::InvalidArgument, "this is no URL").actual(&self.base).with_source(e))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.client.get(url);
        if let Ok(token) = std::env::var("MLFLOW_TRACKING_TOKEN") {
            request = request.bearer_auth(token);
        } else if let Ok(user) = std::env::var("MLFLOW_TRACKING_USERNAME") {
            request = request.basic_auth(user, std::env::var("MLFLOW_TRACKING_PASSWORD").ok());
        }
        let mut answer = request.send().await.map_err(failed)?;
        let status = answer.status();
        let mut content = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(failed)? {
            if (content.len() + part.len()) as u64 > limit {
                return Err(Error::new(ErrorKind::LimitExceeded, "the tracking server answers with more than it may")
                    .file(path)
                    .expected(format!("at most {limit} bytes")));
            }
            content.extend_from_slice(&part);
        }
        if status.is_success() {
            return Ok(content);
        }
        #[derive(Default, Deserialize)]
        struct Refusal {
            #[serde(default)]
            message: String,
        }
        let refusal: Refusal = serde_json::from_slice(&content).unwrap_or_default();
        let kind = if status.as_u16() == 404 { ErrorKind::NotFound } else { ErrorKind::Io };
        Err(Error::new(kind, format!("the tracking server refuses: {status} {}", refusal.message)).file(path))
    }
}

/// What is known of the run: metrics, hyperparameters, code.
fn with_data(mut new: NewVersion, data: RunData) -> NewVersion {
    for metric in data.metrics {
        if let Some(value) = metric.value.as_f64().filter(|value| value.is_finite()) {
            new = new.metric(metric.key, value);
        }
    }
    for parameter in data.params {
        new = new.hyperparameter(parameter.key, parameter.value);
    }
    let tags: BTreeMap<&str, &str> = data.tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str())).collect();
    if let Some(commit) = tags.get("mlflow.source.git.commit") {
        let repository = ["mlflow.source.git.repoURL", "mlflow.source.name"].iter().find_map(|key| tags.get(key));
        new = new.code(repository.copied().unwrap_or_default(), *commit);
    }
    for key in ["mlflow.runName", "mlflow.user", "mlflow.source.name"] {
        if let Some(value) = tags.get(key) {
            new = new.tag(key, *value);
        }
    }
    new
}

fn malformed(what: &str) -> Error {
    Error::new(ErrorKind::Malformed, "the tracking server does not answer as MLflow 3 does").file(what)
}
