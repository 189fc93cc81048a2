use super::*;
use crate::{DType, ErrorKind, Tensor};

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/tables/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn header(text: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend_from_slice(&u16::try_from(text.len()).unwrap().to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
    bytes.extend_from_slice(data);
    bytes
}

#[test]
fn every_type_that_numpy_writes() {
    let expected: Vec<f64> = (0..12).map(f64::from).collect();
    for (name, dtype) in [
        ("x_nu1", DType::U8),
        ("x_lu2", DType::U16),
        ("x_lu4", DType::U32),
        ("x_lu8", DType::U64),
        ("x_ni1", DType::I8),
        ("x_li2", DType::I16),
        ("x_li4", DType::I32),
        ("x_li8", DType::I64),
        ("x_bi8", DType::I64),
        ("x_lf2", DType::F16),
        ("x_lf4", DType::F32),
        ("x_bf4", DType::F32),
        ("x_lf8", DType::F64),
        ("x_fortran", DType::F32),
        ("version1", DType::F32),
        ("version2", DType::F32),
        ("version3", DType::F32),
    ] {
        let array = read_npy(&golden(&format!("{name}.npy"))).unwrap();
        assert_eq!((array.dtype(), array.shape()), (dtype, &[3, 4][..]), "{name}");
        assert_eq!(array.cast(DType::F64).unwrap().as_slice::<f64>().unwrap(), expected, "{name}");
    }
    let truth = read_npy(&golden("x_nb1.npy")).unwrap();
    assert_eq!(truth.as_slice::<bool>().unwrap()[..2], [false, true]);
    assert_eq!(read_npy(&golden("no_rows.npy")).unwrap().shape(), [0, 4]);
}

#[test]
fn text_in_either_byte_order() {
    for name in ["text.npy", "text_big_endian.npy"] {
        let array = read_npy(&golden(name)).unwrap();
        assert_eq!(array.as_slice::<String>().unwrap(), ["a", "", "größe \u{1f980}"]);
    }
    assert_eq!(read_npy(&golden("bytes.npy")).unwrap().as_slice::<String>().unwrap(), ["ab", "", "c"]);
}

#[test]
fn what_is_not_numbers_or_text_is_refused() {
    for (name, says) in [
        ("objects.npy", "astype(str)"),
        ("structured.npy", "named fields"),
        ("complex.npy", "complex"),
        ("dates.npy", "dates"),
    ] {
        let e = read_npy(&golden(name)).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unsupported, "{name}");
        assert!(e.to_string().contains(says), "{name}: {e}");
    }
}

#[test]
fn hostile_headers_take_no_memory() {
    for text in [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999,)}",
        "{'descr': '<U0', 'fortran_order': False, 'shape': (1000000000000,)}",
        "{'descr': '<U99999999999', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)}",
        "{'descr': '<f4', 'fortran_order': 1, 'shape': (1,)}",
        "{'descr': '<f4', 'shape': (1,)}",
        "{'descr': '<f4\\'', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4",
        "{'descr'",
        "__import__('os')",
        "",
    ] {
        let e = read_npy(&header(text, &[0; 4])).unwrap_err();
        assert!(matches!(e.kind(), ErrorKind::Malformed | ErrorKind::Unsupported), "{text}: {e}");
    }
    let limited = read(&mut &golden("x_lf8.npy")[..], 10_000, 90).unwrap_err();
    assert_eq!(limited.kind(), ErrorKind::LimitExceeded);
    let lone_surrogate = header("{'descr': '<U1', 'fortran_order': False, 'shape': (1,)}", &[0, 0xd8, 0, 0]);
    assert!(read_npy(&lone_surrogate).unwrap_err().to_string().contains("0xd800"));
}

#[test]
fn every_truncation_is_an_error() {
    let bytes = golden("x_lf4.npy");
    for end in 0..bytes.len() {
        assert_eq!(read_npy(&bytes[..end]).unwrap_err().kind(), ErrorKind::Malformed, "{end} bytes");
    }
}

#[test]
fn flipped_bits_never_panic() {
    let bytes = golden("text.npy");
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            let _ = read_npy(&flipped);
        }
    }
}

#[test]
fn the_same_bytes_as_numpy() {
    for name in ["x_lf4.npy", "x_li8.npy", "x_lf2.npy", "text.npy", "column.npy", "no_rows.npy", "x_nb1.npy"] {
        let bytes = golden(name);
        let mut written = Vec::new();
        Column::new(&read_npy(&bytes).unwrap(), true).unwrap().write_to(&mut written).unwrap();
        assert_eq!(written, bytes, "{name}");
    }
}

#[test]
fn batches_become_one_array() {
    let part = |rows: &[f32]| Tensor::from_vec(&[rows.len() / 2, 2], rows.to_vec()).unwrap();
    let mut column = Column::new(&part(&[1.0, 2.0]), true).unwrap();
    column.push(&part(&[3.0, 4.0, 5.0, 6.0])).unwrap();
    column.push(&part(&[])).unwrap();
    let mut written = Vec::new();
    column.write_to(&mut written).unwrap();
    let back = read_npy(&written).unwrap();
    assert_eq!((back.shape(), back.as_slice::<f32>().unwrap()), (&[3, 2][..], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..]));

    assert_eq!(column.push(&Tensor::from(vec![1.0f32])).unwrap_err().kind(), ErrorKind::WrongShape);
    assert_eq!(
        column.push(&Tensor::from_vec(&[1, 2], vec![1i64, 2]).unwrap()).unwrap_err().kind(),
        ErrorKind::WrongType
    );
    let mut state = Column::new(&part(&[1.0, 2.0]), false).unwrap();
    assert_eq!(state.push(&part(&[1.0, 2.0])).unwrap_err().kind(), ErrorKind::Unsupported);
}
