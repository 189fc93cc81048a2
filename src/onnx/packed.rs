//! Tensors of 4-bit integers, two of which share a byte.

use super::{
    bytes::Bytes,
    external::ExternalData,
    proto::{TensorProto, data_location, data_type},
    tensor::DenseTensor,
};
use crate::error::{Error, ErrorKind, Result};
use std::{format, vec::Vec};

impl TensorProto {
    /// Whether the elements are 4-bit integers.
    pub(crate) fn is_packed(&self) -> bool {
        matches!(self.data_type, Some(data_type::INT4 | data_type::UINT4))
    }

    /// A tensor of 4-bit integers with its values in the message, as many bytes as the shape asks for.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] where there is another number of bytes, [`ErrorKind::LimitExceeded`] for more than
    /// `max_elements`, and what reading another file gives.
    pub(crate) fn packed_whole(&self, external: Option<&ExternalData>, max_elements: usize) -> Result<Self> {
        let (_, count) = self.checked_dims(max_elements)?;
        let length = count.div_ceil(2);
        let error = |kind, text: &str| Error::new(kind, text).tensor(self.name.as_deref().unwrap_or_default());
        let raw: Bytes = if self.data_location == Some(data_location::EXTERNAL) {
            let external = external.ok_or_else(|| {
                error(ErrorKind::Malformed, "the values lie in another file; load the model from its path")
            })?;
            external.read(self, length)?
        } else if let Some(raw) = self.raw_data.as_ref().filter(|raw| !raw.is_empty()) {
            raw.clone()
        } else {
            // One byte to an entry.
            self.int32_data.iter().map(|&entry| entry as u8).collect::<Vec<u8>>().into()
        };
        if raw.len() != length {
            let found = format!("{} bytes", raw.len());
            return Err(error(ErrorKind::Malformed, "the values do not fit the tensor's shape")
                .expected(format!("{length} bytes"))
                .actual(found));
        }
        Ok(Self {
            dims: self.dims.clone(),
            data_type: self.data_type,
            name: self.name.clone(),
            raw_data: Some(raw),
            ..Self::default()
        })
    }

    /// The elements of a tensor of 4-bit integers, each as one of 8 bits. The low half of a byte comes first.
    ///
    /// # Errors
    /// As [`packed_whole`](Self::packed_whole).
    pub(crate) fn unpacked(&self, max_elements: usize) -> Result<DenseTensor> {
        let (dims, count) = self.checked_dims(max_elements)?;
        let whole = self.packed_whole(None, max_elements)?;
        let bytes = whole.raw_data.unwrap_or_default();
        let halves = bytes.iter().flat_map(|byte| [byte & 15, byte >> 4]).take(count);
        if self.data_type == Some(data_type::INT4) {
            // The highest of the four bits is the sign.
            DenseTensor::new(dims, halves.map(|half| (half << 4) as i8 >> 4).collect::<Vec<i8>>())
        } else {
            DenseTensor::new(dims, halves.collect::<Vec<u8>>())
        }
    }
}
