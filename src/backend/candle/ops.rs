//! What stands between the matrix products: one pass each on the processor, candle's own operations on a card.
//!
//! candle's operations on the processor share pools of threads in the whole process, whatever number of threads a model
//! was given, and its error function is scalar; hence kernels of our own, which compute on the calling thread.

use candle_core::{CpuStorage, CustomOp2, DType, InplaceOp1, InplaceOp2, Layout, Result, Shape, Tensor, bail};
use candle_nn::ops::softmax_last_dim;

use super::config::Activation;
use crate::kernel::{self, Epilogue, Isa, Right};

/// A vector of parameters: as a tensor, and on the processor as numbers too.
pub(super) struct Row {
    tensor: Tensor,
    numbers: Vec<f32>,
}

impl Row {
    pub(super) fn new(tensor: Tensor) -> Result<Self> {
        let numbers = if tensor.device().is_cpu() { tensor.to_vec1()? } else { Vec::new() };
        Ok(Self { tensor, numbers })
    }
}

/// The products (..., m, n) of matrices a (..., m, k) and b: (..., k, n), or (..., n, k) where it is `transposed`.
pub(super) fn product(a: &Tensor, b: &Tensor, transposed: bool) -> Result<Tensor> {
    match (a.device().is_cpu(), transposed) {
        (true, _) => {
            a.apply_op2_no_bwd(b, &Product { right: if transposed { Right::Transposed } else { Right::Plain } })
        }
        (false, true) => a.matmul(&b.t()?),
        (false, false) => a.matmul(b),
    }
}

/// A layer normalisation.
pub(super) struct Norm {
    scale: Row,
    shift: Row,
    epsilon: f64,
}

impl Norm {
    pub(super) fn new(scale: Tensor, shift: Tensor, epsilon: f64) -> Result<Self> {
        Ok(Self { scale: Row::new(scale)?, shift: Row::new(shift)?, epsilon })
    }

    /// The normalisation of x (m, n) + bias + residual (m, n), written over `x`, which nothing else may hold.
    pub(super) fn add_norm(&self, x: Tensor, bias: &Row, residual: &Tensor) -> Result<Tensor> {
        if x.device().is_cpu() {
            x.inplace_op2(residual, &AddNorm { bias, norm: self })?;
            return Ok(x);
        }
        let x = (x.broadcast_add(&bias.tensor)? + residual)?;
        candle_nn::ops::layer_norm(&x, &self.scale.tensor, &self.shift.tensor, self.epsilon as f32)
    }
}

/// The activation of x (m, n) + bias, written over `x`, which nothing else may hold.
pub(super) fn finish(x: Tensor, bias: &Row, activation: Option<Activation>) -> Result<Tensor> {
    if x.device().is_cpu() {
        let epilogue = match activation {
            None => Epilogue::Bias,
            Some(Activation::Gelu) => Epilogue::Gelu,
            Some(Activation::GeluTanh) => Epilogue::GeluTanh,
            Some(Activation::Relu) => Epilogue::Relu,
        };
        x.inplace_op1(&Finish { bias, epilogue })?;
        return Ok(x);
    }
    let x = x.broadcast_add(&bias.tensor)?;
    match activation {
        None => Ok(x),
        Some(Activation::Gelu) => x.gelu_erf(),
        Some(Activation::GeluTanh) => x.gelu(),
        Some(Activation::Relu) => x.relu(),
    }
}

/// Which tokens of a batch (m, n) can be seen.
pub(super) struct Mask {
    /// What is added to a score: 0, or the lowest number for a token that is not there.
    added: Vec<f32>,
    tokens: usize,
}

impl Mask {
    pub(super) fn new(seen: &[bool], tokens: usize) -> Self {
        // Finite, so that a sequence of which nothing is seen gives numbers.
        Self { added: seen.iter().map(|seen| if *seen { 0.0 } else { f32::MIN }).collect(), tokens }
    }

    /// How much each token attends to each: the softmax of `scale` times scores (m, heads, n, n), the unseen left out,
    /// written over `scores`, which nothing else may hold.
    pub(super) fn attention(&self, scores: Tensor, scale: f64) -> Result<Tensor> {
        if scores.device().is_cpu() {
            scores.inplace_op1(&Attention { mask: self, scale: scale as f32 })?;
            return Ok(scores);
        }
        let dtype = scores.dtype();
        let lowest = match dtype {
            DType::F16 => f32::from(half::f16::MIN),
            DType::BF16 => f32::from(half::bf16::MIN),
            _ => f32::MIN,
        };
        let added: Vec<f32> = self.added.iter().map(|a| a.max(lowest)).collect();
        let mask = Tensor::from_vec(added, (scores.dim(0)?, 1, 1, self.tokens), scores.device())?.to_dtype(dtype)?;
        softmax_last_dim(&(scores * scale)?.broadcast_add(&mask)?)
    }
}

struct Product {
    right: Right,
}

impl CustomOp2 for Product {
    fn name(&self) -> &'static str {
        "matrix product"
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (a_dims, b_dims) = (a_layout.dims(), b_layout.dims());
        let ([outer @ .., m, k], [b_outer @ .., b_rows, b_columns]) = (a_dims, b_dims) else {
            bail!("a product needs matrices, not {a_dims:?} and {b_dims:?}");
        };
        let (b_k, n) = match self.right {
            Right::Plain => (b_rows, b_columns),
            Right::Transposed => (b_columns, b_rows),
        };
        if outer != b_outer || k != b_k {
            bail!("a product of {a_dims:?} and {b_dims:?} does not exist");
        }
        let (a, b) = (numbers(a, a_layout)?, numbers(b, b_layout)?);
        let mut c = vec![0.0; outer.iter().product::<usize>() * m * n];
        if !c.is_empty() && *k > 0 {
            for ((a, b), c) in a.chunks_exact(m * k).zip(b.chunks_exact(k * n)).zip(c.chunks_exact_mut(m * n)) {
                kernel::product((*m, *k, *n), a, b, self.right, c);
            }
        }
        Ok((CpuStorage::F32(c), Shape::from_dims(&[outer, &[*m, *n]].concat())))
    }
}

struct Finish<'r> {
    bias: &'r Row,
    epilogue: Epilogue,
}

impl InplaceOp1 for Finish<'_> {
    fn name(&self) -> &'static str {
        "bias and activation"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        kernel::finish_rows(Isa::best(), self.epilogue, numbers_mut(storage, layout)?, &self.bias.numbers);
        Ok(())
    }
}

struct AddNorm<'r> {
    bias: &'r Row,
    norm: &'r Norm,
}

impl InplaceOp2 for AddNorm<'_> {
    fn name(&self) -> &'static str {
        "bias, residual and layer normalisation"
    }

    fn cpu_fwd(
        &self,
        storage: &mut CpuStorage,
        layout: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
    ) -> Result<()> {
        let norm = kernel::LayerNorm {
            scale: &self.norm.scale.numbers,
            shift: &self.norm.shift.numbers,
            epsilon: self.norm.epsilon as f32,
        };
        let residual = numbers(residual, residual_layout)?;
        kernel::add_norm_rows(Isa::best(), numbers_mut(storage, layout)?, &self.bias.numbers, residual, norm);
        Ok(())
    }
}

struct Attention<'m> {
    mask: &'m Mask,
    scale: f32,
}

impl InplaceOp1 for Attention<'_> {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let Mask { added, tokens } = self.mask;
        let observations = added.len() / tokens;
        let scores = numbers_mut(storage, layout)?;
        let of_one = scores.len() / observations;
        for (scores, mask) in scores.chunks_exact_mut(of_one).zip(added.chunks_exact(*tokens)) {
            kernel::attention_rows(Isa::best(), scores, self.scale, mask);
        }
        Ok(())
    }
}

/// The numbers of a tensor that lies in one piece.
fn numbers<'s>(storage: &'s CpuStorage, layout: &Layout) -> Result<&'s [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&values[start..end]),
        _ => bail!("f32 in one piece were expected"),
    }
}

fn numbers_mut<'s>(storage: &'s mut CpuStorage, layout: &Layout) -> Result<&'s mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&mut values[start..end]),
        _ => bail!("f32 in one piece were expected"),
    }
}
