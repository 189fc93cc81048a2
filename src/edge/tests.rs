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
    assert_eq!(
        [zip(Binary::Remainder), zip(Binary::BitAnd), zip(Binary::BitOr), zip(Binary::BitXor)],
        [1.0, 2.0, 7.0, 5.0]
    );
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
fn shorter_spans_are_repeated() {
    let rows = [1.0, 2.0, 3.0, 4.0, 10.0, 20.0];
    let sums = answers(&rows, 4, &[4, Binary::Add as u8], &[0, 4, 4, 2, 6, 4]).unwrap();
    assert_eq!(sums, [11.0, 22.0, 13.0, 24.0]);
    assert_eq!(answers(&rows, 4, &[5], &[0, 4, 4, 1, 5, 1, 6, 4]).unwrap(), [10.0; 4]);
    // Three do not fill four.
    assert_eq!(answers(&rows, 4, &[4, Binary::Add as u8], &[0, 4, 3, 3, 6, 4]), Err(Error::Malformed));
}

#[test]
fn steps_of_networks_do_what_they_say() {
    let bits = |xs: &[f32]| xs.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
    assert_eq!(answers(&[1.0, 2.0], 2, &[13], &[0, 2, 2, 2]).unwrap(), [1.0, 2.0]);
    // Two products of (1, 2) and (2, 1).
    let factors = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    assert_eq!(answers(&factors, 2, &[14], &[0, 4, 4, 4, 8, 2, 2, 1]).unwrap(), [17.0, 53.0]);
    // A row of four, a kernel of two, two steps at a time, one place of padding in front; bias 100.
    let still = [1, 1, 1, 1, 0, 1];
    let walk = |stride: u32, output: u32| [&still[..], &still, &[4, 2, stride, 1, 1, output]].concat();
    let convolve = |axes: &[u32], n: u32| {
        let numbers = [&[0, 4, 4, n, 1, 1, 1][..], axes, &bits(&[1.0, 10.0, 100.0])].concat();
        answers(&[1.0, 2.0, 3.0, 4.0], n as usize, &[15], &numbers)
    };
    assert_eq!(convolve(&walk(2, 3), 3).unwrap(), [110.0, 132.0, 104.0]);
    assert_eq!(
        convolve(&walk(u32::MAX, 3), 3).is_err(),
        usize::BITS == 32,
        "places far behind the input count for nothing"
    );
    // Normalised, and the variance with something added.
    let normal = answers(&[1.0, 3.0], 2, &[21], &[0, 2, 2, 2, 2, 3f32.to_bits()]).unwrap();
    assert_eq!(normal, [-0.5, 0.5]);
}

#[test]
fn sorting_and_picking_do_what_they_say() {
    let x = [3.0, f32::NAN, 1.0, 3.0];
    let order = |descending: u8, k: u32| answers(&x, k as usize, &[17, descending], &[0, 4, 4, k, 4, k]).unwrap();
    assert_eq!(order(1, 4), [1.0, 0.0, 3.0, 2.0]);
    assert_eq!(order(0, 2), [2.0, 0.0]);
    // Two rows of two pairs; the second pair of the first, the last of the second, and one that is not there.
    let pairs = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 1.0, -1.0];
    assert_eq!(answers(&pairs, 4, &[18], &[0, 8, 8, 2, 10, 4, 2, 2]).unwrap(), [3.0, 4.0, 7.0, 8.0]);
    let far = answers(&[1.0, 2.0, 2.0], 1, &[18], &[0, 2, 2, 1, 3, 1, 2, 1]).unwrap();
    assert!(far[0].is_nan());
    let table = [&[0, 2, 2, 2, 3, 1][..], &[5.0, 6.0, 7.0f32].map(f32::to_bits)].concat();
    assert_eq!(answers(&[2.0, -3.0], 2, &[19], &table).unwrap(), [7.0, 5.0]);
}

#[test]
fn recurrences_are_their_formulas() {
    let (x, h, r) = ([0.5f32, -0.25], 0.1f32, 0.75f32);
    let bits = f32::to_bits;
    // Two steps of one hidden number.
    let tanh = answers(&[x[0], x[1], h], 2, &[16, 1], &[0, 2, 2, 1, 0, 0, 3, 2, 1, bits(r)]).unwrap();
    let first = (x[0] + r * h).tanh();
    assert!((tanh[0] - first).abs() < 1e-6 && (tanh[1] - (x[1] + r * first).tanh()).abs() < 1e-6);
    let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
    let gates = [0.5, -0.25, 0.75, 0.25];
    let weights = [0.1, 0.2, 0.3, 0.4].map(bits);
    // One step: i, o, f, c from a state and a cell state; the work of the cell begins with what comes of that.
    let input = [&gates[..], &[h, 0.6]].concat();
    let lstm = answers(&input, 6, &[16, 5], &[&[0, 4, 4, 1, 5, 1, 6, 6, 1][..], &weights].concat()).unwrap();
    let sum = |i: usize| gates[i] + f32::from_bits(weights[i]) * h;
    let cell = sigmoid(sum(2)) * 0.6 + sigmoid(sum(0)) * sum(3).tanh();
    assert!((lstm[1] - cell).abs() < 1e-6 && (lstm[0] - sigmoid(sum(1)) * cell.tanh()).abs() < 1e-6, "{lstm:?}");
    // z, r, h with the reset gate behind the product, which has a bias.
    let input = [&gates[..3], &[h]].concat();
    let numbers = [&[0, 3, 3, 1, 0, 0, 4, 4, 1][..], &weights[..3], &[bits(0.5)]].concat();
    let gru = answers(&input, 4, &[16, 4], &numbers).unwrap();
    let (z, new) = (sigmoid(sum(0)), (gates[2] + sigmoid(sum(1)) * (0.3 * h + 0.5)).tanh());
    assert!((gru[0] - ((1.0 - z) * new + z * h)).abs() < 1e-6, "{gru:?}");
    // A state of another length than the hidden one.
    let numbers = [&[0, 3, 2, 2, 0, 0, 4, 4, 1][..], &weights[..3], &[bits(0.5)]].concat();
    assert_eq!(answers(&input, 4, &[16, 4], &numbers), Err(Error::Malformed));
}

#[test]
fn probabilities_of_pairs_are_coupled() {
    // Pairs of classes with weights 1, 2 and 5 agree with each other.
    let pairs = [1.0 / 3.0, 1.0 / 6.0, 2.0 / 7.0];
    let p = answers(&pairs, 15, &[20], &[0, 3, 3, 15, 3]).unwrap();
    for (p, expected) in p.iter().zip([0.125, 0.25, 0.625]) {
        assert!((p - expected).abs() < 2e-3, "{p} is not {expected}");
    }
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
