//! Files that no XGBoost would write.

use serde_json::{Value, json};

use super::super::{Booster, Scorer};
use super::{read_json, read_ubjson};
use crate::backend::native::trees::oracle;
use crate::{ErrorKind, Limits, Result};

/// A whole model: one tree of three nodes over two features.
fn model() -> Value {
    json!({
        "learner": {
            "attributes": {},
            "feature_names": ["a", "b"],
            "gradient_booster": {
                "name": "gbtree",
                "model": {
                    "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": "1"},
                    "tree_info": [0],
                    "trees": [{
                        "categories": [], "categories_nodes": [], "categories_segments": [], "categories_sizes": [],
                        "default_left": [1, 0, 0],
                        "left_children": [1, -1, -1],
                        "right_children": [2, -1, -1],
                        "split_conditions": [0.5, -1.0, 2.0],
                        "split_indices": [1, 0, 0],
                        "split_type": [0, 0, 0],
                        "sum_hessian": [10.0, 4.0, 6.0],
                        "tree_param": {"num_nodes": "3", "size_leaf_vector": "1"}
                    }]
                }
            },
            "learner_model_param": {"base_score": "5E-1", "num_class": "0", "num_feature": "2", "num_target": "1"},
            "objective": {"name": "reg:squarederror"}
        },
        "version": [3, 2, 0]
    })
}

fn read(model: &Value) -> Result<Booster> {
    read_json(model.to_string().as_bytes(), &Limits::default())
}

/// The model with the value at `path` replaced.
fn with(path: &str, value: Value) -> Value {
    let mut model = model();
    *model.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
    model
}

const TREE: &str = "/learner/gradient_booster/model/trees/0";

fn in_tree(key: &str, value: Value) -> Value {
    with(&format!("{TREE}/{key}"), value)
}

/// The numbers of a row, one a tree.
fn leaves(booster: &Booster, row: &[f32]) -> Vec<f32> {
    let Scorer::F32(trees) = &booster.scorer else { panic!("trees were read") };
    oracle::votes(&trees.forest, row).flat_map(|votes| votes.iter().map(|v| v.weight)).collect()
}

#[test]
fn a_whole_model_is_read_whatever_the_order_of_its_entries() {
    let booster = read(&model()).unwrap();
    assert_eq!(leaves(&booster, &[0.0, 0.5]), [2.0], "what equals the threshold goes to the right");
    assert_eq!(leaves(&booster, &[0.0, 0.5f32.next_down()]), [-1.0]);
    assert_eq!(leaves(&booster, &[0.0, f32::NAN]), [-1.0]);
    fn reversed(value: &Value) -> String {
        match value {
            Value::Object(map) => {
                let entries: Vec<_> = map.iter().rev().map(|(k, v)| format!("{}: {}", json!(k), reversed(v))).collect();
                format!("{{{}}}", entries.join(","))
            }
            Value::Array(list) => format!("[{}]", list.iter().map(reversed).collect::<Vec<_>>().join(" ,")),
            other => other.to_string(),
        }
    }
    let booster = read_json(reversed(&model()).as_bytes(), &Limits::default()).unwrap();
    assert_eq!(leaves(&booster, &[0.0, 0.5]), [2.0]);
}

#[test]
fn what_contradicts_itself_is_refused() {
    let cases = [
        ("the root as a child", in_tree("left_children", json!([0, -1, -1]))),
        ("a loop", in_tree("left_children", json!([1, 2, -1]))),
        ("two parents", in_tree("right_children", json!([1, -1, -1]))),
        ("a child beyond the end", in_tree("right_children", json!([3, -1, -1]))),
        ("a child below zero", in_tree("right_children", json!([-2, -1, -1]))),
        ("half a child", in_tree("right_children", json!([1.5, -1, -1]))),
        ("a child that is not a number", in_tree("right_children", json!(["NaN", -1, -1]))),
        ("a feature that is not there", in_tree("split_indices", json!([2, 0, 0]))),
        ("a huge feature", in_tree("split_indices", json!([4294967296u64, 0, 0]))),
        ("a list too short", in_tree("default_left", json!([1, 0]))),
        ("a list of texts", in_tree("split_conditions", json!(["a", "b", "c"]))),
        ("no nodes", in_tree("left_children", json!([]))),
        ("2^31 nodes", in_tree("tree_param", json!({"num_nodes": "2147483648"}))),
        ("a leaf vector of another length", in_tree("tree_param", json!({"size_leaf_vector": "7"}))),
        ("a set that is not there", in_tree("split_type", json!([1, 0, 0]))),
        ("a class that is not there", with("/learner/gradient_booster/model/tree_info", json!([1]))),
        ("too few classes", with("/learner/gradient_booster/model/tree_info", json!([]))),
        ("a tree too many", with("/learner/gradient_booster/model/gbtree_model_param/num_trees", json!("2"))),
        ("a name too few", with("/learner/feature_names", json!(["a"]))),
        ("base scores for other targets", with("/learner/learner_model_param/base_score", json!("[1,2,3]"))),
        ("a base score of words", with("/learner/learner_model_param/base_score", json!("half"))),
        ("features that are no number", with("/learner/learner_model_param/num_feature", json!("-2"))),
        ("no learner", json!({"learner": 1})),
        ("a text", json!("learner")),
    ];
    for (what, model) in cases {
        let error = read(&model).map(drop).expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Malformed, "{what}: {error}");
    }
}

#[test]
fn what_asks_for_too_much_is_refused() {
    let features = with("/learner/learner_model_param/num_feature", json!("2147483647"));
    let classes = with("/learner/learner_model_param/num_class", json!("2147483647"));
    for model in [features, classes] {
        assert_eq!(read(&model).map(drop).unwrap_err().kind(), ErrorKind::LimitExceeded);
    }
    let mut many = model();
    many["learner"]["attributes"] = json!((0..100).map(|i| json!({"i": i})).collect::<Vec<_>>());
    let limits = Limits::default().max_messages(100);
    let error = read_json(many.to_string().as_bytes(), &limits).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{error}");
    for depth in [100, 1_000_000] {
        let text = format!("{{\"learner\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        let error = read_json(text.as_bytes(), &Limits::default()).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{error}");
        let binary = [b"{U\x07learner".as_slice(), &vec![b'['; depth]].concat();
        let error = read_ubjson(&binary, &Limits::default()).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{error}");
    }
}

#[test]
fn what_is_not_known_is_named() {
    let objective = read(&with("/learner/objective/name", json!("reg:mine"))).map(drop).unwrap_err();
    assert_eq!((objective.kind(), objective.actual_text()), (ErrorKind::Unsupported, Some("`reg:mine`")));
    let booster = read(&with("/learner/gradient_booster/name", json!("gbforest"))).map(drop).unwrap_err();
    assert_eq!((booster.kind(), booster.actual_text()), (ErrorKind::Unsupported, Some("`gbforest`")));
}

#[test]
fn numbers_that_json_has_no_form_for_are_read() {
    let text = model()
        .to_string()
        .replace("[0.5,-1.0,2.0]", "[NaN, -Infinity,Infinity]")
        .replace("\"a\"", "\"NaN \\\" Infinity\"");
    let booster = read_json(text.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(booster.features.names[0], "NaN \" Infinity");
    // Nothing is below NaN.
    assert_eq!(leaves(&booster, &[0.0, -9.0]), [f32::INFINITY]);
    assert_eq!(leaves(&booster, &[0.0, f32::NAN]), [f32::NEG_INFINITY]);
}

#[test]
fn sets_of_categories_take_no_more_than_they_may() {
    let mut model = in_tree("split_type", json!([1, 0, 0]));
    let tree = model.pointer_mut(TREE).unwrap();
    tree["categories_nodes"] = json!([0]);
    tree["categories_segments"] = json!([0]);
    tree["categories_sizes"] = json!([2]);
    tree["categories"] = json!([1, 40]);
    let booster = read(&model).unwrap();
    for (category, leaf) in [(1.0, 2.0), (40.7, 2.0), (0.0, -1.0), (-1.0, -1.0), (1e9, -1.0), (f32::NAN, -1.0)] {
        assert_eq!(leaves(&booster, &[0.0, category]), [leaf], "{category}");
    }
    let highest = json!([1, (1 << 24) - 1]);
    for (categories, kind) in [
        (json!([1, -1]), ErrorKind::Malformed),
        (json!([1, 1 << 24]), ErrorKind::Malformed),
        (json!([1]), ErrorKind::Malformed),
        (highest, ErrorKind::LimitExceeded),
    ] {
        model.pointer_mut(TREE).unwrap()["categories"] = categories;
        let limits = Limits::default().max_elements(1 << 16);
        let error = read_json(model.to_string().as_bytes(), &limits).map(drop).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
}

#[test]
fn truncated_files_are_refused_wherever_they_end() {
    let text = model().to_string();
    for end in 0..text.len() {
        let error = read_json(&text.as_bytes()[..end], &Limits::default()).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{end}: {error}");
    }
    let binary = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/zoo/xgb_binary.ubj")).unwrap();
    for end in (0..binary.len()).step_by(97) {
        let error = read_ubjson(&binary[..end], &Limits::default()).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{end}: {error}");
    }
}

#[test]
fn binary_lists_cannot_be_longer_than_their_file() {
    let cases: [&[u8]; 8] = [
        b"[$d#l\x7f\xff\xff\xff",
        b"[$d#L\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"[$Z#l\x7f\xff\xff\xff",
        b"[$T#l\x00\x00\x00\x01",
        b"[#i\xff",
        b"[$d",
        b"{#l\x7f\xff\xff\xff",
        b"SL\x7f\xff\xff\xff\xff\xff\xff\xff",
    ];
    for bytes in cases {
        let error = read_ubjson(bytes, &Limits::default()).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{error}");
    }
}
