use std::path::Path;

use super::settings::{Calibration, Settings, Target, WeightForm};
use crate::optimize::Optimized;
use crate::optimize::file::Original;
use crate::optimize::run::{Common, common_methods};
use crate::{Artifact, Error, ErrorKind, Result};

/// Brings a network's numbers to fewer bits.
///
/// ```no_run
/// use modelberth::optimize::{Budget, Data, Quantize, Target};
/// let quantized = Quantize::to(Target::Int8Dynamic)
///     .data(Data::file("holdout.npz").label("label"))
///     .budget(Budget { max_metric_drop: Some(0.005), ..Budget::default() })
///     .run("encoder.onnx")?;
/// println!("{}", quantized.report);
/// quantized.write("encoder_int8.onnx")?;
/// # Ok::<(), modelberth::Error>(())
/// ```
pub struct Quantize<'a> {
    pub(super) settings: Settings,
    pub(super) common: Common<'a>,
}

impl std::fmt::Debug for Quantize<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Quantize").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<'a> Quantize<'a> {
    /// Quantises to `target`, with a scale for each channel, symmetric weights of 8 bits, blocks of 32 (int4: 64, with
    /// zero points) and ranges from the least to the greatest value.
    #[must_use]
    pub fn to(target: Target) -> Self {
        let settings = Settings {
            target,
            per_channel: true,
            symmetric: target != Target::Int4Weights,
            seven_bits: false,
            block: if target == Target::Int4Weights { 64 } else { 32 },
            form: None,
            calibration: Calibration::MinMax,
            activations_symmetric: false,
            activation_aware: true,
            keep: Vec::new(),
        };
        Self { settings, common: Common::default() }
    }

    /// Whether each output channel of a layer, and each row of an embedding, has a scale of its own.
    #[must_use]
    pub fn per_channel(mut self, per_channel: bool) -> Self {
        self.settings.per_channel = per_channel;
        self
    }

    /// Whether 0 stands for 0 in weights, which then are i8; else they are u8 with zero points. Static int8 and LSTM are
    /// always symmetric.
    #[must_use]
    pub fn symmetric(mut self, symmetric: bool) -> Self {
        self.settings.symmetric = symmetric;
        self
    }

    /// Whether weights take 7 bits. ONNX Runtime adds pairs of products in 16 bits on processors without VNNI, where 8 bits
    /// overflow; our own backends never do.
    #[must_use]
    pub fn reduce_range(mut self, seven_bits: bool) -> Self {
        self.settings.seven_bits = seven_bits;
        self
    }

    /// How many weights share a scale, in blocks; a power of two from 16 on.
    #[must_use]
    pub fn block(mut self, block: usize) -> Self {
        self.settings.block = block;
        self
    }

    /// Which operators carry weights that alone are quantised.
    #[must_use]
    pub fn form(mut self, form: WeightForm) -> Self {
        self.settings.form = Some(form);
        self
    }

    /// How ranges of activations are found, in static int8.
    #[must_use]
    pub fn calibration(mut self, calibration: Calibration) -> Self {
        self.settings.calibration = calibration;
        self
    }

    /// Whether 0 stands for 0 in activations too, in static int8.
    #[must_use]
    pub fn symmetric_activations(mut self, symmetric: bool) -> Self {
        self.settings.activations_symmetric = symmetric;
        self
    }

    /// Whether dynamic int8 and int4 weights look at the activations, which is so unless set: on the data, or on ids made up
    /// for a model that takes nothing but whole numbers. Dynamic int8 then moves outliers of activations into the weights
    /// behind them (a `Mul` each, where that gains enough), and errors of rounding in int4
    /// make up for each other.
    #[must_use]
    pub fn activation_aware(mut self, aware: bool) -> Self {
        self.settings.activation_aware = aware;
        self
    }

    /// Leaves layers and constants of these names as they are.
    #[must_use]
    pub fn keep<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.settings.keep.extend(names.into_iter().map(Into::into));
        self
    }

    common_methods!(common);

    /// Quantises the ONNX file at `path`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when settings contradict each other, the model is quantised already, no layer
    /// qualifies, or calibration data lack or are empty; [`ErrorKind::InvalidValue`] for NaN in them;
    /// [`ErrorKind::Unsupported`] for an opset that is too old or a file that is no ONNX; else as loading the model and
    /// reading the data.
    pub fn run(&self, path: impl AsRef<Path>) -> Result<Optimized> {
        self.check()?;
        super::run::run(self, &Original::read(path.as_ref(), &self.common.limits)?)
    }

    /// Quantises the ONNX file in an artifact.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_artifact(&self, artifact: &Artifact) -> Result<Optimized> {
        self.check()?;
        super::run::run(self, &Original::of_artifact(artifact, &self.common.limits)?)
    }

    fn check(&self) -> Result<()> {
        let s = &self.settings;
        let wrong = |what: &str| Err(Error::new(ErrorKind::InvalidArgument, what));
        if !(s.block.is_power_of_two() && (16..=1024).contains(&s.block)) {
            return wrong("blocks hold a power of two of weights, from 16 to 1024");
        }
        if s.target == Target::Int8Static && self.common.data.is_none() {
            return wrong("static int8 needs data to calibrate on; give some hundred rows like those to come");
        }
        if s.target == Target::Int4Weights && s.form == Some(WeightForm::Channels) {
            return wrong("weights of 4 bits take blocks; choose `n-bits` or `blocked-qdq`");
        }
        self.common.budget.check(self.common.data.as_ref())
    }
}
