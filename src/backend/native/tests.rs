use std::sync::Arc;

use crate::onnx::builder::{Dim, dense_tensor, graph, int, ints, model, node, value_info};
use crate::onnx::{NodeProto, TensorProto, data_type};
use crate::{ErrorKind, Limits, Loader, Model, ModelExt, Tensor};

#[test]
fn an_identity_gives_its_input_back() {
    let dims = [Dim::Symbolic("N"), Dim::Fixed(2)];
    let g = graph(
        "g",
        [value_info("x", data_type::FLOAT, &dims)],
        [node("Identity", "", &["x"], &["y"], [])],
        [],
        [value_info("y", data_type::FLOAT, &[Dim::Unknown])],
    );
    let bytes = model(8, &[("", 17)], g).encode_to_vec();
    let model = Loader::new().load_bytes("identity.onnx", bytes).unwrap();
    let rows = ndarray::array![[1.0f32, 2.0], [3.0, 4.0]];
    let answers = model.predict_array(&rows).unwrap();
    assert_eq!(answers.get::<f32>("y").unwrap(), rows.clone().into_dyn());
    let one = model.predict_row(&[5.0f32, 6.0]).unwrap();
    assert_eq!(one.get::<f32>("y").unwrap(), ndarray::array![5.0f32, 6.0].into_dyn());
    assert!(model.describe().row_independent);
    assert_eq!(model.signature().outputs()[0].shape_text(), "(m, 2)");
}

#[test]
fn what_follows_a_free_dimension_is_free() {
    let dims = [Dim::Symbolic("N"), Dim::Unknown];
    let g = graph(
        "g",
        [value_info("x", data_type::FLOAT, &dims)],
        [node("Identity", "", &["x"], &["y"], [])],
        [],
        [value_info("y", data_type::FLOAT, &dims)],
    );
    let model = Loader::new().load_bytes("free.onnx", model(8, &[("", 17)], g).encode_to_vec()).unwrap();
    assert_eq!(model.signature().outputs()[0].shape_text(), "(m, ?)");
}

/// Rows that look at each other (a softmax along the batch, 8-bit ranges over all of it) go through every step together; the
/// steps share the rows among the threads.
#[test]
fn steps_share_their_rows_among_threads() {
    let n = 256;
    let number = |i: usize| ((i * 7919) % 1000) as f32 / 500.0 - 1.0;
    let weights: Vec<f32> = (0..n * n).map(number).collect();
    let bytes: Vec<i8> = (0..n * n).map(|i| ((i * 31) % 255) as u8 as i8).collect();
    let dims = [Dim::Symbolic("N"), Dim::Fixed(n as i64)];
    let nodes = [
        node("Softmax", "", &["x"], &["s"], [int("axis", 0)]),
        node("MatMul", "", &["s", "w"], &["a"], []),
        node("DynamicQuantizeLinear", "", &["a"], &["q", "scale", "zero"], []),
        node("MatMulInteger", "", &["q", "b", "zero"], &["i"], []),
        node("Cast", "", &["i"], &["f"], [int("to", i64::from(data_type::FLOAT))]),
        node("Mul", "", &["f", "scale"], &["y"], []),
    ];
    let constants = [dense_tensor("w", &[n, n], weights).unwrap(), dense_tensor("b", &[n, n], bytes).unwrap()];
    let of = |name| value_info(name, data_type::FLOAT, &dims);
    let bytes = model(8, &[("", 17)], graph("g", [of("x")], nodes, constants, [of("y")])).encode_to_vec();
    let answers = |threads: usize, m: usize| {
        let model = Loader::new().threads(threads).load_bytes("mixed.onnx", bytes.clone()).unwrap();
        assert!(!model.describe().row_independent);
        let x = ndarray::Array2::from_shape_fn((m, n), |(i, j)| number(i * n + j + 1));
        model.predict_array(&x).unwrap().get::<f32>("y").unwrap().into_owned()
    };
    for m in [1, 13, 150] {
        let one = answers(1, m);
        assert!(one.iter().any(|y| *y != 0.0));
        for threads in [2, 5] {
            assert_eq!(answers(threads, m), one, "{threads} threads, {m} rows");
        }
    }
}

/// The width of what is looked up says nothing of how many ids there are.
#[test]
fn ids_of_an_embedding_have_any_length() {
    let table: Vec<f32> = (0..10 * 4).map(|i| i as f32).collect();
    let weights = vec![1.0f32; 4 * 2];
    let nodes = [node("Gather", "", &["table", "ids"], &["e"], []), node("MatMul", "", &["e", "w"], &["y"], [])];
    let constants = [dense_tensor("table", &[10, 4], table).unwrap(), dense_tensor("w", &[4, 2], weights).unwrap()];
    let ids = value_info("ids", data_type::INT64, &[Dim::Symbolic("n"), Dim::Symbolic("s")]);
    let y = value_info("y", data_type::FLOAT, &[Dim::Unknown, Dim::Unknown, Dim::Fixed(2)]);
    let bytes = model(8, &[("", 17)], graph("g", [ids], nodes, constants, [y])).encode_to_vec();
    let model = Loader::new().load_bytes("ids.onnx", bytes).unwrap();
    assert_eq!(model.signature().inputs()[0].shape_text(), "(m, s)");
    for s in [1, 4, 7] {
        let answers = model.predict_array(ndarray::Array2::<i64>::ones((3, s))).unwrap();
        assert_eq!(answers.get::<f32>("y").unwrap(), ndarray::ArrayD::from_elem(vec![3, s, 2], 22.0f32));
    }
}

/// A perceptron of 20 features and 12 units whose classes come from `ending`, nodes from "s" (sums, m x 3) to "label".
fn perceptron(ending: Vec<NodeProto>, classes: TensorProto, label: i32) -> Arc<dyn Model> {
    let number = |i: usize| ((i * 7919) % 1000) as f32 / 500.0 - 1.0;
    let weights = |k: usize, n: usize| (0..k * n).map(number).collect::<Vec<f32>>();
    let mut nodes = vec![
        node("Gemm", "", &["x", "w", "b"], &["h"], []),
        node("Tanh", "", &["h"], &["t"], []),
        node("MatMul", "", &["t", "v"], &["s"], []),
        node("Softmax", "", &["s"], &["p"], [int("axis", 1)]),
        node("ArgMax", "", &["p"], &["c"], [int("axis", 1), int("keepdims", 0)]),
    ];
    nodes.extend(ending);
    let constants = [
        dense_tensor("w", &[20, 12], weights(20, 12)).unwrap(),
        dense_tensor("b", &[12], weights(1, 12)).unwrap(),
        dense_tensor("v", &[12, 3], weights(12, 3)).unwrap(),
        classes,
    ];
    let dims = [Dim::Symbolic("N"), Dim::Fixed(20)];
    let outputs =
        [value_info("label", label, &[Dim::Symbolic("N")]), value_info("p", data_type::FLOAT, &[Dim::Unknown])];
    let g = graph("g", [value_info("x", data_type::FLOAT, &dims)], nodes, constants, outputs);
    let bytes = model(8, &[("", 17), ("ai.onnx.ml", 3)], g).encode_to_vec();
    Loader::new().load_bytes("perceptron.onnx", bytes).unwrap()
}

/// Few rows go another way than many; each row has the same answer, whatever it holds.
#[test]
fn chains_answer_as_their_programs_do() {
    let gathered = || vec![node("Gather", "", &["classes", "c"], &["label"], [])];
    // As converters of scikit-learn write it.
    let extracted = || {
        vec![
            node("Constant", "", &[], &["flat"], [ints("value_ints", [-1])]),
            node("ArrayFeatureExtractor", "ai.onnx.ml", &["classes", "c"], &["e"], []),
            node("Cast", "", &["e"], &["i"], [int("to", i64::from(data_type::INT64))]),
            node("Reshape", "", &["i", "flat"], &["label"], []),
        ]
    };
    let names = || vec!["low".to_owned(), "middle".to_owned(), "high".to_owned()];
    let models = [
        perceptron(gathered(), dense_tensor("classes", &[3], vec![7i64, 8, 9]).unwrap(), data_type::INT64),
        perceptron(gathered(), dense_tensor("classes", &[3], names()).unwrap(), data_type::STRING),
        perceptron(extracted(), dense_tensor("classes", &[3], vec![7i32, 8, 9]).unwrap(), data_type::INT64),
    ];
    let text = |labels: &Tensor<'_>| match labels.as_slice::<i64>() {
        Ok(numbers) => format!("{numbers:?}"),
        Err(_) => format!("{:?}", labels.as_slice::<String>().unwrap()),
    };
    let m = 2000;
    let mut x = ndarray::Array2::from_shape_fn((m, 20), |(i, j)| ((i * 20 + j) * 31 % 997) as f32 / 200.0 - 2.5);
    x[[5, 3]] = f32::NAN;
    x[[6, 0]] = f32::INFINITY;
    x[[7, 1]] = -f32::INFINITY;
    for model in models {
        assert!(model.describe().engine.ends_with("a chain where rows are few"), "{}", model.describe().engine);
        let all = model.predict_array(&x).unwrap();
        let [labels, p] = [0, 1].map(|i| all.at(i).unwrap().1.clone());
        for rows in [1, 2, 3, 5, 70] {
            for from in (0..m - rows).step_by(191).chain(3..8) {
                let part = model.predict_array(x.slice(ndarray::s![from..from + rows, ..])).unwrap();
                assert_eq!(*part.at(0).unwrap().1, labels.rows(from..from + rows).unwrap(), "rows from {from}");
                let bits =
                    |t: &Tensor<'_>| t.as_slice::<f32>().unwrap().iter().map(|p| p.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(part.at(1).unwrap().1), bits(&p.rows(from..from + rows).unwrap()), "rows from {from}");
            }
        }
        for i in 0..10 {
            let one = model.predict_row(x.row(i).as_slice().unwrap()).unwrap();
            assert_eq!(one.at(0).unwrap().1.shape(), [0usize; 0]);
            assert_eq!(text(one.at(0).unwrap().1), text(&labels.rows(i..i + 1).unwrap()), "row {i}");
        }
        let none = model.predict_array(x.slice(ndarray::s![0..0, ..])).unwrap();
        assert_eq!((none.at(0).unwrap().1.shape(), none.at(1).unwrap().1.shape()), (&[0][..], &[0, 3][..]));
    }
}

/// What a chain hands on is held against the limits too.
#[test]
fn chains_keep_to_the_limits() {
    let dims = |n| [Dim::Symbolic("N"), Dim::Fixed(n)];
    let nodes = [node("MatMul", "", &["x", "w"], &["h"], []), node("MatMul", "", &["h", "v"], &["y"], [])];
    let constants = [
        dense_tensor("w", &[2, 100], vec![1.0f32; 200]).unwrap(),
        dense_tensor("v", &[100, 1], vec![1.0f32; 100]).unwrap(),
    ];
    let [x, y] = [("x", 2), ("y", 1)].map(|(name, n)| value_info(name, data_type::FLOAT, &dims(n)));
    let bytes = model(8, &[("", 17)], graph("g", [x], nodes, constants, [y])).encode_to_vec();
    let limits = Limits { max_elements: 500, ..Limits::default() };
    let model = Loader::new().limits(limits).load_bytes("wide.onnx", bytes).unwrap();
    assert!(model.describe().engine.contains("chain"));
    let ask = |m: usize| model.predict_array(ndarray::Array2::<f32>::ones((m, 2)));
    assert_eq!(ask(5).unwrap().single().unwrap().as_slice::<f32>().unwrap(), [200.0; 5]);
    assert_eq!(ask(6).unwrap_err().kind(), ErrorKind::LimitExceeded);
}

/// Rows that look at each other, two inputs of a step, and answers that are the input or twice the same make no chain.
#[test]
fn what_is_no_chain_is_run_as_it_stands() {
    let x = |name| value_info(name, data_type::FLOAT, &[Dim::Symbolic("N"), Dim::Fixed(2)]);
    let cases: [(Vec<NodeProto>, &[&str]); 4] = [
        (vec![node("Softmax", "", &["x"], &["y"], [int("axis", 0)])], &["y"]),
        (vec![node("Relu", "", &["x"], &["r"], []), node("Add", "", &["x", "r"], &["y"], [])], &["y"]),
        (vec![node("Relu", "", &["x"], &["y"], [])], &["x", "y"]),
        (vec![node("ArgMax", "", &["x"], &["c"], [int("axis", 0)]), node("Relu", "", &["x"], &["y"], [])], &["y", "c"]),
    ];
    for (nodes, outputs) in cases {
        let what = format!("{:?}", nodes.iter().map(|n| n.op_type.clone()).collect::<Vec<_>>());
        let outputs: Vec<_> = outputs.iter().map(|name| value_info(name, data_type::FLOAT, &[Dim::Unknown])).collect();
        let bytes = model(8, &[("", 17)], graph("g", [x("x")], nodes, [], outputs)).encode_to_vec();
        let Ok(model) = Loader::new().load_bytes("plain.onnx", bytes) else { continue };
        assert!(!model.describe().engine.contains("chain"), "{what}");
        assert!(model.predict_array(ndarray::array![[1.0f32, -2.0], [3.0, 4.0]]).is_ok(), "{what}");
    }
}
