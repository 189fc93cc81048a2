//! Puts the functions of a model file in the place of the nodes that call them.

use std::collections::HashMap;

use crate::onnx::{AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, StringStringEntryProto};
use crate::{Error, ErrorKind, Result};

/// The key under which a node carries the version of its operator set, where that is not the model's: nodes of a
/// function that imports another one.
pub(crate) const OPSET_PROPERTY: &str = "modelberth.opset";

/// The most nodes that calls may expand to: functions that call others twice over grow without bound.
const MAX_NODES: usize = 1 << 18;
/// The deepest nesting of calls and subgraphs.
const MAX_DEPTH: usize = 96;

/// The graph of `proto` with every call of a function of the file replaced by the function's nodes; `None` where the
/// file has no functions.
///
/// # Errors
/// [`ErrorKind::Malformed`] when a function calls itself; [`ErrorKind::LimitExceeded`] when the calls expand to too
/// many nodes.
pub(crate) fn inline_functions(proto: &ModelProto) -> Result<Option<GraphProto>> {
    let Some(graph) = proto.graph.as_deref().filter(|_| !proto.functions.is_empty()) else { return Ok(None) };
    let functions = proto.functions.iter().map(|f| (key_of(f), f)).collect();
    let opsets = proto.opset_import.iter().map(|o| (domain(o.domain.as_deref()), o.version.unwrap_or(1))).collect();
    let mut inliner = Inliner { functions, opsets, calls: 0, nodes: 0, depth: 0 };
    let mut expanded = graph.clone();
    inliner.graph(&mut expanded, None)?;
    Ok(Some(expanded))
}

/// What a call names: domain, function, overload.
type Key<'p> = (&'p str, &'p str, &'p str);

fn domain(name: Option<&str>) -> &str {
    match name.unwrap_or_default() {
        "ai.onnx" => "",
        name => name,
    }
}

fn key_of(function: &FunctionProto) -> Key<'_> {
    (
        domain(function.domain.as_deref()),
        function.name.as_deref().unwrap_or_default(),
        function.overload.as_deref().unwrap_or_default(),
    )
}

struct Inliner<'p> {
    functions: HashMap<Key<'p>, &'p FunctionProto>,
    /// The operator sets of the model.
    opsets: HashMap<&'p str, i64>,
    /// Calls so far, for names of their own.
    calls: usize,
    nodes: usize,
    depth: usize,
}

/// One call of a function.
struct Call<'c, 'p> {
    function: &'p FunctionProto,
    /// The names of the calling graph for the formal inputs and outputs.
    names: HashMap<&'p str, String>,
    /// What stands before the function's other names.
    prefix: String,
    attributes: &'c [AttributeProto],
    parent: Option<&'c Call<'c, 'p>>,
}

impl Call<'_, '_> {
    fn rename(&self, name: &mut String) {
        if name.is_empty() {
            return;
        }
        match self.names.get(name.as_str()) {
            Some(known) => name.clone_from(known),
            None => name.insert_str(0, &self.prefix),
        }
    }

    /// The value of the function's attribute `name`: from the call, else the default.
    fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        let named = |a: &&AttributeProto| a.name.as_deref() == Some(name);
        self.attributes.iter().find(named).or_else(|| self.function.attribute_proto.iter().find(named))
    }

    fn is_of(&self, function: &FunctionProto) -> bool {
        std::ptr::eq(self.function, function) || self.parent.is_some_and(|p| p.is_of(function))
    }
}

impl<'p> Inliner<'p> {
    /// Expands the calls in `graph`, which belongs to the body of `call`, or to the model.
    fn graph(&mut self, graph: &mut GraphProto, call: Option<&Call<'_, 'p>>) -> Result<()> {
        if let Some(call) = call {
            let rename = |name: &mut Option<String>| {
                if let Some(name) = name {
                    call.rename(name);
                }
            };
            graph.input.iter_mut().chain(&mut graph.output).for_each(|value| rename(&mut value.name));
            graph.initializer.iter_mut().for_each(|tensor| rename(&mut tensor.name));
            for sparse in &mut graph.sparse_initializer {
                sparse.values.iter_mut().for_each(|values| rename(&mut values.name));
            }
        }
        let nodes = std::mem::take(&mut graph.node);
        graph.node = self.nodes(nodes, call)?;
        Ok(())
    }

    fn nodes(&mut self, nodes: Vec<NodeProto>, call: Option<&Call<'_, 'p>>) -> Result<Vec<NodeProto>> {
        if self.depth >= MAX_DEPTH {
            return Err(Error::new(ErrorKind::LimitExceeded, "functions and subgraphs are nested too deep"));
        }
        self.depth += 1;
        let done = self.each_node(nodes, call);
        self.depth -= 1;
        done
    }

    fn each_node(&mut self, nodes: Vec<NodeProto>, call: Option<&Call<'_, 'p>>) -> Result<Vec<NodeProto>> {
        let mut done = Vec::with_capacity(nodes.len());
        for mut node in nodes {
            self.nodes += 1;
            if self.nodes > MAX_NODES {
                return Err(Error::new(ErrorKind::LimitExceeded, "the functions of the file expand to too many nodes"));
            }
            if let Some(call) = call {
                self.adopt(&mut node, call);
            }
            for attribute in &mut node.attribute {
                for graph in attribute.g.as_deref_mut().into_iter().chain(&mut attribute.graphs) {
                    self.graph(graph, call)?;
                }
            }
            let key = (node.operator_domain(), node.operator(), node.overload.as_deref().unwrap_or_default());
            match self.functions.get(&key).copied() {
                Some(function) => done.extend(self.call(&node, function, call)?),
                None => done.push(node),
            }
        }
        Ok(done)
    }

    /// Gives a node of a function's body the names, attributes and operator set that hold in the call.
    fn adopt(&self, node: &mut NodeProto, call: &Call<'_, 'p>) {
        node.input.iter_mut().chain(&mut node.output).for_each(|name| call.rename(name));
        node.attribute = std::mem::take(&mut node.attribute)
            .into_iter()
            .filter_map(|attribute| match attribute.ref_attr_name.as_deref() {
                None | Some("") => Some(attribute),
                // An attribute that neither the call nor the function gives a value is left out.
                Some(reference) => call.attribute(reference).map(|value| AttributeProto {
                    name: attribute.name.clone(),
                    ref_attr_name: None,
                    ..value.clone()
                }),
            })
            .collect();
        let of_node = node.operator_domain();
        let import = call.function.opset_import.iter().find(|o| domain(o.domain.as_deref()) == of_node);
        if let Some(version) = import.map(|o| o.version.unwrap_or(1))
            && self.opsets.get(of_node) != Some(&version)
        {
            node.metadata_props.push(StringStringEntryProto {
                key: Some(OPSET_PROPERTY.to_owned()),
                value: Some(version.to_string()),
                ..StringStringEntryProto::default()
            });
        }
    }

    /// The nodes of `function` for the call `node`, whose own names already hold in the graph.
    fn call(
        &mut self,
        node: &NodeProto,
        function: &'p FunctionProto,
        parent: Option<&Call<'_, 'p>>,
    ) -> Result<Vec<NodeProto>> {
        let name = function.name.as_deref().unwrap_or_default();
        if parent.is_some_and(|p| p.is_of(function)) {
            return Err(Error::new(ErrorKind::Malformed, format!("the function `{name}` of the file calls itself")));
        }
        if node.input.len() > function.input.len() || node.output.len() > function.output.len() {
            let message = format!("a call of `{name}` has more inputs or outputs than the function");
            return Err(Error::new(ErrorKind::Malformed, message));
        }
        self.calls += 1;
        let prefix = format!("{name}#{}/", self.calls);
        let mut names = HashMap::new();
        let mut passed = Vec::new();
        for (i, formal) in function.input.iter().enumerate() {
            names.insert(formal.as_str(), node.input.get(i).cloned().unwrap_or_default());
        }
        for (formal, actual) in function.output.iter().zip(&node.output).filter(|(_, a)| !a.is_empty()) {
            match names.get(formal.as_str()) {
                // An input given out unchanged, or one value given out twice.
                Some(source) => passed.push((source.clone(), actual.clone())),
                None => {
                    names.insert(formal, actual.clone());
                }
            }
        }
        let call = Call { function, names, prefix, attributes: &node.attribute, parent };
        let mut done = self.nodes(function.node.clone(), Some(&call))?;
        done.extend(passed.into_iter().map(|(source, actual)| NodeProto {
            input: vec![source],
            output: vec![actual],
            op_type: Some("Identity".to_owned()),
            ..NodeProto::default()
        }));
        Ok(done)
    }
}

#[cfg(all(test, feature = "native"))]
mod tests {
    use super::inline_functions;
    use crate::backend::native::ops::trial::{info, node};
    use crate::onnx::builder::{graph, int, model, subgraph};
    use crate::onnx::{AttributeProto, FunctionProto, ModelProto, NodeProto, OperatorSetIdProto};
    use crate::{ErrorKind, Loader, ModelExt};

    fn function(name: &str, inputs: &[&str], nodes: impl Into<Vec<NodeProto>>, outputs: &[&str]) -> FunctionProto {
        let owned = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect();
        FunctionProto {
            name: Some(name.to_owned()),
            domain: Some("local".to_owned()),
            input: owned(inputs),
            output: owned(outputs),
            node: nodes.into(),
            ..FunctionProto::default()
        }
    }

    fn call(name: &str, inputs: &[&str], outputs: &[&str], attributes: impl Into<Vec<AttributeProto>>) -> NodeProto {
        NodeProto { domain: Some("local".to_owned()), ..node(name, inputs, outputs, attributes) }
    }

    /// A node whose attribute `axis` is the attribute `along` of the function.
    fn flatten(input: &str, output: &str) -> NodeProto {
        let reference = AttributeProto { ref_attr_name: Some("along".to_owned()), ..int("axis", 0) };
        node("Flatten", &[input], &[output], [AttributeProto { i: None, ..reference }])
    }

    fn file(nodes: impl Into<Vec<NodeProto>>, functions: impl Into<Vec<FunctionProto>>) -> ModelProto {
        let graph = graph("g", [info("x")], nodes, [], [info("y")]);
        ModelProto { functions: functions.into(), ..model(8, &[("", 17), ("local", 1)], graph) }
    }

    #[test]
    fn calls_become_the_nodes_of_the_function() {
        // `t` is a name of both functions and of the graph.
        let inner = function("inner", &["a"], [flatten("a", "t"), node("Neg", &["t"], &["b"], [])], &["b"]);
        let inner = FunctionProto { attribute_proto: vec![int("along", 1)], ..inner };
        let outer = function(
            "outer",
            &["a", "unused"],
            [call("inner", &["a"], &["t"], []), call("inner", &["t"], &["b"], [int("along", 0)])],
            &["b", "a"],
        );
        let nodes = [call("outer", &["x"], &["t", "u"], []), node("Mul", &["t", "u"], &["y"], [])];
        let expanded = inline_functions(&file(nodes, [inner, outer])).unwrap().unwrap();
        let operators: Vec<&str> = expanded.node.iter().map(NodeProto::operator).collect();
        assert_eq!(operators, ["Flatten", "Neg", "Flatten", "Neg", "Identity", "Mul"]);
        let axes: Vec<_> = expanded.node.iter().filter_map(|n| n.find_attribute("axis")?.i).collect();
        assert_eq!(axes, [1, 0]);
        let outputs: std::collections::HashSet<&str> =
            expanded.node.iter().flat_map(|n| &n.output).map(String::as_str).collect();
        assert_eq!(outputs.len(), expanded.node.len());
        assert!(outputs.contains("t") && outputs.contains("u"));
    }

    #[test]
    fn subgraphs_of_functions_see_the_names_of_the_call() {
        let branch = |name: &str, operator: &str| {
            subgraph(name, graph("b", [], [node(operator, &["a"], &["r"], [])], [], [info("r")]))
        };
        let choice = node("If", &["c"], &["b"], [branch("then_branch", "Neg"), branch("else_branch", "Abs")]);
        let expanded = inline_functions(&file(
            [node("Identity", &["x"], &["c"], []), call("choose", &["c", "x"], &["y"], [])],
            [function("choose", &["c", "a"], [choice], &["b"])],
        ));
        let expanded = expanded.unwrap().unwrap();
        let inner = expanded.node[1].attribute[0].g.as_deref().unwrap();
        assert_eq!(inner.node[0].input, ["x"]);
        assert_eq!(inner.output[0].name.as_deref(), Some(inner.node[0].output[0].as_str()));
    }

    #[test]
    fn a_file_with_functions_is_loaded_and_run() {
        let double = function("double", &["a"], [node("Add", &["a", "a"], &["b"], [])], &["b"]);
        let import = OperatorSetIdProto { version: Some(14), ..OperatorSetIdProto::default() };
        let double = FunctionProto { opset_import: vec![import], ..double };
        let file = file([call("double", &["x"], &["z"], []), call("double", &["z"], &["y"], [])], [double]);
        let model = Loader::new().load_bytes("functions.onnx", file.encode_to_vec()).unwrap();
        let answers = model.predict_array(&ndarray::array![1.0f32, 2.0]).unwrap();
        assert_eq!(answers.get::<f32>("y").unwrap(), ndarray::array![4.0f32, 8.0].into_dyn());
    }

    #[test]
    fn hostile_functions_are_refused() {
        let kind = |nodes: Vec<NodeProto>, functions: Vec<FunctionProto>| {
            inline_functions(&file(nodes, functions)).unwrap_err().kind()
        };
        let start = || vec![call("f0", &["x"], &["y"], [])];
        let own = function("f0", &["a"], [call("f0", &["a"], &["b"], [])], &["b"]);
        assert_eq!(kind(start(), vec![own]), ErrorKind::Malformed);
        let to = |i: usize, j: usize, twice: bool| {
            let target = format!("f{j}");
            let mut nodes = vec![call(&target, &["a"], &["b"], [])];
            nodes.extend(twice.then(|| call(&target, &["b"], &["c"], [])));
            function(&format!("f{i}"), &["a"], nodes, &["b"])
        };
        assert_eq!(kind(start(), vec![to(0, 1, false), to(1, 0, false)]), ErrorKind::Malformed);
        assert_eq!(kind(start(), (0..40).map(|i| to(i, i + 1, true)).collect()), ErrorKind::LimitExceeded);
        assert_eq!(kind(start(), (0..5000).map(|i| to(i, i + 1, false)).collect()), ErrorKind::LimitExceeded);
        let small = function("f0", &[], [], &["b"]);
        assert_eq!(kind(start(), vec![small]), ErrorKind::Malformed);
    }
}
