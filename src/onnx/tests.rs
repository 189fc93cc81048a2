use super::{
    message::Message,
    wire::{Counter, Sink, Wire},
    *,
};
use crate::ErrorKind;
use std::{boxed::Box, format, fs, path::PathBuf, string::String, vec, vec::Vec};

mod tensors;

fn zoo(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/zoo").join(name);
    fs::read(path).unwrap()
}

const FILES: [&str; 5] = [
    "classifier_LogisticRegression.onnx",
    "pipeline_onehot_logreg.onnx",
    "pipeline_ordinal_logreg.onnx",
    "transformer_Normalizer.onnx",
    "zipmap_iris.onnx",
];

fn decode(bytes: &[u8]) -> crate::Result<ModelProto> {
    ModelProto::decode(bytes, &DecodeLimits::default())
}

#[test]
fn real_files_encode_to_the_same_bytes() {
    for file in FILES {
        let bytes = zoo(file);
        let model = decode(&bytes).unwrap();
        assert!(model.ir_version.unwrap() >= 3, "{file}");
        assert!(!model.opset_import.is_empty(), "{file}");
        let graph = model.graph.as_ref().unwrap();
        assert!(!graph.node.is_empty() && !graph.input.is_empty() && !graph.output.is_empty(), "{file}");
        let again = model.encode_to_vec();
        assert!(again == bytes, "{file}");
        assert_eq!(again.len(), model.encoded_len());
        // Not `==`: the imputer's attribute is a NaN.
        assert_eq!(format!("{:?}", decode(&again).unwrap()), format!("{model:?}"), "{file}");
    }
}

#[test]
fn fields_of_a_classifier() {
    let model = decode(&zoo("zipmap_iris.onnx")).unwrap();
    assert_eq!(model.producer_name.as_deref(), Some("skl2onnx"));
    let graph = model.graph.unwrap();
    let linear = graph.node.iter().find(|node| node.operator() == "LinearClassifier").unwrap();
    assert_eq!(linear.operator_domain(), "ai.onnx.ml");
    let coefficients = linear.find_attribute("coefficients").unwrap();
    assert_eq!(coefficients.effective_type(), attribute_type::FLOATS);
    assert_eq!(coefficients.floats.len(), 12);
    assert_eq!(linear.find_attribute("post_transform").unwrap().s.as_deref(), Some(&b"SOFTMAX"[..]));
    assert!(graph.node.iter().any(|node| node.operator() == "ZipMap"));
    let Some(TypeValue::Tensor(input)) = graph.input[0].r#type.as_ref().unwrap().value().unwrap() else {
        panic!("the input is a tensor")
    };
    assert_eq!(input.elem_type, Some(data_type::FLOAT));
    let dims = &input.shape.as_ref().unwrap().dim;
    assert_eq!(dims[1].value(), DimensionValue::Fixed(4));
    let probabilities = graph.output[1].r#type.as_ref().unwrap();
    assert!(matches!(probabilities.value().unwrap(), Some(TypeValue::Sequence(_))));
}

#[test]
fn large_bytes_are_shared_and_not_copied() {
    let file = zoo("pipeline_onehot_logreg.onnx");
    let whole = Bytes::from(file);
    let range = whole.as_ptr_range();
    let model = ModelProto::decode(whole.clone(), &DecodeLimits::default()).unwrap();
    let tensor = TensorProto { raw_data: Some(whole.slice(10, 20)), ..TensorProto::default() };
    let bytes = Bytes::from(tensor.encode_to_vec());
    let again = TensorProto::decode(bytes.clone(), &DecodeLimits::default()).unwrap();
    assert!(bytes.as_ptr_range().contains(&again.raw_data.as_ref().unwrap().as_ptr()));
    for raw in model.graph.unwrap().initializer.iter().filter_map(|tensor| tensor.raw_data.as_ref()) {
        assert!(raw.is_empty() || range.contains(&raw.as_ptr()));
    }
}

/// Sets every field of the kinds that the zoo does not use.
fn everything() -> ModelProto {
    let scalar = |code| TypeProto {
        tensor_type: Some(Box::new(TensorType { elem_type: Some(code), ..Default::default() })),
        ..Default::default()
    };
    let types = vec![
        scalar(data_type::FLOAT),
        TypeProto {
            map_type: Some(Box::new(MapType {
                key_type: Some(data_type::INT64),
                value_type: Some(Box::new(scalar(data_type::FLOAT))),
                ..Default::default()
            })),
            denotation: Some("SCORES".into()),
            ..Default::default()
        },
        TypeProto {
            optional_type: Some(Box::new(OptionalType {
                elem_type: Some(Box::new(scalar(data_type::STRING))),
                ..Default::default()
            })),
            ..Default::default()
        },
        TypeProto {
            opaque_type: Some(Box::new(OpaqueType { name: Some("o".into()), ..Default::default() })),
            ..Default::default()
        },
        TypeProto { sparse_tensor_type: scalar(data_type::DOUBLE).tensor_type, ..Default::default() },
    ];
    let entry = StringStringEntryProto { key: Some("k".into()), value: Some(String::new()), ..Default::default() };
    let tensor = TensorProto {
        dims: vec![3],
        data_type: Some(data_type::INT32),
        segment: Some(Box::new(Segment { begin: Some(0), end: Some(3), ..Default::default() })),
        float_data: vec![0.5, -0.0],
        int32_data: vec![-1, i32::MAX, i32::MIN],
        string_data: vec![vec![], vec![0xff]],
        int64_data: vec![i64::MIN, 0],
        double_data: vec![1e300],
        uint64_data: vec![u64::MAX],
        external_data: vec![entry.clone()],
        data_location: Some(data_location::EXTERNAL),
        ..Default::default()
    };
    let sparse = SparseTensorProto {
        values: Some(Box::new(tensor.clone())),
        indices: Some(Box::default()),
        dims: vec![-3, 4],
        ..Default::default()
    };
    let attributes = vec![
        builder::float("f", 1.5),
        builder::int("i", -7),
        builder::string("s", "é"),
        builder::tensor("t", tensor.clone()),
        builder::floats("floats", [1.0, 2.0]),
        builder::ints("ints", [1, -1]),
        builder::strings("strings", &["", "b"]),
        builder::subgraph("g", GraphProto::default()),
        AttributeProto { graphs: vec![GraphProto::default(); 2], ..Default::default() },
        AttributeProto { tensors: vec![tensor.clone(); 2], ..Default::default() },
        AttributeProto { sparse_tensor: Some(Box::new(sparse.clone())), ..Default::default() },
        AttributeProto { sparse_tensors: vec![sparse.clone()], ..Default::default() },
        AttributeProto { tp: Some(Box::new(types[1].clone())), ..Default::default() },
        AttributeProto { type_protos: types.clone(), ref_attr_name: Some("r".into()), ..Default::default() },
    ];
    let mut node = builder::node("Op", "d", &["a", ""], &["b"], attributes);
    node.overload = Some("o".into());
    node.metadata_props = vec![entry.clone()];
    node.device_configurations = vec![NodeDeviceConfigurationProto {
        sharding_spec: vec![ShardingSpecProto {
            device: vec![0, 1],
            index_to_device_group_map: vec![IntIntListEntryProto { value: vec![3], ..Default::default() }],
            sharded_dim: vec![ShardedDimProto { axis: Some(-1), ..Default::default() }],
            ..Default::default()
        }],
        pipeline_stage: Some(-1),
        ..Default::default()
    }];
    let input = builder::value_info(
        "a",
        data_type::FLOAT,
        &[builder::Dim::Symbolic("batch"), builder::Dim::Fixed(4), builder::Dim::Unknown],
    );
    let mut graph = builder::graph("g", [input], [node.clone()], [tensor], []);
    graph.sparse_initializer = vec![sparse];
    graph.quantization_annotation = vec![TensorAnnotation {
        tensor_name: Some("a".into()),
        quant_parameter_tensor_names: vec![entry.clone()],
        ..Default::default()
    }];
    let mut model = builder::model(10, &[("", 21), ("ai.onnx.ml", 5)], graph);
    model.metadata_props = vec![entry];
    model.training_info = vec![TrainingInfoProto { algorithm: Some(Box::default()), ..Default::default() }];
    model.functions = vec![FunctionProto {
        attribute: vec!["x".into()],
        attribute_proto: vec![builder::int("y", 1)],
        node: vec![node],
        overload: Some("z".into()),
        ..Default::default()
    }];
    model.configuration = vec![DeviceConfigurationProto { num_devices: Some(2), ..Default::default() }];
    model
}

#[test]
fn every_kind_of_field_comes_back() {
    let model = everything();
    let bytes = model.encode_to_vec();
    assert_eq!(decode(&bytes).unwrap(), model);
    assert_eq!(decode(&bytes).unwrap().encode_to_vec(), bytes);
    let attributes = &model.graph.as_ref().unwrap().node[0].attribute;
    assert_eq!(attributes[8].effective_type(), attribute_type::GRAPHS);
    assert_eq!(attributes[13].effective_type(), attribute_type::TYPE_PROTOS);
}

#[test]
fn alien_fields_come_back() {
    let mut model = decode(&zoo("zipmap_iris.onnx")).unwrap();
    let mut alien = Vec::new();
    for (field, wire) in [(900, Wire::Varint), (901, Wire::Len), (902, Wire::Fixed32), (903, Wire::Fixed64)] {
        alien.put_key(field, wire);
        match wire {
            Wire::Varint => alien.put_varint(u64::MAX),
            Wire::Len => alien.put_len_bytes(b"alien"),
            Wire::Fixed32 => alien.put(&[1; 4]),
            Wire::Fixed64 => alien.put(&[2; 8]),
        }
    }
    model.unknown = alien.clone();
    model.graph.as_mut().unwrap().node[0].unknown = alien.clone();
    let again = decode(&model.encode_to_vec()).unwrap();
    assert_eq!(again, model);
    assert_eq!(again.graph.unwrap().node[0].unknown, alien);
}

#[test]
fn packed_and_unpacked_numbers_are_read() {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&[0x3a, 0]); // int64_data, an empty run
    bytes.extend_from_slice(&[0x38, 5]); // int64_data, one value
    bytes.extend_from_slice(&[0x3a, 3, 1, 0x80, 1]); // int64_data, a run
    bytes.extend_from_slice(&[0x0a, 2, 2, 3, 0x08, 4]); // dims, a run and one value
    bytes.extend_from_slice(&[0x25, 0, 0, 0x80, 0x3f]); // float_data, one value
    let tensor = TensorProto::decode(bytes, &DecodeLimits::default()).unwrap();
    assert_eq!(tensor.int64_data, [5, 1, 128]);
    assert_eq!(tensor.int64_data.capacity(), 3);
    assert_eq!(tensor.dims, [2, 3, 4]);
    assert_eq!(tensor.float_data, [1.0]);
    assert_eq!(&tensor.encode_to_vec()[..6], [0x08, 2, 0x08, 3, 0x08, 4]);
}

#[test]
fn runs_of_one_field_end_where_another_begins() {
    let bytes = [
        &[0x38, 1, 0x38, 0x80, 1, 0x38, 2][..],   // int64_data: 1, 128, 2
        &[0x08, 9],                               // dims: 9
        &[0x38, 3],                               // int64_data: 3
        &[0x3a, 2, 4, 5],                         // int64_data, packed: 4, 5
        &[0x32, 1, b'a', 0x32, 0, 0x32, 1, b'b'], // string_data: a, nothing, b
        &[0x38, 6],                               // int64_data: 6
    ];
    let tensor = TensorProto::decode(bytes.concat(), &DecodeLimits::default()).unwrap();
    assert_eq!(tensor.int64_data, [1, 128, 2, 3, 4, 5, 6]);
    assert_eq!(tensor.int64_data.capacity(), 7);
    assert_eq!(tensor.dims, [9]);
    assert_eq!(tensor.string_data, [&b"a"[..], b"", b"b"]);
    assert_eq!(tensor.string_data.capacity(), 3);
    let cut = TensorProto::decode(&[0x38, 1, 0x38, 0x80][..], &DecodeLimits::default()).unwrap_err();
    assert!(cut.message().contains("field 7 at byte 2"), "{cut}");
}

#[test]
fn truncation_is_an_error_or_a_shorter_model() {
    for file in FILES {
        let bytes = zoo(file);
        for end in 0..bytes.len() {
            match decode(&bytes[..end]) {
                Ok(model) => assert_eq!(model.encode_to_vec(), &bytes[..end]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Malformed),
            }
        }
    }
}

#[test]
fn changed_bytes_never_panic() {
    let bytes = everything().encode_to_vec();
    for at in 0..bytes.len() {
        for change in [1, 2, 4, 7, 0x80, 0xff] {
            let mut bytes = bytes.clone();
            bytes[at] ^= change;
            if let Ok(model) = decode(&bytes) {
                let _ = model.encode_to_vec();
            }
        }
    }
}

#[test]
fn malformed_fields_say_where() {
    let cases: [(&[u8], &str); 9] = [
        (&[0x08], "ends within a varint"),
        (&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "64 bits"),
        (&[0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01], "longer than 10"),
        (&[0x0a, 0x00], "wire type"),
        (&[0x13, 0x14], "groups"),
        (&[0x0f], "no wire type"),
        (&[0x00, 0x00], "number"),
        (&[0x12, 0x02, 0xc3, 0x28], "UTF-8"),
        (&[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], "0 are left"),
    ];
    for (bytes, part) in cases {
        let error = decode(bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed);
        assert!(error.message().contains(part), "{error}");
    }
    let twice = [0x3a, 0x00, 0x3a, 0x00];
    assert!(decode(&twice).unwrap_err().message().contains("ModelProto, field 7 at byte 2"));
    let inner = decode(&[0x08, 0x01, 0x3a, 0x03, 0x0a, 0x01, 0x08]).unwrap_err();
    assert!(inner.message().contains("NodeProto, field 1 at byte 6"), "{inner}");
}

fn nested_types(depth: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..depth {
        for field in [1, 4] {
            let mut outer = Vec::new();
            outer.put_key(field, Wire::Len);
            outer.put_len_bytes(&bytes);
            bytes = outer;
        }
    }
    bytes
}

#[test]
fn depth_is_bounded() {
    let limits = DecodeLimits::default();
    assert!(TypeProto::decode(nested_types(31), &limits).is_ok());
    let error = TypeProto::decode(nested_types(32), &limits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    let all = DecodeLimits { max_depth: usize::MAX, ..limits };
    assert!(TypeProto::decode(nested_types(127), &all).is_ok());
    let error = TypeProto::decode(nested_types(20_000), &all).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
}

#[test]
fn messages_are_bounded() {
    let nodes = [0x0a, 0x00].repeat(1000);
    let limits = |max_messages| DecodeLimits { max_messages, ..DecodeLimits::default() };
    let graph = GraphProto::decode(&nodes[..], &limits(1000)).unwrap();
    assert_eq!((graph.node.len(), graph.node.capacity()), (1000, 1000));
    let error = GraphProto::decode(&nodes[..], &limits(999)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    assert!(error.message().contains("more than 999"), "{error}");
}

#[test]
fn numbers_take_at_most_eight_times_the_file() {
    // One long run and then single values: growth by doubling would overshoot.
    let mut bytes = Vec::new();
    bytes.put_key(7, Wire::Len);
    bytes.put_len_bytes(&[0; 4096]);
    bytes.extend_from_slice(&[0x38, 1]);
    bytes.extend([0x3a, 0x00].repeat(50_000));
    let tensor = TensorProto::decode(&bytes[..], &DecodeLimits::default()).unwrap();
    assert_eq!((tensor.int64_data.len(), tensor.int64_data.capacity()), (4097, 4097));
}

#[test]
fn counting_is_linear_in_depth() {
    let mut graph = GraphProto::default();
    for _ in 0..60 {
        let node = builder::node("If", "", &[], &[], [builder::subgraph("then_branch", graph)]);
        graph = builder::graph("g", [], [node], [], []);
    }
    let mut counter = Counter::default();
    graph.encode(&mut counter);
    assert_eq!(graph.encode_to_vec().len(), counter.0);
}

#[test]
fn sniffing() {
    for file in FILES {
        let bytes = zoo(file);
        assert!(looks_like_onnx(&bytes), "{file}");
        assert!(looks_like_onnx(&bytes[..64]), "{file}");
    }
    assert!(looks_like_onnx(&everything().encode_to_vec()));
    let safetensors = |header: &str| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes
    };
    let others: Vec<Vec<u8>> = vec![
        vec![],
        b"tree\nversion=v4\n".to_vec(),
        b"{\"learner\": {}}".to_vec(),
        b"\n\n  {}".to_vec(),
        b"a,b\n1,2\n".to_vec(),
        b":::::::::::::::::::".to_vec(),
        b"\x93NUMPY\x01\x00v\x00{'descr': '<f4'}".to_vec(),
        b"PK\x03\x04".to_vec(),
        b"\x08\x01".to_vec(),
        b"\x08\x01\x12\x04\x0a\x02hi".to_vec(),
        b"\x80\x04\x95".to_vec(),
        safetensors("{\"w\":{}}"),
        safetensors(&format!("{{{}}}", " ".repeat(0x3a08 - 2))),
        vec![0; 64],
    ];
    for other in others {
        assert!(!looks_like_onnx(&other), "{other:?}");
    }
}

#[test]
fn built_graphs_hold_what_was_asked_for() {
    let weights = builder::f32_tensor("w", &[2, 1], [0.5, -1.0]).unwrap();
    let rows = builder::Dim::Symbolic("batch");
    let input = builder::value_info("x", data_type::FLOAT, &[rows, builder::Dim::Fixed(2)]);
    let output = builder::value_info("y", data_type::FLOAT, &[rows, builder::Dim::Fixed(1)]);
    let node =
        builder::node("Gemm", "", &["x", "w"], &["y"], [builder::float("alpha", 2.0), builder::int("transB", 0)]);
    let model = builder::model(9, &[("", 17)], builder::graph("linear", [input], [node], [weights], [output]));
    let model = decode(&model.encode_to_vec()).unwrap();
    let graph = model.graph.unwrap();
    assert_eq!((graph.node[0].operator(), graph.node[0].operator_domain()), ("Gemm", ""));
    assert_eq!(graph.initializer[0].to_dense(None, 2).unwrap().data, TensorData::F32(vec![0.5, -1.0]));
    let Some(TypeValue::Tensor(output)) = graph.output[0].r#type.as_ref().unwrap().value().unwrap() else {
        panic!("the output is a tensor")
    };
    let dims: Vec<_> = output.shape.as_ref().unwrap().dim.iter().map(|dim| dim.value()).collect();
    assert_eq!(dims, [DimensionValue::Symbolic("batch"), DimensionValue::Fixed(1)]);
    assert!(builder::f32_tensor("w", &[3], [0.5]).is_err());
}
