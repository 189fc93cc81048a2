use std::time::Duration;

use super::solve::Normal;
use super::{Prune, Pruning};
use crate::onnx::{DecodeLimits, ModelProto, NodeProto, builder, data_type};
use crate::optimize::Data;
use crate::optimize::trees::{Ensemble, Node};
use crate::{Artifact, ErrorKind, Loader, Tensor, Tensors};

fn artifact(model: &ModelProto) -> Artifact {
    Artifact::in_memory("onnx", "model.onnx", model.encode_to_vec())
}

fn graph(artifact: &Artifact) -> crate::onnx::GraphProto {
    let bytes = artifact.files[0].content().unwrap();
    *ModelProto::decode(bytes, &DecodeLimits::default()).unwrap().graph.unwrap()
}

fn rows(n: usize, k: usize) -> Tensors<'static> {
    let values = (0..n * k).map(|i| ((i * 31 + i / 7) % 97) as f32 / 48.0 - 1.0).collect();
    Tensors::one("x", Tensor::from_vec(&[n, k], values).unwrap())
}

/// 8 features, 16 units of which the odd ones give nothing, 3 outputs.
fn perceptron() -> ModelProto {
    let weight = |i: usize| ((i * 7919) % 1009) as f32 / 504.5 - 1.0;
    let a: Vec<f32> = (0..128).map(|i| if i % 16 % 2 == 1 { 0.0 } else { weight(i) }).collect();
    let b: Vec<f32> = (0..48).map(weight).collect();
    let constants = [
        builder::f32_tensor("a", &[8, 16], a).unwrap(),
        builder::f32_tensor("c", &[16], vec![0.0; 16]).unwrap(),
        builder::f32_tensor("b", &[16, 3], b).unwrap(),
    ];
    let nodes = [
        builder::node("Gemm", "", &["x", "a", "c"], &["h"], []),
        builder::node("Relu", "", &["h"], &["r"], []),
        builder::node("MatMul", "", &["r", "b"], &["y"], []),
    ];
    let value = |name: &str, k: i64| {
        builder::value_info(name, data_type::FLOAT, &[builder::Dim::Symbolic("n"), builder::Dim::Fixed(k)])
    };
    builder::model(8, &[("", 17)], builder::graph("g", [value("x", 8)], nodes, constants, [value("y", 3)]))
}

#[test]
fn units_that_give_nothing_go_and_nothing_changes() {
    let model = perceptron();
    let x = rows(5, 8);
    let want = Loader::new().load_artifact(&artifact(&model)).unwrap().predict_batch(&x).unwrap();
    for data in [None, Some(Data::arrays(rows(64, 8)))] {
        let mut prune = Prune::new(Pruning::Structured, 0.5).latency_time(Duration::ZERO);
        if let Some(data) = data {
            prune = prune.data(data);
        }
        let done = prune.run_artifact(&artifact(&model)).unwrap();
        let dims: Vec<Vec<i64>> = graph(done.artifact()).initializer.iter().map(|t| t.dims.clone()).collect();
        assert_eq!(dims, [vec![8, 8], vec![8], vec![8, 3]]);
        let got = done.load(&Loader::new()).unwrap().predict_batch(&x).unwrap();
        let [want, got] = [&want, &got].map(|t| t.get::<f32>("y").unwrap().to_owned());
        assert!(want.iter().zip(&got).all(|(a, b)| (a - b).abs() < 1e-4), "{want} {got}");
        assert_eq!(done.report.parameters.before - done.report.parameters.after, 64 + 8 + 24);
    }
}

#[test]
fn the_smallest_weights_become_zero() {
    let done = Prune::new(Pruning::MagnitudeGlobal, 0.5).run_artifact(&artifact(&perceptron())).unwrap();
    let zeros: u64 = done.report.layers.iter().map(|l| l.parameters).sum();
    assert!((88..=92).contains(&zeros), "{zeros}");
    let e = Prune::new(Pruning::Magnitude, 1.0).run_artifact(&artifact(&perceptron())).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::InvalidArgument);
    let e = Prune::new(Pruning::Trees, 0.5).run_artifact(&artifact(&perceptron())).unwrap_err();
    assert!(e.to_string().contains("no part of the model qualifies"), "{e}");
}

#[test]
fn least_squares_are_those_of_the_formula() {
    // y = 2 a - b + 3.
    let x: Vec<f32> = (0..40).map(|i| ((i * 13) % 17) as f32).collect();
    let y: Vec<f32> = x.chunks(2).map(|r| 2.0 * r[0] - r[1] + 3.0).collect();
    let mut normal = Normal::new(2, 1, true);
    normal.add(&x, &y);
    let found = normal.solve(1e-12).unwrap();
    assert!(found.iter().zip([2.0, -1.0, 3.0]).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
    assert!(Normal::new(2, 1, false).solve(0.1).is_none());
}

/// Two trees: one whose two leaves are equal, one of two different ones.
fn ensemble() -> NodeProto {
    builder::node(
        "TreeEnsembleRegressor",
        "ai.onnx.ml",
        &["x"],
        &["y"],
        [
            builder::int("n_targets", 1),
            builder::ints("nodes_treeids", vec![0i64, 0, 0, 1, 1, 1]),
            builder::ints("nodes_nodeids", vec![0i64, 1, 2, 0, 1, 2]),
            builder::ints("nodes_featureids", vec![0i64, 0, 0, 1, 0, 0]),
            builder::ints("nodes_truenodeids", vec![1i64, 0, 0, 1, 0, 0]),
            builder::ints("nodes_falsenodeids", vec![2i64, 0, 0, 2, 0, 0]),
            builder::floats("nodes_values", vec![0.5f32, 0.0, 0.0, 0.0, 0.0, 0.0]),
            builder::strings("nodes_modes", &["BRANCH_LEQ", "LEAF", "LEAF", "BRANCH_LT", "LEAF", "LEAF"]),
            builder::ints("target_treeids", vec![0i64, 0, 1, 1]),
            builder::ints("target_nodeids", vec![1i64, 2, 1, 2]),
            builder::ints("target_ids", vec![0i64; 4]),
            builder::floats("target_weights", vec![4.0f32, 4.0, 1.0, -1.0]),
        ],
    )
}

#[test]
fn equal_leaves_become_one_and_constant_trees_go_into_the_base() {
    let node = ensemble();
    let read = Ensemble::read(&node).unwrap();
    assert_eq!(read.trees[1].votes(&[0.0, -1.0]), [(0, 1.0)]);
    assert_eq!(read.trees[0].collapsed().nodes, [Node::Leaf(vec![(0, 4.0)])]);
    let mut written = node.clone();
    read.write(&mut written);
    assert_eq!(Ensemble::read(&written).unwrap(), read);

    let value = |name: &str, k: i64| {
        builder::value_info(name, data_type::FLOAT, &[builder::Dim::Symbolic("n"), builder::Dim::Fixed(k)])
    };
    let graph = builder::graph("g", [value("x", 2)], [node], [], [value("y", 1)]);
    let model = builder::model(8, &[("", 17), ("ai.onnx.ml", 3)], graph);
    let done = Prune::new(Pruning::Trees, 0.5)
        .data(Data::arrays(rows(30, 2)))
        .latency_time(Duration::ZERO)
        .run_artifact(&artifact(&model))
        .unwrap();
    let x = rows(9, 2);
    let [want, got] = [artifact(&model), done.artifact().clone()].map(|a| {
        let answers = Loader::new().load_artifact(&a).unwrap().predict_batch(&x).unwrap();
        answers.single().unwrap().view::<f32>().unwrap().iter().copied().collect::<Vec<f32>>()
    });
    assert_eq!(want, got);
    assert!(done.report.notes[0].contains("1 of 2 trees"), "{:?}", done.report.notes);
}

/// Attention of 4 heads of 3 units over vectors of 5, as encoders of text are exported; the heads 0 and 2 give nothing.
/// `spelt` says whether shapes tell the number of heads or leave it open.
fn attention(spelt: bool) -> ModelProto {
    let weight = |i: usize| ((i * 7919) % 1009) as f32 / 504.5 - 1.0;
    let wide = |seed: usize| (0..60).map(|i| weight(i + seed)).collect::<Vec<f32>>();
    let values = wide(7).into_iter().enumerate().map(|(i, w)| if i % 12 / 3 % 2 == 0 { 0.0 } else { w });
    let heads = if spelt { 4 } else { -1 };
    let constants = [
        builder::f32_tensor("wq", &[5, 12], wide(1)).unwrap(),
        builder::f32_tensor("bq", &[12], wide(2)[..12].to_vec()).unwrap(),
        builder::f32_tensor("wk", &[5, 12], wide(3)).unwrap(),
        builder::f32_tensor("bk", &[12], wide(4)[..12].to_vec()).unwrap(),
        builder::f32_tensor("wv", &[5, 12], values.collect::<Vec<_>>()).unwrap(),
        builder::f32_tensor("wo", &[12, 5], wide(5)).unwrap(),
        builder::f32_tensor("root", &[], vec![1.7]).unwrap(),
        // One shape for all three.
        builder::dense_tensor("cut", &[4], vec![0i64, 0, heads, 3]).unwrap(),
        builder::dense_tensor("whole", &[3], vec![0i64, 0, if spelt { 12 } else { -1 }]).unwrap(),
    ];
    let turn = |axes: [i64; 4]| [builder::ints("perm", axes.to_vec())];
    let nodes = [
        builder::node("MatMul", "", &["x", "wq"], &["q0"], []),
        builder::node("Add", "", &["bq", "q0"], &["q1"], []),
        builder::node("Reshape", "", &["q1", "cut"], &["q2"], []),
        builder::node("Transpose", "", &["q2"], &["q"], turn([0, 2, 1, 3])),
        builder::node("MatMul", "", &["x", "wk"], &["k0"], []),
        builder::node("Add", "", &["k0", "bk"], &["k1"], []),
        builder::node("Reshape", "", &["k1", "cut"], &["k2"], []),
        builder::node("Transpose", "", &["k2"], &["k"], turn([0, 2, 3, 1])),
        builder::node("MatMul", "", &["x", "wv"], &["v0"], []),
        builder::node("Reshape", "", &["v0", "cut"], &["v1"], []),
        builder::node("Transpose", "", &["v1"], &["v"], turn([0, 2, 1, 3])),
        builder::node("MatMul", "", &["q", "k"], &["s"], []),
        builder::node("Div", "", &["s", "root"], &["scaled"], []),
        builder::node("Softmax", "", &["scaled"], &["p"], [builder::int("axis", -1)]),
        builder::node("MatMul", "", &["p", "v"], &["c0"], []),
        builder::node("Transpose", "", &["c0"], &["c1"], turn([0, 2, 1, 3])),
        builder::node("Reshape", "", &["c1", "whole"], &["c"], []),
        builder::node("MatMul", "", &["c", "wo"], &["y"], []),
    ];
    let value = |name: &str| {
        let dims = [builder::Dim::Symbolic("n"), builder::Dim::Fixed(6), builder::Dim::Fixed(5)];
        builder::value_info(name, data_type::FLOAT, &dims)
    };
    builder::model(8, &[("", 17)], builder::graph("g", [value("x")], nodes, constants, [value("y")]))
}

#[test]
fn heads_of_attention_that_give_nothing_go_and_nothing_changes() {
    let x = Tensors::one("x", {
        let values = (0..8 * 30).map(|i| ((i * 31) % 97) as f32 / 48.0 - 1.0).collect();
        Tensor::from_vec(&[8, 6, 5], values).unwrap()
    });
    for spelt in [false, true] {
        let model = attention(spelt);
        let want = Loader::new().load_artifact(&artifact(&model)).unwrap().predict_batch(&x).unwrap();
        for data in [None, Some(Data::arrays(x.as_view().into_owned()))] {
            let mut prune = Prune::new(Pruning::Structured, 0.5).latency_time(Duration::ZERO);
            if let Some(data) = data {
                prune = prune.data(data);
            }
            let done = prune.run_artifact(&artifact(&model)).unwrap();
            assert!(done.report.notes[0].contains("2 of 4 heads"), "{:?}", done.report.notes);
            let made = graph(done.artifact());
            let wide: Vec<&[i64]> = made.initializer.iter().map(|t| &t.dims[..]).filter(|d| d.len() == 2).collect();
            assert_eq!(wide, [&[5, 6][..], &[5, 6], &[5, 6], &[6, 5]]);
            let got = done.load(&Loader::new()).unwrap().predict_batch(&x).unwrap();
            let [want, got] = [&want, &got].map(|t| t.get::<f32>("y").unwrap().to_owned());
            assert!(want.iter().zip(&got).all(|(a, b)| (a - b).abs() < 1e-4), "{want} {got}");
        }
    }
    // A bias for each head tells them apart, and is nothing that this follows.
    let mut model = attention(true);
    let graph = model.graph.as_mut().unwrap();
    graph.initializer.push(builder::f32_tensor("far", &[1, 4, 6, 6], vec![0.0; 144]).unwrap());
    graph.node[12] = builder::node("Add", "", &["s", "far"], &["scaled"], []);
    let e = Prune::new(Pruning::Structured, 0.5).run_artifact(&artifact(&model)).unwrap_err();
    assert!(e.to_string().contains("mixes or moves its units"), "{e}");
}
