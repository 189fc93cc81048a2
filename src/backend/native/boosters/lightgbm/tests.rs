use super::file::File;
use super::text::Field;
use super::tree::{Decision, Missing};
use crate::{Error, ErrorKind, Limits};

/// Two trees with all that a file can hold: a set of categories, a linear leaf, text that stands for codes.
const MODEL: &str = include_str!("small.txt");

fn read(text: &str) -> Result<File<'_>, Error> {
    File::read(text.as_bytes(), &Limits::default())
}

/// The error for the model after an edit, which must be that the file is malformed.
fn error_of(from: &str, to: &str) -> String {
    assert!(MODEL.contains(from), "{from} is not in the model");
    let error = read(&MODEL.replacen(from, to, 1)).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed, "{error}");
    error.to_string()
}

#[test]
fn words_are_what_stands_between_spaces() {
    for length in 0..40 {
        let word = "ß!\u{1f}x".repeat(length);
        for value in [format!("{word} {word}  a b"), format!("  {word} a {word} b "), format!("a {word}{word} b")] {
            let words: Vec<&str> = Field { key: "", value: &value, line: 1 }.words().collect();
            assert_eq!(words, value.split(' ').filter(|w| !w.is_empty()).collect::<Vec<_>>(), "{value}");
        }
    }
}

#[test]
fn reads_what_the_file_says() {
    let file = read(MODEL).unwrap();
    assert_eq!((file.targets, file.averaged, file.version), (1, false, Some("v4")));
    assert_eq!(file.objective.unwrap().value, "binary sigmoid:1");
    assert_eq!(file.feature_names, ["age", "plan", "größe"]);
    assert_eq!(file.categorical, [1]);
    assert_eq!(file.pandas_categorical.unwrap().value, "[[\"free\", 2, true]]");
    let [first, second] = file.trees.as_slice() else { panic!("two trees") };
    assert_eq!(first.features, [0, 1, 2]);
    assert_eq!(first.thresholds, [31.500000000000004, 0.0, -1e-35]);
    let decision = |categorical, default_left, missing| Decision { categorical, default_left, missing };
    assert_eq!(
        first.decisions,
        [
            decision(false, true, Missing::None),
            decision(true, false, Missing::None),
            decision(false, true, Missing::Nan)
        ]
    );
    assert_eq!(first.children, [(1, 2), (-1, -2), (-3, -4)]);
    assert_eq!(first.leaf_values, [-0.25, 0.5, 1e-5, 2.0]);
    assert_eq!(
        (first.leaf_counts.as_slice(), first.node_counts.as_slice()),
        ([10, 20, 30, 40].as_slice(), [100, 30, 70].as_slice())
    );
    assert_eq!((first.set_bounds.as_slice(), first.set_words.as_slice()), ([0, 2].as_slice(), [5, 1].as_slice()));
    let linear = second.linear.as_ref().unwrap();
    assert_eq!((linear.constants.as_slice(), linear.counts.as_slice()), ([0.5].as_slice(), [2].as_slice()));
    assert_eq!(
        (linear.features.as_slice(), linear.coefficients.as_slice()),
        ([0, 2].as_slice(), [1.5, -2.0].as_slice())
    );
}

#[test]
fn line_ends_and_the_order_of_keys_do_not_matter() {
    let plain = read(MODEL).unwrap();
    let crlf = MODEL.replace('\n', "\r\n");
    assert_eq!(read(&crlf).unwrap().trees, plain.trees);
    let moved = MODEL.replacen("num_leaves=4\n", "", 1).replacen("shrinkage=0.1\n", "shrinkage=0.1\nnum_leaves=4\n", 1);
    assert_eq!(read(&moved).unwrap().trees, plain.trees);
    let unsized_ = MODEL.replacen("tree_sizes=300 200\n", "", 1);
    assert_eq!(read(&unsized_).unwrap().trees, plain.trees);
}

#[test]
fn a_file_that_ends_early_is_refused_wherever_it_ends() {
    let whole = MODEL.find("end of trees").unwrap();
    for end in 0..MODEL.len() {
        if !MODEL.is_char_boundary(end) {
            continue;
        }
        match read(&MODEL[..end]) {
            // Where all trees are there and their number is known, nothing that matters is missing.
            Ok(file) => assert!(end >= whole - 2 && file.trees == read(MODEL).unwrap().trees, "cut at {end}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Malformed),
        }
    }
    let cut = MODEL.split_once("Tree=1").unwrap().0;
    let error = read(cut).unwrap_err().to_string();
    assert!(error.contains("without `end of trees`"), "{error}");
    let error = read(&format!("{cut}end of trees\n")).unwrap_err().to_string();
    assert!(error.contains("1 trees, and `tree_sizes` lists 2"), "{error}");
}

#[test]
fn errors_name_the_tree_and_the_line() {
    let mut wrong = Vec::new();
    for (from, to, expected) in [
        (
            "num_leaves=4",
            "num_leaves=2147483647",
            "tree 0: line 21: `leaf_value` holds 4 numbers where the tree needs 2147483647",
        ),
        (
            "num_leaves=4",
            "num_leaves=2147483648",
            "tree 0: line 13: `num_leaves` holds `2147483648` where a whole number that fits i32 must stand",
        ),
        ("num_leaves=4", "num_leaves=0", "`num_leaves` is 0"),
        ("num_leaves=4", "num_leaves=-7", "`num_leaves` is -7"),
        ("num_leaves=4\n", "", "tree 0: line 30: the key `num_leaves` is missing above"),
        ("leaf_value=0.125\n", "", "tree 1: line 53: the key `leaf_value` is missing above"),
        ("left_child=1 -1 -3\n", "", "the key `left_child` is missing"),
        ("num_leaves=4", "num_leaves=4\nnum_leaves=4", "line 14: `num_leaves` was given before, on line 13"),
        (
            "left_child=1 -1 -3",
            "left_child=1 -1 0",
            "line 19: `left_child` is 0 at node 2, which has another parent already",
        ),
        ("left_child=1 -1 -3", "left_child=2 -1 -3", "`right_child` is 2 at node 0, which has another parent already"),
        ("left_child=1 -1 -3", "left_child=1 -1 -5", "`left_child` is -5 at node 2, which is out of range"),
        ("left_child=1 -1 -3", "left_child=1 -1 3", "`left_child` is 3 at node 2, which is out of range"),
        ("left_child=1 -1 -3", "left_child=1 -2147483648 -3", "out of range"),
        (
            "left_child=1 -1 -3\nright_child=2 -2 -4",
            "left_child=-1 2 1\nright_child=-2 -3 -4",
            "leave 4 nodes and leaves without a parent",
        ),
        ("split_feature=0 1 2", "split_feature=0 1 3", "line 15: `split_feature` names the feature 3, and a row has 3"),
        (
            "split_feature=0 1 2",
            "split_feature=0 1 -1",
            "`split_feature` holds `-1` where a whole number that fits u32 must stand",
        ),
        ("split_feature=0 1 2", "split_feature=0 1", "`split_feature` holds 2 numbers where the tree needs 3"),
        ("split_feature=0 1 2", "split_feature=0 1 2 0", "`split_feature` holds more than the 3 numbers"),
        ("31.500000000000004", "nan", "line 17: `threshold` is NaN at node 0"),
        ("31.500000000000004", "31,5", "`threshold` holds `31,5` where a number with a decimal point must stand"),
        (
            "threshold=31.500000000000004 0 ",
            "threshold=31.500000000000004 1 ",
            "`threshold` names the set 1 at node 1, and there are 1",
        ),
        ("threshold=31.500000000000004 0 ", "threshold=31.500000000000004 0.5 ", "names the set 0.5"),
        ("decision_type=2 1 10", "decision_type=2 1 300", "`decision_type` holds `300`"),
        ("cat_boundaries=0 2", "cat_boundaries=0 3", "`cat_threshold` holds 2 numbers where the tree needs 3"),
        (
            "cat_boundaries=0 2",
            "cat_boundaries=0 4294967295",
            "`cat_threshold` holds 2 numbers where the tree needs 4294967295",
        ),
        ("cat_boundaries=0 2", "cat_boundaries=2 0", "`cat_boundaries` must rise from 0"),
        ("num_cat=1", "num_cat=2147483647", "`cat_boundaries` holds 2 numbers where the tree needs 2147483648"),
        ("num_features=2", "num_features=3", "tree 1: line 51: `leaf_features` holds 2 numbers where the tree needs 3"),
        ("num_features=2", "num_features=18446744073709551615", "`leaf_features` holds 2 numbers"),
        ("leaf_features=0 2", "leaf_features=0 9", "`leaf_features` names the feature 9"),
        ("leaf_coeff=1.5 -2", "leaf_coeff=1.5", "`leaf_coeff` holds 1 numbers"),
        ("leaf_const=0.5\n", "", "`leaf_const` is missing"),
        ("Tree=1", "Tree=2", "line 33: `Tree=1` or `end of trees` must stand here"),
        ("Tree=1", "some text", "`Tree=1` or `end of trees` must stand here"),
        ("num_class=1", "num_class=3", "line 3: `num_class` is 3, and `num_tree_per_iteration` is 1"),
        (
            "num_class=1\nnum_tree_per_iteration=1",
            "num_class=3\nnum_tree_per_iteration=3",
            "2 trees don't make whole iterations of 3",
        ),
        ("num_class=1", "num_class=0", "`num_class` is 0, and must be at least 1"),
        ("num_class=1\n", "", "line 11: the key `num_class` is missing above"),
        (
            "max_feature_idx=2",
            "max_feature_idx=2147483647",
            "`feature_names` holds 3 names, and `max_feature_idx` says 2147483648",
        ),
        ("max_feature_idx=2", "max_feature_idx=-1", "`max_feature_idx` is -1"),
        ("max_feature_idx=2\n", "", "`max_feature_idx` is missing"),
        ("age plan größe", "age plan", "`feature_names` holds 2 names"),
        ("tree\n", "forest\n", "line 1: a LightGBM model begins with the line `tree`"),
        ("split_gain=3 2 1", "split_gain", "`key=value` must stand here"),
    ] {
        let error = error_of(from, to);
        if !error.contains(expected) {
            wrong.push(format!("{to}: {error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sections_out_of_order_are_refused() {
    let (header, rest) = MODEL.split_once("Tree=0").unwrap();
    let (trees, tail) = rest.split_once("end of trees").unwrap();
    let header = header.strip_prefix("tree\n").unwrap();
    let error = read(&format!("tree\nTree=0{trees}{header}end of trees{tail}")).unwrap_err().to_string();
    assert!(error.contains("`num_class` is missing"), "{error}");
    let error = read(&format!("tree\n{header}end of trees{tail}Tree=0{trees}")).unwrap_err().to_string();
    assert!(error.contains("0 trees, and `tree_sizes` lists 2"), "{error}");
}

#[test]
fn other_encodings_and_large_models_are_refused() {
    let latin: Vec<u8> = MODEL.chars().map(|c| c as u8).collect();
    let error = File::read(&latin, &Limits::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
    assert!(error.to_string().contains("line 8: the file is not UTF-8"), "{error}");
    let error = File::read(MODEL.as_bytes(), &Limits::default().max_elements(7)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    File::read(MODEL.as_bytes(), &Limits::default().max_elements(8)).unwrap();
}
