//! Operators that pass their input on.

use smallvec::smallvec;

use super::Group;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("Identity", build), ("Dropout", dropout)];

/// Input 0 as output 0.
#[derive(Debug)]
pub(crate) struct Identity;

fn build(_node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Identity))
}

/// Dropout does nothing outside training; the mask is not computed.
fn dropout(node: &Node<'_>) -> Result<Box<dyn Op>> {
    if node.has_output(1) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "Dropout with its mask is for training, which this crate does not do",
        ));
    }
    Ok(Box::new(Identity))
}

impl Op for Identity {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, _cx: &mut Scratch) -> Result<Outs<'v>> {
        Ok(smallvec![args.take(0)?])
    }

    fn mixes_rows(&self, _inputs: &[Flow], _outputs: &[Flow]) -> bool {
        false
    }
}
