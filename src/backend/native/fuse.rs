//! Makes one step of two where an operator offers to take its neighbour in.

use super::op::{Arg, Op};
use super::program::{Program, Step};

/// Merges steps in one pass: each step is offered to the one that gives its input 0, as often as that succeeds.
pub(super) fn fuse(program: &mut Program) {
    let mut uses = vec![0u32; program.slots];
    for arg in program.steps.iter().flat_map(|s| &s.args).chain(&program.outputs) {
        if let Arg::Slot { index, .. } = arg {
            uses[*index as usize] += 1;
        }
    }
    // For each slot, the step that fills it and which of its outputs it is.
    let mut producer: Vec<Option<(usize, usize)>> = vec![None; program.slots];
    let mut steps: Vec<Option<Step>> = std::mem::take(&mut program.steps).into_iter().map(Some).collect();
    for j in 0..steps.len() {
        let mut at = j;
        while let Some((i, k)) = steps[at].as_ref().and_then(|s| feeder(s, &uses, &producer)) {
            let (Some(earlier), Some(later)) = (&steps[i], &steps[at]) else { break };
            let Some(merged) = merge(earlier, k, later) else { break };
            steps[at] = None;
            steps[i] = Some(merged);
            at = i;
        }
        if let Some(step) = &steps[at] {
            for (k, slot) in step.outputs.iter().enumerate() {
                if let Some(slot) = slot {
                    producer[*slot as usize] = Some((at, k));
                }
            }
        }
    }
    program.steps = steps.into_iter().flatten().collect();
}

/// The step that gives this one's input 0 and has no other reader, if this one needs nothing else that is computed.
fn feeder(step: &Step, uses: &[u32], producer: &[Option<(usize, usize)>]) -> Option<(usize, usize)> {
    let (Arg::Slot { index, .. }, rest) = step.args.split_first()? else { return None };
    if uses[*index as usize] != 1 || rest.iter().any(|a| matches!(a, Arg::Slot { .. })) {
        return None;
    }
    producer[*index as usize]
}

/// The step that does what `earlier` and then `later` on its output `k` do.
fn merge(earlier: &Step, k: usize, later: &Step) -> Option<Step> {
    let label = || format!("{} + {}", earlier.label, later.label);
    let lone = |step: &Step| {
        matches!(step.args.first(), Some(Arg::Slot { .. }))
            && step.args[1..].iter().all(|a| !matches!(a, Arg::Slot { .. }))
    };
    if earlier.outputs.iter().flatten().count() == 1 && k == 0 && lone(earlier) {
        let op: Option<Box<dyn Op>> = later.op.absorb_previous(&*earlier.op);
        if let Some(op) = op {
            return Some(Step { op, label: label(), args: vec![earlier.args[0]], outputs: later.outputs.clone() });
        }
    }
    if later.outputs.len() == 1
        && let Some(op) = earlier.op.absorb_next(k, &*later.op)
    {
        let mut outputs = earlier.outputs.clone();
        outputs[k] = later.outputs[0];
        return Some(Step { op, label: label(), args: earlier.args.clone(), outputs });
    }
    None
}
