//! Whether callers of one model can call another.

use std::fmt::Display;

use crate::{Dim, Signature, TensorSpec};

/// Why a caller that was written for `before` can't call a model of signature `after`, a sentence each; empty when it
/// can: every input it sends is still taken, every output it reads is still there, and both mean the same.
#[must_use]
pub fn incompatibilities(before: &Signature, after: &Signature) -> Vec<String> {
    let mut found = Vec::new();
    for old in before.inputs() {
        match after.input(old.name()) {
            Some(new) => input(old, new, &mut found),
            None => found.push(format!("input `{}` is gone", old.name())),
        }
    }
    for new in after.inputs() {
        if before.input(new.name()).is_none() {
            found.push(format!("input `{}` is new, and callers don't send it", new.name()));
        }
    }
    for old in before.outputs() {
        match after.output(old.name()) {
            Some(new) => output(old, new, &mut found),
            None => found.push(format!("output `{}` is gone", old.name())),
        }
    }
    found
}

fn input(old: &TensorSpec, new: &TensorSpec, found: &mut Vec<String>) {
    let name = old.name();
    for dtype in old.dtypes().iter().filter(|dtype| !new.dtypes().contains(dtype)) {
        found.push(format!("input `{name}` no longer takes {}", dtype.as_str()));
    }
    let takes = |(old, new): (&Dim, &Dim)| match (old, new) {
        (Dim::Batch, new) => *new == Dim::Batch,
        (Dim::Fixed(a), Dim::Fixed(b)) => a == b,
        (Dim::Fixed(_) | Dim::Named(_), Dim::Named(_)) => true,
        (_, Dim::Any) => true,
        _ => false,
    };
    if old.dims().len() != new.dims().len() || !old.dims().iter().zip(new.dims()).all(takes) {
        found.push(changed("input", name, "shape", old.shape_text(), new.shape_text()));
    }
    entries("input", "features", old, new, found);
    for (i, (old, new)) in old.categories().iter().zip(new.categories()).enumerate() {
        // Without a list any value is taken.
        if let Some(gone) = old.iter().find(|category| !new.is_empty() && !new.contains(category)) {
            found.push(format!("input `{name}` no longer knows the category `{gone}` of column {i}"));
        }
    }
}

fn output(old: &TensorSpec, new: &TensorSpec, found: &mut Vec<String>) {
    let name = old.name();
    if old.dtype() != new.dtype() {
        found.push(changed("output", name, "type", old.dtype().as_str(), new.dtype().as_str()));
    }
    let fits = |(old, new): (&Dim, &Dim)| match (old, new) {
        (Dim::Batch, new) | (new, Dim::Batch) => *new == Dim::Batch,
        (Dim::Fixed(a), Dim::Fixed(b)) => a == b,
        (Dim::Fixed(_), _) => false,
        _ => true,
    };
    let same = old.dims().len() == new.dims().len() && old.dims().iter().zip(new.dims()).all(fits);
    if !same {
        found.push(changed("output", name, "shape", old.shape_text(), new.shape_text()));
    }
    entries("output", "classes", old, new, found);
}

/// Entries along the last axis are read by their place, so that their order counts.
fn entries(side: &str, what: &str, old: &TensorSpec, new: &TensorSpec, found: &mut Vec<String>) {
    let (old_names, new_names) = (old.features(), new.features());
    if old_names.is_empty() || new_names.is_empty() || old_names == new_names {
        return;
    }
    let differs = old_names.iter().zip(new_names).position(|(a, b)| a != b);
    found.push(match differs {
        Some(i) => changed(side, old.name(), &format!("{what} at place {i}"), &old_names[i], &new_names[i]),
        None => changed(side, old.name(), &format!("number of {what}"), old_names.len(), new_names.len()),
    });
}

fn changed(side: &str, name: &str, what: &str, old: impl Display, new: impl Display) -> String {
    format!("{side} `{name}` has another {what}: {new}, not {old}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    fn signature(inputs: Vec<TensorSpec>) -> Signature {
        Signature::new(inputs, vec![TensorSpec::new("p", DType::F32, [Dim::Batch, Dim::Fixed(2)])])
    }

    fn x(n: Dim) -> TensorSpec {
        TensorSpec::new("X", DType::F32, [Dim::Batch, n])
    }

    #[test]
    fn what_callers_would_notice_is_found() {
        let old = signature(vec![x(Dim::Fixed(4))]);
        assert!(incompatibilities(&old, &old).is_empty());
        assert!(incompatibilities(&old, &signature(vec![x(Dim::Any).accepting(DType::F64)])).is_empty());
        let more = Signature::new(
            old.inputs().to_vec(),
            [old.outputs(), &[TensorSpec::new("label", DType::I64, [Dim::Batch])]].concat(),
        );
        assert!(incompatibilities(&old, &more).is_empty());
        let refused = [
            (signature(vec![x(Dim::Fixed(5))]), "shape"),
            (signature(vec![x(Dim::Fixed(4)).renamed("Y")]), "gone"),
            (signature(vec![x(Dim::Fixed(4)), x(Dim::Fixed(4)).renamed("Y")]), "is new"),
            (signature(vec![TensorSpec::new("X", DType::F64, [Dim::Batch, Dim::Fixed(4)])]), "no longer takes f32"),
        ];
        for (new, part) in refused {
            let found = incompatibilities(&old, &new);
            assert!(found.iter().any(|why| why.contains(part)), "{part}: {found:?}");
        }
        assert_eq!(incompatibilities(&more, &old), ["output `label` is gone"]);
        let named =
            |names: [&str; 2]| signature(vec![x(Dim::Fixed(2)).with_features(names.map(str::to_owned).to_vec())]);
        let found = incompatibilities(&named(["age", "income"]), &named(["income", "age"]));
        assert_eq!(found, ["input `X` has another features at place 0: income, not age"]);
        let known = |names: &[&str]| {
            signature(vec![x(Dim::Fixed(1)).with_categories(vec![names.iter().map(|n| (*n).to_owned()).collect()])])
        };
        assert!(incompatibilities(&known(&["a"]), &known(&["a", "b"])).is_empty());
        assert_eq!(incompatibilities(&known(&["a", "b"]), &known(&["a"])).len(), 1);
    }
}
