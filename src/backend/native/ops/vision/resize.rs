//! `Resize` and `Upsample`.

use smallvec::smallvec;

use super::taps::{Axis, Coordinates, Mode, Rule, Taps};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::ops::layout::{Ints, axis_of};
use crate::backend::native::ops::math::Num;
use crate::backend::native::ops::math::dispatch::numbers;
use crate::backend::native::value::{Item, Shape, Value, typed};
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("Resize", resize), ("Upsample", upsample)];

/// How the lengths of axes are kept in proportion where they are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    Stretch,
    NotLarger,
    NotSmaller,
}

#[derive(Debug)]
struct Resize {
    rule: Rule,
    /// The input that holds the part that is resized.
    part: Option<usize>,
    scales: Scales,
    sizes: Option<Ints>,
    axes: Option<Vec<i64>>,
    policy: Policy,
    extrapolation: f64,
}

#[derive(Debug)]
enum Scales {
    Attribute(Vec<f32>),
    Input(usize),
}

fn resize(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let old = node.opset() < 11;
    let policy = match node.string_or("keep_aspect_ratio_policy", "stretch")? {
        "stretch" => Policy::Stretch,
        "not_larger" => Policy::NotLarger,
        "not_smaller" => Policy::NotSmaller,
        other => return Err(node.malformed("an unknown `keep_aspect_ratio_policy`").actual(other)),
    };
    let resize = Resize {
        rule: Rule::of(node, old)?,
        part: (!old).then_some(1),
        scales: Scales::Input(if old { 1 } else { 2 }),
        sizes: if !old && node.has_input(3) { Some(Ints::input(node, 3)?) } else { None },
        axes: node.ints("axes")?.map(<[i64]>::to_vec),
        policy,
        extrapolation: node.float_or("extrapolation_value", 0.0)?.into(),
    };
    Ok(Box::new(resize))
}

fn upsample(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let scales = match node.floats("scales")? {
        Some(scales) => Scales::Attribute(scales.to_vec()),
        None if node.opset() < 7 => {
            let side = |name: &str| node.float(name)?.ok_or_else(|| node.malformed(format!("Upsample needs `{name}`")));
            Scales::Attribute(vec![1.0, 1.0, side("height_scale")?, side("width_scale")?])
        }
        None => Scales::Input(1),
    };
    let rule = Rule::of(node, true)?;
    let (policy, extrapolation) = (Policy::Stretch, 0.0);
    Ok(Box::new(Resize { rule, part: None, scales, sizes: None, axes: None, policy, extrapolation }))
}

impl Resize {
    /// How each axis of a value of `shape` is resized.
    fn axes(&self, shape: &[usize], args: &Args<'_, '_>) -> Result<Vec<Axis>> {
        let rank = shape.len();
        let named: Vec<usize> = match &self.axes {
            Some(axes) => axes.iter().map(|&axis| axis_of(axis, rank)).collect::<Result<_>>()?,
            None => (0..rank).collect(),
        };
        let wrong = |what: &str, count: usize| {
            Error::new(ErrorKind::WrongShape, format!("Resize takes {what} for each of its axes"))
                .expected(named.len())
                .actual(count)
        };
        let whole = |&from: &usize| Axis { from, to: from, scale: 1.0, part: [0.0, 1.0] };
        let mut axes: Vec<Axis> = shape.iter().map(whole).collect();
        let sizes = match &self.sizes {
            Some(sizes) => sizes.opt(args)?.filter(|s| !s.is_empty()),
            None => None,
        };
        if let Some(sizes) = sizes {
            if sizes.len() != named.len() {
                return Err(wrong("a length", sizes.len()));
            }
            for (&axis, &size) in named.iter().zip(sizes.iter()) {
                let bad = || Error::new(ErrorKind::InvalidValue, "a length of Resize is negative").actual(size);
                axes[axis].to = usize::try_from(size).map_err(|_| bad())?;
                axes[axis].scale = axes[axis].to as f64 / axes[axis].from as f64;
            }
            if self.policy != Policy::Stretch {
                let scales = named.iter().map(|&axis| axes[axis].scale);
                let scale = match self.policy {
                    Policy::NotLarger => scales.fold(f64::INFINITY, f64::min),
                    _ => scales.fold(0.0, f64::max),
                };
                for &axis in &named {
                    axes[axis].scale = scale;
                    axes[axis].to = (scale * axes[axis].from as f64 + 0.5).floor() as usize;
                }
            }
        } else {
            let scales = match &self.scales {
                Scales::Attribute(scales) => scales.clone(),
                Scales::Input(i) => args.get(*i)?.to_f32s()?,
            };
            if scales.len() != named.len() {
                return Err(wrong("a scale", scales.len()));
            }
            for (&axis, &scale) in named.iter().zip(&scales) {
                if !scale.is_finite() || scale <= 0.0 {
                    return Err(Error::new(ErrorKind::InvalidValue, "a scale of Resize is not positive").actual(scale));
                }
                axes[axis].scale = scale.into();
                axes[axis].to = (f64::from(scale) * axes[axis].from as f64).floor() as usize;
            }
        }
        if let Some(part) = self.part.filter(|_| self.rule.coordinates == Coordinates::TfCropAndResize) {
            let part = args.get(part)?.to_f32s()?;
            if part.len() != 2 * named.len() {
                return Err(wrong("a start and an end", part.len()));
            }
            for (i, &axis) in named.iter().enumerate() {
                axes[axis].part = [part[i].into(), part[named.len() + i].into()];
            }
        }
        Ok(axes)
    }
}

impl Axis {
    /// Whether the axis stays as it is.
    fn is_whole(&self) -> bool {
        self.from == self.to && (self.scale - 1.0).abs() < 1e-9 && self.part == [0.0, 1.0]
    }
}

/// Every element along an axis as the one that its only tap names; the default where there is none.
fn picked<T: Item>(items: &[T], taps: &[Taps], [from, after]: [usize; 2]) -> Vec<T> {
    let mut out = Vec::with_capacity(items.len() / from.max(1) * taps.len());
    for block in items.chunks_exact(from * after) {
        for taps in taps {
            match taps.first() {
                Some(&(at, _)) => out.extend_from_slice(&block[at * after..(at + 1) * after]),
                None => out.resize(out.len() + after, T::default()),
            }
        }
    }
    out
}

/// Every element along an axis as the weighted sum of its taps.
fn weighted(items: &[f64], taps: &[Taps], [from, after]: [usize; 2]) -> Vec<f64> {
    let mut out = vec![0.0; items.len() / from.max(1) * taps.len()];
    let blocks = items.chunks_exact(from * after).flat_map(|block| taps.iter().map(move |taps| (block, taps)));
    for (out, (block, taps)) in out.chunks_exact_mut(after).zip(blocks) {
        for &(at, weight) in taps {
            out.iter_mut().zip(&block[at * after..]).for_each(|(o, x)| *o += weight * x);
        }
    }
    out
}

/// `extrapolation` wherever an axis has no taps.
fn extrapolated<T: Item>(items: &mut [T], shape: &[usize], taps: &[Option<Vec<Taps>>], extrapolation: &T) {
    let mut after = 1;
    for (&length, taps) in shape.iter().zip(taps).rev() {
        for (i, taps) in taps.iter().flatten().enumerate() {
            if taps.is_empty() {
                let blocks = items.chunks_exact_mut(length * after);
                blocks.for_each(|block| block[i * after..(i + 1) * after].fill(extrapolation.clone()));
            }
        }
        after *= length;
    }
}

impl Op for Resize {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let axes = self.axes(value.shape(), args)?;
        if axes.iter().all(Axis::is_whole) {
            return Ok(smallvec![args.take(0)?]);
        }
        let shape: Shape = axes.iter().map(|axis| axis.to).collect();
        let count = cx.check_shape(&shape)?;
        if count == 0 || value.len() == 0 {
            if count > 0 {
                return Err(Error::new(ErrorKind::InvalidValue, "Resize can't make elements of none"));
            }
            return Ok(smallvec![typed!(value.data(), T, _items => Value::new(shape, Vec::<T>::new()), _seq => {
                return Err(value.type_error("a tensor"));
            })]);
        }
        let taps: Vec<Option<Vec<Taps>>> = axes
            .iter()
            .map(|a| if a.is_whole() { Ok(None) } else { self.rule.taps(a).map(Some) })
            .collect::<Result<_>>()?;
        // One axis after the other, those that shrink first, so that nothing in between is larger than it has to be.
        let mut order: Vec<usize> = (0..axes.len()).filter(|&a| taps[a].is_some()).collect();
        order.sort_by(|&a, &b| {
            let ratio = |i: usize| axes[i].to as f64 / axes[i].from as f64;
            ratio(a).total_cmp(&ratio(b))
        });
        let mut now = Shape::from_slice(value.shape());
        let mut steps = Vec::new();
        for &axis in &order {
            let after = now[axis + 1..].iter().product();
            steps.push((axis, [now[axis], after]));
            now[axis] = axes[axis].to;
            cx.check_shape(&now)?;
        }
        let outside = taps.iter().flatten().flatten().any(Vec::is_empty);
        let each = |axis: usize| taps[axis].as_deref().unwrap_or_default();
        if matches!(self.rule.mode, Mode::Nearest(_)) {
            return Ok(smallvec![typed!(value.data(), T, items => {
                let mut out: Vec<T> = items.to_vec();
                for &(axis, at) in &steps {
                    out = picked(&out, each(axis), at);
                }
                let mut value = Value::new(shape.clone(), out);
                if outside && self.extrapolation != 0.0 {
                    value = self.outside(value, &shape, &taps)?;
                }
                value
            }, _seq => return Err(value.type_error("a tensor")))]);
        }
        let answer = numbers!(value.data(), T, items => {
            let mut out: Vec<f64> = items.iter().map(|x| x.to_double()).collect();
            for &(axis, at) in &steps {
                out = weighted(&out, each(axis), at);
            }
            let [least, most] = <T as Num>::FINITE.map(Num::to_double);
            let narrow = |x: f64| if T::IS_FLOAT { x } else { x.round_ties_even().clamp(least, most) };
            Value::new(shape.clone(), out.into_iter().map(|x| <T as Num>::from_double(narrow(x))).collect::<Vec<T>>())
        }, return Err(value.type_error("a number")));
        Ok(smallvec![if outside { self.outside(answer, &shape, &taps)? } else { answer }])
    }

    fn mixes_rows(&self, inputs: &[Flow], outputs: &[Flow]) -> bool {
        let kept =
            outputs.iter().zip(inputs).all(|(o, x)| (0..2).all(|run| o.shapes[run].first() == x.shapes[run].first()));
        !kept || inputs.first().is_none_or(|x| !x.only_first()) || inputs.iter().skip(1).any(Flow::any)
    }
}

impl Resize {
    fn outside(&self, value: Value<'static>, shape: &[usize], taps: &[Option<Vec<Taps>>]) -> Result<Value<'static>> {
        Ok(numbers!(value.into_data(), T, items => {
            let mut items: Vec<T> = items.into_owned();
            extrapolated(&mut items, shape, taps, &<T as Num>::from_double(self.extrapolation));
            Value::new(shape, items)
        }, return Err(Error::new(ErrorKind::WrongType, "only numbers can be extrapolated"))))
    }
}
