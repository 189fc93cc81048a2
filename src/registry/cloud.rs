//! Buckets: S3, Google Cloud Storage and Azure, each behind its feature.

use std::sync::Arc;

use object_store::ObjectStore;

use crate::{Error, ErrorKind, Result};

/// The bucket that the URL `place` names. Credentials, regions and endpoints come from the environment, under the
/// names that the makers' own tools use: `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, `GOOGLE_SERVICE_ACCOUNT`, ...
#[cfg_attr(
    not(any(feature = "s3", feature = "gcs", feature = "azure")),
    allow(unused_variables, reason = "used by the stores that were left out")
)]
pub(super) fn bucket(scheme: &str, bucket: &str, place: &str) -> Result<Arc<dyn ObjectStore>> {
    #[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
    let refused = |e: object_store::Error| {
        Error::new(
            ErrorKind::InvalidArgument,
            "the store can't be opened; check its URL and the credentials in the environment",
        )
        .file(place)
        .with_source(e)
    };
    match scheme {
        #[cfg(feature = "s3")]
        "s3" | "s3a" => {
            super::tls::provide();
            let mut builder =
                object_store::aws::AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retries());
            // A server on this machine has no certificate.
            if endpoint("AWS_ENDPOINT_URL").or_else(|| endpoint("AWS_ENDPOINT")).is_some_and(|url| is_loopback(&url)) {
                builder = builder.with_allow_http(true);
            }
            Ok(Arc::new(builder.build().map_err(refused)?))
        }
        #[cfg(feature = "gcs")]
        "gs" => {
            super::tls::provide();
            let builder = object_store::gcp::GoogleCloudStorageBuilder::from_env();
            let builder = builder.with_bucket_name(bucket).with_retry(retries());
            Ok(Arc::new(builder.build().map_err(refused)?))
        }
        #[cfg(feature = "azure")]
        "az" | "abfs" | "abfss" | "azure" => {
            super::tls::provide();
            let builder = object_store::azure::MicrosoftAzureBuilder::from_env();
            let builder = builder.with_container_name(bucket).with_retry(retries());
            Ok(Arc::new(builder.build().map_err(refused)?))
        }
        #[cfg(not(feature = "s3"))]
        "s3" | "s3a" => Err(disabled("s3", place)),
        #[cfg(not(feature = "gcs"))]
        "gs" => Err(disabled("gcs", place)),
        #[cfg(not(feature = "azure"))]
        "az" | "abfs" | "abfss" | "azure" => Err(disabled("azure", place)),
        _ => Err(Error::new(ErrorKind::InvalidArgument, "no store has a URL that begins so")
            .expected("a directory, s3://BUCKET/PATH, gs://BUCKET/PATH, az://CONTAINER/PATH or memory://")
            .actual(place)),
    }
}

#[cfg(not(all(feature = "s3", feature = "gcs", feature = "azure")))]
fn disabled(feature: &str, place: &str) -> Error {
    Error::new(ErrorKind::FeatureDisabled, format!("this build has no such store; enable the feature `{feature}`"))
        .file(place)
}

/// A store that is away is given up soon: a service that starts then has a cache to start from.
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
fn retries() -> object_store::RetryConfig {
    object_store::RetryConfig {
        max_retries: 5,
        retry_timeout: std::time::Duration::from_secs(20),
        ..object_store::RetryConfig::default()
    }
}

#[cfg(feature = "s3")]
fn endpoint(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

#[cfg(feature = "s3")]
fn is_loopback(url: &str) -> bool {
    ["http://127.0.0.1", "http://localhost", "http://[::1]"]
        .iter()
        .any(|local| url.strip_prefix(local).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/'])))
}
