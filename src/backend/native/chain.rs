//! The short road of a program whose steps hand rows on from one to the next: perceptrons, linear models.
//!
//! Such a step needs neither values nor slots: it reads the rows of one value and writes those of its outputs, into the
//! answers themselves or into room taken once for the whole call. For few rows that is most of what a call costs.

use std::ops::Range;

use smallvec::SmallVec;

use super::clock::timed;
use super::op::{Arg, Args, Scratch};
use super::program::{Program, label};
use super::value::{Item, Shape, Value};
use crate::{DType, Dim, Element, Limits, Result, Signature, Tensor, TensorSpec, Tensors};

/// The most elements that what lies between the steps may take: programs reuse the room of values and change them in
/// place, which counts where there are many rows.
const MOST_BETWEEN: usize = 1 << 10;

/// Longer rows take so long that this road gains nothing.
const LONGEST: usize = 1 << 16;

/// An element type that chains hand on.
pub(crate) trait Handed: Item {
    fn read<'a>(elements: Elements<'a>) -> Option<&'a [Self]>;
    fn write<'o>(elements: &'o mut ElementsMut<'_>) -> Option<&'o mut [Self]>;
}

macro_rules! handed {
    ($($variant:ident: $t:ty, $room:ident, $inline:literal;)*) => {
        /// Row-major elements that a step reads.
        #[derive(Debug, Clone, Copy)]
        pub(crate) enum Elements<'a> {
            $($variant(&'a [$t]),)*
        }

        /// Row-major elements that a step writes over.
        #[derive(Debug, Default)]
        pub(crate) enum ElementsMut<'a> {
            /// Those of an output that nobody wants.
            #[default]
            Unwanted,
            $($variant(&'a mut [$t]),)*
        }

        impl<'a> ElementsMut<'a> {
            fn of(tensor: &'a mut Tensor<'_>) -> Self {
                match tensor.dtype() {
                    $(<$t>::DTYPE => <$t>::slice_mut(tensor).map(Self::$variant).unwrap_or_default(),)*
                    _ => Self::Unwanted,
                }
            }

            fn as_read(&self) -> Option<Elements<'_>> {
                match self {
                    Self::Unwanted => None,
                    $(Self::$variant(items) => Some(Elements::$variant(items)),)*
                }
            }
        }

        $(impl Handed for $t {
            fn read<'a>(elements: Elements<'a>) -> Option<&'a [Self]> {
                match elements {
                    Elements::$variant(items) => Some(items),
                    _ => None,
                }
            }
            fn write<'o>(elements: &'o mut ElementsMut<'_>) -> Option<&'o mut [Self]> {
                match elements {
                    ElementsMut::$variant(items) => Some(items),
                    _ => None,
                }
            }
        })*

        /// The elements of a row in all places between the steps, by type.
        #[derive(Debug, Default)]
        struct Widths {
            $($room: usize,)*
        }

        impl Widths {
            /// Counts a place; whether chains hand on its type.
            fn add(&mut self, dtype: DType, width: usize) -> bool {
                match dtype {
                    $(<$t>::DTYPE => self.$room += width,)*
                    _ => return false,
                }
                true
            }

            fn sum(&self) -> usize {
                0 $(+ self.$room)*
            }
        }

        /// Room for what lies between the steps; for one row of a small model it costs no allocation.
        #[derive(Default)]
        struct Room {
            $($room: SmallVec<[$t; $inline]>,)*
        }

        impl Room {
            fn grow(&mut self, widths: &Widths, m: usize) {
                $(self.$room.resize(m * widths.$room, <$t>::default());)*
            }

            /// Cuts it into the places that are asked for in turn.
            fn places<'a>(&'a mut self) -> impl FnMut(DType, usize) -> ElementsMut<'a> {
                $(let mut $room = self.$room.as_mut_slice();)*
                move |dtype, n| match dtype {
                    $(<$t>::DTYPE => ElementsMut::$variant(split(&mut $room, n)),)*
                    _ => ElementsMut::Unwanted,
                }
            }
        }
    };
}

handed! {
    F32: f32, f32s, 256;
    I32: i32, i32s, 4;
    I64: i64, i64s, 4;
    String: String, strings, 2;
}

/// The rows that a step takes, and where it writes what it makes of them.
pub(crate) struct Filling<'f, 'o> {
    /// How many rows there are.
    pub(crate) m: usize,
    /// Their elements.
    pub(crate) x: Elements<'f>,
    /// The inputs of the step, of which only constants can be had.
    pub(crate) args: Args<'f, 'f>,
    /// The outputs.
    pub(crate) out: &'f mut [ElementsMut<'o>],
}

impl<'f> Filling<'f, '_> {
    /// The only output of a step that gives as many f32 as it takes: those it takes, to be changed in place.
    pub(crate) fn in_place(self) -> Option<&'f mut [f32]> {
        let (x, [out]) = (f32::read(self.x)?, self.out) else { return None };
        let out = f32::write(out).filter(|out| out.len() == x.len())?;
        out.copy_from_slice(x);
        Some(out)
    }

    /// Passes the elements on as they are.
    pub(crate) fn pass_on(self) -> Option<Result<()>> {
        fn copy<T: Clone>(x: &[T], out: &mut [T]) -> Option<Result<()>> {
            (x.len() == out.len()).then(|| {
                out.clone_from_slice(x);
                Ok(())
            })
        }
        match (self.x, self.out) {
            (Elements::F32(x), [ElementsMut::F32(out)]) => copy(x, out),
            (Elements::I32(x), [ElementsMut::I32(out)]) => copy(x, out),
            (Elements::I64(x), [ElementsMut::I64(out)]) => copy(x, out),
            (Elements::String(x), [ElementsMut::String(out)]) => copy(x, out),
            _ => None,
        }
    }
}

/// Where a step reads and writes.
#[derive(Debug)]
struct Link {
    /// The place, or the rows of the model's input.
    from: Option<usize>,
    /// The places, which come behind that.
    to: Range<usize>,
}

/// What stands in a place.
#[derive(Debug)]
enum Place {
    /// An answer of the model.
    Answer,
    /// What only other steps read: its type and the elements of a row.
    Between(DType, usize),
    Unwanted,
}

/// A program that is run on rows of f32 alone.
#[derive(Debug)]
pub(super) struct Chain {
    /// One for each step of the program.
    links: Vec<Link>,
    /// The outputs of all steps in turn.
    places: Vec<Place>,
    /// The place of each answer.
    answers: Vec<usize>,
    between: Widths,
    /// The most elements that a place has of one row.
    widest: usize,
    /// The answers to one observation and to a batch of one, to be written over.
    one: [Tensors<'static>; 2],
}

/// What a dry run showed of a slot: its type and the elements of a row.
type Seen = Option<(DType, usize)>;

impl Chain {
    /// The chain that does what `program` does, where it has one: its outputs are the model's, and its rows don't look at
    /// each other.
    pub(super) fn of(program: &Program, signature: &Signature, limits: &Limits) -> Option<Self> {
        let [input] = signature.inputs() else { return None };
        let [Dim::Batch, Dim::Fixed(k)] = *input.dims() else { return None };
        let gives_rows = |s: &TensorSpec| matches!(s.dims(), [Dim::Batch] | [Dim::Batch, Dim::Fixed(_)]);
        if k > LONGEST || input.dtypes() != [DType::F32] || !signature.outputs().iter().all(gives_rows) {
            return None;
        }
        let read: Vec<usize> = program.steps.iter().map(|step| lone_slot(&step.args)).collect::<Option<_>>()?;
        let answers: Vec<usize> = program.outputs.iter().map(|out| lone_slot(&[*out])).collect::<Option<_>>()?;
        let x: Vec<f32> = (0..3 * k).map(|i| ((i * 7919) % 1000) as f32 / 500.0 - 1.0).collect();
        let mut cx = Scratch::new(*limits);
        let [few, more] = [2, 3].map(|m| seen(program, &x[..m * k], m, &mut cx));
        let (few, (more, expected)) = (few?.0, more?);
        // The input is in no place.
        let mut at: Vec<Option<usize>> = vec![None; program.slots];
        let (mut links, mut places, mut between, mut widest) = (Vec::new(), Vec::new(), Widths::default(), 0);
        for (step, read) in program.steps.iter().zip(read) {
            let from = if read == 0 { None } else { Some(at[read]?) };
            let first = places.len();
            for slot in &step.outputs {
                let Some(slot) = slot.map(|s| s as usize) else {
                    places.push(Place::Unwanted);
                    continue;
                };
                let (dtype, width) = few[slot].filter(|shown| more[slot] == Some(*shown))?;
                at[slot] = Some(places.len());
                widest = widest.max(width);
                if answers.contains(&slot) {
                    places.push(Place::Answer);
                } else if between.add(dtype, width) {
                    places.push(Place::Between(dtype, width));
                } else {
                    return None;
                }
            }
            links.push(Link { from, to: first..places.len() });
        }
        let answers: Vec<usize> = answers.into_iter().map(|slot| at[slot].take()).collect::<Option<_>>()?;
        let one = [blank(signature.outputs(), None).ok()?, blank(signature.outputs(), Some(1)).ok()?];
        let chain = Self { links, places, answers, between, widest, one };
        // What holds here holds for all rows.
        let mut found = blank(signature.outputs(), Some(3)).ok()?;
        chain.try_write(program, &x, 3, &mut found, &mut cx)?.ok()?;
        let same = |(found, expected): (&Tensor<'_>, Value<'_>)| expected.into_tensor().is_ok_and(|e| same(found, &e));
        found.iter().map(|(_, found)| found).zip(expected).all(same).then_some(chain)
    }

    /// Whether a call with `m` rows is better run by this.
    pub(super) fn suits(&self, m: usize) -> bool {
        m.saturating_mul(self.between.sum()) <= MOST_BETWEEN
    }

    /// Answers to one observation, or to a batch of `m`, for [`write`](Self::write) to write over.
    pub(super) fn answers(&self, specs: &[TensorSpec], m: Option<usize>) -> Result<Tensors<'static>> {
        match m {
            None => Ok(self.one[0].clone()),
            Some(1) => Ok(self.one[1].clone()),
            Some(_) => blank(specs, m),
        }
    }

    /// Writes the answers to the `m` rows of `x` over those in `outputs`.
    pub(super) fn write(
        &self,
        program: &Program,
        x: &[f32],
        m: usize,
        outputs: &mut Tensors<'static>,
        cx: &mut Scratch,
    ) -> Result<()> {
        self.try_write(program, x, m, outputs, cx).expect("a chain was seen to give answers")
    }

    /// The same; `None`, always or never, where a step has no such road.
    fn try_write(
        &self,
        program: &Program,
        x: &[f32],
        m: usize,
        outputs: &mut Tensors<'static>,
        cx: &mut Scratch,
    ) -> Option<Result<()>> {
        if let Err(error) = cx.check_shape(&[m, self.widest]) {
            return Some(Err(error));
        }
        let mut room = Room::default();
        room.grow(&self.between, m);
        let mut between = room.places();
        let mut places = SmallVec::<[ElementsMut<'_>; 8]>::new();
        for place in &self.places {
            places.push(match *place {
                Place::Between(dtype, width) => between(dtype, m * width),
                Place::Answer | Place::Unwanted => ElementsMut::Unwanted,
            });
        }
        for (tensor, place) in outputs.tensors_mut().zip(&self.answers) {
            places[*place] = ElementsMut::of(tensor);
        }
        for (step, link) in program.steps.iter().zip(&self.links) {
            let (before, out) = places[..link.to.end].split_at_mut(link.to.start);
            let x = match link.from {
                Some(place) => before[place].as_read()?,
                None => Elements::F32(x),
            };
            let args = Args { slots: &mut [], constants: &program.constants, args: &step.args };
            let done = timed(&step.label, || step.op.fill(Filling { m, x, args, out }, cx))?;
            if let Err(error) = done {
                return Some(Err(label(error, step)));
            }
        }
        Some(Ok(()))
    }
}

/// The first `n` elements, which the rest then lacks.
fn split<'a, T>(rest: &mut &'a mut [T], n: usize) -> &'a mut [T] {
    let (first, behind) = std::mem::take(rest).split_at_mut(n);
    *rest = behind;
    first
}

/// The only slot among `args`, if there is one.
fn lone_slot(args: &[Arg]) -> Option<usize> {
    let mut slots = args.iter().filter_map(|arg| match arg {
        Arg::Slot { index, .. } => Some(*index as usize),
        _ => None,
    });
    slots.next().filter(|_| slots.next().is_none())
}

/// What each slot holds when `program` is run on the `m` rows of `x`, and its outputs.
fn seen(program: &Program, x: &[f32], m: usize, cx: &mut Scratch) -> Option<(Vec<Seen>, Vec<Value<'static>>)> {
    let mut slots = vec![None; program.slots];
    let mut watch = |i: usize, _: &[Option<std::borrow::Cow<'_, [usize]>>], outs: &[Value<'_>]| {
        for (slot, value) in program.steps[i].outputs.iter().zip(outs) {
            let width = match *value.shape() {
                [rows] if rows == m => Some(1),
                [rows, width] if rows == m => Some(width),
                // What `ArrayFeatureExtractor` makes of m indices.
                [1, rows] if rows == m => Some(1),
                _ => None,
            };
            if let (Some(slot), Some(dtype), Some(width)) = (slot, value.dtype(), width) {
                slots[*slot as usize] = Some((dtype, width));
            }
        }
    };
    let rows = Value::borrowed(&[m, x.len() / m], x);
    let outputs = program.run_watched([rows], cx, Some(&mut watch)).ok()?;
    let outputs = outputs.into_iter().map(Value::into_static).collect();
    Some((slots, outputs))
}

/// Whether two tensors hold the same; a NaN is like any other.
fn same(a: &Tensor<'_>, b: &Tensor<'_>) -> bool {
    match (a.as_slice::<f32>(), b.as_slice::<f32>()) {
        (Ok(x), Ok(y)) => {
            a.shape() == b.shape()
                && x.iter().zip(y).all(|(x, y)| x.to_bits() == y.to_bits() || (x.is_nan() && y.is_nan()))
        }
        _ => a == b,
    }
}

/// Outputs for `m` observations, or for one without its axis, all zeros.
fn blank(specs: &[TensorSpec], m: Option<usize>) -> Result<Tensors<'static>> {
    let mut outputs = Tensors::with_capacity(specs.len());
    for spec in specs {
        let last = match spec.dims() {
            [_, Dim::Fixed(n)] => Some(*n),
            _ => None,
        };
        let shape: Shape = m.into_iter().chain(last).collect();
        outputs.push(spec.name().clone(), crate::tensor::zeros(spec.dtype(), &shape, shape.iter().product())?);
    }
    Ok(outputs)
}
