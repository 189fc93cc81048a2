use crate::onnx::builder::{Dim, graph, model, node, value_info};
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
