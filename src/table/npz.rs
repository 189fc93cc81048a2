//! NumPy's `.npz`: arrays by name in a zip archive.

use std::io::{Cursor, Read, Seek, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::layout::list;
use super::npy::{self, Column};
use crate::{Error, ErrorKind, Result, Signature, Tensor, Tensors};

/// The arrays in an `.npz` archive, by key.
pub(super) struct Archive<R> {
    zip: ZipArchive<R>,
    /// The keys with their places in the archive.
    keys: Vec<(String, usize)>,
}

impl<R: Read + Seek> Archive<R> {
    pub(super) fn open(content: R) -> Result<Self> {
        let mut zip = ZipArchive::new(content).map_err(broken)?;
        let mut keys = Vec::new();
        for i in 0..zip.len() {
            let member = zip.by_index_raw(i).map_err(broken)?;
            let name = member.name().map_err(broken)?;
            if let Some(key) = name.strip_suffix(".npy") {
                keys.push((key.to_string(), i));
            }
        }
        if keys.is_empty() && !zip.is_empty() {
            return Err(Error::new(
                ErrorKind::Malformed,
                "this is a zip archive, but not of arrays: `numpy.savez` writes files named `*.npy` into it",
            ));
        }
        Ok(Self { zip, keys })
    }

    fn position(&self, key: &str) -> Option<usize> {
        self.keys.iter().find(|(k, _)| k == key).map(|(_, i)| *i)
    }

    fn array(&mut self, at: usize, limit: u64) -> Result<Tensor<'static>> {
        let mut member = self.zip.by_index(at).map_err(broken)?;
        let size = member.size();
        npy::read(&mut member, size, limit)
    }

    /// The inputs of `signature`: by name, under `in:` first; the only array, or the only one under `in:`, for a model
    /// with one input.
    pub(super) fn inputs(&mut self, signature: &Signature, limit: u64) -> Result<Vec<Tensor<'static>>> {
        let mut places = Vec::new();
        let mut missing = Vec::new();
        for spec in signature.inputs() {
            let name = spec.name().as_str();
            match self.position(&format!("in:{name}")).or_else(|| self.position(name)) {
                Some(at) => places.push(at),
                None => missing.push(name),
            }
        }
        if !missing.is_empty() {
            match (signature.inputs(), self.only()) {
                ([_], Some(at)) => places = vec![at],
                _ => {
                    let keys: Vec<&str> = self.keys.iter().map(|(k, _)| k.as_str()).collect();
                    return Err(Error::new(
                        ErrorKind::MissingInput,
                        format!("the .npz archive lacks arrays that the model takes: {}; name them so", list(&missing)),
                    )
                    .actual(format!("the keys {}", list(&keys))));
                }
            }
        }
        let mut arrays = Vec::with_capacity(places.len());
        for (at, spec) in places.into_iter().zip(signature.inputs()) {
            arrays.push(self.array(at, limit).map_err(|e| e.tensor(spec.name()))?);
        }
        Ok(arrays)
    }

    /// The only array, or the only one under `in:`.
    fn only(&self) -> Option<usize> {
        let mut inputs = self.keys.iter().filter(|(k, _)| k.starts_with("in:"));
        match (inputs.next(), inputs.next(), self.keys.as_slice()) {
            (Some((_, at)), None, _) | (None, None, [(_, at)]) => Some(*at),
            _ => None,
        }
    }
}

fn broken(error: zip::result::ZipError) -> Error {
    Error::new(ErrorKind::Malformed, "the .npz archive can't be read; it may be truncated").with_source(error)
}

/// All arrays in the bytes of an `.npz` file, by key, in the order in which they stand.
///
/// # Errors
/// As [`read_npy`](super::read_npy), naming the array; [`ErrorKind::Malformed`] when the bytes are no whole archive.
pub fn read_npz(bytes: &[u8]) -> Result<Tensors<'static>> {
    let mut archive = Archive::open(Cursor::new(bytes))?;
    let keys = std::mem::take(&mut archive.keys);
    let mut arrays = Tensors::with_capacity(keys.len());
    for (key, at) in keys {
        let array = archive.array(at, u64::MAX).map_err(|e| e.tensor(&key))?;
        arrays.insert(key, array)?;
    }
    Ok(arrays)
}

/// Writes `columns` as an `.npz` archive, stored without compression as `numpy.savez` does.
pub(super) fn write<W: Write + Seek>(out: W, columns: &[(String, Column)]) -> Result<W> {
    let failed = |e: zip::result::ZipError| match e {
        zip::result::ZipError::Io(e) => Error::from(e),
        other => Error::new(ErrorKind::Io, "the .npz archive can't be written").with_source(other),
    };
    let mut zip = ZipWriter::new(out);
    for (key, column) in columns {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .large_file(column.file_bytes() > u64::from(u32::MAX));
        zip.start_file(format!("{key}.npy"), options).map_err(failed)?;
        column.write_to(&mut zip)?;
    }
    zip.finish().map_err(failed)
}

/// The bytes of an `.npz` archive of `arrays`.
#[cfg(feature = "registry")]
pub(crate) fn to_npz(arrays: &Tensors<'_>) -> Result<Vec<u8>> {
    let columns: Result<Vec<(String, Column)>> =
        arrays.iter().map(|(key, tensor)| Ok((key.to_string(), Column::new(tensor, false)?))).collect();
    Ok(write(Cursor::new(Vec::new()), &columns?)?.into_inner())
}
