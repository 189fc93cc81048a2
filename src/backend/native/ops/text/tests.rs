//! Small cases. Those of tokenizers and n-grams are ONNX Runtime 1.32's (CPU).

use super::pattern::Pattern;
use crate::ErrorKind;
use crate::backend::native::ops::trial::{Trial, info, op, texts, value};
use crate::backend::native::value::Value;
use crate::onnx::builder::{floats, int, ints, string, strings};
use crate::onnx::{AttributeProto, NodeProto};

#[track_caller]
fn holds(out: &Value<'_>, shape: &[usize], items: &[&str]) {
    assert_eq!((out.shape(), out.as_slice::<String>().unwrap()), (shape, &items.map_strings()[..]));
}

trait Strings {
    fn map_strings(&self) -> Vec<String>;
}

impl Strings for &[&str] {
    fn map_strings(&self) -> Vec<String> {
        self.iter().map(|&s| s.to_owned()).collect()
    }
}

#[test]
fn normalizing_changes_case_and_leaves_stop_words_out() {
    let words = ["Monday", "", "the", "THE", "ÉCOLE", "ß", "İ", "ᾳ"];
    let run = |attributes: &[AttributeProto]| op("StringNormalizer", 10, attributes).input(texts(&[8], &words)).run();
    let lower = run(&[string("case_change_action", "LOWER"), strings("stopwords", &["The"])]).unwrap();
    holds(&lower, &[6], &["monday", "", "école", "ß", "i", "ᾳ"]);
    let upper =
        run(&[string("case_change_action", "UPPER"), int("is_case_sensitive", 1), strings("stopwords", &["the"])]);
    holds(&upper.unwrap(), &[7], &["MONDAY", "", "THE", "ÉCOLE", "ß", "İ", "ᾼ"]);
    let ascii = run(&[string("case_change_action", "LOWER"), string("locale", "C")]).unwrap();
    holds(
        &ascii,
        &[8],
        &["monday", "", "the", "the", "École".to_uppercase().replace("COLE", "cole").as_str(), "ß", "İ", "ᾳ"],
    );
    let none = op("StringNormalizer", 10, [strings("stopwords", &["a"])]).input(texts(&[1, 2], &["a", "A"])).run();
    holds(&none.unwrap(), &[1, 1], &[""]);
    assert_eq!(run(&[string("case_change_action", "TITLE")]).unwrap_err().kind(), ErrorKind::Malformed);
    let rows = op("StringNormalizer", 10, []).input(texts(&[2, 1], &["a", "b"])).run();
    assert_eq!(rows.unwrap_err().kind(), ErrorKind::WrongShape);
}

fn tokenizer(attributes: &[AttributeProto]) -> Trial {
    let mut all = vec![string("pad_value", "#"), int("mincharnum", 1), int("mark", 0)];
    all.retain(|a| attributes.iter().all(|b| a.name != b.name));
    all.extend_from_slice(attributes);
    op("Tokenizer", 17, all).domain("com.microsoft").input(texts(&[3], &["the cat, sat", "", " a  b"]))
}

#[test]
fn tokens_by_separators_expressions_and_characters() {
    let run = |attributes: &[AttributeProto]| tokenizer(attributes).run().unwrap();
    let spaces = run(&[strings("separators", &[" "])]);
    holds(&spaces, &[3, 3], &["the", "cat,", "sat", "#", "#", "#", "a", "b", "#"]);
    let both = run(&[strings("separators", &[" ", ","]), int("mincharnum", 2)]);
    holds(&both, &[3, 3], &["the", "cat", "sat", "#", "#", "#", "#", "#", "#"]);
    let marked = run(&[string("tokenexp", "[a-z]+"), int("mark", 1), int("mincharnum", 3)]);
    let row = ["\u{2}", "the", "cat", "sat", "\u{3}"];
    let none = ["\u{2}", "\u{3}", "#", "#", "#"];
    holds(&marked, &[3, 5], &[row, none, none].concat());
    let characters = op("Tokenizer", 17, [string("tokenexp", "."), string("pad_value", ""), int("mincharnum", 1)]);
    let characters = characters.domain("com.microsoft").input(texts(&[2], &["aé", "b"])).run().unwrap();
    holds(&characters, &[2, 2], &["a", "é", "b", ""]);
    let nothing = run(&[string("tokenexp", "[0-9]+"), int("mark", 1)]);
    assert_eq!(nothing.shape(), [3, 0]);
    for bad in [string("tokenexp", "("), string("tokenexp", ""), strings("separators", &[])] {
        assert_eq!(tokenizer(&[bad]).run().unwrap_err().kind(), ErrorKind::Malformed);
    }
    let bad = tokenizer(&[string("tokenexp", "a"), int("mincharnum", 0)]);
    assert_eq!(bad.run().unwrap_err().kind(), ErrorKind::Malformed);
    // An expression that matches nothing at all still comes to an end.
    for expression in ["x*", "", "b*?"] {
        let trial = tokenizer(&[strings("separators", &[expression, "x*"])]);
        assert!(trial.run().is_ok());
    }
}

#[test]
fn expressions_are_those_of_re2() {
    let find = |pattern: &str, text: &str| Pattern::new(pattern, true).unwrap().find(text, 0);
    assert_eq!(find(r"\w+", "é_1"), Some((2, 4)));
    assert_eq!(find(r"[\w-]+", "é-x"), Some((2, 4)));
    assert_eq!(find(r"\d", "٣"), None);
    assert_eq!(find(r"\bb", "éb"), Some((2, 3)));
    assert_eq!(find(r"[[]]", "[]"), Some((0, 2)));
    assert_eq!(find(r"[]&&a]+", "a&]b"), Some((0, 3)));
    assert_eq!(find(r"[^]]+", "]ab"), Some((1, 3)));
    assert_eq!(find(r"[[:alpha:]~]+", "1a~"), Some((1, 3)));
    assert_eq!(find(r"\Qa.b\E+", "axb a.bb"), Some((4, 8)));
    // The longest of several matches counts.
    assert_eq!(find("a|ab|abc", "xabcd"), Some((1, 4)));
    assert_eq!(find("a?(ab)?", "ab"), Some((0, 2)));
    assert_eq!(find("a+?", "aaa"), Some((0, 3)));
    let whole = |pattern: &str, text: &str| Pattern::whole(pattern).unwrap().is_match(text);
    assert!(whole("ab|cat", "cat") && !whole("ab|cat", "cats") && whole("", "") && !whole("a", "a\n"));
    assert!(Pattern::whole(")|(").is_err());
}

fn vectorizer(mode: &str, lengths: [i64; 2], skip: i64) -> Vec<AttributeProto> {
    vec![
        string("mode", mode),
        int("min_gram_length", lengths[0]),
        int("max_gram_length", lengths[1]),
        int("max_skip_count", skip),
        ints("ngram_counts", [0, 2]),
        ints("ngram_indexes", [1, 0, 3, 2]),
    ]
}

#[test]
fn n_grams_are_counted_and_weighed() {
    let run = |mode: &str, lengths: [i64; 2], skip: i64, weighted: bool| {
        let mut attributes = vectorizer(mode, lengths, skip);
        attributes.push(strings("pool_strings", &["a", "b", "a", "b", "b", "b"]));
        if weighted {
            attributes.push(floats("weights", [0.5, 2.0, 3.0, 4.0]));
        }
        let trial =
            op("TfIdfVectorizer", 9, attributes).input(texts(&[2, 4], &["a", "b", "b", "a", "", "c", "b", "b"]));
        let out = trial.run().unwrap();
        assert_eq!(out.shape()[0], 2);
        out.as_slice::<f32>().unwrap().to_vec()
    };
    assert_eq!(run("TF", [1, 1], 0, true), [2., 2., 0., 0., 2., 0., 0., 0.]);
    assert_eq!(run("TF", [1, 2], 0, false), [2., 2., 1., 1., 2., 0., 1., 0.]);
    assert_eq!(run("TF", [2, 2], 1, false), [0., 0., 1., 2., 0., 0., 1., 0.]);
    assert_eq!(run("IDF", [1, 2], 0, true), [2., 0.5, 4., 3., 2., 0., 4., 0.]);
    assert_eq!(run("TFIDF", [1, 2], 0, true), [4., 1., 4., 3., 4., 0., 4., 0.]);
    // More may be left out than there is.
    assert_eq!(run("TF", [2, 2], i64::MAX, false), run("TF", [2, 2], 9, false));
    let mut numbers = vectorizer("TF", [1, 2], 0);
    numbers.push(ints("pool_int64s", [1, 2, 1, 2, 2, 2]));
    let out = op("TfIdfVectorizer", 9, numbers).input(value(&[3], [1i32, 2, 2])).run().unwrap();
    assert_eq!((out.shape(), out.as_slice::<f32>().unwrap()), (&[4][..], &[2., 1., 1., 1.][..]));
}

#[test]
fn malformed_pools_are_refused() {
    let refused = |change: AttributeProto, pool: &[&str]| {
        let mut attributes = vectorizer("TF", [1, 2], 0);
        attributes.retain(|a| a.name != change.name);
        attributes.extend([change, strings("pool_strings", pool)]);
        let trial = op("TfIdfVectorizer", 9, attributes).input(texts(&[1], &["a"]));
        let error = trial.run().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{error}");
    };
    let same = || string("mode", "TF");
    refused(string("mode", "BM25"), &["a", "b", "a", "b", "b", "b"]);
    refused(same(), &["a", "b", "a", "b", "b"]);
    refused(same(), &["a", "a", "a", "b", "b", "b"]);
    refused(same(), &["a"]);
    refused(same(), &[]);
    refused(ints("ngram_indexes", [0, 1, -1, 2]), &["a", "b", "a", "b", "b", "b"]);
    refused(ints("ngram_indexes", [0, 1]), &["a", "b", "a", "b", "b", "b"]);
    refused(ints("ngram_counts", [0, i64::MAX]), &["a", "b", "a", "b", "b", "b"]);
    refused(ints("ngram_counts", [-1, 2]), &["a", "b", "a", "b", "b", "b"]);
    refused(int("max_gram_length", 3), &["a", "b", "a", "b", "b", "b"]);
    refused(int("min_gram_length", 0), &["a", "b", "a", "b", "b", "b"]);
    refused(int("max_skip_count", -1), &["a", "b", "a", "b", "b", "b"]);
    let mut wide = vectorizer("TF", [1, 1], 0);
    wide.retain(|a| a.name.as_deref() != Some("ngram_indexes"));
    wide.extend([ints("ngram_indexes", [0, 1, 2, i64::MAX]), strings("pool_strings", &["a", "b", "a", "b", "b", "b"])]);
    let error = op("TfIdfVectorizer", 9, wide).input(texts(&[1], &["a"])).run().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
}

#[test]
fn a_pipeline_counts_tokens_without_making_them() {
    use crate::Limits;
    use crate::backend::native::compile::{self, Context};
    use crate::backend::native::op::Scratch;
    use crate::onnx::builder::{graph, node};
    let nodes = |pad: &str| -> Vec<NodeProto> {
        let attributes = [strings("separators", &[" "]), string("pad_value", pad), int("mincharnum", 1)];
        let mut counts = vectorizer("TF", [1, 2], 0);
        counts.push(strings("pool_strings", &["a", "b", "a", "b", "b", "b"]));
        vec![
            node("Tokenizer", "com.microsoft", &["x"], &["t"], attributes),
            node("Flatten", "", &["t"], &["f"], []),
            node("TfIdfVectorizer", "", &["f"], &["y"], counts),
        ]
    };
    let run = |pad: &str, shape: &[usize], words: &[&str]| {
        let graph = graph("g", [info("x")], nodes(pad), [], [info("y")]);
        let opsets = [(String::new(), 17), ("com.microsoft".to_owned(), 1)].into_iter().collect();
        let context = Context {
            opsets,
            limits: Limits::default(),
            external: None,
            tree_engine: crate::TreeEngine::Auto,
            row_ranges: false,
        };
        let program = compile::compile(&context, &graph, None, None).unwrap().program;
        let outs = program.run([texts(shape, words)], &mut Scratch::new(Limits::default())).unwrap();
        (program.steps.len(), outs[0].shape().to_vec(), outs[0].as_slice::<f32>().unwrap().to_vec())
    };
    let words = ["a b b", "b", "", "c a"];
    let column = vec![2., 1., 1., 1., 1., 0., 0., 0., 0., 0., 0., 0., 0., 1., 0., 0.];
    assert_eq!(run("#", &[4], &words), (1, vec![4, 4], column.clone()));
    assert_eq!(run("#", &[4, 1], &words), (1, vec![4, 4], column));
    // The tokens of the second string follow those of the first only where nothing is filled in between.
    assert_eq!(run("#", &[2, 2], &words), (1, vec![2, 4], vec![3., 1., 2., 1., 0., 1., 0., 0.]));
    // Where what fills a row counts as a word, it is really filled.
    assert_eq!(run("b", &[2, 1], &["a", "a b"]), (2, vec![2, 4], vec![1., 1., 0., 1., 1., 1., 0., 1.]));
}

#[test]
fn strings_are_joined_split_and_matched() {
    let joined = op("StringConcat", 20, []).input(texts(&[2, 1], &["a", "b"])).input(texts(&[2], &["x", "y"]));
    holds(&joined.run().unwrap(), &[2, 2], &["ax", "ay", "bx", "by"]);
    let misfit = op("StringConcat", 20, []).input(texts(&[2], &["a", "b"])).input(texts(&[3], &["x", "y", "z"]));
    assert_eq!(misfit.run().unwrap_err().kind(), ErrorKind::WrongShape);
    let split = |attributes: &[AttributeProto]| {
        op("StringSplit", 20, attributes).input(texts(&[2], &["  a  b c", ""])).outputs(2).all().unwrap()
    };
    let outs = split(&[]);
    holds(&outs[0], &[2, 3], &["a", "b", "c", "", "", ""]);
    assert_eq!(outs[1].as_slice::<i64>().unwrap(), [3, 0]);
    holds(&split(&[int("maxsplit", 1)])[0], &[2, 2], &["a", "b c", "", ""]);
    holds(&split(&[string("delimiter", "  ")])[0], &[2, 3], &["", "a", "b c", "", "", ""]);
    let matched = op("RegexFullMatch", 20, [string("pattern", r"\w+@\w+")]).input(texts(&[2], &["a@b", "a@b c"]));
    assert_eq!(matched.run().unwrap().as_slice::<bool>().unwrap(), [true, false]);
}

#[test]
fn hashes_of_murmur() {
    // The reference values of scikit-learn's `murmurhash3_32`, seeds 0 and 42.
    let hash = |seed: i64, positive: i64| {
        op("MurmurHash3", 1, [int("seed", seed), int("positive", positive)])
            .domain("com.microsoft")
            .input(texts(&[2], &["foo", ""]))
            .run()
            .unwrap()
    };
    assert_eq!(hash(0, 0).as_slice::<i32>().unwrap(), [-156_908_512, 0]);
    assert_eq!(hash(0, 1).as_slice::<u32>().unwrap(), [4_138_058_784, 0]);
    assert_eq!(hash(42, 0).as_slice::<i32>().unwrap()[0], -1_322_301_282);
}
