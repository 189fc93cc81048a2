//! What turns a file into a model.

#[cfg(feature = "candle")]
pub(crate) mod candle;
#[cfg(any(feature = "tract", feature = "candle"))]
mod contain;
#[cfg(any(feature = "native", feature = "tract", feature = "ort"))]
mod declared;
#[cfg(any(feature = "native", feature = "tract", feature = "ort"))]
mod file;
#[cfg(any(feature = "native", feature = "tract"))]
pub(crate) mod inline;
#[cfg(all(feature = "native", feature = "tract"))]
pub(crate) mod mixed;
#[cfg(feature = "native")]
pub(crate) mod native;
#[cfg(any(feature = "tract", feature = "ort"))]
mod network;
#[cfg(feature = "ort")]
pub(crate) mod ort;
#[cfg(feature = "edge")]
pub(crate) mod packed;
#[cfg(any(feature = "tract", feature = "optimize"))]
#[cfg_attr(not(feature = "tract"), allow(dead_code, reason = "some of it is for tract alone"))]
pub(crate) mod rewrite;
#[cfg(any(feature = "tract", feature = "ort"))]
mod sizes;
#[cfg(feature = "tract")]
pub(crate) mod tract;

#[cfg(all(feature = "optimize", feature = "candle"))]
pub(crate) use contain::contained;
