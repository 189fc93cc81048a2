//! Real models with edits to their messages, so that they get past the parser: load, predict, keep the signature.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use modelberth_fuzz::{Bytes, Random, exercise, loader, mutate};

/// Names of operators and attributes, and places that files must not reach.
const WORDS: &[&str] = &[
    "Abs", "Add", "And", "ArgMax", "ArgMin", "ArrayFeatureExtractor", "Binarizer", "Cast", "CastMap", "CategoryMapper",
    "Ceil", "Clip", "Concat", "Constant", "ConstantOfShape", "CumSum", "DictVectorizer", "Div", "Einsum", "Equal",
    "Erf", "Exp", "Expand", "EyeLike", "FeatureVectorizer", "Flatten", "Floor", "Gather", "GatherElements", "GatherND",
    "Gemm", "Greater", "GreaterOrEqual", "Identity", "If", "Imputer", "IsNaN", "LabelEncoder", "Less", "LessOrEqual",
    "LinearClassifier", "LinearRegressor", "Log", "LogSoftmax", "Loop", "MatMul", "Max", "Mean", "Min", "Mod", "Mul",
    "Neg", "NonZero", "Normalizer", "Not", "OneHot", "OneHotEncoder", "Or", "Pad", "Pow", "Range", "Reciprocal",
    "ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum",
    "ReduceSumSquare", "Relu", "Reshape", "Round", "SVMClassifier", "SVMRegressor", "Scaler", "Scan", "ScatterElements",
    "ScatterND", "SequenceAt", "SequenceConstruct", "Shape", "Sigmoid", "Sign", "Size", "Slice", "Softmax", "Split",
    "SplitToSequence", "Sqrt", "Squeeze", "StringNormalizer", "Sub", "Sum", "Tanh", "TfIdfVectorizer", "Tile", "TopK",
    "Tokenizer", "Transpose", "TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor", "Trilu", "Unique",
    "Unsqueeze", "Where", "Xor", "ZipMap", "ai.onnx.ml", "com.microsoft", "axis", "axes", "to", "keepdims", "equation",
    "body", "then_branch", "else_branch", "value", "SOFTMAX", "LOGISTIC", "PROBIT", "BRANCH_LT", "BRANCH_EQ", "LEAF",
    "MAX", "location", "../../etc/passwd", "/etc/passwd",
];

fuzz_target!(|bytes: &[u8]| {
    let Ok(model) = loader().load_bytes("fuzzed", bytes) else { return };
    // The values come from the end, where the edits of the file's head do not move them.
    let tail = &bytes[bytes.len() - bytes.len().min(256)..];
    exercise(&*model, &mut Bytes::new(tail));
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut random = Random::new(seed);
    if random.below(16) > 0
        && let Some(edited) = mutate(&data[..size], &mut random, WORDS)
        && edited.len() <= max_size
    {
        data[..edited.len()].copy_from_slice(&edited);
        return edited.len();
    }
    fuzzer_mutate(data, size, max_size)
});
