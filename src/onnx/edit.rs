//! Graphs changed in place: names that are free, constants by scope, nodes replaced one by one, and the file written.
//!
//! Messages keep the fields that they do not know, so an edit changes what it means to and nothing else.

use super::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
    data_location,
};
use super::{Bytes, DecodeLimits, DenseTensor, ExternalData};
use crate::error::{Error, ErrorKind, Result};
use std::collections::{HashMap, HashSet};

/// Constants stay in the main file up to this many bytes; protobuf can't hold 2 GiB.
const MOST_INLINE_BYTES: usize = (1 << 31) - (1 << 24);

/// A model under the editor.
#[derive(Debug)]
pub(crate) struct Editor {
    pub(crate) model: ModelProto,
    pub(crate) external: Option<ExternalData>,
    max_elements: usize,
    names: HashSet<String>,
}

/// The bytes of an edited model.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// The main file.
    pub(crate) main: Vec<u8>,
    /// The constants that lie beside it, where the main file can't hold them, and the name of their file.
    pub(crate) data: Option<(String, Vec<u8>)>,
}

impl Editor {
    /// Opens the model in `bytes`.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when they are no ONNX model with a graph; [`ErrorKind::LimitExceeded`].
    pub(crate) fn new(bytes: Bytes, external: Option<ExternalData>, limits: &crate::Limits) -> Result<Self> {
        let decode = DecodeLimits { max_depth: limits.max_depth, max_messages: limits.max_messages };
        let model = ModelProto::decode(bytes, &decode)?;
        let Some(graph) = model.graph.as_deref() else {
            return Err(Error::new(ErrorKind::Malformed, "the file holds no graph; give a model saved as ONNX"));
        };
        check_outputs(graph)?;
        let mut names = HashSet::new();
        collect_names(graph, &mut names);
        Ok(Self { model, external, max_elements: limits.max_elements, names })
    }

    /// The graph that is run.
    pub(crate) fn graph(&self) -> &GraphProto {
        self.model.graph.as_deref().expect("`new` gives a model with a graph")
    }

    /// The graph that is run.
    pub(crate) fn graph_mut(&mut self) -> &mut GraphProto {
        self.model.graph.as_deref_mut().expect("`new` gives a model with a graph")
    }

    /// The version of an operator domain; the standard one is the empty string.
    pub(crate) fn opset(&self, domain: &str) -> Option<i64> {
        let same = |o: &&OperatorSetIdProto| plain_domain(o.domain.as_deref()) == domain;
        self.model.opset_import.iter().find(same).map(|o| o.version.unwrap_or(1))
    }

    /// Declares an operator domain, in place of an older version of it.
    pub(crate) fn import(&mut self, domain: &str, version: i64) {
        let known = self.model.opset_import.iter_mut().find(|o| plain_domain(o.domain.as_deref()) == domain);
        match known {
            Some(set) => set.version = Some(set.version.unwrap_or(1).max(version)),
            None => self.model.opset_import.push(OperatorSetIdProto {
                domain: Some(domain.into()),
                version: Some(version),
                ..OperatorSetIdProto::default()
            }),
        }
    }

    /// Raises the version of the file format to `version`, where it is lower.
    pub(crate) fn raise_ir(&mut self, version: i64) {
        self.model.ir_version = Some(self.model.ir_version.unwrap_or(1).max(version));
    }

    /// A name like `base` that nothing in the file has.
    pub(crate) fn fresh(&mut self, base: &str) -> String {
        fresh(&mut self.names, base)
    }

    /// The elements of a tensor.
    ///
    /// # Errors
    /// As [`TensorProto::to_dense`].
    pub(crate) fn dense(&self, tensor: &TensorProto) -> Result<DenseTensor> {
        tensor.to_dense(self.external.as_ref(), self.max_elements)
    }

    /// Shows every node, those of subgraphs first, to `rewrite`, which pushes what takes its place; then drops the
    /// constants that `rewrite` replaced and nobody uses any more.
    ///
    /// # Errors
    /// Those of `rewrite`, naming the node.
    pub(crate) fn rewrite(&mut self, rewrite: &mut dyn FnMut(NodeProto, &mut Site<'_>) -> Result<()>) -> Result<()> {
        let mut graph = self.model.graph.take().expect("`new` gives a model with a graph");
        let mut walk = Walk {
            external: self.external.as_ref(),
            max_elements: self.max_elements,
            names: &mut self.names,
            scopes: Vec::new(),
            next_scope: 0,
            replaced: HashSet::new(),
        };
        let done = walk.graph(&mut graph, rewrite);
        let replaced = walk.replaced;
        drop_unused(&mut graph, &replaced);
        self.model.graph = Some(graph);
        done
    }

    /// The file. Constants that lay in other files come into it, or beside it where it would be too large.
    ///
    /// # Errors
    /// Those of reading what lies in other files.
    pub(crate) fn encode(mut self) -> Result<Encoded> {
        let (external, max_elements) = (self.external.take(), self.max_elements);
        let mut graph = self.model.graph.take().expect("`new` gives a model with a graph");
        if external.is_some() {
            each_tensor(&mut graph, &mut |tensor| {
                if tensor.data_location == Some(data_location::EXTERNAL) {
                    let dense = tensor.to_dense(external.as_ref(), max_elements)?;
                    tensor.raw_data = TensorProto::from_dense("", &dense).raw_data;
                    tensor.external_data.clear();
                    tensor.data_location = None;
                }
                Ok(())
            })?;
        }
        let mut inline = 0usize;
        each_tensor(&mut graph, &mut |tensor| {
            inline = inline.saturating_add(tensor.raw_data.as_ref().map_or(0, |raw| raw.len()));
            Ok(())
        })?;
        let mut data = None;
        if inline > MOST_INLINE_BYTES {
            data = Some(move_out(&mut graph, inline));
        }
        self.model.graph = Some(graph);
        Ok(Encoded { main: self.model.encode_to_vec(), data })
    }
}

/// Moves the constants out of the graph into one run of bytes, whose file is named after its content.
fn move_out(graph: &mut GraphProto, bytes: usize) -> (String, Vec<u8>) {
    let mut beside = Vec::with_capacity(bytes);
    let mut places = Vec::new();
    for (i, tensor) in graph.initializer.iter_mut().enumerate() {
        if let Some(raw) = tensor.raw_data.take_if(|raw| !raw.is_empty()) {
            places.push((i, beside.len(), raw.len()));
            beside.extend_from_slice(&raw);
        }
    }
    let name = format!("weights-{}.data", &crate::Digest::of(&beside).to_string()[..16]);
    for (i, offset, length) in places {
        let tensor = &mut graph.initializer[i];
        let entry = |key: &str, value: String| StringStringEntryProto {
            key: Some(key.into()),
            value: Some(value),
            ..StringStringEntryProto::default()
        };
        tensor.external_data = vec![
            entry("location", name.clone()),
            entry("offset", offset.to_string()),
            entry("length", length.to_string()),
        ];
        tensor.data_location = Some(data_location::EXTERNAL);
    }
    (name, beside)
}

fn plain_domain(domain: Option<&str>) -> &str {
    match domain.unwrap_or_default() {
        "ai.onnx" => "",
        domain => domain,
    }
}

fn fresh(names: &mut HashSet<String>, base: &str) -> String {
    let mut name = base.to_owned();
    let mut count = 1;
    while !names.insert(name.clone()) {
        count += 1;
        name = format!("{base}_{count}");
    }
    name
}

/// Refuses nodes that give nothing: edits go by what a node gives.
fn check_outputs(graph: &GraphProto) -> Result<()> {
    for node in &graph.node {
        if node.output.is_empty() {
            return Err(Error::new(ErrorKind::Malformed, "a node of the graph has no outputs").node(node.label()));
        }
        subgraphs(node).try_for_each(check_outputs)?;
    }
    Ok(())
}

/// The subgraphs of a node.
pub(crate) fn subgraphs(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute.iter().flat_map(|a| a.g.as_deref().into_iter().chain(&a.graphs))
}

fn subgraphs_mut(attribute: &mut AttributeProto) -> impl Iterator<Item = &mut GraphProto> {
    attribute.g.as_deref_mut().into_iter().chain(&mut attribute.graphs)
}

fn collect_names(graph: &GraphProto, names: &mut HashSet<String>) {
    names.extend(graph.initializer.iter().filter_map(|t| t.name.clone()));
    names.extend(graph.sparse_initializer.iter().filter_map(|t| t.values.as_ref()?.name.clone()));
    names.extend(graph.input.iter().chain(&graph.output).chain(&graph.value_info).filter_map(|v| v.name.clone()));
    for node in &graph.node {
        names.extend(node.name.clone());
        names.extend(node.input.iter().chain(&node.output).cloned());
        subgraphs(node).for_each(|inner| collect_names(inner, names));
    }
}

/// How often every name is used: by nodes, by subgraphs, as an output.
pub(crate) fn uses(graph: &GraphProto) -> HashMap<String, usize> {
    let mut uses = HashMap::new();
    count_uses(graph, &mut uses);
    uses
}

fn count_uses(graph: &GraphProto, uses: &mut HashMap<String, usize>) {
    let outputs = graph.output.iter().filter_map(|o| o.name.as_deref());
    let inputs = graph.node.iter().flat_map(|n| n.input.iter().map(String::as_str));
    for name in outputs.chain(inputs).filter(|n| !n.is_empty()) {
        *uses.entry(name.to_owned()).or_default() += 1;
    }
    graph.node.iter().flat_map(subgraphs).for_each(|inner| count_uses(inner, uses));
}

/// Drops the constants of these names that nobody uses, with the inputs that declare them.
pub(crate) fn drop_unused(graph: &mut GraphProto, names: &HashSet<String>) {
    let uses = uses(graph);
    drop_in(graph, &|name: Option<&str>| name.is_some_and(|name| names.contains(name) && !uses.contains_key(name)));
}

fn drop_in(graph: &mut GraphProto, gone: &dyn Fn(Option<&str>) -> bool) {
    let constants: HashSet<String> =
        graph.initializer.iter().filter(|t| gone(t.name.as_deref())).filter_map(|t| t.name.clone()).collect();
    graph.initializer.retain(|t| !gone(t.name.as_deref()));
    graph.input.retain(|i| !i.name.as_ref().is_some_and(|name| constants.contains(name)));
    graph.node.retain(|n| n.operator() != "Constant" || !gone(n.output.first().map(String::as_str)));
    for attribute in graph.node.iter_mut().flat_map(|n| &mut n.attribute) {
        subgraphs_mut(attribute).for_each(|inner| drop_in(inner, gone));
    }
}

/// Every tensor of a graph and its subgraphs: constants and values of attributes.
pub(crate) fn each_tensor(graph: &mut GraphProto, visit: &mut dyn FnMut(&mut TensorProto) -> Result<()>) -> Result<()> {
    graph.initializer.iter_mut().try_for_each(&mut *visit)?;
    for attribute in graph.node.iter_mut().flat_map(|n| &mut n.attribute) {
        if let Some(tensor) = attribute.t.as_deref_mut() {
            visit(tensor)?;
        }
        attribute.tensors.iter_mut().try_for_each(&mut *visit)?;
        for inner in subgraphs_mut(attribute) {
            each_tensor(inner, visit)?;
        }
    }
    Ok(())
}

/// The constants that one graph declares.
struct Scope {
    id: usize,
    constants: HashMap<String, TensorProto>,
    /// Names that are other values here, and hide constants of enclosing graphs.
    values: HashSet<String>,
    added: Vec<TensorProto>,
}

struct Walk<'e> {
    external: Option<&'e ExternalData>,
    max_elements: usize,
    names: &'e mut HashSet<String>,
    scopes: Vec<Scope>,
    next_scope: usize,
    replaced: HashSet<String>,
}

impl Walk<'_> {
    fn graph(
        &mut self,
        graph: &mut GraphProto,
        rewrite: &mut dyn FnMut(NodeProto, &mut Site<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut constants: HashMap<String, TensorProto> =
            graph.initializer.iter().filter_map(|t| Some((t.name.clone()?, t.clone()))).collect();
        let mut values: HashSet<String> = graph.input.iter().filter_map(|i| i.name.clone()).collect();
        for node in &graph.node {
            let tensor = node.find_attribute("value").and_then(|a| a.t.as_deref());
            match (node.operator(), &node.output[..], tensor) {
                ("Constant", [name], Some(tensor)) => _ = constants.insert(name.clone(), tensor.clone()),
                (_, outputs, _) => values.extend(outputs.iter().cloned()),
            }
        }
        self.scopes.push(Scope { id: self.next_scope, constants, values, added: Vec::new() });
        self.next_scope += 1;
        let nodes = std::mem::take(&mut graph.node);
        let mut done = Vec::with_capacity(nodes.len());
        for mut node in nodes {
            for inner in node.attribute.iter_mut().flat_map(subgraphs_mut) {
                self.graph(inner, rewrite)?;
            }
            let label = node.label();
            let mut site = Site { walk: self, nodes: &mut done };
            rewrite(node, &mut site).map_err(|e| if e.node_name().is_none() { e.node(label) } else { e })?;
        }
        let scope = self.scopes.pop().expect("the scope was pushed above");
        graph.node = done;
        graph.initializer.extend(scope.added);
        Ok(())
    }
}

/// Where a node stands: what is constant there, and what takes the node's place.
pub(crate) struct Site<'w> {
    walk: &'w mut dyn Around,
    nodes: &'w mut Vec<NodeProto>,
}

/// What a site needs of its walk, without the walk's own lifetime.
trait Around {
    fn scopes(&mut self) -> &mut Vec<Scope>;
    fn found(&self, name: &str) -> Option<(usize, &TensorProto)>;
    fn dense(&self, tensor: &TensorProto) -> Result<DenseTensor>;
    fn fresh(&mut self, base: &str) -> String;
    fn replace(&mut self, name: &str);
    fn depth(&self) -> usize;
}

impl Around for Walk<'_> {
    fn scopes(&mut self) -> &mut Vec<Scope> {
        &mut self.scopes
    }

    fn found(&self, name: &str) -> Option<(usize, &TensorProto)> {
        for (i, scope) in self.scopes.iter().enumerate().rev() {
            if let Some(tensor) = scope.constants.get(name) {
                return Some((i, tensor));
            }
            if scope.values.contains(name) {
                return None;
            }
        }
        None
    }

    fn dense(&self, tensor: &TensorProto) -> Result<DenseTensor> {
        tensor.to_dense(self.external, self.max_elements)
    }

    fn fresh(&mut self, base: &str) -> String {
        fresh(self.names, base)
    }

    fn replace(&mut self, name: &str) {
        self.replaced.insert(name.to_owned());
    }

    fn depth(&self) -> usize {
        self.scopes.len() - 1
    }
}

impl Site<'_> {
    /// Puts a node where the one in hand stood.
    pub(crate) fn push(&mut self, node: NodeProto) {
        self.nodes.push(node);
    }

    /// Leaves the node in hand as it is.
    ///
    /// # Errors
    /// None; what closes a rewrite gives a result.
    pub(crate) fn leave(&mut self, node: NodeProto) -> Result<()> {
        self.push(node);
        Ok(())
    }

    /// A name like `base` that nothing in the file has.
    pub(crate) fn fresh(&mut self, base: &str) -> String {
        self.walk.fresh(base)
    }

    /// How deep the graph lies in others: 0 for the one that is run.
    pub(crate) fn depth(&self) -> usize {
        self.walk.depth()
    }

    /// Which graph the node stands in: the same number for the same graph.
    pub(crate) fn here(&mut self) -> usize {
        let depth = self.walk.depth();
        self.walk.scopes()[depth].id
    }

    /// The constant that `name` stands for here.
    pub(crate) fn constant(&self, name: &str) -> Option<&TensorProto> {
        self.walk.found(name).map(|(_, tensor)| tensor)
    }

    /// Which graph declares the constant: the same number for the same graph.
    pub(crate) fn owner(&mut self, name: &str) -> Option<usize> {
        let (at, _) = self.walk.found(name)?;
        Some(self.walk.scopes()[at].id)
    }

    /// The elements of a tensor.
    ///
    /// # Errors
    /// As [`TensorProto::to_dense`].
    pub(crate) fn dense(&self, tensor: &TensorProto) -> Result<DenseTensor> {
        self.walk.dense(tensor)
    }

    /// Adds a constant to the graph that declares `beside`, so that every user of that sees this one too.
    pub(crate) fn add_beside(&mut self, beside: &str, tensor: TensorProto) {
        let at = self.walk.found(beside).map_or(self.walk.depth(), |(at, _)| at);
        let scope = &mut self.walk.scopes()[at];
        scope.added.push(tensor);
    }

    /// Says that `name` was replaced: it goes where nobody else uses it.
    pub(crate) fn replaced(&mut self, name: &str) {
        self.walk.replace(name);
    }
}
