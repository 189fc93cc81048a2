//! Windows of signals, and the weights of mel bins.

use std::f64::consts::PI;

use smallvec::smallvec;

use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::ops::layout::scalar_i64;
use crate::backend::native::ops::math::{cast, dtype};
use crate::backend::native::ops::wide::scalar;
use crate::backend::native::value::Value;
use crate::onnx::data_type;
use crate::{DType, Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[
    ("HannWindow", |node| window(node, &[0.5, 0.5])),
    ("HammingWindow", |node| window(node, &[25.0 / 46.0, 21.0 / 46.0])),
    ("BlackmanWindow", |node| window(node, &[0.42, 0.5, 0.08])),
    ("MelWeightMatrix", mel),
];

/// A sum of cosines with alternating signs over the length that input 0 gives.
#[derive(Debug)]
struct Window {
    shares: &'static [f64],
    periodic: bool,
    to: DType,
}

/// The element type that the attribute `output_datatype` asks for.
fn target(node: &Node<'_>) -> Result<DType> {
    let code = node.int_or("output_datatype", data_type::FLOAT.into())?;
    let target = i32::try_from(code).ok().and_then(dtype).filter(|t| t.is_float() || t.is_integer());
    target.ok_or_else(|| node.unsupported("a window of this element type").actual(code))
}

fn window(node: &Node<'_>, shares: &'static [f64]) -> Result<Box<dyn Op>> {
    Ok(Box::new(Window { shares, periodic: node.flag("periodic", true)?, to: target(node)? }))
}

/// A count that an input gives.
fn count(value: &Value<'_>, what: &str) -> Result<usize> {
    let n = scalar_i64(value)?;
    usize::try_from(n).map_err(|_| Error::new(ErrorKind::InvalidValue, format!("{what} is negative")).actual(n))
}

impl Op for Window {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let n = count(args.get(0)?, "the length of a window")?;
        cx.check_shape(&[n])?;
        let period = if self.periodic { n } else { n.saturating_sub(1) }.max(1) as f64;
        let at = |i: usize| {
            let terms = self.shares.iter().enumerate();
            terms
                .map(|(k, a)| if k % 2 == 0 { *a } else { -a } * (2.0 * PI * (k * i) as f64 / period).cos())
                .sum::<f64>()
        };
        let items: Vec<f64> = (0..n).map(at).collect();
        Ok(smallvec![cast(&Value::new([n].as_slice(), items), self.to, cx)?])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.iter().any(Flow::any)
    }
}

/// How the bins of a spectrum make those of the mel scale.
#[derive(Debug)]
struct Mel {
    to: DType,
}

fn mel(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Mel { to: target(node)? }))
}

impl Op for Mel {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let bins = count(args.get(0)?, "the number of mel bins")?;
        let length = count(args.get(1)?, "the length of a transform")?;
        let rate = count(args.get(2)?, "the sample rate")?;
        let edges = [scalar(args.get(3)?)?, scalar(args.get(4)?)?];
        let rows = length / 2 + 1;
        let mut out = vec![0.0; cx.check_shape(&[rows, bins])?];
        cx.check_shape(&[bins.saturating_add(2)])?;
        if rate == 0 || !edges.iter().all(|e| e.is_finite() && *e > -700.0) {
            return Err(Error::new(ErrorKind::InvalidValue, "MelWeightMatrix takes a sample rate and two frequencies")
                .actual(format!("{rate}, {edges:?}")));
        }
        let [low, high] = edges.map(|hertz| 2595.0 * (1.0 + hertz / 700.0).log10());
        let step = (high - low) / (bins + 2) as f64;
        let places = (0..bins + 2)
            .map(|i| {
                let hertz = 700.0 * (10f64.powf((i as f64 * step + low) / 2595.0) - 1.0);
                let place = ((length + 1) as f64 * hertz / rate as f64).floor();
                Some(place).filter(|p| *p >= 0.0 && *p < rows as f64).map(|p| p as usize)
            })
            .collect::<Option<Vec<usize>>>();
        let places = places.ok_or_else(|| {
            Error::new(ErrorKind::InvalidValue, "a mel bin lies outside of the spectrum").actual(format!("{edges:?}"))
        })?;
        for bin in 0..bins {
            let (left, centre, right) = (places[bin], places[bin + 1], places[bin + 2]);
            if left >= centre {
                out[centre * bins + bin] = 1.0;
            }
            for row in left..=centre {
                if left < centre {
                    out[row * bins + bin] = (row - left) as f64 / (centre - left) as f64;
                }
            }
            for row in centre..right {
                out[row * bins + bin] = (right - row) as f64 / (right - centre) as f64;
            }
        }
        Ok(smallvec![cast(&Value::new([rows, bins].as_slice(), out), self.to, cx)?])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.iter().any(Flow::any)
    }
}
