//! If.

use super::body::Body;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::value::Value;
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("If", build)];

/// One of two subgraphs, as input 0 says.
#[derive(Debug)]
struct If {
    then: Body,
    otherwise: Body,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let (then, otherwise) = (Body::of(node, "then_branch")?, Body::of(node, "else_branch")?);
    for branch in [&then, &otherwise] {
        if branch.inputs() != 0 {
            return Err(node.malformed("a branch of If has inputs of its own"));
        }
        if branch.outputs() != node.outputs() {
            return Err(node.malformed("a branch of If has another number of outputs than the node"));
        }
    }
    Ok(Box::new(If { then, otherwise }))
}

/// The one truth value that a condition holds.
pub(super) fn truth(value: &Value<'_>) -> Result<bool> {
    match value.as_slice::<bool>()? {
        &[truth] => Ok(truth),
        _ => {
            Err(Error::new(ErrorKind::WrongShape, "a condition must be one truth value")
                .actual(shape_text(value.shape())))
        }
    }
}

impl Op for If {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let branch = if truth(args.get(0)?)? { &self.then } else { &self.otherwise };
        let inputs = branch.captured().iter().map(|&i| args.take(i)).collect::<Result<Vec<_>>>()?;
        let outs = cx.nested(|cx| branch.run(inputs, cx))?;
        Ok(outs.into_iter().map(|v| -> Value<'v> { v.into_static() }).collect())
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.iter().any(Flow::any)
            && [&self.then, &self.otherwise].into_iter().any(|branch| branch.mixes(&branch.captured_flows(inputs)))
    }

    fn parameters(&self) -> usize {
        self.then.parameters() + self.otherwise.parameters()
    }
}
