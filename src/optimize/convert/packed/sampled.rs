//! `GridSample`: images read between their pixels, at places that may be computed.

use super::attention::number;
use super::learned::text;
use super::network::misfit;
use super::values::{Packer, Value, unsupported};
use crate::Result;
use crate::edge::{Binary, Kind, Unary};
use crate::onnx::NodeProto;
use crate::onnx::node::int;

/// What stands outside of an image.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outside {
    Zeros,
    Border,
    Reflection,
}

/// One axis of an image: its length, and the ends between which what lies outside is reflected.
#[derive(Clone, Copy)]
struct Side {
    n: usize,
    low: f32,
    high: f32,
}

/// Pixels along an axis that make a number each, with their shares.
type Taps = Vec<(Value, Value)>;

/// The coefficient of the cubic.
const CUBIC: f32 = -0.75;

impl Packer {
    /// Images (n, channels, axes...) at the places (n, axes..., rank), of which -1 and 1 are the ends of each axis.
    pub(super) fn sampled(&mut self, node: &NodeProto) -> Result<Value> {
        let (x, grid) = (self.input(node, 0)?, self.input(node, 1)?);
        let ([images, channels, size @ ..], [count, to @ .., rank]) = (x.shape.as_slice(), grid.shape.as_slice())
        else {
            return Err(misfit(node, "places that do not fit the images"));
        };
        let fits = images == count && *rank == size.len() && to.len() == *rank && x.len() * grid.len() > 0;
        let outside = match text(node, "padding_mode", "zeros").as_str() {
            "zeros" => Outside::Zeros,
            "border" => Outside::Border,
            "reflection" => Outside::Reflection,
            _ => return Err(unsupported(node, "this padding")),
        };
        if !fits {
            return Err(misfit(node, "places that do not fit the images"));
        }
        let (pixels, places) = (size.iter().product::<usize>(), to.iter().product::<usize>());
        self.check(node, &[places, *channels, 4usize.saturating_pow(*rank as u32)])?;
        let corners = int(node, "align_corners", 0) != 0;
        let mut parts = Vec::new();
        for image in 0..*images {
            let mut all: Taps = vec![(number(0.0), number(1.0))];
            for (axis, n) in size.iter().copied().enumerate() {
                let side = match corners {
                    true => Side { n, low: 0.0, high: n as f32 - 1.0 },
                    false => Side { n, low: -0.5, high: n as f32 - 0.5 },
                };
                // The last axis of the image is the first coordinate.
                let own: Vec<usize> = (0..places).map(|at| (image * places + at) * rank + rank - 1 - axis).collect();
                let own = self.arranged(&grid, &[places, 1], &own);
                let taps = self.taps(node, &own, side, corners, outside)?;
                let mut crossed = Vec::new();
                for (place, share) in &all {
                    let row = self.zip(node, Binary::Multiply, place, &number(n as f32), Kind::F32)?;
                    for (more, by) in &taps {
                        let place = self.zip(node, Binary::Add, &row, more, Kind::F32)?;
                        crossed.push((place, self.zip(node, Binary::Multiply, share, by, Kind::F32)?));
                    }
                }
                all = crossed;
            }
            // Pixels as rows of channels.
            let first = image * channels * pixels;
            let turned = (0..pixels).flat_map(|p| (0..*channels).map(move |c| first + c * pixels + p));
            let rows = self.arranged(&x, &[pixels, *channels], &turned.collect::<Vec<_>>());
            let mut sum = None;
            for (place, share) in all {
                let at = Value { shape: vec![places], ..self.spread(&place, &[places, 1]) };
                let found = self.taken(node, &rows, &at, 0)?;
                let part = self.zip(node, Binary::Multiply, &found, &share, Kind::F32)?;
                sum = Some(match sum {
                    None => part,
                    Some(sum) => self.zip(node, Binary::Add, &sum, &part, Kind::F32)?,
                });
            }
            let sum = sum.ok_or_else(|| misfit(node, "images without axes"))?;
            let answer = self.permuted(&sum, &[1, 0]);
            parts.push(Value { shape: [&[1, *channels], to].concat(), ..answer });
        }
        let whole = self.concat(node, &parts, 0)?;
        Ok(Value { kind: x.kind, ..whole })
    }

    /// Where the pixels lie along an axis that make the numbers at `own` of -1 to 1, and their shares.
    fn taps(&mut self, node: &NodeProto, own: &Value, side: Side, corners: bool, outside: Outside) -> Result<Taps> {
        use Binary::{Add, Multiply, Subtract};
        let n = side.n as f32;
        // (own + 1) / 2 (n - 1), or ((own + 1) n - 1) / 2
        let (by, shift) = if corners { ((n - 1.0) / 2.0, (n - 1.0) / 2.0) } else { (n / 2.0, (n - 1.0) / 2.0) };
        let mut of = |f: Binary, a: &Value, b: f32| self.zip(node, f, a, &number(b), Kind::F32);
        let scaled = of(Multiply, own, by)?;
        let mut at = of(Add, &scaled, shift)?;
        let (nearest, cubic) = match text(node, "mode", "linear").as_str() {
            "nearest" => (true, false),
            "linear" | "bilinear" => (false, false),
            "cubic" | "bicubic" => (false, true),
            _ => return Err(unsupported(node, "this mode")),
        };
        if nearest {
            at = self.map(Unary::Round, &at, Kind::F32);
        }
        if outside != Outside::Zeros {
            // A place between the centre of the outermost pixel and its edge stays, which only a cubic tells.
            let moved = self.inwards(node, &at, side, outside)?;
            let above = self.zip(node, Binary::GreaterOrEqual, &at, &number(side.low), Kind::Bool)?;
            let below = self.zip(node, Binary::LessOrEqual, &at, &number(side.high), Kind::Bool)?;
            let inside = self.zip(node, Binary::And, &above, &below, Kind::Bool)?;
            at = self.chosen(node, inside, at, moved)?;
        }
        if nearest {
            let one = number(1.0);
            return Ok(vec![self.pixel(node, &at, one, side, outside)?]);
        }
        let base = self.map(Unary::Floor, &at, Kind::F32);
        let rest = self.zip(node, Subtract, &at, &base, Kind::F32)?;
        let mut taps = Vec::new();
        for offset in if cubic { -1..3 } else { 0..2 } {
            let away = self.zip(node, Subtract, &rest, &number(offset as f32), Kind::F32)?;
            let away = self.map(Unary::Absolute, &away, Kind::F32);
            let share = if cubic {
                // The cubic of Keys, of a distance up to 1, or of one up to 2.
                let near = [CUBIC + 2.0, -(CUBIC + 3.0), 0.0, 1.0];
                let far = [CUBIC, -5.0 * CUBIC, 8.0 * CUBIC, -4.0 * CUBIC];
                self.polynomial(node, &away, if (0..2).contains(&offset) { near } else { far })?
            } else {
                self.zip(node, Subtract, &number(1.0), &away, Kind::F32)?
            };
            let place = self.zip(node, Add, &base, &number(offset as f32), Kind::F32)?;
            taps.push(self.pixel(node, &place, share, side, outside)?);
        }
        Ok(taps)
    }

    fn polynomial(&mut self, node: &NodeProto, x: &Value, coefficients: [f32; 4]) -> Result<Value> {
        let mut sum = number(0.0);
        for coefficient in coefficients {
            let product = self.zip(node, Binary::Multiply, &sum, x, Kind::F32)?;
            sum = self.zip(node, Binary::Add, &product, &number(coefficient), Kind::F32)?;
        }
        Ok(sum)
    }

    /// A whole place with its share, brought into the image.
    fn pixel(
        &mut self,
        node: &NodeProto,
        at: &Value,
        share: Value,
        side: Side,
        outside: Outside,
    ) -> Result<(Value, Value)> {
        let last = number(side.n as f32 - 1.0);
        let inside = self.inwards(node, at, side, if outside == Outside::Zeros { Outside::Border } else { outside })?;
        // What is reflected lies inside but for rounding.
        let inside = self.zip(node, Binary::Minimum, &inside, &last, Kind::F32)?;
        let inside = self.zip(node, Binary::Maximum, &inside, &number(0.0), Kind::F32)?;
        if outside != Outside::Zeros {
            return Ok((inside, share));
        }
        let same = self.zip(node, Binary::Equal, &inside, at, Kind::F32)?;
        Ok((inside, self.zip(node, Binary::Multiply, &share, &same, Kind::F32)?))
    }

    /// Places outside of the image at its border, or reflected by its ends.
    fn inwards(&mut self, node: &NodeProto, at: &Value, side: Side, outside: Outside) -> Result<Value> {
        let mut of = |f: Binary, a: &Value, b: f32| self.zip(node, f, a, &number(b), Kind::F32);
        if outside != Outside::Reflection {
            let low = of(Binary::Maximum, at, 0.0)?;
            return of(Binary::Minimum, &low, side.n as f32 - 1.0);
        }
        let range = side.high - side.low;
        if range <= 0.0 {
            return of(Binary::Multiply, at, 0.0);
        }
        // A triangle of the distance from the lower end.
        let away = of(Binary::Subtract, at, side.low)?;
        let away = self.map(Unary::Absolute, &away, Kind::F32);
        let mut of = |f: Binary, a: &Value, b: f32| self.zip(node, f, a, &number(b), Kind::F32);
        let turned = of(Binary::Remainder, &away, 2.0 * range)?;
        let back = of(Binary::Subtract, &turned, range)?;
        let back = self.map(Unary::Absolute, &back, Kind::F32);
        self.zip(node, Binary::Subtract, &number(side.high), &back, Kind::F32)
    }
}
