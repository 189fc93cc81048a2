use crate::onnx::builder::{Dim, dense_tensor, graph, int, model, node, value_info};
use crate::onnx::data_type;
use crate::{Loader, ModelExt};

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
