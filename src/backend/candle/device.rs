use candle_core::Device as Candle;

use crate::backend::contain::contained;
use crate::{Device, Error, ErrorKind, Result};

/// candle's name for a device.
///
/// # Errors
/// [`ErrorKind::FeatureDisabled`], naming the feature; [`ErrorKind::Backend`] when there is no such card.
pub(super) fn open(device: Device) -> Result<Candle> {
    let disabled = |feature: &str| {
        Err(Error::new(ErrorKind::FeatureDisabled, format!("this device needs the feature `{feature}`")).actual(device))
    };
    let start = |new: fn(usize) -> candle_core::Result<Candle>, number| {
        contained("candle", ErrorKind::Backend, "starting the device", || new(number)).map_err(|e| e.actual(device))
    };
    match device {
        Device::Cpu => Ok(Candle::Cpu),
        Device::Cuda(_) if !cfg!(feature = "candle-cuda") => disabled("candle-cuda"),
        Device::Metal(_) if !cfg!(feature = "candle-metal") => disabled("candle-metal"),
        Device::Cuda(number) => start(Candle::new_cuda, number),
        Device::Metal(number) => start(Candle::new_metal, number),
    }
}
