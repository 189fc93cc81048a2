//! The change that a target stands for.

use super::builder::Quantize;
use super::fixed::{self, Ranges};
use super::layers::{Outcome, is_quantised};
use super::learn::{Learned, learn};
use super::settings::{Settings, Target, WeightForm};
use super::{blocks, dynamic, halves, linear, upgrade};
use crate::onnx::GraphProto;
use crate::onnx::edit::{Editor, subgraphs};
use crate::optimize::Optimized;
use crate::optimize::file::Original;
use crate::optimize::run::{self, Changed, Job};
use crate::{Error, ErrorKind, Result};

pub(super) fn run(quantize: &Quantize<'_>, original: &Original) -> Result<Optimized> {
    let (settings, common) = (&quantize.settings, &quantize.common);
    let mut editor = original.edit()?;
    refuse_quantised(editor.graph())?;
    let model = run::model(original, common)?;
    linear::lower(&mut editor, settings, &mut Outcome::default())?;
    let mut ranges = Ranges::new();
    if let (Target::Int8Static, Some(data), Some(model)) = (settings.target, &common.data, &model) {
        let external = original.external();
        ranges = fixed::calibrate(&mut editor, external, settings, data, model.signature(), common.progress)?;
    }
    let (learned, note) = learn(&mut editor, settings, original, common, model.as_deref())?;
    drop(editor);
    run::run(Job {
        task: "quantize",
        method: method(settings),
        original,
        common,
        model,
        rewrite: &mut |editor, keep| {
            let mut settings = settings.clone();
            settings.keep.extend(keep.iter().cloned());
            let (outcome, raised) = rewrite(editor, &settings, &ranges, &learned)?;
            let notes = raised.into_iter().chain(note.clone()).collect();
            Ok(Changed { layers: outcome.layers, skipped: outcome.skipped, notes })
        },
    })
}

fn refuse_quantised(graph: &GraphProto) -> Result<()> {
    if let Some(node) = graph.node.iter().find(|n| is_quantised(n)) {
        let what = "the model is quantised already; give the float model that it was made of";
        return Err(Error::new(ErrorKind::InvalidArgument, what).node(node.label()));
    }
    graph.node.iter().flat_map(subgraphs).try_for_each(refuse_quantised)
}

/// Rewrites the graph as the target asks for; the note on it.
fn rewrite(
    editor: &mut Editor,
    settings: &Settings,
    ranges: &Ranges,
    learned: &Learned,
) -> Result<(Outcome, Option<String>)> {
    let mut left = Outcome::default();
    linear::lower(editor, settings, &mut left)?;
    let (mut outcome, note) = rewrite_products(editor, settings, ranges, learned)?;
    outcome.skipped.splice(0..0, left.skipped);
    Ok((outcome, note))
}

fn rewrite_products(
    editor: &mut Editor,
    settings: &Settings,
    ranges: &Ranges,
    learned: &Learned,
) -> Result<(Outcome, Option<String>)> {
    // Constants need not be declared as inputs from version 4 of the format on.
    editor.raise_ir(4);
    let weights = |editor: &mut Editor, bits: u32| {
        let note = match settings.weight_form(bits) {
            WeightForm::NBits => None,
            WeightForm::BlockedQdq => upgrade::require(editor, 21, "`DequantizeLinear` in blocks")?,
            WeightForm::Channels => upgrade::require(editor, 13, "`DequantizeLinear` along an axis")?,
        };
        if bits == 4 {
            // The version of the file format that has 4-bit integers.
            editor.raise_ir(10);
        }
        Ok::<_, Error>((blocks::quantise(editor, settings, bits, &learned.costs)?, note))
    };
    match settings.target {
        Target::Int8Dynamic => {
            let note = upgrade::require(editor, 11, "`DynamicQuantizeLinear`")?;
            Ok((dynamic::quantise(editor, settings, &learned.divisors)?, note))
        }
        Target::Int8Static => {
            let note = upgrade::require(editor, 13, "`DequantizeLinear` along an axis")?;
            Ok((fixed::quantise(editor, settings, ranges)?, note))
        }
        Target::Int8Weights => weights(editor, 8),
        Target::Int4Weights => weights(editor, 4),
        Target::F16 => {
            let note = upgrade::require(editor, 9, "`Cast` of f16")?;
            Ok((halves::halve(editor, settings)?, note))
        }
        Target::Bf16 => {
            let note = upgrade::require(editor, 13, "`Cast` of bf16")?;
            Ok((halves::halve(editor, settings)?, note))
        }
    }
}

fn method(settings: &Settings) -> String {
    let mut words = vec![settings.target.to_string()];
    let eight = matches!(settings.target, Target::Int8Dynamic | Target::Int8Static | Target::Int8Weights);
    if eight {
        words.push(if settings.per_channel { "per channel" } else { "per tensor" }.to_owned());
        words.push(if settings.symmetric { "symmetric" } else { "asymmetric" }.to_owned());
    }
    if settings.seven_bits && eight {
        words.push("7 bits".to_owned());
    }
    if settings.target == Target::Int8Static {
        words.push(format!("{:?} ranges", settings.calibration));
    }
    if settings.target == Target::Int4Weights || settings.form.is_some() {
        words.push(format!("blocks of {}", settings.block));
    }
    words.join(", ")
}
