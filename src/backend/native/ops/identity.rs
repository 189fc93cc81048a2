//! Operators that pass their input on.

use smallvec::smallvec;

use super::Group;
use super::wide::scalar;
use crate::backend::native::chain::Filling;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::value::Value;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("Identity", build), ("Dropout", dropout)];

/// Input 0 as output 0.
#[derive(Debug)]
pub(crate) struct Identity;

fn build(_node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Identity))
}

/// Dropout drops nothing outside training.
fn dropout(node: &Node<'_>) -> Result<Box<dyn Op>> {
    if node.constant(2).is_some_and(|t| t.try_slice::<bool>() == Some(&[true])) {
        return Err(node.unsupported("Dropout in training mode draws at random; export the model for inference"));
    }
    // In version 12 and later an input tells.
    let asks = node.has_input(2) && node.constant(2).is_none();
    Ok(if node.has_output(1) || asks { Box::new(Dropout) } else { Box::new(Identity) })
}

/// Input 0, and a mask that keeps everything.
#[derive(Debug)]
struct Dropout;

impl Op for Dropout {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, _cx: &mut Scratch) -> Result<Outs<'v>> {
        let training = args.opt(2).is_some_and(|t| t.try_slice::<bool>() == Some(&[true]));
        let ratio = args.opt(1).map(scalar).transpose()?.unwrap_or(0.5);
        if training && ratio != 0.0 {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "Dropout in training mode draws at random; give `training_mode` as false",
            ));
        }
        let value = args.take(0)?;
        let mask = Value::new(value.shape(), vec![true; value.len()]);
        Ok(smallvec![value, mask])
    }

    fn mixes_rows(&self, _inputs: &[Flow], _outputs: &[Flow]) -> bool {
        false
    }
}

impl Op for Identity {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, _cx: &mut Scratch) -> Result<Outs<'v>> {
        Ok(smallvec![args.take(0)?])
    }

    fn fill(&self, rows: Filling<'_, '_>, _cx: &mut Scratch) -> Option<Result<()>> {
        rows.pass_on()
    }

    fn mixes_rows(&self, _inputs: &[Flow], _outputs: &[Flow]) -> bool {
        false
    }
}
