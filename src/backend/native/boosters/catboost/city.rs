//! The 64-bit hash by which CatBoost knows a category: CityHash in its first published version (Pike and Alakuijala,
//! 2011), which later versions of that family do not reproduce.

const K0: u64 = 0xc3a5_c85c_97cb_3127;
const K1: u64 = 0xb492_b66f_be98_f273;
const K2: u64 = 0x9ae1_6a3b_2f90_404f;
const K3: u64 = 0xc949_d7c7_509e_6557;

/// The 32 bits of a category's hash that models keep, as the signed number that they compare.
pub(super) fn category(text: &str) -> i32 {
    city64(text.as_bytes()) as u32 as i32
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes were taken"))
}

fn half_word(bytes: &[u8], at: usize) -> u64 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes were taken")).into()
}

fn fold(x: u64) -> u64 {
    x ^ (x >> 47)
}

/// Murmur's mixing of two words into one.
fn mix(low: u64, high: u64) -> u64 {
    const M: u64 = 0x9ddf_ea08_eb38_2d69;
    let a = fold((low ^ high).wrapping_mul(M));
    fold((high ^ a).wrapping_mul(M)).wrapping_mul(M)
}

/// The hash of `s`.
pub(super) fn city64(s: &[u8]) -> u64 {
    match s.len() {
        0 => K2,
        n @ 1..=3 => {
            let y = u64::from(s[0]).wrapping_add(u64::from(s[n / 2]) << 8);
            let z = n as u64 + (u64::from(s[n - 1]) << 2);
            fold(y.wrapping_mul(K2) ^ z.wrapping_mul(K3)).wrapping_mul(K2)
        }
        n @ 4..=8 => mix((n as u64).wrapping_add(half_word(s, 0) << 3), half_word(s, n - 4)),
        n @ 9..=16 => {
            let last = word(s, n - 8);
            mix(word(s, 0), last.wrapping_add(n as u64).rotate_right(n as u32)) ^ last
        }
        17..=32 => up_to_32(s),
        33..=64 => up_to_64(s),
        _ => long(s),
    }
}

fn up_to_32(s: &[u8]) -> u64 {
    let n = s.len();
    let a = word(s, 0).wrapping_mul(K1);
    let b = word(s, 8);
    let c = word(s, n - 8).wrapping_mul(K2);
    let d = word(s, n - 16).wrapping_mul(K0);
    mix(
        a.wrapping_sub(b).rotate_right(43).wrapping_add(c.rotate_right(30)).wrapping_add(d),
        a.wrapping_add((b ^ K3).rotate_right(20)).wrapping_sub(c).wrapping_add(n as u64),
    )
}

/// One half of the hash of 33 to 64 bytes: four words from `at` on, begun with `a` and ended with `z`.
fn lane(s: &[u8], mut a: u64, z: u64, at: usize) -> (u64, u64) {
    let b = a.wrapping_add(z).rotate_right(52);
    let mut c = a.rotate_right(37);
    a = a.wrapping_add(word(s, at + 8));
    c = c.wrapping_add(a.rotate_right(7));
    a = a.wrapping_add(word(s, at + 16));
    (a.wrapping_add(z), b.wrapping_add(a.rotate_right(31)).wrapping_add(c))
}

fn up_to_64(s: &[u8]) -> u64 {
    let n = s.len();
    let head = word(s, 0).wrapping_add(word(s, n - 16).wrapping_add(n as u64).wrapping_mul(K0));
    let (vf, vs) = lane(s, head, word(s, 24), 0);
    let tail = word(s, 16).wrapping_add(word(s, n - 32));
    let (wf, ws) = lane(s, tail, word(s, n - 8), n - 32);
    let r = fold(vf.wrapping_add(ws).wrapping_mul(K2).wrapping_add(wf.wrapping_add(vs).wrapping_mul(K0)));
    fold(r.wrapping_mul(K0).wrapping_add(vs)).wrapping_mul(K2)
}

/// Two words from the 32 bytes at `at` and two seeds.
fn weak(s: &[u8], at: usize, a: u64, b: u64) -> (u64, u64) {
    let (w, x, y, z) = (word(s, at), word(s, at + 8), word(s, at + 16), word(s, at + 24));
    let a = a.wrapping_add(w);
    let b = b.wrapping_add(a).wrapping_add(z).rotate_right(21);
    let sum = a.wrapping_add(x).wrapping_add(y);
    (sum.wrapping_add(z), b.wrapping_add(sum.rotate_right(44)).wrapping_add(a))
}

/// More than 64 bytes: the end goes in first, then blocks of 64 from the beginning.
fn long(s: &[u8]) -> u64 {
    let n = s.len();
    let mut x = word(s, 0);
    let mut y = word(s, n - 16) ^ K1;
    let mut z = word(s, n - 56) ^ K0;
    let mut v = weak(s, n - 64, n as u64, y);
    let mut w = weak(s, n - 32, (n as u64).wrapping_mul(K1), K0);
    z = z.wrapping_add(fold(v.1).wrapping_mul(K1));
    x = z.wrapping_add(x).rotate_right(39).wrapping_mul(K1);
    y = y.rotate_right(33).wrapping_mul(K1);
    for at in (0..(n - 1) & !63).step_by(64) {
        x = x.wrapping_add(y).wrapping_add(v.0).wrapping_add(word(s, at + 16)).rotate_right(37).wrapping_mul(K1);
        y = y.wrapping_add(v.1).wrapping_add(word(s, at + 48)).rotate_right(42).wrapping_mul(K1);
        x ^= w.1;
        y ^= v.0;
        z = (z ^ w.0).rotate_right(33);
        v = weak(s, at, v.1.wrapping_mul(K1), x.wrapping_add(w.0));
        w = weak(s, at + 32, z.wrapping_add(w.1), y);
        std::mem::swap(&mut z, &mut x);
    }
    mix(mix(v.0, w.0).wrapping_add(fold(y).wrapping_mul(K1)).wrapping_add(z), mix(v.1, w.1).wrapping_add(x))
}
