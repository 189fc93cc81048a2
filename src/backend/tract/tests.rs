use std::sync::Arc;

use ndarray::{Array2, ArrayD, array};

use crate::onnx::builder::{Dim as D, dense_tensor, f32_tensor, graph, int, ints, model, node, value_info};
use crate::onnx::{AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto, data_type as dt};
use crate::{Backend, Dim, ErrorKind, Loader, Model, ModelExt, Result, tensors};

fn open(graph: GraphProto, opset: i64) -> Result<Arc<dyn Model>> {
    let bytes = model(8, &[("", opset), ("com.microsoft", 1), ("com.example", 1)], graph).encode_to_vec();
    Loader::new().backend(Backend::Tract).load_bytes("test.onnx", bytes)
}

fn built(
    inputs: Vec<ValueInfoProto>,
    nodes: Vec<NodeProto>,
    tensors: Vec<TensorProto>,
    outputs: &[&str],
) -> GraphProto {
    let outputs: Vec<_> = outputs.iter().map(|name| value_info(name, dt::FLOAT, &[D::Unknown])).collect();
    graph("g", inputs, nodes, tensors, outputs)
}

fn plain(op: &str, inputs: &[&str], output: &str, attributes: Vec<AttributeProto>) -> NodeProto {
    node(op, "", inputs, &[output], attributes)
}

fn floats(name: &str, dims: &[D<'_>]) -> ValueInfoProto {
    value_info(name, dt::FLOAT, dims)
}

/// y = x w with w (2, 2).
fn product(dims: &[D<'_>]) -> GraphProto {
    let w = f32_tensor("w", &[2, 2], vec![1.0, 2.0, 3.0, 4.0]).unwrap();
    built(vec![floats("x", dims)], vec![plain("MatMul", &["x", "w"], "y", vec![])], vec![w], &["y"])
}

#[test]
fn axes_with_names_take_any_size() {
    let model = open(product(&[D::Symbolic("n"), D::Symbolic("length"), D::Fixed(2)]), 17).unwrap();
    let spec = &model.signature().outputs()[0];
    assert_eq!(spec.dims(), [Dim::Batch, Dim::Named("length".into()), Dim::Fixed(2)]);
    for (m, length) in [(1, 3), (4, 9), (2, 1), (1, 3)] {
        let x = ArrayD::from_elem(vec![m, length, 2], 1.0f32);
        let y = model.predict_array(x).unwrap();
        assert_eq!(y.get::<f32>("y").unwrap().shape(), [m, length, 2]);
        assert!(y.get::<f32>("y").unwrap().iter().all(|v| *v == 4.0 || *v == 6.0));
    }
    let none = model.predict_array(ArrayD::<f32>::zeros(vec![0, 5, 2])).unwrap();
    assert_eq!(none.get::<f32>("y").unwrap().shape(), [0, 5, 2]);
    assert!(model.describe().row_independent);
}

#[test]
fn one_name_has_one_size() {
    let dims = [D::Symbolic("n"), D::Symbolic("length")];
    let nodes = vec![plain("Add", &["a", "b"], "y", vec![])];
    let model = open(built(vec![floats("a", &dims), floats("b", &dims)], nodes, vec![], &["y"]), 17).unwrap();
    let inputs = tensors! { "a" => Array2::<f32>::zeros((2, 3)), "b" => Array2::<f32>::zeros((2, 4)) }.unwrap();
    let error = model.predict_batch(&inputs).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongShape);
    assert!(error.to_string().contains("length"), "{error}");
}

#[test]
fn hints_about_shapes_are_not_believed() {
    let mut graph = product(&[D::Symbolic("n"), D::Fixed(2)]);
    graph.value_info = vec![floats("y", &[D::Symbolic("other"), D::Fixed(7)])];
    graph.output = vec![floats("y", &[D::Fixed(1), D::Symbolic("n")])];
    let model = open(graph, 17).unwrap();
    assert_eq!(model.signature().outputs()[0].dims(), [Dim::Batch, Dim::Fixed(2)]);
    let y = model.predict_array(array![[1.0f32, 0.0], [0.0, 1.0]]).unwrap();
    assert_eq!(y.get::<f32>("y").unwrap(), array![[1.0, 2.0], [3.0, 4.0]].into_dyn());
}

#[test]
fn a_graph_for_one_row_takes_many() {
    let model = open(product(&[D::Fixed(1), D::Fixed(2)]), 17).unwrap();
    assert!(model.describe().notes.iter().any(|n| n.contains("any number of rows")), "{:?}", model.describe().notes);
    assert_eq!(
        model.predict_array(array![[1.0f32, 0.0], [0.0, 1.0]]).unwrap().get::<f32>("y").unwrap().shape(),
        [2, 2]
    );

    // The flattening is bound to one row.
    let shape = dense_tensor("s", &[1], vec![2i64]).unwrap();
    let mut bound = product(&[D::Fixed(1), D::Fixed(2)]);
    bound.initializer.push(shape);
    bound.node.push(plain("Reshape", &["y", "s"], "z", vec![]));
    bound.output[0].name = Some("z".into());
    let model = open(bound, 17).unwrap();
    assert!(model.describe().notes.iter().any(|n| n.contains("one by one")), "{:?}", model.describe().notes);
    let z = model.predict_array(array![[1.0f32, 0.0], [0.0, 1.0], [1.0, 1.0]]).unwrap();
    assert_eq!(z.get::<f32>("z").unwrap(), array![[1.0, 2.0], [3.0, 4.0], [4.0, 6.0]].into_dyn());
    assert!(model.describe().row_independent);
}

#[test]
fn rows_that_look_at_each_other_are_told() {
    let dims = [D::Symbolic("n"), D::Fixed(3)];
    let independent = |nodes: Vec<NodeProto>, outputs: &[&str]| {
        open(built(vec![floats("x", &dims)], nodes, vec![], outputs), 17).unwrap().describe().row_independent
    };
    let keep = || vec![ints("axes", [0]), int("keepdims", 1)];
    let mean = |attributes| {
        independent(vec![plain("ReduceMean", &["x"], "m", attributes), plain("Sub", &["x", "m"], "y", vec![])], &["y"])
    };
    assert!(!mean(keep()));
    assert!(mean(vec![ints("axes", [1]), int("keepdims", 1)]));
    assert!(!independent(vec![plain("Softmax", &["x"], "y", vec![int("axis", 0)])], &["y"]));
    assert!(independent(vec![plain("Softmax", &["x"], "y", vec![int("axis", 1)])], &["y"]));
    let range = vec![
        node("DynamicQuantizeLinear", "", &["x"], &["q", "s", "z"], []),
        plain("DequantizeLinear", &["q", "s", "z"], "y", vec![]),
    ];
    assert!(!independent(range, &["y"]));
}

/// The batch folded into the axis behind it, and taken apart by a reshape or by picking entries.
#[test]
fn rows_that_are_folded_into_another_axis_stay_apart() {
    let whole = |name: &str, dims: &[usize], values: Vec<i64>| dense_tensor(name, dims, values).unwrap();
    let w = f32_tensor("w", &[2, 2], vec![1.0, 2.0, 3.0, 4.0]).unwrap();
    let nodes = vec![
        plain("Reshape", &["x", "flat"], "a", vec![]),
        plain("MatMul", &["a", "w"], "b", vec![]),
        plain("Reshape", &["b", "split"], "y", vec![]),
    ];
    let tensors = vec![w, whole("flat", &[2], vec![-1, 2]), whole("split", &[3], vec![-1, 4, 2])];
    let x = || vec![floats("x", &[D::Symbolic("n"), D::Fixed(4), D::Fixed(2)])];
    assert!(open(built(x(), nodes, tensors.clone(), &["y"]), 17).unwrap().describe().row_independent);

    // Four rows of answers for each of another size: rows are cut through.
    let nodes =
        vec![plain("Reshape", &["x", "flat"], "a", vec![]), plain("Softmax", &["a"], "y", vec![int("axis", 0)])];
    let mixed = built(x(), nodes, tensors[1..2].to_vec(), &["y"]);
    assert!(open(mixed, 17).map_or(true, |model| !model.describe().row_independent));

    // As `mask[arange(n)[:, None], arange(s)]` is exported.
    let pick = |step: i64| {
        let nodes = vec![
            plain("Shape", &["x"], "shape", vec![]),
            plain("Gather", &["shape", "zero"], "n", vec![]),
            plain("Range", &["zero", "n", "one"], "rows", vec![]),
            plain("Unsqueeze", &["rows", "last"], "rows1", vec![]),
            plain("Mul", &["rows1", "step"], "starts", vec![]),
            plain("Add", &["starts", "places"], "at", vec![]),
            plain("Reshape", &["x", "all"], "a", vec![]),
            plain("Gather", &["a", "at"], "y", vec![]),
        ];
        let tensors = vec![
            whole("zero", &[], vec![0]),
            whole("one", &[], vec![1]),
            whole("last", &[1], vec![1]),
            whole("step", &[], vec![step]),
            whole("places", &[4], vec![0, 1, 2, 3]),
            whole("all", &[1], vec![-1]),
        ];
        let x = vec![floats("x", &[D::Symbolic("n"), D::Fixed(4)])];
        open(built(x, nodes, tensors, &["y"]), 17).unwrap().describe().row_independent
    };
    assert!(pick(4));
    assert!(!pick(3));
}

#[test]
fn large_weights_are_compiled_once_for_all_shapes() {
    let (k, n) = (1024, 1100);
    let weights: Vec<f32> = (0..k * n).map(|i| ((i % 17) as f32 - 8.0) / 64.0).collect();
    let sums: Vec<f32> = (0..n).map(|column| (0..k).map(|row| weights[row * n + column]).sum()).collect();
    let w = f32_tensor("w", &[k, n], weights).unwrap();
    let dims = [D::Symbolic("n"), D::Symbolic("length"), D::Fixed(k as i64)];
    let graph = built(vec![floats("x", &dims)], vec![plain("MatMul", &["x", "w"], "y", vec![])], vec![w], &["y"]);
    let bytes = model(8, &[("", 17)], graph).encode_to_vec();
    let limits = crate::Limits::default().max_elements(2_000_000);
    let model = Loader::new().backend(Backend::Tract).limits(limits).load_bytes("test.onnx", bytes).unwrap();
    assert!(model.describe().engine.contains("once for all shapes"), "{}", model.describe().engine);
    assert!(model.describe().row_independent);
    assert_eq!(model.signature().outputs()[0].dims(), [Dim::Batch, Dim::Named("length".into()), Dim::Fixed(n)]);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (model, sums) = (&model, &sums);
            scope.spawn(move || {
                for (m, length) in [(1, 3), (4, 1), (2, 5), (1, 1 + thread)] {
                    let y = model.predict_array(ArrayD::from_elem(vec![m, length, k], 1.0f32)).unwrap();
                    let y = y.get::<f32>("y").unwrap();
                    assert_eq!(y.shape(), [m, length, n]);
                    assert!(y.iter().zip(sums.iter().cycle()).all(|(y, sum)| (y - sum).abs() < 1e-2));
                }
            });
        }
    });
    // Each tensor is held against the limits for the sizes that are given.
    let error = model.predict_array(ArrayD::<f32>::zeros(vec![1900, 1, k])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{error:?}");
}

/// `table[x] + x[rows, places]`, the second as PyTorch writes it: picked from x made flat.
#[test]
fn entries_picked_from_open_sizes_leave_one_plan() {
    let whole = |name: &str, dims: &[usize], values: Vec<i64>| dense_tensor(name, dims, values).unwrap();
    let (words, width) = (1024, 1100);
    let table: Vec<f32> = (0..words * width).map(|i| (i % 1013) as f32).collect();
    let table = f32_tensor("table", &[words, width], table).unwrap();
    let opened = |columns: &str, step: &str| {
        let nodes = vec![
            plain("Shape", &["x"], "shape", vec![]),
            plain("Gather", &["shape", "zero"], "n", vec![]),
            plain("Gather", &["shape", "one"], "s", vec![]),
            plain("Range", &["zero", "n", "one"], "rows", vec![]),
            plain("Unsqueeze", &["rows", "last"], "rows1", vec![]),
            plain("Range", &["zero", columns, "one"], "places", vec![]),
            plain("Unsqueeze", &["places", "first"], "places1", vec![]),
            plain("Mul", &["rows1", step], "starts", vec![]),
            plain("Add", &["places1", "starts"], "at", vec![]),
            plain("Flatten", &["x"], "flat", vec![int("axis", 2)]),
            plain("Gather", &["flat", "at"], "picked", vec![]),
            plain("Gather", &["table", "x"], "looked_up", vec![]),
            plain("Cast", &["picked"], "added", vec![int("to", dt::FLOAT.into())]),
            plain("Add", &["looked_up", "added"], "y", vec![]),
        ];
        let tensors = vec![
            table.clone(),
            whole("zero", &[], vec![0]),
            whole("one", &[], vec![1]),
            whole("two", &[], vec![2]),
            whole("last", &[1], vec![1]),
            whole("first", &[1], vec![0]),
        ];
        let x = vec![value_info("x", dt::INT64, &[D::Symbolic("n"), D::Symbolic("s")])];
        open(built(x, nodes, tensors, &["y"]), 17)
    };
    let model = opened("s", "s").unwrap();
    assert!(model.describe().engine.contains("once for all shapes"), "{:?}", model.describe());
    assert!(model.describe().row_independent);
    for (m, s) in [(1, 3), (4, 7), (2, 1)] {
        let x = Array2::from_shape_fn((m, s), |(i, j)| (17 * i + j) as i64);
        let y = model.predict_array(x.clone()).unwrap();
        let y = y.get::<f32>("y").unwrap();
        assert_eq!(y.shape(), [m, s, width]);
        for ((i, j), word) in x.indexed_iter() {
            assert_eq!(y[[i, j, 5]], ((*word as usize * width + 5) % 1013) as f32 + *word as f32);
        }
    }
    // With another step, the entries are no whole row.
    let other = opened("s", "two").unwrap().describe();
    assert!(other.engine.contains("per shape"), "{other:?}");
    assert!(other.notes.iter().any(|note| note.contains("square of symbols")), "{other:?}");
}

#[test]
fn numbers_of_many_types_go_in_and_out() {
    let n = D::Symbolic("n");
    let inputs = vec![
        value_info("i", dt::INT64, &[n, D::Fixed(2)]),
        value_info("b", dt::BOOL, &[n, D::Fixed(2)]),
        value_info("h", dt::FLOAT16, &[n, D::Fixed(2)]),
        value_info("d", dt::DOUBLE, &[n, D::Fixed(2)]),
        value_info("k", dt::INT64, &[]),
    ];
    let nodes = vec![
        plain("Add", &["i", "k"], "i2", vec![]),
        plain("Not", &["b"], "b2", vec![]),
        plain("Add", &["h", "h"], "h2", vec![]),
        plain("Mul", &["d", "d"], "d2", vec![]),
        plain("Cast", &["b"], "u2", vec![int("to", dt::UINT8.into())]),
    ];
    let model = open(built(inputs, nodes, vec![], &["i2", "b2", "h2", "d2", "u2"]), 17).unwrap();
    let half = half::f16::from_f32;
    let answers = model
        .predict_batch(
            &tensors! {
                "i" => array![[1i64 << 40, -2]], "b" => array![[true, false]], "h" => array![[half(0.5), half(2.0)]],
                "d" => array![[1.5f64, 1e100]], "k" => ndarray::arr0(7i64),
            }
            .unwrap(),
        )
        .unwrap();
    assert_eq!(answers.get::<i64>("i2").unwrap(), array![[(1i64 << 40) + 7, 5]].into_dyn());
    assert_eq!(answers.get::<bool>("b2").unwrap(), array![[false, true]].into_dyn());
    assert_eq!(answers.get::<half::f16>("h2").unwrap(), array![[half(1.0), half(4.0)]].into_dyn());
    assert_eq!(answers.get::<f64>("d2").unwrap(), array![[2.25, 1e200]].into_dyn());
    assert_eq!(answers.get::<u8>("u2").unwrap(), array![[1, 0]].into_dyn());
}

#[test]
fn a_product_of_halves_gives_halves() {
    let half = |values: [f32; 2]| values.map(half::f16::from_f32).to_vec();
    let tensors = vec![
        dense_tensor("w", &[1, 2], half([1.0, 2.0])).unwrap(),
        dense_tensor("c", &[1], half([0.5, 0.0])[..1].to_vec()).unwrap(),
    ];
    let nodes = vec![plain("Gemm", &["x", "w", "c"], "y", vec![int("transB", 1)])];
    let inputs = vec![value_info("x", dt::FLOAT16, &[D::Symbolic("n"), D::Fixed(2)])];
    let model = open(built(inputs, nodes, tensors, &["y"]), 17).unwrap();
    let x = Array2::from_shape_vec((1, 2), half([3.0, 4.0])).unwrap();
    let y = model.predict_array(x).unwrap();
    assert_eq!(y.get::<half::f16>("y").unwrap(), array![[half::f16::from_f32(11.5)]].into_dyn());
}

#[test]
fn a_size_that_the_graph_itself_writes_is_found() {
    // The exporter declares an axis as open and writes down the size that it saw.
    let tensors = vec![dense_tensor("shape", &[2], vec![-1i64, 14]).unwrap()];
    let nodes = vec![plain("Reshape", &["x", "shape"], "y", vec![])];
    let inputs = vec![floats("x", &[D::Symbolic("n"), D::Symbolic("length"), D::Fixed(1)])];
    let model = open(built(inputs, nodes, tensors, &["y"]), 17).unwrap();
    let y = model.predict_array(ArrayD::<f32>::zeros(vec![3, 14, 1])).unwrap();
    assert_eq!(y.get::<f32>("y").unwrap().shape(), [3, 14]);
}

#[test]
fn strings_are_refused_by_name() {
    let inputs = vec![value_info("text", dt::STRING, &[D::Symbolic("n")])];
    let error = open(built(inputs, vec![plain("Identity", &["text"], "y", vec![])], vec![], &["y"]), 17).unwrap_err();
    assert_eq!((error.kind(), error.tensor_name()), (ErrorKind::Unsupported, Some("text")), "{error}");
}

#[test]
fn every_operator_set_from_7_to_23_and_no_other() {
    for opset in 7..=23 {
        let model = open(product(&[D::Symbolic("n"), D::Fixed(2)]), opset).unwrap();
        assert_eq!(
            model.predict_row(array![1.0f32, 1.0]).unwrap().get::<f32>("y").unwrap(),
            array![4.0, 6.0].into_dyn()
        );
    }
    for opset in [0, 6, 99, i64::MAX] {
        let error = open(product(&[D::Symbolic("n"), D::Fixed(2)]), opset).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains(&format!("opset {opset}")), "{error}");
    }
}

#[test]
fn an_operator_that_is_lacking_is_named_with_its_domain_and_node() {
    for (op, domain) in [("Conv", "com.example"), ("NoSuch", ""), ("NoSuch", "com.microsoft")] {
        let nodes = vec![node(op, domain, &["x"], &["y"], [])];
        let graph = built(vec![floats("x", &[D::Symbolic("n"), D::Fixed(2)])], nodes, vec![], &["y"]);
        let error = open(graph.clone(), 17).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains(op) && error.to_string().contains(domain), "{error}");
        assert!(error.node_name().is_some_and(|n| n.contains(op)), "{error}");
        // Both backends say why.
        #[cfg(feature = "native")]
        {
            let bytes = model(8, &[("", 17), (domain, 1)], graph).encode_to_vec();
            let error = Loader::new().load_bytes("test.onnx", bytes).unwrap_err();
            assert!(error.to_string().contains("native") && error.to_string().contains("tract"), "{error}");
        }
    }
}

#[test]
fn graphs_that_contradict_themselves_are_malformed() {
    let x = || vec![floats("x", &[D::Symbolic("n"), D::Fixed(2)])];
    let cycle = vec![plain("Add", &["x", "b"], "a", vec![]), plain("Relu", &["a"], "b", vec![])];
    let twice = vec![plain("Relu", &["x"], "a", vec![]), plain("Abs", &["x"], "a", vec![])];
    let nothing = vec![plain("Add", &["x", "nowhere"], "a", vec![])];
    for nodes in [cycle, twice, nothing] {
        let error = open(built(x(), nodes, vec![], &["a"]), 17).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{error:?}");
    }
    let error = open(built(x(), vec![plain("Relu", &["x"], "a", vec![])], vec![], &["other"]), 17).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed, "{error:?}");
}

#[test]
fn nodes_may_stand_in_any_order_and_unused_ones_do_not_count() {
    let nodes = vec![
        plain("Abs", &["a"], "y", vec![]),
        node("NoSuch", "com.example", &["x"], &["unused"], []),
        plain("Neg", &["x"], "a", vec![]),
    ];
    let inputs = vec![floats("x", &[D::Symbolic("n"), D::Fixed(2)])];
    let bytes = model(8, &[("", 17)], built(inputs, nodes, vec![], &["y", "unused", "a"])).encode_to_vec();
    let loader = Loader::new().backend(Backend::Tract).outputs(["a", "y"]);
    let answers = loader.load_bytes("test.onnx", bytes).unwrap().predict_array(array![[1.0f32, -2.0]]).unwrap();
    assert_eq!(answers.at(0).unwrap().0, "a");
    assert_eq!(answers.get::<f32>("y").unwrap(), array![[1.0, 2.0]].into_dyn());
}

#[test]
fn weights_in_another_file_are_part_of_the_model() {
    use crate::onnx::StringStringEntryProto;
    let directory = std::env::temp_dir().join(format!("modelberth-tract-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let bytes: Vec<u8> = [1.0f32, 2.0, 3.0, 4.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(directory.join("weights.bin"), bytes).unwrap();
    let at = |location: &str| {
        let mut graph = product(&[D::Symbolic("n"), D::Fixed(2)]);
        graph.initializer[0].raw_data = None;
        graph.initializer[0].data_location = Some(1);
        graph.initializer[0].external_data = vec![StringStringEntryProto {
            key: Some("location".into()),
            value: Some(location.into()),
            ..Default::default()
        }];
        let path = directory.join("net.onnx");
        std::fs::write(&path, model(8, &[("", 17)], graph).encode_to_vec()).unwrap();
        Loader::new().backend(Backend::Tract).load(path)
    };
    let model = at("weights.bin").unwrap();
    let artifact = model.artifact().unwrap();
    assert_eq!(artifact.files.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), ["net.onnx", "weights.bin"]);
    let again = Loader::new().backend(Backend::Tract).load_artifact(&artifact).unwrap();
    let x = array![[1.0f32, 1.0]];
    assert_eq!(model.predict_array(x.view()).unwrap(), again.predict_array(x).unwrap());
    let error = at("../weights.bin").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed, "{error:?}");
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_graph_larger_than_the_limits_is_refused() {
    let big = dense_tensor("s", &[2], vec![1i64 << 20, 1 << 20]).unwrap();
    let nodes = vec![plain("ConstantOfShape", &["s"], "c", vec![]), plain("Add", &["x", "c"], "y", vec![])];
    let graph = built(vec![floats("x", &[D::Symbolic("n"), D::Fixed(1)])], nodes, vec![big], &["y"]);
    let error = open(graph, 17).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{error:?}");
}
