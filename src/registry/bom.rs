//! A version's bill of materials, in CycloneDX 1.6.

use serde_json::{Value, json};

use super::aliases::verdicts;
use super::record::Version;
use super::registry::Registry;
use crate::{Digest, Error, ErrorKind, Result, TensorSpec};

impl Registry {
    /// The bill of materials of a version, as the JSON of CycloneDX 1.6, with its model card: files and digests,
    /// training data, parents, metrics, libraries.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn bom(&self, reference: &str) -> Result<String> {
        let version = self.get(reference).await?;
        let events = self.events(&version.model).await?;
        let mut parents = Vec::new();
        for parent in &version.lineage.parents {
            let known = self.version(&parent.model, parent.number).await.ok();
            parents.push((format!("{}:{}", parent.model, parent.number), parent.relation.clone(), known));
        }
        let judged: Vec<Value> = verdicts(&version, &events)
            .iter()
            .map(|verdict| {
                let word = if verdict.pass { "passed" } else { "failed" };
                property(&format!("modelberth:suite:{}", verdict.suite), word)
            })
            .collect();
        let bom = document(&version, &parents, judged, &self.now().to_string());
        serde_json::to_string_pretty(&bom)
            .map_err(|e| Error::new(ErrorKind::InvalidValue, "the bill can't be written as JSON").with_source(e))
    }
}

fn document(version: &Version, parents: &[(String, String, Option<Version>)], judged: Vec<Value>, now: &str) -> Value {
    let me = reference(&version.reference());
    let mut components: Vec<Value> = version
        .files
        .iter()
        .map(|file| {
            json!({
                "type": "file",
                "bom-ref": format!("{me}/{}", file.path),
                "name": file.path,
                "hashes": [hash(file.blob.sha256)],
                "properties": [property("modelberth:bytes", &file.bytes.to_string())],
            })
        })
        .collect();
    for (i, data) in version.lineage.data.iter().enumerate() {
        let mut component = json!({ "type": "data", "bom-ref": format!("{me}/data/{i}"), "name": data.name });
        if let Some(digest) = data.sha256 {
            component["hashes"] = json!([hash(digest)]);
        }
        if let Some(rows) = data.rows {
            component["properties"] = json!([property("modelberth:rows", &rows.to_string())]);
        }
        components.push(component);
    }
    for (name, version) in &version.environment.libraries {
        components.push(json!({
            "type": "library", "bom-ref": format!("{me}/library/{name}"), "name": name, "version": version,
        }));
    }
    let inside: Vec<Value> = components.iter().map(|component| component["bom-ref"].clone()).collect();
    let mut dependencies = vec![json!({ "ref": me, "dependsOn": inside })];
    dependencies.extend(inside.iter().map(|component| json!({ "ref": component })));
    let mut model = json!({
        "type": "machine-learning-model",
        "bom-ref": me,
        "name": version.model,
        "version": version.number.to_string(),
        "modelCard": card(version),
        "properties": properties(version, judged),
    });
    if !version.description.is_empty() {
        model["description"] = json!(version.description);
    }
    if let [file] = version.files.as_slice() {
        model["hashes"] = json!([hash(file.blob.sha256)]);
    }
    if !parents.is_empty() {
        let ancestors: Vec<Value> = parents
            .iter()
            .map(|(name, relation, known)| {
                let (model, number) = name.split_once(':').unwrap_or((name, ""));
                let mut ancestor = json!({
                    "type": "machine-learning-model", "name": model, "version": number, "description": relation,
                });
                if let Some([file]) = known.as_ref().map(|version| version.files.as_slice()) {
                    ancestor["hashes"] = json!([hash(file.blob.sha256)]);
                }
                ancestor
            })
            .collect();
        model["pedigree"] = json!({ "ancestors": ancestors });
    }
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": serial(version),
        "version": 1,
        "metadata": {
            "timestamp": now,
            "tools": { "components": [{
                "type": "application", "name": "modelberth", "version": env!("CARGO_PKG_VERSION"),
            }] },
            "component": model,
        },
        "components": components,
        "dependencies": dependencies,
    })
}

fn card(version: &Version) -> Value {
    let mut parameters = json!({ "modelArchitecture": version.format });
    if let Some(signature) = &version.signature {
        let side = |specs: &[TensorSpec]| -> Vec<Value> {
            let text = |spec: &TensorSpec| format!("{}: {} {}", spec.name(), spec.dtypes_text(), spec.shape_text());
            specs.iter().map(|spec| json!({ "format": text(spec) })).collect()
        };
        parameters["inputs"] = json!(side(signature.inputs()));
        parameters["outputs"] = json!(side(signature.outputs()));
    }
    let me = reference(&version.reference());
    let data: Vec<Value> =
        (0..version.lineage.data.len()).map(|i| json!({ "ref": format!("{me}/data/{i}") })).collect();
    if !data.is_empty() {
        parameters["datasets"] = json!(data);
    }
    let metrics: Vec<Value> = version
        .metrics
        .iter()
        .map(|(name, metric)| {
            let mut value = json!({ "type": name, "value": metric.value.to_string() });
            if let Some([low, high]) = metric.interval {
                value["confidenceInterval"] = json!({ "lowerBound": low.to_string(), "upperBound": high.to_string() });
            }
            value
        })
        .collect();
    json!({ "modelParameters": parameters, "quantitativeAnalysis": { "performanceMetrics": metrics } })
}

fn properties(version: &Version, judged: Vec<Value>) -> Vec<Value> {
    let environment = &version.environment;
    let mut properties = vec![
        property("modelberth:registered-at", &version.created_at.to_string()),
        property("modelberth:registered-by", &version.created_by),
        property("modelberth:backend", &version.backend),
        property("modelberth:platform", &format!("{} {}", environment.system, environment.architecture)),
    ];
    properties.extend(version.tags.iter().map(|(key, value)| property(&format!("modelberth:tag:{key}"), value)));
    let lineage = &version.lineage;
    properties.extend(lineage.code.iter().flat_map(|code| {
        [property("modelberth:repository", &code.repository), property("modelberth:commit", &code.commit)]
    }));
    properties.extend(lineage.run.iter().map(|run| property("modelberth:run", run)));
    let hyper = lineage.hyperparameters.iter();
    properties.extend(hyper.map(|(key, value)| property(&format!("modelberth:hyperparameter:{key}"), value)));
    properties.extend(judged);
    properties
}

fn property(name: &str, value: &str) -> Value {
    json!({ "name": name, "value": value })
}

fn hash(digest: Digest) -> Value {
    json!({ "alg": "SHA-256", "content": digest.to_string() })
}

fn reference(name: &str) -> String {
    format!("modelberth:{name}")
}

/// A number that is the same for every bill of one version: a UUID of version 8 from the version's digests.
fn serial(version: &Version) -> String {
    let digests: String = version.files.iter().map(|file| file.blob.sha256.to_string()).collect();
    let digest = Digest::of(format!("{}\n{digests}", version.reference()).as_bytes());
    let mut bytes: [u8; 16] = digest.as_bytes()[..16].try_into().expect("sixteen of thirty-two");
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("urn:uuid:{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
