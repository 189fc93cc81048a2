use crate::onnx::builder::{Dim, dense_tensor, graph, int, ints, model, node, strings, tensor, value_info};
use crate::onnx::{AttributeProto, TensorData, builder, data_type};
use crate::{ErrorKind, Loader, Model, ModelExt};
use std::sync::Arc;

/// A regressor of one tree over three nodes, with some attributes replaced.
fn regressor(replaced: &[AttributeProto]) -> crate::Result<Arc<dyn Model>> {
    let mut attributes = vec![
        int("n_targets", 1),
        ints("nodes_treeids", [0, 0, 0]),
        ints("nodes_nodeids", [0, 1, 2]),
        ints("nodes_featureids", [1, 0, 0]),
        builder::floats("nodes_values", [0.5, 0.0, 0.0]),
        strings("nodes_modes", &["BRANCH_LEQ", "LEAF", "LEAF"]),
        ints("nodes_truenodeids", [1, 0, 0]),
        ints("nodes_falsenodeids", [2, 0, 0]),
        ints("target_treeids", [0, 0]),
        ints("target_nodeids", [1, 2]),
        ints("target_ids", [0, 0]),
        builder::floats("target_weights", [10.0, 20.0]),
    ];
    for new in replaced {
        attributes.retain(|a| a.name != new.name);
        attributes.push(new.clone());
    }
    load("TreeEnsembleRegressor", 3, attributes, &["y"])
}

fn load(op: &str, version: i64, attributes: Vec<AttributeProto>, outputs: &[&str]) -> crate::Result<Arc<dyn Model>> {
    let g = graph(
        "g",
        [value_info("x", data_type::FLOAT, &[Dim::Symbolic("N"), Dim::Fixed(2)])],
        [node(op, "ai.onnx.ml", &["x"], outputs, attributes)],
        [],
        outputs.iter().map(|o| value_info(o, data_type::FLOAT, &[Dim::Unknown])).collect::<Vec<_>>(),
    );
    let bytes = model(8, &[("", 17), ("ai.onnx.ml", version)], g).encode_to_vec();
    Loader::new().load_bytes("trees.onnx", bytes)
}

/// The error's message with its kind checked.
fn refused(result: crate::Result<Arc<dyn Model>>, kind: ErrorKind) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    error.to_string()
}

#[test]
fn a_regressor_answers() {
    let model = regressor(&[]).unwrap();
    let rows = ndarray::array![[9.0f32, 0.5], [9.0, 0.6], [0.0, f32::NAN], [0.0, f32::NEG_INFINITY]];
    let answers = model.predict_array(&rows).unwrap();
    assert_eq!(answers.get::<f32>("y").unwrap(), ndarray::array![[10.0f32], [20.0], [20.0], [10.0]].into_dyn());
    assert_eq!(model.signature().outputs()[0].shape_text(), "(m, 1)");
    assert!(model.describe().row_independent);
    assert_eq!(model.describe().parameters, 5);
    let empty = model.predict_array(ndarray::Array2::<f32>::zeros((0, 2))).unwrap();
    assert_eq!(empty.get::<f32>("y").unwrap().shape(), &[0, 1]);
}

#[test]
fn nodes_stand_in_any_order() {
    // Two trees: 7 asks feature 1 and 3 feature 0, each with leaves of which one has the votes.
    let nodes = [
        (7i64, 10i64, 1i64, 0.5f32, "BRANCH_LEQ", 11i64, 12i64),
        (7, 11, 0, 0.0, "LEAF", 0, 0),
        (7, 12, 0, 0.0, "LEAF", 0, 0),
        (3, 0, 0, 1.5, "BRANCH_LEQ", 1, 2),
        (3, 1, 0, 0.0, "LEAF", 0, 0),
        (3, 2, 0, 0.0, "LEAF", 0, 0),
    ];
    let answers = |order: [usize; 6], votes: [usize; 4]| {
        let n = order.map(|i| nodes[i]);
        let v = votes.map(|i| [(7, 11, 10.0f32), (7, 12, 20.0), (3, 1, 1.0), (3, 2, 2.0)][i]);
        let model = regressor(&[
            ints("nodes_treeids", n.map(|n| n.0)),
            ints("nodes_nodeids", n.map(|n| n.1)),
            ints("nodes_featureids", n.map(|n| n.2)),
            builder::floats("nodes_values", n.map(|n| n.3)),
            strings("nodes_modes", &n.map(|n| n.4)),
            ints("nodes_truenodeids", n.map(|n| n.5)),
            ints("nodes_falsenodeids", n.map(|n| n.6)),
            ints("target_treeids", v.map(|v| v.0)),
            ints("target_nodeids", v.map(|v| v.1)),
            ints("target_ids", [0; 4]),
            builder::floats("target_weights", v.map(|v| v.2)),
        ])
        .unwrap();
        let rows = ndarray::array![[0.0f32, 0.0], [0.0, 1.0], [2.0, 0.0], [2.0, 1.0]];
        model.predict_array(&rows).unwrap().get::<f32>("y").unwrap().iter().copied().collect::<Vec<_>>()
    };
    for order in [[0, 1, 2, 3, 4, 5], [3, 4, 5, 0, 1, 2], [2, 1, 0, 5, 4, 3], [0, 3, 1, 4, 2, 5]] {
        for votes in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
            assert_eq!(answers(order, votes), [11.0, 21.0, 12.0, 22.0], "{order:?} {votes:?}");
        }
    }
}

#[test]
fn missing_values_follow_their_flag() {
    let model = regressor(&[ints("nodes_missing_value_tracks_true", [1, 0, 0])]).unwrap();
    let answers = model.predict_array(&ndarray::array![[0.0f32, f32::NAN], [0.0, 1.0]]).unwrap();
    assert_eq!(answers.get::<f32>("y").unwrap(), ndarray::array![[10.0f32], [20.0]].into_dyn());
}

#[test]
fn hostile_trees_are_refused_by_name() {
    let m = ErrorKind::Malformed;
    let branches = strings("nodes_modes", &["BRANCH_LEQ", "BRANCH_LEQ", "LEAF"]);
    let lone = refused(
        regressor(&[branches.clone(), ints("nodes_truenodeids", [1, 0, 0]), ints("nodes_falsenodeids", [2, 2, 0])]),
        m,
    );
    assert!(lone.contains("loop") && lone.contains("node 0 of tree 0"), "{lone}");
    let own =
        refused(regressor(&[branches, ints("nodes_truenodeids", [1, 1, 0]), ints("nodes_falsenodeids", [2, 2, 0])]), m);
    assert!(own.contains("loop") && own.contains("node 1 of tree 0"), "{own}");
    let child = refused(regressor(&[ints("nodes_truenodeids", [7, 0, 0])]), m);
    assert!(child.contains("node 0 of tree 0") && child.contains("child") && child.contains('7'), "{child}");
    let roots = refused(regressor(&[ints("nodes_falsenodeids", [1, 0, 0])]), m);
    assert!(roots.contains("two roots") && roots.contains("node 2 of tree 0"), "{roots}");
    let leaf = refused(regressor(&[ints("target_nodeids", [1, 5])]), m);
    assert!(leaf.contains("node 5 of tree 0"), "{leaf}");
    let target = refused(regressor(&[ints("target_ids", [0, 1])]), m);
    assert!(target.contains("target"), "{target}");
    let feature = refused(regressor(&[ints("nodes_featureids", [-1, 0, 0])]), m);
    assert!(feature.contains("impossible feature"), "{feature}");
    refused(regressor(&[ints("nodes_nodeids", [0, 1, 1])]), m);
    refused(regressor(&[ints("nodes_nodeids", [])]), m);
    refused(regressor(&[ints("nodes_treeids", [0, 0])]), m);
    refused(regressor(&[strings("nodes_modes", &["BRANCH_LEQ", "LEAF", "BRANCH_MAYBE"])]), m);
    refused(regressor(&[int("n_targets", 0)]), m);
    refused(regressor(&[builder::floats("base_values", [1.0, 2.0])]), m);
    refused(regressor(&[builder::string("aggregate_function", "MODE")]), m);
    // Rows of two columns, and a tree that asks for the eighth.
    let columns = regressor(&[ints("nodes_featureids", [7, 0, 0])]);
    let columns = columns.and_then(|m| m.predict_array(ndarray::array![[1.0f32, 2.0]])).unwrap_err();
    assert_eq!(columns.kind(), ErrorKind::WrongShape);
}

#[test]
fn a_chain_deeper_than_any_stack_is_walked() {
    const DEPTH: i64 = 50_000;
    let n = 2 * DEPTH + 1;
    let all = || 0..n;
    let is_leaf = |i: i64| i % 2 == 1 || i == n - 1;
    let model = regressor(&[
        ints("nodes_treeids", vec![0; n as usize]),
        ints("nodes_nodeids", all().collect::<Vec<_>>()),
        ints("nodes_featureids", vec![0; n as usize]),
        builder::floats("nodes_values", all().map(|i| i as f32).collect::<Vec<_>>()),
        strings("nodes_modes", &all().map(|i| if is_leaf(i) { "LEAF" } else { "BRANCH_LEQ" }).collect::<Vec<_>>()),
        ints("nodes_truenodeids", all().map(|i| if is_leaf(i) { 0 } else { i + 1 }).collect::<Vec<_>>()),
        ints("nodes_falsenodeids", all().map(|i| if is_leaf(i) { 0 } else { i + 2 }).collect::<Vec<_>>()),
        ints("target_treeids", vec![0; DEPTH as usize + 1]),
        ints("target_nodeids", all().filter(|&i| is_leaf(i)).collect::<Vec<_>>()),
        ints("target_ids", vec![0; DEPTH as usize + 1]),
        builder::floats("target_weights", all().filter(|&i| is_leaf(i)).map(|i| i as f32).collect::<Vec<_>>()),
    ])
    .unwrap();
    let answers = model.predict_array(&ndarray::array![[-1.0f32, 0.0], [2.0, 0.0], [1e9, 0.0]]).unwrap();
    assert_eq!(answers.get::<f32>("y").unwrap(), ndarray::array![[1.0f32], [3.0], [n as f32 - 1.0]].into_dyn());
}

/// A classifier of one tree over two leaves.
fn classifier(extra: Vec<AttributeProto>) -> Arc<dyn Model> {
    let mut attributes = vec![
        ints("nodes_treeids", [0, 0, 0]),
        ints("nodes_nodeids", [0, 1, 2]),
        ints("nodes_featureids", [1, 0, 0]),
        builder::floats("nodes_values", [0.5, 0.0, 0.0]),
        strings("nodes_modes", &["BRANCH_LT", "LEAF", "LEAF"]),
        ints("nodes_truenodeids", [1, 0, 0]),
        ints("nodes_falsenodeids", [2, 0, 0]),
        ints("class_treeids", [0, 0]),
        ints("class_nodeids", [1, 2]),
        ints("class_ids", [0, 0]),
    ];
    attributes.extend(extra);
    load("TreeEnsembleClassifier", 3, attributes, &["label", "scores"]).unwrap()
}

/// Values of ONNX Runtime 1.32 for the same file.
#[test]
fn one_score_stands_for_two_classes() {
    let rows = ndarray::array![[0.0f32, 0.0], [0.0, 0.5]];
    let positive = classifier(vec![
        builder::floats("class_weights", [0.25, 0.75]),
        strings("classlabels_strings", &["no", "yes"]),
    ]);
    let answers = positive.predict_array(&rows).unwrap();
    assert_eq!(answers.tensor("label").unwrap().as_slice::<String>().unwrap(), ["no", "yes"]);
    assert_eq!(answers.get::<f32>("scores").unwrap(), ndarray::array![[0.75f32, 0.25], [0.25, 0.75]].into_dyn());
    assert_eq!(positive.signature().outputs()[1].features(), ["no", "yes"]);
    let signed = classifier(vec![
        builder::floats("class_weights", [-2.0, 2.0]),
        ints("classlabels_int64s", [3, 8]),
        builder::string("post_transform", "LOGISTIC"),
    ]);
    let answers = signed.predict_array(&rows).unwrap();
    assert_eq!(answers.tensor("label").unwrap().as_slice::<i64>().unwrap(), [3, 8]);
    let scores = answers.get::<f32>("scores").unwrap();
    assert!((scores[[0, 1]] - 0.119_202_92).abs() < 1e-6 && (scores[[0, 0]] - 0.880_797_1).abs() < 1e-6, "{scores}");
}

/// The example of set membership of the operator's specification, `TreeEnsemble` version 5.
#[test]
fn set_membership_agrees_with_the_specification() {
    let floats = |name: &str, v: Vec<f32>| tensor(name, dense_tensor("", &[v.len()], v).unwrap());
    let model = load(
        "TreeEnsemble",
        5,
        vec![
            int("n_targets", 4),
            int("aggregate_function", 1),
            int("post_transform", 0),
            ints("tree_roots", [0]),
            tensor("nodes_modes", dense_tensor("", &[3], TensorData::U8(vec![0, 6, 6])).unwrap()),
            ints("nodes_featureids", [0, 0, 0]),
            floats("nodes_splits", vec![11.0, 232_344.0, f32::NAN]),
            ints("nodes_truenodeids", [1, 0, 1]),
            ints("nodes_trueleafs", [0, 1, 1]),
            ints("nodes_falsenodeids", [2, 2, 3]),
            ints("nodes_falseleafs", [1, 0, 1]),
            ints("leaf_targetids", [0, 1, 2, 3]),
            floats("leaf_weights", vec![1.0, 10.0, 1000.0, 100.0]),
            floats("membership_values", vec![1.2, 3.7, 8.0, 9.0, f32::NAN, 12.0, 7.0, f32::NAN]),
        ],
        &["y"],
    )
    .unwrap();
    let x = [1.2f32, 3.4, -0.12, f32::NAN, 12.0, 7.0];
    let rows = ndarray::Array2::from_shape_fn((6, 2), |(r, _)| x[r]);
    let answers = model.predict_array(&rows).unwrap();
    let expected = ndarray::array![
        [1.0f32, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 100.0],
        [0.0, 0.0, 0.0, 100.0],
        [0.0, 0.0, 1000.0, 0.0],
        [0.0, 0.0, 1000.0, 0.0],
        [0.0, 10.0, 0.0, 0.0]
    ];
    assert_eq!(answers.get::<f32>("y").unwrap(), expected.into_dyn());
}

/// As ONNX Runtime 1.32 has it; an exporter writes such files for boosters of several targets.
#[test]
fn a_target_without_votes_is_zero_beside_others() {
    let model = regressor(&[int("n_targets", 2), builder::floats("base_values", [1.0, 5.0])]).unwrap();
    let answers = model.predict_array(ndarray::array![[9.0f32, 0.5]]).unwrap();
    assert_eq!(answers.get::<f32>("y").unwrap(), ndarray::array![[11.0f32, 0.0]].into_dyn());
}
