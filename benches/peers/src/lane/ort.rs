//! ONNX Runtime through its C API, opened at run time: no wrapper's cost is counted as its own.

use std::ffi::{CStr, CString, c_char, c_void};
use std::hint::black_box;
use std::path::Path;
use std::ptr;

use ort_sys::{
    ExecutionMode, GraphOptimizationLevel, ONNXTensorElementDataType as Kind, ONNXType, OrtAllocator, OrtAllocatorType,
    OrtApi, OrtApiBase, OrtEnv, OrtLoggingLevel, OrtMemType, OrtMemoryInfo, OrtSession, OrtStatusPtr, OrtValue,
};

use super::{Answer, Caller};
use crate::Fault;
use crate::case::{Case, Pool, rows};

/// The API version asked for: the oldest that has everything used here, so that any later library fits.
const API_VERSION: u32 = 17;

/// The opened library; it lives as long as the process.
pub struct Library {
    api: &'static OrtApi,
    env: *mut OrtEnv,
    memory: *mut OrtMemoryInfo,
    allocator: *mut OrtAllocator,
    pub version: String,
}

impl Library {
    pub fn open(path: &Path) -> Result<&'static Self, Fault> {
        // SAFETY: the library is ONNX Runtime's, as the caller says; it is never closed, so its table stays valid.
        // The pointers passed are to locals of the declared types, and are read only after a call that succeeded.
        unsafe {
            let library: &'static libloading::Library = Box::leak(Box::new(libloading::Library::new(path)?));
            let base = library.get::<unsafe extern "system" fn() -> *const OrtApiBase>("OrtGetApiBase")?();
            let api = ((*base).GetApi)(API_VERSION);
            let version = CStr::from_ptr(((*base).GetVersionString)()).to_str()?.to_owned();
            let api = api.as_ref().ok_or_else(|| format!("ONNX Runtime {version} has no API {API_VERSION}"))?;
            let (mut env, mut memory, mut allocator) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
            let name = c"modelberth-peers".as_ptr();
            check(api, (api.CreateEnv)(OrtLoggingLevel::ORT_LOGGING_LEVEL_FATAL, name, &mut env))?;
            let (arena, default) = (OrtAllocatorType::OrtArenaAllocator, OrtMemType::OrtMemTypeDefault);
            check(api, (api.CreateCpuMemoryInfo)(arena, default, &mut memory))?;
            check(api, (api.GetAllocatorWithDefaultOptions)(&mut allocator))?;
            Ok(Box::leak(Box::new(Self { api, env, memory, allocator, version })))
        }
    }

    fn check(&self, status: OrtStatusPtr) -> Result<(), Fault> {
        check(self.api, status)
    }
}

fn check(api: &OrtApi, status: OrtStatusPtr) -> Result<(), Fault> {
    if status.0.is_null() {
        return Ok(());
    }
    // SAFETY: a status that is not null is a live error whose message ends in NUL; it is released once, here.
    unsafe {
        let message = CStr::from_ptr((api.GetErrorMessage)(status.0)).to_string_lossy().replace('\n', " ");
        (api.ReleaseStatus)(status.0);
        Err(message.into())
    }
}

/// A session with everything that does not change from call to call made beforehand.
pub struct Ort<'c> {
    library: &'static Library,
    case: &'c Case,
    batch: usize,
    session: *mut OrtSession,
    input_names: Vec<CString>,
    output_names: Vec<CString>,
    input_name_ptrs: Vec<*const c_char>,
    output_name_ptrs: Vec<*const c_char>,
    shapes: Vec<Vec<i64>>,
    /// The texts of each text input as C wants them, with their addresses.
    texts: Vec<(Vec<CString>, Vec<*const c_char>)>,
    inputs: Vec<*mut OrtValue>,
    outputs: Vec<*mut OrtValue>,
    /// Outputs whose memory can be read in place: tensors of numbers.
    readable: Vec<bool>,
}

impl<'c> Ort<'c> {
    pub fn load(library: &'static Library, case: &'c Case, batch: usize) -> Result<Self, Fault> {
        let session = new_session(library, &case.onnx)?;
        let input_names = match case.inputs.as_slice() {
            // Converters name the only input as they like.
            [_] => session_names(library, session, Side::Inputs)?,
            inputs => inputs.iter().map(|i| CString::new(i.name.as_str())).collect::<Result<_, _>>()?,
        };
        let output_names = session_names(library, session, Side::Outputs)?;
        let shape = |i: &crate::case::Input| i.pool.window_shape(batch).iter().map(|d| *d as i64).collect();
        let mut ort = Self {
            library,
            case,
            batch,
            session,
            input_name_ptrs: input_names.iter().map(|n| n.as_ptr()).collect(),
            output_name_ptrs: output_names.iter().map(|n| n.as_ptr()).collect(),
            inputs: vec![ptr::null_mut(); input_names.len()],
            outputs: vec![ptr::null_mut(); output_names.len()],
            readable: vec![false; output_names.len()],
            input_names,
            output_names,
            shapes: case.inputs.iter().map(shape).collect(),
            texts: case.inputs.iter().map(|i| texts(&i.pool)).collect::<Result<_, Fault>>()?,
        };
        ort.run(0)?;
        for i in 0..ort.outputs.len() {
            ort.readable[i] = matches!(ort.element(ort.outputs[i])?, Some((kind, _)) if kind != STRING);
        }
        ort.release();
        Ok(ort)
    }

    fn run(&mut self, at: usize) -> Result<(), Fault> {
        let (library, api, batch) = (self.library, self.library.api, self.batch);
        for (i, input) in self.case.inputs.iter().enumerate() {
            let (data, bytes, kind) = match &input.pool {
                Pool::F32(pool) => place(rows(pool, batch, at), Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT),
                Pool::F64(pool) => place(rows(pool, batch, at), Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE),
                Pool::I64(pool) => place(rows(pool, batch, at), Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64),
                Pool::Text(_) => (ptr::null_mut(), 0, STRING),
            };
            let shape = &self.shapes[i];
            let value = &mut self.inputs[i];
            // SAFETY: the shape and the memory of the window outlive the value, which `release` ends before the
            // case does; ONNX Runtime reads inputs only. Texts end in NUL and are copied by the call.
            unsafe {
                if kind == STRING {
                    library.check((api.CreateTensorAsOrtValue)(
                        library.allocator,
                        shape.as_ptr(),
                        shape.len(),
                        kind,
                        value,
                    ))?;
                    let count = shape.iter().product::<i64>() as usize;
                    let texts = &self.texts[i].1[at * count..(at + 1) * count];
                    library.check((api.FillStringTensor)(*value, texts.as_ptr(), count))?;
                } else {
                    library.check((api.CreateTensorWithDataAsOrtValue)(
                        library.memory,
                        data,
                        bytes,
                        shape.as_ptr(),
                        shape.len(),
                        kind,
                        value,
                    ))?;
                }
            }
        }
        // SAFETY: names and values are arrays of the lengths given; outputs are null, so the call makes them.
        library.check(unsafe {
            (api.Run)(
                self.session,
                ptr::null(),
                self.input_name_ptrs.as_ptr(),
                self.inputs.as_ptr().cast(),
                self.inputs.len(),
                self.output_name_ptrs.as_ptr(),
                self.outputs.len(),
                self.outputs.as_mut_ptr(),
            )
        })
    }

    fn release(&mut self) {
        for value in self.inputs.iter_mut().chain(&mut self.outputs) {
            // SAFETY: null, or a value that was made by the last run and is released once.
            unsafe { (self.library.api.ReleaseValue)(*value) };
            *value = ptr::null_mut();
        }
    }

    /// Element type and count of a tensor; `None` for maps and sequences.
    fn element(&self, value: *mut OrtValue) -> Result<Option<(Kind, usize)>, Fault> {
        let (library, api) = (self.library, self.library.api);
        let mut sort = ONNXType::ONNX_TYPE_UNKNOWN;
        let mut info = ptr::null_mut();
        let mut kind = Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
        let mut count = 0;
        // SAFETY: `value` is a live output; the info is released after its last use.
        unsafe {
            library.check((api.GetValueType)(value, &mut sort))?;
            if sort != ONNXType::ONNX_TYPE_TENSOR {
                return Ok(None);
            }
            library.check((api.GetTensorTypeAndShape)(value, &mut info))?;
            let asked = library.check((api.GetTensorElementType)(info, &mut kind));
            let counted = library.check((api.GetTensorShapeElementCount)(info, &mut count));
            (api.ReleaseTensorTypeAndShapeInfo)(info);
            asked.and(counted)?;
        }
        Ok(Some((kind, count)))
    }

    fn data(&self, value: *mut OrtValue) -> Result<*const c_void, Fault> {
        let mut data = ptr::null_mut();
        // SAFETY: `value` is a live tensor of numbers.
        self.library.check(unsafe { (self.library.api.GetTensorMutableData)(value, &mut data) })?;
        Ok(data)
    }

    fn answer(&self, value: *mut OrtValue) -> Result<Answer, Fault> {
        let Some((kind, count)) = self.element(value)? else { return Ok(Answer::Opaque) };
        // SAFETY: the library says that the tensor holds `count` elements of this type.
        unsafe {
            Ok(match kind {
                STRING => {
                    Answer::Texts((0..count).map(|i| text(self.library, value, i)).collect::<Result<Vec<_>, Fault>>()?)
                }
                Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT => read::<f32>(self.data(value)?, count, f64::from),
                Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE => read::<f64>(self.data(value)?, count, |v| v),
                Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 => read::<i64>(self.data(value)?, count, |v| v as f64),
                Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32 => read::<i32>(self.data(value)?, count, f64::from),
                _ => Answer::Opaque,
            })
        }
    }
}

const STRING: Kind = Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING;

fn place<T>(rows: &[T], kind: Kind) -> (*mut c_void, usize, Kind) {
    (rows.as_ptr().cast_mut().cast(), size_of_val(rows), kind)
}

fn texts(pool: &Pool) -> Result<(Vec<CString>, Vec<*const c_char>), Fault> {
    let Pool::Text(pool) = pool else { return Ok((Vec::new(), Vec::new())) };
    let texts = pool.iter().map(|t| CString::new(t.as_str())).collect::<Result<Vec<_>, _>>()?;
    let addresses = texts.iter().map(|t| t.as_ptr()).collect();
    Ok((texts, addresses))
}

/// # Safety
/// `data` points at `count` values of `T`.
unsafe fn read<T: Copy>(data: *const c_void, count: usize, wide: fn(T) -> f64) -> Answer {
    if count == 0 {
        return Answer::Numbers(Vec::new());
    }
    // SAFETY: as the caller promises; ONNX Runtime aligns its tensors.
    let values = unsafe { std::slice::from_raw_parts(data.cast::<T>(), count) };
    Answer::Numbers(values.iter().map(|v| wide(*v)).collect())
}

fn text(library: &Library, value: *mut OrtValue, index: usize) -> Result<String, Fault> {
    let mut length = 0;
    // SAFETY: `value` is a live tensor of texts; the buffer has the length that the library asked for.
    unsafe {
        library.check((library.api.GetStringTensorElementLength)(value, index, &mut length))?;
        let mut bytes = vec![0_u8; length];
        library.check((library.api.GetStringTensorElement)(value, length, index, bytes.as_mut_ptr().cast()))?;
        Ok(String::from_utf8(bytes)?)
    }
}

fn new_session(library: &Library, model: &Path) -> Result<*mut OrtSession, Fault> {
    let bytes = std::fs::read(model)?;
    let api = library.api;
    let mut options = ptr::null_mut();
    let mut session = ptr::null_mut();
    // SAFETY: the options live until the session is made, the bytes are copied by it.
    unsafe {
        library.check((api.CreateSessionOptions)(&mut options))?;
        let made = library
            .check((api.SetIntraOpNumThreads)(options, 1))
            .and_then(|()| library.check((api.SetInterOpNumThreads)(options, 1)))
            .and_then(|()| library.check((api.SetSessionExecutionMode)(options, ExecutionMode::ORT_SEQUENTIAL)))
            .and_then(|()| {
                let all = GraphOptimizationLevel::ORT_ENABLE_ALL;
                library.check((api.SetSessionGraphOptimizationLevel)(options, all))
            })
            .and_then(|()| {
                let data = bytes.as_ptr().cast();
                library.check((api.CreateSessionFromArray)(library.env, data, bytes.len(), options, &mut session))
            });
        (api.ReleaseSessionOptions)(options);
        made?;
    }
    Ok(session)
}

enum Side {
    Inputs,
    Outputs,
}

fn session_names(library: &Library, session: *mut OrtSession, side: Side) -> Result<Vec<CString>, Fault> {
    let (count_of, name_of) = match side {
        Side::Inputs => (library.api.SessionGetInputCount, library.api.SessionGetInputName),
        Side::Outputs => (library.api.SessionGetOutputCount, library.api.SessionGetOutputName),
    };
    let mut count = 0;
    // SAFETY: the session is live; each name is copied before the allocator takes it back.
    unsafe {
        library.check(count_of(session, &mut count))?;
        let name = |i| {
            let mut name = ptr::null_mut();
            library.check(name_of(session, i, library.allocator, &mut name))?;
            let owned = CStr::from_ptr(name).to_owned();
            library.check((library.api.AllocatorFree)(library.allocator, name.cast()))?;
            Ok(owned)
        };
        (0..count).map(name).collect()
    }
}

impl Caller for Ort<'_> {
    fn call(&mut self, window: usize) -> Result<(), Fault> {
        self.run(window)?;
        for i in 0..self.outputs.len() {
            if self.readable[i] {
                black_box(self.data(self.outputs[i])?);
            }
        }
        self.release();
        Ok(())
    }

    fn answers(&mut self) -> Result<Vec<Answer>, Fault> {
        self.run(0)?;
        let answers = self.outputs.iter().map(|value| self.answer(*value)).collect();
        self.release();
        answers
    }
}

impl Drop for Ort<'_> {
    fn drop(&mut self) {
        self.release();
        // SAFETY: the session was made by `load` and is released once. The names outlive every call.
        unsafe { (self.library.api.ReleaseSession)(self.session) };
        let _ = (&self.input_names, &self.output_names);
    }
}
