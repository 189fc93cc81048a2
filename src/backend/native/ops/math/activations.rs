//! Activation functions.

use super::num::{Float, Num};
use super::unary::{FloatMap, Floats, NumberMap, Numbers};
use crate::Result;
use crate::backend::native::node::Node;
use crate::backend::native::op::Op;
use crate::backend::native::op::RowMap;
use crate::backend::native::ops::Group;

pub(super) const GROUP: Group = &[
    ("Relu", |_| Ok(Box::new(Numbers(Relu)))),
    ("Sigmoid", |_| floats(Sigmoid)),
    ("Tanh", |_| floats(Tanh)),
    ("Softplus", |_| floats(Softplus)),
    ("Softsign", |_| floats(Softsign)),
    ("Mish", |_| floats(Mish)),
    ("HardSwish", |_| floats(HardSwish)),
    ("LeakyRelu", |n| floats(LeakyRelu { alpha: number(n, "alpha", 0.01)? })),
    ("ThresholdedRelu", |n| floats(ThresholdedRelu { alpha: number(n, "alpha", 1.0)? })),
    ("Elu", |n| floats(Elu { alpha: number(n, "alpha", 1.0)? })),
    ("Celu", |n| floats(Celu { alpha: number(n, "alpha", 1.0)? })),
    ("Swish", |n| floats(Swish { alpha: number(n, "alpha", 1.0)? })),
    ("HardSigmoid", |n| floats(HardSigmoid { alpha: number(n, "alpha", 0.2)?, beta: number(n, "beta", 0.5)? })),
    ("Shrink", |n| floats(Shrink { lambd: number(n, "lambd", 0.5)?, bias: number(n, "bias", 0.0)? })),
    ("Selu", selu),
    ("Gelu", gelu),
];

/// Operators of the domain `com.microsoft`. FastGelu and BiasGelu, which add a bias, stand in `bias_gelu`.
pub(super) const MICROSOFT: Group =
    &[("Gelu", |_| floats(Gelu)), ("QuickGelu", |n| floats(Swish { alpha: number(n, "alpha", 1.702)? }))];

fn floats(map: impl FloatMap) -> Result<Box<dyn Op>> {
    Ok(Box::new(Floats(map)))
}

/// An attribute in double precision.
fn number(node: &Node<'_>, name: &str, default: f32) -> Result<f64> {
    node.float_or(name, default).map(f64::from)
}

fn selu(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let [alpha, gamma] = if node.opset() < 6 { [1.6732, 1.0507] } else { [1.673_263_2, 1.050_701] };
    floats(Selu { alpha: number(node, "alpha", alpha)?, gamma: number(node, "gamma", gamma)? })
}

fn gelu(node: &Node<'_>) -> Result<Box<dyn Op>> {
    match node.string_or("approximate", "none")? {
        "none" => floats(Gelu),
        "tanh" => floats(TanhGelu),
        other => Err(node.malformed("`approximate` must be `none` or `tanh`").actual(other)),
    }
}

/// The larger one of `x` and 0.
#[derive(Debug)]
struct Relu;

impl NumberMap for Relu {
    #[inline(always)]
    fn at<T: Num>(&self, x: T) -> T {
        if x < T::ZERO { T::ZERO } else { x }
    }

    fn row_map(&self) -> Option<RowMap> {
        Some(RowMap::Relu)
    }
}

macro_rules! float_maps {
    ($($(#[$doc:meta])* $name:ident { $($field:ident),* }: $x:ident => $body:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(super) struct $name { $($field: f64),* }

        impl FloatMap for $name {
            #[inline(always)]
            fn at<F: Float>(&self, $x: F) -> F {
                $(let $field = F::from_double(self.$field);)*
                $body
            }
        }
    )*};
    ($($(#[$doc:meta])* $name:ident $([$kernel:path])?: $x:ident => $body:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(super) struct $name;

        impl FloatMap for $name {
            #[inline(always)]
            fn at<F: Float>(&self, $x: F) -> F {
                $body
            }
            $(
                fn kernel(&self) -> Option<fn(crate::kernel::Isa, &mut [f32])> {
                    Some($kernel)
                }
            )?
        }
    )*};
}

float_maps! {
    /// 1 / (1 + e^-x).
    Sigmoid: x => x.sigmoid();
    /// The hyperbolic tangent.
    Tanh: x => x.tanh();
    /// ln(1 + e^x).
    Softplus: x => softplus(x);
    /// x / (1 + |x|).
    Softsign: x => x.over(F::ONE.plus(x.magnitude()));
    /// x tanh(ln(1 + e^x)).
    Mish: x => x.times(softplus(x).tanh());
    /// x max(0, min(1, x / 6 + 1 / 2)).
    HardSwish: x => x.times(unit(x.times(F::from_double(1.0 / 6.0)).plus(F::from_double(0.5))));
    /// x Phi(x) with the normal distribution function Phi.
    Gelu [crate::kernel::gelu_in_place]: x => x.times(F::from_double(0.5)).times(F::ONE.plus(x.times(F::from_double(std::f64::consts::FRAC_1_SQRT_2)).erf()));
    /// An approximation of [`Gelu`].
    TanhGelu: x => {
        let cube = x.times(x).times(x);
        let inner = F::from_double(0.797_884_560_802_865_4).times(x.plus(F::from_double(0.044_715).times(cube)));
        x.times(F::from_double(0.5)).times(F::ONE.plus(inner.tanh()))
    };
}

float_maps! {
    /// x, or alpha x below 0.
    LeakyRelu { alpha }: x => if x >= F::ZERO { x } else { alpha.times(x) };
    /// x where it is above alpha, else 0.
    ThresholdedRelu { alpha }: x => if x > alpha { x } else { F::ZERO };
    /// x, or alpha (e^x - 1) below 0.
    Elu { alpha }: x => if x >= F::ZERO { x } else { alpha.times(x.exp_m1()) };
    /// max(0, x) + min(0, alpha (e^(x / alpha) - 1)).
    Celu { alpha }: x => if x >= F::ZERO { x.plus(F::ZERO) } else { alpha.times(x.over(alpha).exp_m1()) };
    /// gamma x, or gamma alpha (e^x - 1) below 0.
    Selu { alpha, gamma }: x => gamma.times(if x > F::ZERO { x } else { alpha.times(x.exp_m1()) });
    /// x / (1 + e^(-alpha x)).
    Swish { alpha }: x => x.times(alpha.times(x).sigmoid());
    /// max(0, min(1, alpha x + beta)).
    HardSigmoid { alpha, beta }: x => unit(alpha.times(x).plus(beta));
    /// x + bias below -lambd, x - bias above lambd, else 0.
    Shrink { lambd, bias }: x => if x < lambd.negated() {
        x.plus(bias)
    } else if x > lambd {
        x.minus(bias)
    } else {
        F::ZERO
    };
}

/// ln(1 + e^x), without overflow.
#[inline(always)]
fn softplus<F: Float>(x: F) -> F {
    let near = x.magnitude().negated().exp().ln_1p_of_unit();
    if x > F::ZERO { x.plus(near) } else { near }
}

/// `x` brought between 0 and 1; NaN stays.
#[inline(always)]
fn unit<F: Float>(x: F) -> F {
    let x = if x < F::ZERO { F::ZERO } else { x };
    if x > F::ONE { F::ONE } else { x }
}
