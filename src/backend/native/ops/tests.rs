//! Whatever they are given, operators answer or refuse: no panic, no memory beyond the limits.

use super::trial::{op, texts, value};
use crate::Limits;
use crate::backend::native::value::Value;
use crate::onnx::AttributeProto;
use crate::onnx::builder::{float, int, ints, string};

/// An operator with the inputs that it takes at most, and forms of its attributes.
type Form = (&'static str, &'static str, i64, usize, Vec<Vec<AttributeProto>>);

fn forms() -> Vec<Form> {
    let kernel = || ints("kernel_shape", [2, 2]);
    let none = || vec![Vec::new()];
    let modes = ["nearest", "linear", "cubic"].map(|m| vec![string("mode", m)]);
    let crop = vec![string("coordinate_transformation_mode", "tf_crop_and_resize"), string("mode", "linear")];
    let smooth = vec![string("mode", "cubic"), int("antialias", 1), int("exclude_outside", 1)];
    let kept = vec![string("keep_aspect_ratio_policy", "not_larger"), ints("axes", [1, 0])];
    vec![
        ("Resize", "", 19, 4, modes.into_iter().chain([crop, smooth, kept]).collect()),
        ("Upsample", "", 9, 2, none()),
        ("Conv", "", 22, 3, vec![vec![], vec![int("group", 2)], vec![string("auto_pad", "SAME_UPPER")]]),
        ("ConvTranspose", "", 22, 3, vec![vec![], vec![ints("output_shape", [3, 3])], vec![ints("strides", [2, 2])]]),
        (
            "MaxPool",
            "",
            22,
            1,
            vec![vec![kernel()], vec![kernel(), int("ceil_mode", 1)], vec![ints("kernel_shape", [2, 2, 2])]],
        ),
        (
            "AveragePool",
            "",
            22,
            1,
            vec![vec![kernel(), int("count_include_pad", 1), int("ceil_mode", 1), ints("pads", [1, 1, 1, 1])]],
        ),
        ("LpPool", "", 22, 1, vec![vec![kernel()], vec![kernel(), int("p", 3)]]),
        ("GlobalLpPool", "", 2, 1, none()),
        ("Col2Im", "", 18, 3, none()),
        ("MaxUnpool", "", 22, 3, vec![vec![kernel()]]),
        ("DeformConv", "", 22, 5, none()),
        ("RoiAlign", "", 22, 3, vec![vec![], vec![int("output_height", 3), int("sampling_ratio", 2)]]),
        ("NonMaxSuppression", "", 11, 5, vec![vec![], vec![int("center_point_box", 1)]]),
        ("AffineGrid", "", 20, 2, vec![vec![], vec![int("align_corners", 1)]]),
        ("DFT", "", 20, 3, vec![vec![], vec![int("onesided", 1)], vec![int("inverse", 1), int("onesided", 1)]]),
        ("STFT", "", 17, 4, none()),
        ("HannWindow", "", 17, 1, vec![vec![], vec![int("periodic", 0)]]),
        ("MelWeightMatrix", "", 17, 5, none()),
        ("RNN", "", 22, 6, vec![vec![int("layout", 1)], vec![float("clip", 1.0)]]),
        ("GRU", "", 22, 6, vec![vec![], vec![int("layout", 1), int("linear_before_reset", 1)]]),
        ("LSTM", "", 22, 8, vec![vec![], vec![string("direction", "bidirectional"), int("input_forget", 1)]]),
        (
            "Attention",
            "",
            24,
            7,
            vec![vec![], vec![int("q_num_heads", 2), int("kv_num_heads", 1), int("is_causal", 1)]],
        ),
        (
            "LinearAttention",
            "",
            27,
            4,
            vec![vec![int("q_num_heads", 2), int("kv_num_heads", 1), string("update_rule", "linear")]],
        ),
        ("CausalConvWithState", "", 27, 4, none()),
        ("FlexAttention", "ai.onnx.preview", 1, 3, none()),
        ("NegativeLogLikelihoodLoss", "", 22, 3, vec![vec![], vec![int("ignore_index", -1)]]),
        ("SoftmaxCrossEntropyLoss", "", 13, 3, vec![vec![string("reduction", "none")]]),
        ("CenterCropPad", "", 18, 2, vec![vec![], vec![ints("axes", [-1, 0])]]),
        ("TensorScatter", "", 24, 3, vec![vec![], vec![string("mode", "circular")]]),
        ("BitCast", "", 26, 1, vec![vec![int("to", 6)], vec![int("to", 9)]]),
        ("BatchNormalization", "", 15, 5, vec![vec![int("training_mode", 1)]]),
        ("QLinearMatMul", "", 21, 8, none()),
        ("QuantizeLinear", "", 21, 3, vec![vec![int("block_size", 2)], vec![int("block_size", i64::MAX)]]),
        ("Adam", "ai.onnx.preview.training", 1, 6, none()),
        ("Dropout", "", 22, 3, none()),
    ]
}

/// Values of awkward shapes and numbers, and some that fit each other.
fn bag() -> Vec<Value<'static>> {
    let floats = |shape: &[usize]| {
        let count: usize = shape.iter().product();
        value(shape, (0..count).map(|i| (i % 5) as f32 - 1.5).collect::<Vec<f32>>())
    };
    let shapes: [&[usize]; 14] = [
        &[],
        &[0],
        &[1],
        &[2],
        &[4],
        &[2, 2],
        &[1, 4],
        &[2, 3, 4],
        &[1, 2, 2],
        &[1, 2, 3, 3],
        &[2, 2, 2, 2],
        &[0, 2, 3, 3],
        &[1, 2, 2, 0],
        &[1, 1, 1, 1, 2],
    ];
    let mut bag: Vec<Value<'static>> = shapes.iter().map(|shape| floats(shape)).collect();
    bag.extend([
        value(&[4], [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX]),
        value(&[4], [1e-30f32, 1e30, 0.0, -1.0]),
        value(&[], [2i64]),
        value(&[1], [-3i64]),
        value(&[2], [1i64 << 40, 3]),
        value(&[2], [i64::MAX, i64::MIN]),
        value(&[4], [1i64, 2, 5, 5]),
        value(&[1, 4], [0i64, 1, 7, -1]),
        value(&[2, 2], [1u8, 255, 0, 7]),
        value(&[2, 2], [1i8, -128, 0, 7]),
        value(&[2], [true, false]),
        value(&[2, 2], [1.0f64, -1.0, 0.5, f64::NAN]),
        value(&[1, 2, 2], [half::f16::from_f32(0.5); 4]),
        texts(&[2], &["a", "b"]),
    ]);
    bag
}

#[test]
fn awkward_inputs_never_panic() {
    let bag = bag();
    let limits = Limits::default().max_elements(1 << 14);
    let mut state = 1u64;
    let mut draw = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    for (name, domain, opset, most, attributes) in forms() {
        for attributes in attributes {
            for _ in 0..250 {
                let mut trial = op(name, opset, attributes.clone()).domain(domain).limits(limits).outputs(1);
                for _ in 0..1 + draw(most) {
                    // Some of few shapes, so that inputs fit each other now and then.
                    let few = draw(2) == 0;
                    trial = match draw(12) {
                        0 => trial.absent(),
                        _ => trial.input(bag[if few { 5 + draw(6) } else { draw(bag.len()) }].clone()),
                    };
                }
                // Whatever comes of it.
                let _ = trial.all();
            }
        }
    }
}
