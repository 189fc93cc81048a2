use super::format::{Binary, CHECKSUM, HEADER, MAGIC, Reduction, Test, Unary, VERSION, checksum};
use super::{Error, Packed};

/// A header for a body with these counts of floats, texts, inputs, outputs and steps.
fn whole(numbers: [u32; 5], body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::from(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend([0; 2]);
    bytes.extend(((HEADER + body.len()) as u32).to_le_bytes());
    bytes.extend([0; 4]);
    numbers.iter().for_each(|n| bytes.extend(n.to_le_bytes()));
    bytes.extend(body);
    let sum = checksum(&bytes[CHECKSUM + 4..]);
    bytes[CHECKSUM..CHECKSUM + 4].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn port(name: &str, len: u32, at: u32) -> Vec<u8> {
    let mut bytes = Vec::from((name.len() as u32).to_le_bytes());
    bytes.extend(name.as_bytes());
    bytes.extend([1, 1]);
    bytes.extend([len, at].iter().flat_map(|n| n.to_le_bytes()));
    bytes
}

/// A step of a code, a byte of its own if it has one, and numbers.
fn step(code: &[u8], numbers: &[u32]) -> Vec<u8> {
    code.iter().copied().chain(numbers.iter().flat_map(|n| n.to_le_bytes())).collect()
}

/// The answers for `input` of a program of one step from the inputs to `n` numbers behind them.
fn answers(input: &[f32], n: usize, code: &[u8], numbers: &[u32]) -> Result<Vec<f32>, Error> {
    let k = input.len() as u32;
    let body = [port("x", k, 0), port("y", n as u32, k), step(code, numbers)].concat();
    let bytes = whole([k + n as u32, 0, 1, 1, 1], &body);
    let model = Packed::new(&bytes)?;
    let (mut scratch, mut output) = (vec![9.0; model.scratch_len()], vec![9.0; n]);
    model.predict(input, &mut scratch, &mut output)?;
    Ok(output)
}

#[test]
fn steps_do_what_they_say() {
    let bits = |x: f32| x.to_bits();
    assert_eq!(answers(&[1.0, 2.0], 2, &[1], &[2, 2, bits(5.0), bits(6.0)]).unwrap(), [5.0, 6.0]);
    assert_eq!(answers(&[1.0, 2.0], 3, &[2], &[0, 2, 2, 3, 1, 0, 1]).unwrap(), [2.0, 1.0, 2.0]);
    assert_eq!(answers(&[-1.0, 2.0], 2, &[3, Unary::Relu as u8], &[0, 2, 2, 2]).unwrap(), [0.0, 2.0]);
    let zip = |f: Binary| answers(&[7.0, 2.0], 1, &[4, f as u8], &[0, 1, 1, 1, 2, 1]).unwrap()[0];
    assert_eq!([zip(Binary::Subtract), zip(Binary::Power), zip(Binary::Greater)], [5.0, 49.0, 1.0]);
    assert_eq!(answers(&[0.0, 3.0, 4.0], 1, &[5], &[0, 1, 1, 1, 2, 1, 3, 1]).unwrap(), [4.0]);
    // Weights (n, k) = [[1, 2], [3, 4]], bias [10, 20].
    let numbers = [&[0, 2, 2, 2, 2, 2][..], &[1.0, 2.0, 3.0, 4.0, 10.0, 20.0f32].map(bits)].concat();
    assert_eq!(answers(&[5.0, 6.0], 2, &[6], &numbers).unwrap(), [27.0, 59.0]);
    let reduce = |f: Reduction| answers(&[3.0, 1.0, 4.0, 1.0], 2, &[7, f as u8], &[0, 4, 4, 2, 2, 2]).unwrap();
    assert_eq!(reduce(Reduction::Sum), [7.0, 2.0]);
    assert_eq!(reduce(Reduction::ArgMax), [1.0, 0.0]);
    assert_eq!(answers(&[f32::NAN, 1.0], 1, &[7, Reduction::ArgMax as u8], &[0, 2, 2, 1, 2, 1]).unwrap(), [0.0]);
    assert_eq!(answers(&[1.0, 1.0], 2, &[8], &[0, 2, 2, 2, 2]).unwrap(), [0.5, 0.5]);
    let lookup = [&[0, 2, 2, 2, 1][..], &[-1.0, 7.0, 70.0f32].map(bits)].concat();
    assert_eq!(answers(&[7.0, 8.0], 2, &[9], &lookup).unwrap(), [70.0, -1.0]);
    assert_eq!(answers(&[8.0], 2, &[10], &[0, 1, 1, 2, 2, bits(7.0), bits(8.0)]).unwrap(), [0.0, 1.0]);
}

#[test]
fn distances_are_squared() {
    let numbers = [&[0, 2, 2, 2][..], &[1.0, 1.0, 4.0, 5.0f32].map(f32::to_bits)].concat();
    assert_eq!(answers(&[1.0, 1.0], 2, &[12], &numbers).unwrap(), [0.0, 25.0]);
}

/// A stump: x[0] <= 0.5 says 1, else 2; NaN goes as `nan` says.
fn stump(nan: u8, other: u32, x: f32) -> Result<Vec<f32>, Error> {
    let node = |feature: u16, test: u8, nan: u8, middle: u32, other: u32| {
        [&feature.to_le_bytes()[..], &[test, nan], &middle.to_le_bytes(), &other.to_le_bytes()].concat()
    };
    let mut body = [port("x", 1, 0), port("y", 1, 1)].concat();
    body.extend(step(&[11, 1], &[0, 1, 1, 1, 1, 3, 2, 10f32.to_bits(), 0]));
    body.extend(node(0, Test::LessOrEqual as u8, nan, 0.5f32.to_bits(), other));
    body.extend(node(u16::MAX, 0, 0, 1, 0));
    body.extend(node(u16::MAX, 0, 0, 1, 1));
    body.extend([0, 1f32.to_bits(), 0, 2f32.to_bits()].iter().flat_map(|n| n.to_le_bytes()));
    let bytes = whole([2, 0, 1, 1, 1], &body);
    let mut output = [0.0];
    Packed::new(&bytes)?.predict(&[x], &mut [0.0; 2], &mut output)?;
    Ok(output.to_vec())
}

#[test]
fn trees_are_walked_and_end() {
    assert_eq!(stump(0, 2, 0.5).unwrap(), [11.0]);
    assert_eq!(stump(0, 2, 0.6).unwrap(), [12.0]);
    assert_eq!([stump(0, 2, f32::NAN).unwrap(), stump(1, 2, f32::NAN).unwrap()], [[12.0], [11.0]]);
    // A child that is its own parent, and one that is not there.
    assert_eq!(stump(0, 0, 0.5), Err(Error::Malformed));
    assert_eq!(stump(0, 3, 0.5), Err(Error::Malformed));
}

#[test]
fn what_is_wrong_is_told() {
    assert_eq!(Packed::new(b"MBP").unwrap_err(), Error::NotPacked);
    assert_eq!(Packed::new(&[7; 64]).unwrap_err(), Error::NotPacked);
    let bytes = whole([0, 0, 0, 0, 0], &[]);
    let model = Packed::new(&bytes).unwrap();
    let wrong = model.predict(&[1.0], &mut [], &mut []).unwrap_err();
    assert_eq!(wrong, Error::Length { expected: 0, actual: 1 });
    assert_eq!(wrong.to_string(), "0 floats are needed, 1 were given");
    let mut later = bytes.clone();
    later[4] = 2;
    assert_eq!(Packed::new(&later).unwrap_err(), Error::Version(2));
    assert_eq!(Packed::new(&[&bytes[..], &[0]].concat()).unwrap_err(), Error::Truncated);
    // A step that reads what it writes, one that reads past the scratch, and a code that is none.
    for numbers in [[0, 2, 1, 2], [1, 2, 2, 2], [0, 1, 2, 2]] {
        assert_eq!(answers(&[1.0, 2.0], 2, &[3, 1], &numbers), Err(Error::Malformed), "{numbers:?}");
    }
    assert_eq!(answers(&[1.0], 1, &[77], &[]), Err(Error::Malformed));
    assert_eq!(answers(&[1.0], 1, &[3, 1], &[0, 1, 1]), Err(Error::Truncated));
}
