//! Operators that put numbers to places, or take them from there, one place for each number.

use super::learned::text;
use super::network::misfit;
use super::values::{Data, Packer, Value, axis_of, strided, unsupported};
use crate::Result;
use crate::edge::{Binary, Kind, Reduction};
use crate::onnx::NodeProto;
use crate::onnx::node::int;

/// How far apart the elements of a value lie along each of its axes.
fn steps_of(shape: &[usize]) -> Vec<usize> {
    (1..=shape.len()).map(|axis| shape[axis..].iter().product()).collect()
}

/// How what comes to a place meets what is there.
enum Meeting {
    /// It takes its place.
    Replace,
    /// The function of both, and the number that changes nothing.
    Fold(Binary, Reduction, f32),
}

impl Packer {
    /// `at` as places from the front along an axis of `n`.
    fn counted(&mut self, node: &NodeProto, at: &Value, n: usize) -> Result<Value> {
        let all: Vec<f32> = (0..n).map(|i| i as f32).collect();
        match &at.data {
            Data::Known(items) => {
                let items: Vec<f32> = items.iter().map(|x| if *x < 0.0 { x + n as f32 } else { *x }).collect();
                if items.iter().any(|x| !(0.0..n as f32).contains(x)) {
                    return Err(misfit(node, "a place past the end"));
                }
                Ok(Value::known(&at.shape, at.kind, items))
            }
            Data::Slot(span) => Ok(Value::slot(&at.shape, at.kind, self.program.rows(*span, 1, &all))),
        }
    }

    /// For each of the last axis's tuples in `at`, the place of what they name in a value of `shape`, less what `from` adds.
    fn placed(&mut self, node: &NodeProto, at: &Value, shape: &[usize], from: &Value) -> Result<Value> {
        let (rows, k) = at.rows();
        let steps = steps_of(shape);
        let mut places = from.clone();
        for axis in 0..k {
            let own: Vec<usize> = (0..rows).map(|row| row * k + axis).collect();
            let own = self.arranged(at, &at.shape[..at.shape.len() - 1], &own);
            let own = self.counted(node, &own, shape[axis])?;
            let step = Value::known(&[], Kind::I64, vec![steps[axis] as f32]);
            let own = self.zip(node, Binary::Multiply, &own, &step, Kind::I64)?;
            places = self.zip(node, Binary::Add, &places, &own, Kind::I64)?;
        }
        Ok(places)
    }

    /// Packs `ScatterElements` and `ScatterND` to computed places, or where what comes meets what is there.
    pub(super) fn scattered(&mut self, node: &NodeProto) -> Result<Value> {
        let (data, at, updates) = (self.input(node, 0)?, self.input(node, 1)?, self.input(node, 2)?);
        let meeting = match text(node, "reduction", "none").as_str() {
            "none" => Meeting::Replace,
            "add" => Meeting::Fold(Binary::Add, Reduction::Sum, 0.0),
            "mul" => Meeting::Fold(Binary::Multiply, Reduction::Product, 1.0),
            "max" => Meeting::Fold(Binary::Maximum, Reduction::Maximum, f32::NEG_INFINITY),
            "min" => Meeting::Fold(Binary::Minimum, Reduction::Minimum, f32::INFINITY),
            _ => return Err(unsupported(node, "this reduction")),
        };
        if updates.len() == 0 {
            return Ok(data);
        }
        let rank = data.shape.len();
        let steps = steps_of(&data.shape);
        let constant = |places: Vec<usize>, shape: &[usize]| {
            Value::known(shape, Kind::I64, places.into_iter().map(|place| place as f32).collect())
        };
        let places = if node.operator() == "ScatterND" {
            let k = at.shape.last().copied().unwrap_or(0);
            let lead = &at.shape[..at.shape.len().saturating_sub(1)];
            if at.shape.is_empty() || k > rank || !updates.shape.iter().eq(lead.iter().chain(&data.shape[k..])) {
                return Err(misfit(node, "places that do not fit what comes to them"));
            }
            let first = self.placed(node, &at, &data.shape, &constant(vec![0], &[]))?;
            // Each place stands for all the numbers behind it.
            let first = self.spread(&first, lead);
            let first = Value { shape: lead.iter().copied().chain((k..rank).map(|_| 1)).collect(), ..first };
            let behind = constant((0..data.shape[k..].iter().product()).collect(), &data.shape[k..]);
            self.zip(node, Binary::Add, &first, &behind, Kind::I64)?
        } else {
            let axis = axis_of(node, int(node, "axis", 0), rank)?;
            // Along the axis itself there may be more of them than places.
            let fits = |other: usize| other == axis || at.shape[other] <= data.shape[other];
            if at.shape != updates.shape || at.shape.len() != rank || data.len() == 0 || !(0..rank).all(fits) {
                return Err(misfit(node, "places that do not fit what comes to them"));
            }
            let mut others = steps.clone();
            others[axis] = 0;
            let others = constant(strided(&at.shape, &others), &at.shape);
            let own = self.counted(node, &at, data.shape[axis])?;
            let step = Value::known(&[], Kind::I64, vec![steps[axis] as f32]);
            let own = self.zip(node, Binary::Multiply, &own, &step, Kind::I64)?;
            self.zip(node, Binary::Add, &others, &own, Kind::I64)?
        };
        match (&places.data, meeting) {
            (Data::Known(places), Meeting::Fold(f, _, nothing)) => {
                self.folded_in(node, data, &updates, places, f, nothing)
            }
            (_, meeting) => self.met(node, data, &updates, &places, &meeting),
        }
    }

    /// Updates at known places, one round for each that comes to the same place.
    fn folded_in(
        &mut self,
        node: &NodeProto,
        mut data: Value,
        updates: &Value,
        places: &[f32],
        f: Binary,
        nothing: f32,
    ) -> Result<Value> {
        let mut rounds: Vec<Vec<Option<usize>>> = Vec::new();
        let mut met = vec![0; data.len()];
        for (update, place) in places.iter().enumerate() {
            let place = *place as usize;
            let round = met.get_mut(place).ok_or_else(|| misfit(node, "a place past the end"))?;
            if rounds.len() == *round {
                rounds.push(vec![None; data.len()]);
                self.check(node, &[rounds.len(), data.len()])?;
            }
            rounds[*round][place] = Some(update);
            *round += 1;
        }
        for round in rounds {
            let own = self.windows(updates, &data.shape, &round, nothing);
            data = self.zip(node, f, &data, &own, data.kind)?;
        }
        Ok(data)
    }

    /// Updates at computed places: every one is looked at for every place.
    fn met(
        &mut self,
        node: &NodeProto,
        data: Value,
        updates: &Value,
        places: &Value,
        meeting: &Meeting,
    ) -> Result<Value> {
        let (n, m) = (data.len(), updates.len());
        self.check(node, &[m, n])?;
        let keys: Vec<f32> = (0..n).map(|place| place as f32).collect();
        let span = self.span(places);
        let hot = self.program.one_hot(span, &keys);
        let here = Value::slot(&[m, n], Kind::Bool, hot);
        let (f, reduction, nothing) = match meeting {
            Meeting::Fold(f, reduction, nothing) => (*f, *reduction, *nothing),
            Meeting::Replace => {
                // The last that comes to a place stays there.
                let numbers = Value::known(&[m, 1], Kind::F32, (1..=m).map(|update| update as f32).collect());
                let numbered = self.zip(node, Binary::Multiply, &here, &numbers, Kind::F32)?;
                let (numbered, from) = (self.span(&numbered), self.span(updates));
                let last = self.program.reduce(Reduction::ArgMax, numbered, m, n);
                let own = Value::slot(&data.shape, data.kind, self.program.pick(from, last, m, 1));
                let covered = self.program.reduce(Reduction::Maximum, hot, m, n);
                return self.chosen(node, Value::slot(&data.shape, Kind::Bool, covered), own, data);
            }
        };
        let updates = Value { shape: vec![m, 1], ..updates.clone() };
        let own = self.chosen(node, here, updates, Value::known(&[], data.kind, vec![nothing]))?;
        let own = self.span(&own);
        let own = Value::slot(&data.shape, data.kind, self.program.reduce(reduction, own, m, n));
        self.zip(node, f, &data, &own, data.kind)
    }

    /// Packs `GatherND` from computed places.
    pub(super) fn gathered_tuples(&mut self, node: &NodeProto) -> Result<Value> {
        let (x, at) = (self.input(node, 0)?, self.input(node, 1)?);
        let batched = usize::try_from(int(node, "batch_dims", 0)).unwrap_or(usize::MAX);
        let fits = batched < at.shape.len().min(x.shape.len().saturating_add(1))
            && x.shape[..batched] == at.shape[..batched]
            && x.len() * at.len() > 0;
        let k = at.shape.last().copied().unwrap_or(0);
        if !fits || k + batched > x.shape.len() {
            return Err(misfit(node, "places that do not fit what is taken from them"));
        }
        let tuples = &at.shape[..at.shape.len() - 1];
        let (named, behind) = x.shape[batched..].split_at(k);
        let none = Value::known(&[], Kind::I64, vec![0.0]);
        let places = self.placed(node, &at, named, &none)?;
        let places = self.spread(&places, tuples);
        let (from, places) = (self.span(&x), self.span(&places));
        let span = self.program.pick(from, places, named.iter().product(), behind.iter().product());
        Ok(Value::slot(&[tuples, behind].concat(), x.kind, span))
    }
}
