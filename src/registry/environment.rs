//! What a model ran on, and what of it can change answers elsewhere.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a model ran on where it was registered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Environment {
    /// The processor's family: `x86_64`, ...
    pub architecture: String,
    /// The operating system: `linux`, ...
    pub system: String,
    /// What the processor can do, of what kernels are chosen by: `avx2`, ...
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cpu_features: Vec<String>,
    /// The version of this crate.
    pub modelberth: String,
    /// Whether checks for programmers were compiled in; such builds are slow, and their answers the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub debug: bool,
    /// The libraries that trained and exported the model, with their versions, where they are known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub libraries: BTreeMap<String, String>,
}

impl Environment {
    /// That of this process.
    #[must_use]
    pub fn here() -> Self {
        Self {
            architecture: std::env::consts::ARCH.to_owned(),
            system: std::env::consts::OS.to_owned(),
            cpu_features: cpu_features(),
            modelberth: env!("CARGO_PKG_VERSION").to_owned(),
            debug: cfg!(debug_assertions),
            libraries: BTreeMap::new(),
        }
    }

    /// What of this is different in `other` and can change answers, a sentence each. Empty when answers are the same
    /// bit for bit, as far as is known.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let mut differ = |what: &str, here: &str, there: &str| {
            if here != there {
                found.push(format!("it was registered on {what} {here}, and this is {there}"));
            }
        };
        differ("the architecture", &self.architecture, &other.architecture);
        differ("the system", &self.system, &other.system);
        if self.modelberth != other.modelberth {
            found
                .push(format!("it was registered by modelberth {}, and this is {}", self.modelberth, other.modelberth));
        }
        if self.architecture == other.architecture {
            let lacking: Vec<&str> = missing(&self.cpu_features, &other.cpu_features);
            let more: Vec<&str> = missing(&other.cpu_features, &self.cpu_features);
            if !lacking.is_empty() {
                found.push(format!("this processor lacks {}, so other kernels run", lacking.join(", ")));
            }
            if !more.is_empty() {
                found.push(format!("this processor also has {}, so other kernels may run", more.join(", ")));
            }
        }
        found
    }
}

fn missing<'a>(wanted: &'a [String], there: &[String]) -> Vec<&'a str> {
    wanted.iter().filter(|feature| !there.contains(feature)).map(String::as_str).collect()
}

#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<String> {
    let mut found = Vec::new();
    macro_rules! ask {
        ($($name:tt)*) => {$(
            if std::arch::is_x86_feature_detected!($name) {
                found.push($name.to_owned());
            }
        )*};
    }
    ask!("avx" "avx2" "fma" "f16c" "avx512f" "avx512bw" "avx512vl" "avx512vnni" "avxvnni");
    found
}

#[cfg(target_arch = "aarch64")]
fn cpu_features() -> Vec<String> {
    let mut found = Vec::new();
    macro_rules! ask {
        ($($name:tt)*) => {$(
            if std::arch::is_aarch64_feature_detected!($name) {
                found.push($name.to_owned());
            }
        )*};
    }
    ask!("neon" "fp16" "dotprod" "sve");
    found
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn cpu_features() -> Vec<String> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_change_answers_is_said() {
        let here = Environment::here();
        assert!(here.differences(&here).is_empty());
        let mut other = here.clone();
        other.architecture = "riscv64".to_owned();
        assert_eq!(here.differences(&other).len(), 1);
        let mut other = here.clone();
        other.cpu_features.push("sse9".to_owned());
        other.modelberth = "99.0.0".to_owned();
        assert_eq!(here.differences(&other).len(), 2);
        assert!(other.differences(&here)[1].contains("lacks sse9"));
    }
}
