//! `Det`: elimination with the largest pivot, written out column by column.

use super::attention::number;
use super::network::misfit;
use super::values::{Packer, Value};
use crate::Result;
use crate::edge::{Binary, Kind, Reduction, Unary};
use crate::onnx::NodeProto;

impl Packer {
    /// The determinants of the matrices along the last two axes.
    pub(super) fn determinant(&mut self, node: &NodeProto) -> Result<Value> {
        let x = self.input(node, 0)?;
        let (stacks, n) = match x.shape.as_slice() {
            [stacks @ .., rows, columns] if rows == columns && x.len() > 0 => (stacks.to_vec(), *rows),
            _ => return Err(misfit(node, "a determinant of what is not square, or of nothing")),
        };
        let count = stacks.iter().product();
        // What elimination moves in all.
        self.check(node, &[count, n, n, n])?;
        let mut matrix = Value { shape: vec![count, n, n], ..x.clone() };
        let mut determinant = Value::known(&[count], x.kind, vec![1.0; count]);
        for m in (1..=n).rev() {
            let [pivot, rest] = self.pivoted(node, &matrix, &mut determinant)?;
            let part = |packer: &mut Self, value: &Value, columns: std::ops::Range<usize>| {
                let mut kept: Vec<Vec<usize>> = value.shape.iter().map(|n| (0..*n).collect()).collect();
                kept[2] = columns.collect();
                packer.picked(value, &kept)
            };
            let first = part(self, &pivot, 0..1);
            let factor = Value { shape: vec![count], ..first.clone() };
            determinant = self.zip(node, Binary::Multiply, &determinant, &factor, x.kind)?;
            if m == 1 {
                break;
            }
            // Where all of a column is 0 the determinant is, whatever is divided by.
            let empty = self.zip(node, Binary::Equal, &first, &number(0.0), Kind::Bool)?;
            let divisor = self.chosen(node, empty, number(1.0), first)?;
            let factors = part(self, &rest, 0..1);
            let factors = self.zip(node, Binary::Divide, &factors, &divisor, x.kind)?;
            let (pivot, rest) = (part(self, &pivot, 1..m), part(self, &rest, 1..m));
            let less = self.zip(node, Binary::Multiply, &factors, &pivot, x.kind)?;
            matrix = self.zip(node, Binary::Subtract, &rest, &less, x.kind)?;
        }
        Ok(Value { shape: stacks, ..determinant })
    }

    /// Of matrices (count, m, m) the rows with the largest first numbers (count, 1, m), and the others; the determinants change
    /// their signs where the first row makes room.
    fn pivoted(&mut self, node: &NodeProto, matrix: &Value, determinant: &mut Value) -> Result<[Value; 2]> {
        let [count, m, _] = *matrix.shape.as_slice() else { return Err(misfit(node, "matrices without three axes")) };
        let rows = |packer: &mut Self, rows: std::ops::Range<usize>| {
            let kept = [(0..count).collect(), rows.collect(), (0..m).collect()];
            packer.picked(matrix, &kept)
        };
        let (first, others) = (rows(self, 0..1), rows(self, 1..m));
        if m == 1 {
            return Ok([first, others]);
        }
        let places: Vec<usize> = (0..count * m).map(|row| row * m).collect();
        let column = self.arranged(matrix, &[count, m], &places);
        let sizes = self.map(Unary::Absolute, &column, matrix.kind);
        let (sizes, whole) = (self.span(&sizes), self.span(matrix));
        let winners = self.program.reduce(Reduction::ArgMax, sizes, m, 1);
        let pivot = Value::slot(&[count, 1, m], matrix.kind, self.program.pick(whole, winners, m, m));
        let keys: Vec<f32> = (1..m).map(|row| row as f32).collect();
        let left = Value::slot(&[count, m - 1, 1], Kind::Bool, self.program.one_hot(winners, &keys));
        let rest = self.chosen(node, left, first, others)?;
        let moved = Value::slot(&[count], Kind::I64, winners);
        let stays = self.zip(node, Binary::Equal, &moved, &number(0.0), Kind::Bool)?;
        let sign = self.chosen(node, stays, number(1.0), number(-1.0))?;
        *determinant = self.zip(node, Binary::Multiply, determinant, &sign, matrix.kind)?;
        Ok([pivot, rest])
    }
}
