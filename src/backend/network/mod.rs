//! What the backends that hand a whole graph to an engine have in common: dry runs that tell the [signature](analyze), and
//! the [model](model) that splits batches, runs rows one by one where a graph is bound to one, and names the answers.

pub(crate) mod analyze;
mod model;

pub(crate) use model::{Engine, Network};
