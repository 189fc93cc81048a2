use crate::backend::native::compile::{Context, compile};
use crate::backend::native::op::Scratch;
use crate::backend::native::ops::trial::{info, value};
use crate::backend::native::value::Value;
use crate::onnx::builder::{self, dense_tensor, f32_tensor, node};
use crate::onnx::{AttributeProto, GraphProto, NodeProto, TensorProto};
use crate::{Limits, TreeEngine};

/// A stream of numbers between -1 and 1.
fn numbers(count: usize, mut state: u64) -> Vec<f32> {
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        ((state >> 33) as f64 / (1u64 << 30) as f64 - 1.0) as f32
    };
    (0..count).map(|_| next()).collect()
}

fn step(op: &str, inputs: &[&str], outputs: &[&str], attributes: &[AttributeProto]) -> NodeProto {
    node(op, "", inputs, outputs, attributes.to_vec())
}

fn floats(name: &str, dims: &[usize], seed: u64) -> TensorProto {
    f32_tensor(name, dims, numbers(dims.iter().product(), seed)).unwrap()
}

fn one(name: &str, x: f32) -> TensorProto {
    f32_tensor(name, &[], vec![x]).unwrap()
}

fn graph(inputs: &[&str], nodes: Vec<NodeProto>, constants: Vec<TensorProto>) -> GraphProto {
    let inputs: Vec<_> = inputs.iter().map(|name| info(name)).collect();
    builder::graph("g", inputs, nodes, constants, vec![info("y")])
}

fn run(graph: &GraphProto, inputs: &[Value<'static>]) -> (Value<'static>, Vec<String>) {
    let opsets = [(String::new(), 17)].into_iter().collect();
    let context =
        Context { opsets, limits: Limits::default(), external: None, tree_engine: TreeEngine::Auto, row_ranges: false };
    let program = compile(&context, graph, None, None).unwrap().program;
    let mut cx = Scratch::new(Limits::default());
    let out = program.run(inputs.iter().map(Value::as_view), &mut cx).unwrap().remove(0).into_static();
    (out, program.steps.iter().map(|s| s.label.clone()).collect())
}

/// The graph answers the same within `tolerance` after it is rewritten, in so many steps.
fn agrees(graph: &GraphProto, inputs: &[Value<'static>], tolerance: f32, steps: usize) {
    let rewritten = super::rewrite(graph, &Limits::default());
    let ((plain, _), (fused, labels)) = (run(graph, inputs), run(&rewritten, inputs));
    assert_eq!(plain.shape(), fused.shape());
    assert_eq!(labels.len(), steps, "{labels:?}");
    for (p, f) in plain.to_f32s().unwrap().iter().zip(fused.to_f32s().unwrap()) {
        assert!((p - f).abs() <= tolerance * (1.0 + p.abs()), "{p} {f} {labels:?}");
    }
}

#[test]
fn a_node_that_gives_nothing_is_in_no_rule() {
    for gives in [&[][..], &["y"]] {
        let nodes = vec![
            step("DynamicQuantizeLinear", &["x"], &["q", "s", "z"], &[]),
            step("MatMulInteger", &["q", "w", "z"], &["i"], &[]),
            step("Cast", &["i"], &["f"], &[builder::int("to", 1)]),
            step("Mul", &["s", "t"], &["factor"], &[]),
            step("Mul", &["f", "factor"], &["p"], &[]),
            step("Relu", &["p"], gives, &[]),
        ];
        let weights = builder::dense_tensor("w", &[2, 1], vec![1i8, -1]).unwrap();
        let graph = graph(&["x"], nodes, vec![weights, one("t", 0.5)]);
        let rewritten = super::rewrite(&graph, &Limits::default());
        let fused = rewritten.node.iter().find(|n| n.operator() == "Linear").unwrap();
        assert_eq!(fused.output[0], if gives.is_empty() { "p" } else { "y" });
    }
}

#[test]
fn a_gelu_written_with_erf_is_one_step() {
    let x = value(&[3, 40], numbers(120, 1).iter().map(|v| v * 4.0).collect::<Vec<f32>>());
    let constants = || vec![one("root", std::f32::consts::SQRT_2), one("one", 1.0), one("half", 0.5)];
    let begin = || {
        vec![
            step("Div", &["x", "root"], &["a"], &[]),
            step("Erf", &["a"], &["b"], &[]),
            step("Add", &["b", "one"], &["c"], &[]),
        ]
    };
    let mut nodes = begin();
    nodes.extend([step("Mul", &["x", "c"], &["d"], &[]), step("Mul", &["d", "half"], &["y"], &[])]);
    agrees(&graph(&["x"], nodes, constants()), std::slice::from_ref(&x), 1e-6, 1);
    let mut nodes = begin();
    nodes.extend([step("Mul", &["half", "x"], &["h"], &[]), step("Mul", &["h", "c"], &["y"], &[])]);
    agrees(&graph(&["x"], nodes, constants()), &[x], 1e-6, 1);
}

#[test]
fn attention_is_one_step_however_its_heads_lie() {
    let perm = |axes: &[i64]| builder::ints("perm", axes.to_vec());
    let (b, s, h, d) = (2, 5, 3, 4);
    let of = |seed| value(&[b, s, h, d], numbers(b * s * h * d, seed));
    let mask = value(&[b, 1, 1, s], numbers(b * s, 9));
    let nodes = vec![
        step("Transpose", &["q"], &["qt"], &[perm(&[0, 2, 1, 3])]),
        step("Transpose", &["k"], &["kt"], &[perm(&[0, 2, 3, 1])]),
        step("Transpose", &["v"], &["vt"], &[perm(&[0, 2, 1, 3])]),
        step("MatMul", &["qt", "kt"], &["s"], &[]),
        step("Div", &["s", "two"], &["sd"], &[]),
        step("Add", &["sd", "m"], &["sm"], &[]),
        step("Softmax", &["sm"], &["p"], &[builder::int("axis", -1)]),
        step("MatMul", &["p", "vt"], &["o"], &[]),
        step("Transpose", &["o"], &["y"], &[perm(&[0, 2, 1, 3])]),
    ];
    let whole = graph(&["q", "k", "v", "m"], nodes, vec![one("two", 2.0)]);
    agrees(&whole, &[of(1), of(2), of(3), mask], 1e-5, 1);
    let nodes = vec![
        step("Transpose", &["k"], &["kt"], &[perm(&[0, 1, 3, 2])]),
        step("MatMul", &["q", "kt"], &["s"], &[]),
        step("Softmax", &["s"], &["p"], &[builder::int("axis", -1)]),
        step("MatMul", &["p", "v"], &["y"], &[]),
    ];
    agrees(&graph(&["q", "k", "v"], nodes, vec![]), &[of(1), of(2), of(3)], 1e-5, 1);
}

#[test]
fn a_sum_is_normalised_in_one_step() {
    let (a, b) = (value(&[4, 24], numbers(96, 1)), value(&[4, 24], numbers(96, 2)));
    let nodes = vec![
        step("Add", &["a", "b"], &["s"], &[]),
        step("LayerNormalization", &["s", "w", "c"], &["y"], &[builder::int("axis", -1)]),
    ];
    agrees(&graph(&["a", "b"], nodes, vec![floats("w", &[24], 3), floats("c", &[24], 4)]), &[a, b], 1e-5, 1);
}

#[test]
fn images_stay_channels_last_between_convolutions() {
    let pads = || builder::ints("pads", vec![1, 1, 1, 1]);
    let pool = [builder::ints("kernel_shape", vec![2, 2]), builder::ints("strides", vec![2, 2])];
    let nodes = vec![
        step("Conv", &["x", "w1", "b1"], &["a"], &[pads()]),
        step("Relu", &["a"], &["r"], &[]),
        step("MaxPool", &["r"], &["p"], &pool),
        step("Conv", &["p", "w2"], &["d"], &[pads(), builder::int("group", 20)]),
        step("HardSwish", &["d"], &["s"], &[]),
        step("Conv", &["s", "w3", "b3"], &["e"], &[builder::ints("strides", vec![2, 1])]),
        step("Add", &["e", "e"], &["f"], &[]),
        step("Conv", &["f", "w4"], &["g"], &[pads(), builder::int("group", 2), builder::ints("dilations", vec![2, 1])]),
        step("GlobalAveragePool", &["g"], &["y"], &[]),
    ];
    let constants = vec![
        floats("w1", &[20, 3, 3, 3], 1),
        floats("b1", &[20], 2),
        floats("w2", &[20, 1, 3, 3], 3),
        floats("w3", &[18, 20, 2, 2], 4),
        floats("b3", &[18], 5),
        floats("w4", &[6, 9, 2, 3], 6),
    ];
    let x = value(&[2, 3, 12, 10], numbers(720, 7));
    agrees(&graph(&["x"], nodes, constants), &[x], 1e-4, 8);
}

#[test]
fn convolutions_match_a_plain_sum() {
    // (channels, answers, groups, kernel, strides, pads, dilations)
    let cases = [
        (3, 5, 1, [3, 3], [1, 1], [1, 1, 1, 1], [1, 1]),
        (4, 6, 2, [2, 3], [2, 1], [0, 1, 1, 0], [1, 2]),
        (5, 5, 5, [3, 2], [1, 2], [2, 0, 0, 1], [2, 1]),
        (2, 4, 2, [1, 1], [2, 2], [0, 0, 0, 0], [1, 1]),
        (1, 1, 1, [3, 3], [1, 1], [1, 1, 1, 1], [1, 1]),
    ];
    let (h, w) = (7usize, 6usize);
    for (c, o, g, [kh, kw], [sh, sw], pads, [dh, dw]) in cases {
        let (x, weights) = (numbers(2 * c * h * w, 1), numbers(o * c / g * kh * kw, 2));
        let all = |v: &[usize]| v.iter().map(|&v| v as i64).collect::<Vec<_>>();
        let attributes = [
            builder::int("group", g as i64),
            builder::ints("strides", all(&[sh, sw])),
            builder::ints("pads", all(&pads)),
            builder::ints("dilations", all(&[dh, dw])),
        ];
        let constants = vec![f32_tensor("w", &[o, c / g, kh, kw], weights.clone()).unwrap()];
        let graph = graph(&["x"], vec![step("Conv", &["x", "w"], &["y"], &attributes)], constants);
        let (y, _) = run(&graph, &[value(&[2, c, h, w], x.clone())]);
        let oh = (h + pads[0] + pads[2] - (kh - 1) * dh - 1) / sh + 1;
        let ow = (w + pads[1] + pads[3] - (kw - 1) * dw - 1) / sw + 1;
        assert_eq!(y.shape(), [2, o, oh, ow]);
        for (at, got) in y.as_slice::<f32>().unwrap().iter().enumerate() {
            let (n, j, oy, ox) = (at / (o * oh * ow), at / (oh * ow) % o, at / ow % oh, at % ow);
            let mut sum = 0.0f64;
            for (i, ky, kx) in (0..c / g).flat_map(|i| (0..kh).flat_map(move |y| (0..kw).map(move |x| (i, y, x)))) {
                let (Some(y), Some(x_)) =
                    ((oy * sh + ky * dh).checked_sub(pads[0]), (ox * sw + kx * dw).checked_sub(pads[1]))
                else {
                    continue;
                };
                if y < h && x_ < w {
                    let channel = j / (o / g) * (c / g) + i;
                    let item = x[((n * c + channel) * h + y) * w + x_];
                    sum += f64::from(item) * f64::from(weights[((j * (c / g) + i) * kh + ky) * kw + kx]);
                }
            }
            assert!((f64::from(*got) - sum).abs() < 1e-5, "{got} {sum} at {at} of {c} {o} {g}");
        }
    }
}

/// A convolution over `x` (1, 3, 6, 5) with a normalisation of its 4 channels after it.
fn normalised(with_bias: bool, attributes: &[AttributeProto], constants: Vec<TensorProto>) -> GraphProto {
    let conv = if with_bias { &["x", "w", "b"][..] } else { &["x", "w"] };
    let nodes = vec![
        step("Conv", conv, &["c"], &[builder::ints("pads", [1, 1, 1, 1])]),
        step("BatchNormalization", &["c", "scale", "shift", "mean", "variance"], &["n"], attributes),
        step("Relu", &["n"], &["y"], &[]),
    ];
    let mut all = vec![
        floats("b", &[4], 11),
        floats("scale", &[4], 3),
        floats("shift", &[4], 4),
        floats("mean", &[4], 5),
        f32_tensor("variance", &[4], vec![0.5, 2.0, 0.1, 1.0]).unwrap(),
    ];
    all.extend(constants);
    graph(&["x"], nodes, all)
}

#[test]
fn convolutions_take_in_the_normalisation_after_them() {
    let x = value(&[1, 3, 6, 5], numbers(90, 1));
    let weights = || vec![floats("w", &[4, 3, 3, 3], 2)];
    for with_bias in [false, true] {
        let whole = normalised(with_bias, &[builder::float("epsilon", 1e-3)], weights());
        agrees(&whole, std::slice::from_ref(&x), 1e-5, 1);
    }
    // What the convolution gives is needed elsewhere too.
    let mut twice = normalised(true, &[], weights());
    twice.node.push(step("Add", &["y", "c"], &["z"], &[]));
    twice.output = vec![info("z")];
    agrees(&twice, std::slice::from_ref(&x), 1e-5, 4);
    // A variance that is none.
    let mut negative = normalised(true, &[], weights());
    negative.initializer.retain(|t| t.name.as_deref() != Some("variance"));
    negative.initializer.push(f32_tensor("variance", &[4], vec![0.5, -2.0, 0.1, 1.0]).unwrap());
    assert_eq!(run(&super::rewrite(&negative, &Limits::default()), std::slice::from_ref(&x)).1.len(), 3);
}

#[test]
fn constants_made_of_a_shape_are_weights() {
    let x = value(&[1, 3, 6, 5], numbers(90, 1));
    let mut graph = normalised(true, &[], vec![dense_tensor("shape", &[4], vec![4i64, 3, 3, 3]).unwrap()]);
    let fill = builder::tensor("value", f32_tensor("", &[1], vec![0.25]).unwrap());
    graph.node.insert(0, step("ConstantOfShape", &["shape"], &["w"], &[fill]));
    agrees(&graph, std::slice::from_ref(&x), 1e-5, 1);
}
