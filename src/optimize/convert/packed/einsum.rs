//! `Einsum`: sums of products along named axes, as a chain of products of matrices.

use super::learned::text;
use super::network::misfit;
use super::values::{Packer, Value};
use crate::Result;
use crate::backend::native::{Equation, Label, Labels};
use crate::edge::{Kind, Reduction};
use crate::onnx::NodeProto;

/// A value whose axes have names, each once.
struct Named {
    labels: Vec<Label>,
    value: Value,
}

/// How long the axes of a name are.
struct Sizes(Vec<(Label, usize)>);

impl Sizes {
    fn of(values: &[Value], labels: &[Vec<Label>]) -> Option<Self> {
        let mut sizes: Vec<(Label, usize)> = Vec::new();
        for (label, n) in values.iter().zip(labels).flat_map(|(v, l)| l.iter().copied().zip(v.shape.iter().copied())) {
            match sizes.iter_mut().find(|(known, _)| *known == label) {
                None => sizes.push((label, n)),
                Some((_, size)) if *size == 1 => *size = n,
                Some((_, size)) if *size == n || n == 1 => {}
                Some(_) => return None,
            }
        }
        Some(Self(sizes))
    }

    fn shape(&self, labels: &[Label]) -> Vec<usize> {
        let size = |label: &Label| self.0.iter().find(|(known, _)| known == label).map_or(1, |(_, n)| *n);
        labels.iter().map(size).collect()
    }

    fn count(&self, labels: &[Label]) -> usize {
        self.shape(labels).iter().product()
    }
}

impl Packer {
    pub(super) fn summed_products(&mut self, node: &NodeProto) -> Result<Value> {
        let values = (0..node.input.len()).map(|i| self.input(node, i)).collect::<Result<Vec<_>>>()?;
        let equation = Equation::parse(&text(node, "equation", ""), values.len())?;
        let wrong = || misfit(node, "inputs whose axes do not fit the equation");
        let Labels { inputs, output } = equation.labels(values.iter().map(|v| v.shape.len())).ok_or_else(wrong)?;
        let sizes = Sizes::of(&values, &inputs).ok_or_else(wrong)?;
        if sizes.0.iter().any(|(_, n)| *n == 0) {
            return Err(misfit(node, "a product of nothing"));
        }
        let kept = |labels: &[Label], needed: &[Label]| {
            let mut kept: Vec<Label> = Vec::new();
            for label in labels.iter().filter(|label| needed.contains(label)) {
                if !kept.contains(label) {
                    kept.push(*label);
                }
            }
            kept
        };
        let needed = |from: usize| -> Vec<Label> { inputs[from..].iter().flatten().chain(&output).copied().collect() };
        let mut all = self.summed_to(node, &values[0], &inputs[0], kept(&inputs[0], &needed(1)), &sizes)?;
        for (i, (value, labels)) in values.iter().zip(&inputs).enumerate().skip(1) {
            let later = needed(i + 1);
            let kept = kept(labels, &[&later[..], &all.labels].concat());
            let next = self.summed_to(node, value, labels, kept, &sizes)?;
            all = self.contracted(node, &all, &next, &later, &sizes)?;
        }
        Ok(Value { kind: values[0].kind, ..self.named(node, &all.value, &all.labels, &output, &sizes)? })
    }

    /// `value` with its axes as `wanted`: those of one name along their diagonal, short ones repeated.
    fn named(
        &mut self,
        node: &NodeProto,
        value: &Value,
        labels: &[Label],
        wanted: &[Label],
        sizes: &Sizes,
    ) -> Result<Value> {
        let shape = sizes.shape(wanted);
        self.check(node, &shape)?;
        let step = |axis: usize| -> usize { value.shape[axis + 1..].iter().product() };
        let steps = |label: &Label| -> usize {
            let own = labels.iter().enumerate().filter(|(axis, own)| *own == label && value.shape[*axis] != 1);
            own.map(|(axis, _)| step(axis)).sum()
        };
        let steps: Vec<usize> = wanted.iter().map(steps).collect();
        let places = super::values::strided(&shape, &steps);
        Ok(self.arranged(value, &shape, &places))
    }

    /// `value` summed over all axes but those in `kept`.
    fn summed_to(
        &mut self,
        node: &NodeProto,
        value: &Value,
        labels: &[Label],
        kept: Vec<Label>,
        sizes: &Sizes,
    ) -> Result<Named> {
        let mut order = kept.clone();
        for label in labels {
            if !order.contains(label) {
                order.push(*label);
            }
        }
        let all = self.named(node, value, labels, &order, sizes)?;
        if order.len() == kept.len() {
            return Ok(Named { labels: kept, value: all });
        }
        let span = self.span(&all);
        let span = self.program.reduce(Reduction::Sum, span, sizes.count(&order[kept.len()..]), 1);
        Ok(Named { value: Value::slot(&sizes.shape(&kept), value.kind, span), labels: kept })
    }

    /// The product of two, summed over what both have and `kept` has not.
    fn contracted(&mut self, node: &NodeProto, a: &Named, b: &Named, kept: &[Label], sizes: &Sizes) -> Result<Named> {
        let pick = |from: &Named, f: &dyn Fn(&Label) -> bool| -> Vec<Label> {
            from.labels.iter().copied().filter(|l| f(l)).collect()
        };
        let batch = pick(a, &|l| b.labels.contains(l) && kept.contains(l));
        let inner = pick(a, &|l| b.labels.contains(l) && !kept.contains(l));
        let rows = pick(a, &|l| !b.labels.contains(l));
        let columns = pick(b, &|l| !a.labels.contains(l));
        let left = self.named(node, &a.value, &a.labels, &[&batch[..], &rows, &inner].concat(), sizes)?;
        let right = self.named(node, &b.value, &b.labels, &[&batch[..], &inner, &columns].concat(), sizes)?;
        let [stacks, m, k, n] = [&batch, &rows, &inner, &columns].map(|labels| sizes.count(labels));
        let left = Value { shape: vec![stacks, m, k], ..left };
        let right = Value { shape: vec![stacks, k, n], ..right };
        let product = self.multiplied(node, &left, &right)?;
        let labels = [batch, rows, columns].concat();
        Ok(Named { value: Value { shape: sizes.shape(&labels), kind: Kind::F32, ..product }, labels })
    }
}
