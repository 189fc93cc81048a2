//! Optional values. A value of a graph is always there, so these tell little; they stand in files made from functions.

use smallvec::smallvec;

use crate::Result;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::ops::identity::Identity;
use crate::backend::native::value::Value;

pub(super) const GROUP: Group =
    &[("Optional", optional), ("OptionalHasElement", has_element), ("OptionalGetElement", get_element)];

fn optional(node: &Node<'_>) -> Result<Box<dyn Op>> {
    if node.has_input(0) {
        Ok(Box::new(Identity))
    } else {
        Err(node.unsupported("Optional without a value: values that are absent are not carried"))
    }
}

fn get_element(node: &Node<'_>) -> Result<Box<dyn Op>> {
    if node.has_input(0) { Ok(Box::new(Identity)) } else { Err(node.malformed("OptionalGetElement has no input")) }
}

/// Whether input 0 is given.
#[derive(Debug)]
struct HasElement(bool);

fn has_element(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(HasElement(node.has_input(0))))
}

impl Op for HasElement {
    fn run<'v>(&self, _args: &mut Args<'_, 'v>, _cx: &mut Scratch) -> Result<Outs<'v>> {
        Ok(smallvec![Value::scalar(self.0)])
    }

    fn mixes_rows(&self, _inputs: &[Flow], _outputs: &[Flow]) -> bool {
        false
    }
}
