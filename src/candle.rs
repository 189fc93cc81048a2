//! Networks written with candle as models. This is the only module that shows types of candle's.

pub use candle_core;
pub use candle_nn;

pub use crate::backend::candle::ModuleModel;
