//! A graph run by ONNX Runtime as a [`Model`].

use std::sync::Arc;

use super::ffi::{Graph, Session};
use super::{library, prepare, rows};
use crate::backend::declared::{self, Hint};
use crate::backend::file;
use crate::backend::network::analyze::{self, Batching};
use crate::backend::network::{Engine, Network};
use crate::load::Source;
use crate::{Checked, Description, Error, ErrorKind, Loader, Model, Result, Tensor};

/// The model in an ONNX file; `reason` says why this backend was chosen.
///
/// # Errors
/// [`ErrorKind::NotFound`] where the library is not on the machine; [`ErrorKind::Unsupported`] for a graph that it does
/// not take; what reading the file gives.
pub(crate) fn load(source: &Source, loader: &Loader, reason: String) -> Result<Arc<dyn Model>> {
    let limits = &loader.limits;
    let library = library::find(loader.ort_library.as_deref())?;
    let proto = file::decode(source, limits)?;
    let graph = proto.graph.as_deref().expect("`decode` gives a file with a graph");
    let names = file::wanted(graph, loader.outputs.as_deref())?;
    let engine = format!("ONNX Runtime {}", library.version());
    let mut description = Description::new("onnx", "ort", &engine);
    description.reason = reason;
    description.operators = file::operators(graph);
    description.threads = loader.threads;
    description.notes.extend(file::written_by(&proto));
    let keeps_rows = rows::kept_apart(graph);

    let external = source.external();
    let prepared = prepare::prepare(proto, source, external.as_ref(), limits)?;
    description.parameters = prepared.parameters;
    description.bytes = prepared.weight_bytes;
    if prepared.maps > 0 {
        description.notes.push("maps of classes are given as tensors".to_owned());
    }
    let inputs = declared::declared(&prepared.inputs.iter().collect::<Vec<_>>(), |_| Hint::default())?;
    let taken: Vec<String> = inputs.iter().map(|d| d.name.clone()).collect();
    let graph = match (&prepared.bytes, source.path()) {
        (Some(bytes), _) => Graph::Bytes(bytes),
        (None, Some(path)) if prepared.beside => Graph::File(path),
        (None, _) => Graph::Bytes(&source.bytes),
    };
    let session = Session::new(library, &graph, [&taken, &names], loader.threads, *limits)
        .map_err(|e| Error::new(ErrorKind::Unsupported, "ONNX Runtime does not take the graph").with_source(e))?;
    let mut analysis = analyze::analyze(&|tensors: &[Tensor<'_>]| session.run(tensors), inputs, &names, &[], limits)?;
    description.row_independent = match analysis.batching {
        Batching::RowByRow => true,
        Batching::Whole => analysis.rows_agree && keeps_rows,
        Batching::None => false,
    };
    description.notes.append(&mut analysis.notes);
    let artifact = file::artifact(source, external.as_ref())?;
    let network = Network { engine: session, analysis, pool: None, description, artifact };
    Ok(Arc::new(Checked::new(network).cast(loader.cast)))
}

impl Engine for Session {
    fn run(&self, inputs: &[Tensor<'_>]) -> Result<Vec<Tensor<'static>>> {
        self.run(inputs)
    }
}
