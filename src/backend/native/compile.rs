//! From a graph in a file to a [`Program`]: names resolved, constants folded, nodes ordered, steps fused.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use super::fuse;
use super::node::Node;
use super::op::{Arg, Args, Scratch};
use super::ops;
use super::program::{Program, Step};
use super::value::Value;
use crate::backend::inline::OPSET_PROPERTY;
use crate::onnx::{ExternalData, GraphProto, NodeProto};
use crate::{Error, ErrorKind, Limits, Result, TreeEngine};

/// A constant that folding makes is at most this large; what is larger is computed at every call instead.
pub(super) const MAX_FOLDED_ELEMENTS: usize = 1 << 24;

/// What all graphs of one file share.
#[derive(Debug)]
pub(crate) struct Context {
    /// The version of each operator domain.
    pub(crate) opsets: HashMap<String, i64>,
    pub(crate) limits: Limits,
    pub(crate) external: Option<ExternalData>,
    pub(crate) tree_engine: TreeEngine,
    /// Whether activations are quantised by the range of each row, not of the whole batch.
    pub(crate) row_ranges: bool,
}

/// What a name of a graph stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Binding {
    Constant(u32),
    Slot(u32),
}

/// The names that a node's subgraphs can see.
pub(crate) struct Scope<'g> {
    context: &'g Context,
    names: &'g HashMap<&'g str, Binding>,
    constants: &'g [Value<'static>],
    parent: Option<&'g Scope<'g>>,
    depth: usize,
}

impl Scope<'_> {
    pub(crate) fn limits(&self) -> &Limits {
        &self.context.limits
    }

    pub(crate) fn tree_engine(&self) -> TreeEngine {
        self.context.tree_engine
    }

    pub(crate) fn row_ranges(&self) -> bool {
        self.context.row_ranges
    }

    pub(crate) fn external(&self) -> Option<&ExternalData> {
        self.context.external.as_ref()
    }

    /// The program of a subgraph, and the names of the enclosing graphs that it takes after its own inputs.
    pub(crate) fn compile_subgraph(&self, graph: &GraphProto) -> Result<(Program, Vec<String>)> {
        if self.depth >= self.context.limits.max_depth {
            return Err(Error::new(ErrorKind::LimitExceeded, "subgraphs are nested deeper than `Limits::max_depth`"));
        }
        let compiled = compile(self.context, graph, None, Some(self))?;
        Ok((compiled.program, compiled.captured))
    }

    fn sees(&self, name: &str) -> bool {
        self.names.contains_key(name) || self.parent.is_some_and(|p| p.sees(name))
    }

    /// The value of `name`, if it is constant.
    pub(super) fn constant(&self, name: &str) -> Option<&Value<'static>> {
        match self.names.get(name) {
            Some(Binding::Constant(at)) => self.constants.get(*at as usize),
            Some(Binding::Slot(_)) => None,
            None => self.parent?.constant(name),
        }
    }
}

/// A compiled graph.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) program: Program,
    /// Names of enclosing graphs, which the program takes after the graph's own inputs.
    pub(crate) captured: Vec<String>,
}

/// Compiles `graph` so that it gives `wanted` (all of its outputs when none are named).
pub(crate) fn compile(
    context: &Context,
    graph: &GraphProto,
    wanted: Option<&[String]>,
    parent: Option<&Scope<'_>>,
) -> Result<Compiled> {
    let outputs: Vec<&str> = match wanted {
        Some(names) => names.iter().map(String::as_str).collect(),
        None => graph.output.iter().map(|o| o.name.as_deref().unwrap_or_default()).collect(),
    };
    let order = order(graph, &outputs)?;
    let mut building = Building::new(context, graph, parent)?;
    building.count_users(graph, &order, &outputs);
    for index in order {
        building
            .node(&graph.node[index])
            .map_err(|e| if e.node_name().is_none() { e.node(label(&graph.node[index])) } else { e })?;
    }
    let args =
        outputs.iter().map(|name| building.resolve(name).map_err(|e| e.tensor(name))).collect::<Result<Vec<_>>>()?;
    let Building { mut program, captured, .. } = building;
    let mut program_outputs = args;
    // Captured values were given slots as they were met; they must follow the graph's own inputs.
    program.outputs.append(&mut program_outputs);
    let captured_slots = captured.into_inner();
    program.inputs += captured_slots.len();
    let captured = relocate_captured(&mut program, captured_slots);
    fuse::fuse(&mut program);
    program.mark_last_uses();
    Ok(Compiled { program, captured })
}

struct Building<'g> {
    context: &'g Context,
    parent: Option<&'g Scope<'g>>,
    names: HashMap<&'g str, Binding>,
    program: Program,
    /// Names of enclosing graphs that are used here, with the slot each was given.
    captured: RefCell<Vec<(String, u32)>>,
    /// How many nodes and outputs are still to use each name. Constants that none is to use are let go at once, which bounds
    /// the memory that weights take beside the form in which operators hold them.
    users: HashMap<&'g str, usize>,
    scratch: Scratch,
}

impl<'g> Building<'g> {
    fn new(context: &'g Context, graph: &'g GraphProto, parent: Option<&'g Scope<'g>>) -> Result<Self> {
        let limits = Limits { max_elements: context.limits.max_elements.min(MAX_FOLDED_ELEMENTS), ..context.limits };
        let mut this = Self {
            context,
            parent,
            names: HashMap::new(),
            program: Program::default(),
            captured: RefCell::default(),
            users: HashMap::new(),
            scratch: Scratch::new(limits),
        };
        for tensor in &graph.initializer {
            let name = tensor.name.as_deref().unwrap_or_default();
            let value = tensor.to_dense(context.external.as_ref(), context.limits.max_elements)?;
            this.bind_constant(name, value.into())?;
        }
        for sparse in &graph.sparse_initializer {
            let name = sparse.values.as_ref().and_then(|v| v.name.as_deref()).unwrap_or_default();
            let value = super::ops::constant::sparse(sparse, context.external.as_ref(), &this.scratch)?;
            this.bind_constant(name, value)?;
        }
        for input in &graph.input {
            let name = input.name.as_deref().unwrap_or_default();
            // An input that is also an initialiser is a constant with a name, as in files of IR version 3.
            if this.names.contains_key(name) {
                continue;
            }
            this.names.insert(name, Binding::Slot(this.program.slots as u32));
            this.program.slots += 1;
            this.program.inputs += 1;
        }
        Ok(this)
    }

    fn count_users(&mut self, graph: &'g GraphProto, order: &[usize], outputs: &[&str]) {
        let mut names = HashSet::new();
        for &index in order {
            used_names(&graph.node[index], &mut names);
            names.drain().for_each(|name| *self.users.entry(name).or_default() += 1);
        }
        for output in &graph.output {
            let name = output.name.as_deref().unwrap_or_default();
            *self.users.entry(name).or_default() += 1;
        }
        for (name, users) in &mut self.users {
            if outputs.iter().any(|output| output == name) {
                *users += 1;
            }
        }
    }

    /// Says that a node which uses `name` needs it no more.
    fn let_go(&mut self, name: &str) {
        let Some(users) = self.users.get_mut(name) else { return };
        *users = users.saturating_sub(1);
        if *users == 0
            && let Some(&Binding::Constant(at)) = self.names.get(name)
        {
            self.program.constants[at as usize] = Value::default();
        }
    }

    fn bind_constant(&mut self, name: &'g str, value: Value<'static>) -> Result<()> {
        let index = self.program.constants.len() as u32;
        self.program.constants.push(value);
        self.bind(name, Binding::Constant(index))
    }

    fn bind(&mut self, name: &'g str, binding: Binding) -> Result<()> {
        match self.names.insert(name, binding) {
            None => Ok(()),
            Some(_) => {
                Err(Error::new(ErrorKind::Malformed, "two nodes or initialisers of the graph give the same value")
                    .tensor(name))
            }
        }
    }

    /// Where the value called `name` comes from.
    fn resolve(&mut self, name: &str) -> Result<Arg> {
        if name.is_empty() {
            return Ok(Arg::Absent);
        }
        match self.names.get(name) {
            Some(&Binding::Constant(at)) => return Ok(Arg::Constant(at)),
            Some(&Binding::Slot(index)) => return Ok(Arg::Slot { index, last: false }),
            None => {}
        }
        if let Some(parent) = self.parent {
            if let Some(value) = parent.constant(name) {
                // A copy, so that operators of the subgraph can pack it as they would any other constant.
                self.program.constants.push(value.clone());
                return Ok(Arg::Constant(self.program.constants.len() as u32 - 1));
            }
            if parent.sees(name) {
                let known = self.captured.borrow().iter().find(|(n, _)| n == name).map(|(_, slot)| *slot);
                let index = known.unwrap_or_else(|| {
                    let slot = self.program.slots as u32;
                    self.program.slots += 1;
                    self.captured.borrow_mut().push((name.to_owned(), slot));
                    slot
                });
                return Ok(Arg::Slot { index, last: false });
            }
        }
        Err(Error::new(ErrorKind::Malformed, "no node, input or initialiser of the graph gives this value")
            .tensor(name))
    }

    fn node(&mut self, proto: &'g NodeProto) -> Result<()> {
        let mut args = proto.input.iter().map(|name| self.resolve(name)).collect::<Result<Vec<_>>>()?;
        let (op, captured) = {
            let scope = Scope {
                context: self.context,
                names: &self.names,
                constants: &self.program.constants,
                parent: self.parent,
                depth: self.parent.map_or(0, |p| p.depth + 1),
            };
            let constants = args
                .iter()
                .map(|arg| match arg {
                    Arg::Constant(at) => self.program.constants.get(*at as usize),
                    _ => None,
                })
                .collect();
            let domain = proto.operator_domain();
            let own = proto.metadata_props.iter().find(|p| p.key.as_deref() == Some(OPSET_PROPERTY));
            let own = own.and_then(|p| p.value.as_deref()?.parse::<i64>().ok());
            let opset = match own.as_ref().or(self.context.opsets.get(domain)) {
                Some(version) => *version,
                // Some exporters forget to import the domains beside the standard one.
                None if !domain.is_empty() => 1,
                None => {
                    return Err(Error::new(
                        ErrorKind::Malformed,
                        "the file does not say which standard operator set it uses",
                    ));
                }
            };
            let node = Node { proto, opset, constants, scope: &scope, captured: RefCell::default() };
            let op = ops::build(&node)?;
            (op, node.captured.into_inner())
        };
        for name in &captured {
            args.push(self.resolve(name)?);
        }
        let folded = if args.iter().all(|a| !matches!(a, Arg::Slot { .. })) && !proto.output.is_empty() {
            let mut view = Args { slots: &mut [], constants: &self.program.constants, args: &args };
            match op.run(&mut view, &mut self.scratch) {
                Ok(outs) => Some(outs.into_iter().map(Value::into_static).collect::<Vec<_>>()),
                // Too large to keep: it is computed at every call, within the limits that hold there.
                Err(e) if e.kind() == ErrorKind::LimitExceeded => None,
                // A branch that is never taken may hold what can't be.
                Err(_) if self.parent.is_some() => None,
                Err(e) => return Err(e),
            }
        } else {
            None
        };
        if let Some(values) = folded {
            let named: Vec<_> = proto.output.iter().zip(values).filter(|(name, _)| !name.is_empty()).collect();
            for (name, value) in named {
                self.bind_constant(name, value)?;
            }
            let mut names = HashSet::new();
            used_names(proto, &mut names);
            names.into_iter().for_each(|name| self.let_go(name));
            return Ok(());
        }
        for i in 0..proto.input.len() {
            if let Arg::Constant(at) = args[i]
                && op.holds(i)
            {
                args[i] = Arg::Absent;
                if !args.contains(&Arg::Constant(at)) {
                    self.let_go(&proto.input[i]);
                }
            }
        }
        let mut outputs = Vec::with_capacity(proto.output.len());
        for name in &proto.output {
            if name.is_empty() {
                outputs.push(None);
                continue;
            }
            let slot = self.program.slots as u32;
            self.program.slots += 1;
            self.bind(name, Binding::Slot(slot))?;
            outputs.push(Some(slot));
        }
        self.program.steps.push(Step { op, label: label(proto), args, outputs });
        Ok(())
    }
}

/// Gives the captured values the slots right after the graph's own inputs, and the names in that order.
fn relocate_captured(program: &mut Program, captured: Vec<(String, u32)>) -> Vec<String> {
    if captured.is_empty() {
        return Vec::new();
    }
    let own = program.inputs - captured.len();
    let mut new_index: Vec<u32> = vec![u32::MAX; program.slots];
    for (i, slot) in new_index.iter_mut().enumerate().take(own) {
        *slot = i as u32;
    }
    for (i, (_, slot)) in captured.iter().enumerate() {
        new_index[*slot as usize] = (own + i) as u32;
    }
    let mut next = program.inputs as u32;
    for slot in &mut new_index {
        if *slot == u32::MAX {
            *slot = next;
            next += 1;
        }
    }
    let moved = |arg: &mut Arg| {
        if let Arg::Slot { index, .. } = arg {
            *index = new_index[*index as usize];
        }
    };
    for step in &mut program.steps {
        step.args.iter_mut().for_each(moved);
        step.outputs.iter_mut().flatten().for_each(|slot| *slot = new_index[*slot as usize]);
    }
    program.outputs.iter_mut().for_each(moved);
    captured.into_iter().map(|(name, _)| name).collect()
}

/// The node as messages name it.
pub(super) fn label(node: &NodeProto) -> String {
    node.label()
}

/// The indices of the nodes that `outputs` need, each after those it needs itself; in the file's order where that is
/// such an order.
fn order(graph: &GraphProto, outputs: &[&str]) -> Result<Vec<usize>> {
    let mut producer: HashMap<&str, usize> = HashMap::new();
    for (i, node) in graph.node.iter().enumerate() {
        for name in node.output.iter().filter(|n| !n.is_empty()) {
            if producer.insert(name, i).is_some() {
                return Err(Error::new(ErrorKind::Malformed, "two nodes of the graph give the same value")
                    .tensor(name)
                    .node(label(node)));
            }
        }
    }
    let mut needs: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut open: Vec<usize> = outputs.iter().filter_map(|name| producer.get(name).copied()).collect();
    while let Some(i) = open.pop() {
        if needs.contains_key(&i) {
            continue;
        }
        let mut names: HashSet<&str> = HashSet::new();
        used_names(&graph.node[i], &mut names);
        let mut of_node: Vec<usize> = names.iter().filter_map(|name| producer.get(name).copied()).collect();
        of_node.sort_unstable();
        of_node.dedup();
        // A subgraph may use names of its own that happen to be ours as well; a node never needs itself through one.
        let direct = graph.node[i].input.iter().any(|n| producer.get(n.as_str()) == Some(&i));
        if !direct {
            of_node.retain(|&n| n != i);
        }
        open.extend(&of_node);
        needs.insert(i, of_node);
    }
    let mut waiting: HashMap<usize, usize> = needs.iter().map(|(&i, n)| (i, n.len())).collect();
    let mut users: HashMap<usize, Vec<usize>> = HashMap::new();
    for (&i, of_node) in &needs {
        for &n in of_node {
            users.entry(n).or_default().push(i);
        }
    }
    let mut ready: BinaryHeap<Reverse<usize>> =
        waiting.iter().filter(|(_, n)| **n == 0).map(|(&i, _)| Reverse(i)).collect();
    let mut order = Vec::with_capacity(needs.len());
    while let Some(Reverse(i)) = ready.pop() {
        order.push(i);
        waiting.remove(&i);
        for user in users.get(&i).map_or(&[][..], Vec::as_slice) {
            if let Some(n) = waiting.get_mut(user) {
                *n -= 1;
                if *n == 0 {
                    ready.push(Reverse(*user));
                }
            }
        }
    }
    match waiting.keys().min() {
        None => Ok(order),
        Some(&i) => Err(Error::new(ErrorKind::Malformed, "the graph has a cycle: nodes need each other's outputs")
            .node(label(&graph.node[i]))),
    }
}

/// Every name that a node or its subgraphs use; those that a subgraph defines itself are among them.
fn used_names<'g>(node: &'g NodeProto, names: &mut HashSet<&'g str>) {
    names.extend(node.input.iter().map(String::as_str));
    for attribute in &node.attribute {
        for graph in attribute.g.as_deref().into_iter().chain(&attribute.graphs) {
            names.extend(graph.output.iter().filter_map(|o| o.name.as_deref()));
            graph.node.iter().for_each(|inner| used_names(inner, names));
        }
    }
}
