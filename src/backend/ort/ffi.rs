//! The calls into ONNX Runtime's C API, behind types that can be used safely.
//!
//! The declarations are those of the crate `ort-sys`. Its safe sibling `ort` is not used: it lets one thread at a time
//! into a session, although `Run` may be called from many, knows one library and one environment per process, and
//! panics where its library was not found first.

#![allow(unsafe_code, reason = "the C API has no other kind of call")]

use std::ffi::{CStr, CString, c_char, c_void};
use std::marker::PhantomData;
use std::path::Path;
use std::ptr;

use half::{bf16, f16};
use ort_sys::{
    ExecutionMode, GraphOptimizationLevel, ONNXTensorElementDataType as Kind, OrtAllocator, OrtAllocatorType, OrtApi,
    OrtApiBase, OrtEnv, OrtLoggingLevel, OrtMemType, OrtMemoryInfo, OrtSession, OrtSessionOptions, OrtStatusPtr,
    OrtTensorTypeAndShapeInfo, OrtValue,
};

use crate::backend::declared::dtype;
use crate::onnx::data_type;
use crate::tensor::{checked_len, shape_text};
use crate::{DType, Element, Error, ErrorKind, Limits, Result, Tensor};

/// The version of the C API that is asked for: the oldest that has every call made here, so that every later library
/// fits too.
pub(super) const API_VERSION: u32 = 17;
/// The oldest library that has it.
pub(super) const OLDEST: &str = "1.17";

/// What `ONNXType` calls a tensor.
const TENSOR: i32 = 1;

/// An opened library, with the environment of all its sessions. It stays open as long as the process runs.
pub(super) struct Library {
    api: &'static OrtApi,
    env: *mut OrtEnv,
    memory: *mut OrtMemoryInfo,
    allocator: *mut OrtAllocator,
    version: String,
}

// SAFETY: the library allows every call that is made here from any thread; the pointers are set once, when it is opened.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Library(ONNX Runtime {})", self.version)
    }
}

impl Library {
    /// Opens the library at `path`, or the one that the system finds by a bare name.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where the system can't load it; [`ErrorKind::Unsupported`] where it is another library or
    /// too old a version.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let refusal = |message: &str| {
            Error::new(ErrorKind::Unsupported, message)
                .file(path.display())
                .expected(format!("ONNX Runtime {OLDEST} or later"))
        };
        // SAFETY: loading runs what the library does when it is loaded; the caller names a library that is trusted.
        let library = unsafe { libloading::Library::new(path) }.map_err(|e| {
            let why = std::error::Error::source(&e).map(|why| format!(": {why}")).unwrap_or_default();
            Error::new(ErrorKind::NotFound, format!("the system can't load the library: {e}{why}")).file(path.display())
        })?;
        // What it has handed out would dangle if it were closed.
        let library: &'static libloading::Library = Box::leak(Box::new(library));
        type Base = unsafe extern "system" fn() -> *const OrtApiBase;
        // SAFETY: a library that has this symbol is ONNX Runtime, which gives it this type.
        let base = unsafe { library.get::<Base>("OrtGetApiBase") }
            .map_err(|e| refusal("the library is not ONNX Runtime: it has no `OrtGetApiBase`").with_source(e))?;
        // SAFETY: the function takes nothing and gives null or a table that lives as long as the library.
        let base = unsafe { base().as_ref() }.ok_or_else(|| refusal("the library gives no API"))?;
        // SAFETY: the version ends in NUL and is static.
        let version = unsafe { text((base.GetVersionString)()) };
        // SAFETY: null, or a table of the version asked for, which lives as long as the library.
        let api = unsafe { (base.GetApi)(API_VERSION).as_ref() }.ok_or_else(|| {
            refusal("this ONNX Runtime lacks the version of the C API that is needed").actual(&version)
        })?;
        let (mut env, mut memory, mut allocator) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        // SAFETY: the pointers are to locals of the declared types, and are used only after calls that succeeded.
        unsafe {
            let level = OrtLoggingLevel::ORT_LOGGING_LEVEL_FATAL;
            check(api, (api.CreateEnv)(level, c"modelberth".as_ptr(), &mut env))?;
            let (arena, default) = (OrtAllocatorType::OrtArenaAllocator, OrtMemType::OrtMemTypeDefault);
            check(api, (api.CreateCpuMemoryInfo)(arena, default, &mut memory))?;
            check(api, (api.GetAllocatorWithDefaultOptions)(&mut allocator))?;
        }
        Ok(Self { api, env, memory, allocator, version })
    }

    /// The version that the library says it is.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    fn check(&self, status: OrtStatusPtr) -> Result<()> {
        check(self.api, status)
    }
}

/// The text at `text`, which ends in NUL; nothing for null.
///
/// # Safety
/// `text` is null or ends in NUL and stays valid during the call.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// The library's own error as ours.
fn check(api: &OrtApi, status: OrtStatusPtr) -> Result<()> {
    if status.0.is_null() {
        return Ok(());
    }
    // SAFETY: a status that is not null is a live error whose message ends in NUL; it is released once, here.
    let message = unsafe {
        let message = text((api.GetErrorMessage)(status.0));
        (api.ReleaseStatus)(status.0);
        message
    };
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    Err(Error::new(ErrorKind::Backend, format!("ONNX Runtime: {line}")))
}

/// Where a session finds its graph.
pub(super) enum Graph<'g> {
    /// The bytes of the file.
    Bytes(&'g [u8]),
    /// The file, with others beside it that hold its weights.
    File(&'g Path),
}

/// A loaded graph.
pub(super) struct Session {
    library: &'static Library,
    session: *mut OrtSession,
    inputs: Vec<CString>,
    outputs: Vec<CString>,
    limits: Limits,
}

// SAFETY: a session may be run from many threads at once (`OrtApi::Run`), and nothing else is done with it until it is
// released by its only owner.
unsafe impl Send for Session {}
// SAFETY: as above.
unsafe impl Sync for Session {}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({:?} -> {:?})", self.inputs, self.outputs)
    }
}

/// Options that are released when they are no longer needed.
struct Options {
    api: &'static OrtApi,
    options: *mut OrtSessionOptions,
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: made by `CreateSessionOptions`, released once.
        unsafe { (self.api.ReleaseSessionOptions)(self.options) };
    }
}

impl Session {
    /// Loads `graph`, whose inputs and wanted outputs have these names; a run uses `threads`.
    ///
    /// # Errors
    /// [`ErrorKind::Backend`] with what the library says; [`ErrorKind::Malformed`] for a name with a NUL in it.
    pub(super) fn new(
        library: &'static Library,
        graph: &Graph<'_>,
        [inputs, outputs]: [&[String]; 2],
        threads: usize,
        limits: Limits,
    ) -> Result<Self> {
        let api = library.api;
        let [inputs, outputs] = [names(inputs)?, names(outputs)?];
        let threads = i32::try_from(threads.max(1)).unwrap_or(i32::MAX);
        let mut options = ptr::null_mut();
        // SAFETY: the pointer is to a local.
        library.check(unsafe { (api.CreateSessionOptions)(&mut options) })?;
        let options = Options { api, options };
        let mut session = ptr::null_mut();
        // SAFETY: the options are live; bytes and path live during the call, which copies what it keeps of them.
        unsafe {
            library.check((api.SetIntraOpNumThreads)(options.options, threads))?;
            library.check((api.SetInterOpNumThreads)(options.options, 1))?;
            library.check((api.SetSessionExecutionMode)(options.options, ExecutionMode::ORT_SEQUENTIAL))?;
            let all = GraphOptimizationLevel::ORT_ENABLE_ALL;
            library.check((api.SetSessionGraphOptimizationLevel)(options.options, all))?;
            let made = match graph {
                Graph::Bytes(bytes) => {
                    let data = bytes.as_ptr().cast();
                    (api.CreateSessionFromArray)(library.env, data, bytes.len(), options.options, &mut session)
                }
                Graph::File(path) => {
                    let path = os_path(path)?;
                    (api.CreateSession)(library.env, path.as_ptr().cast(), options.options, &mut session)
                }
            };
            library.check(made)?;
        }
        Ok(Self { library, session, inputs, outputs, limits })
    }

    /// The wanted outputs for `inputs`, which stand in the order of the names.
    ///
    /// # Errors
    /// [`ErrorKind::Backend`] with what the library says; [`ErrorKind::Unsupported`] for an output that is no tensor of
    /// a type that is carried; [`ErrorKind::LimitExceeded`].
    pub(super) fn run(&self, inputs: &[Tensor<'_>]) -> Result<Vec<Tensor<'static>>> {
        if inputs.len() != self.inputs.len() {
            return Err(Error::new(ErrorKind::InvalidArgument, "the graph takes another number of inputs")
                .expected(self.inputs.len())
                .actual(inputs.len()));
        }
        let library = self.library;
        let inputs = inputs.iter().map(|tensor| Value::of(library, tensor)).collect::<Result<Vec<_>>>()?;
        let input_values: Vec<*const OrtValue> = inputs.iter().map(|v| v.value.cast_const()).collect();
        let [input_names, output_names] =
            [&self.inputs, &self.outputs].map(|names| names.iter().map(|n| n.as_ptr()).collect::<Vec<_>>());
        let mut output_values: Vec<*mut OrtValue> = vec![ptr::null_mut(); output_names.len()];
        // SAFETY: names and values are arrays of the lengths given and live during the call; outputs are null, so the
        // call makes them.
        let status = unsafe {
            (library.api.Run)(
                self.session,
                ptr::null(),
                input_names.as_ptr(),
                input_values.as_ptr(),
                input_values.len(),
                output_names.as_ptr(),
                output_values.len(),
                output_values.as_mut_ptr(),
            )
        };
        let outputs: Vec<Value<'_>> = output_values.into_iter().map(|value| Value::owned(library, value)).collect();
        library.check(status)?;
        outputs
            .iter()
            .zip(&self.outputs)
            .map(|(value, name)| value.tensor(&self.limits).map_err(|e| e.tensor(name.to_string_lossy())))
            .collect()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: made by `new`, released once, and no run is under way: they borrow the session.
        unsafe { (self.library.api.ReleaseSession)(self.session) };
    }
}

fn names(names: &[String]) -> Result<Vec<CString>> {
    let c = |name: &String| {
        CString::new(name.as_str()).map_err(|e| {
            Error::new(ErrorKind::Malformed, "the name of a value has a NUL in it")
                .tensor(name.escape_debug())
                .with_source(e)
        })
    };
    names.iter().map(c).collect()
}

/// A path as the library wants it: bytes that end in NUL, 16 bits each on Windows.
#[cfg(not(windows))]
fn os_path(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = path.as_os_str().as_encoded_bytes().to_vec();
    if bytes.contains(&0) {
        return Err(Error::new(ErrorKind::InvalidArgument, "the path has a NUL in it"));
    }
    bytes.push(0);
    Ok(bytes)
}

#[cfg(windows)]
fn os_path(path: &Path) -> Result<Vec<u16>> {
    use std::os::windows::ffi::OsStrExt;
    let mut units: Vec<u16> = path.as_os_str().encode_wide().collect();
    if units.contains(&0) {
        return Err(Error::new(ErrorKind::InvalidArgument, "the path has a NUL in it"));
    }
    units.push(0);
    Ok(units)
}

/// A value of the library's that may borrow its elements.
struct Value<'t> {
    library: &'static Library,
    value: *mut OrtValue,
    elements: PhantomData<&'t ()>,
}

impl Drop for Value<'_> {
    fn drop(&mut self) {
        // SAFETY: null, or a live value with one owner.
        unsafe { (self.library.api.ReleaseValue)(self.value) };
    }
}

impl<'t> Value<'t> {
    const fn owned(library: &'static Library, value: *mut OrtValue) -> Self {
        Self { library, value, elements: PhantomData }
    }

    /// The elements of `tensor`, borrowed; copied where they are texts.
    fn of(library: &'static Library, tensor: &'t Tensor<'_>) -> Result<Self> {
        let shape = tensor.shape();
        match tensor.dtype() {
            DType::Bool => Self::borrowed(library, shape, tensor.as_slice::<bool>()?, data_type::BOOL),
            DType::U8 => Self::borrowed(library, shape, tensor.as_slice::<u8>()?, data_type::UINT8),
            DType::U16 => Self::borrowed(library, shape, tensor.as_slice::<u16>()?, data_type::UINT16),
            DType::U32 => Self::borrowed(library, shape, tensor.as_slice::<u32>()?, data_type::UINT32),
            DType::U64 => Self::borrowed(library, shape, tensor.as_slice::<u64>()?, data_type::UINT64),
            DType::I8 => Self::borrowed(library, shape, tensor.as_slice::<i8>()?, data_type::INT8),
            DType::I16 => Self::borrowed(library, shape, tensor.as_slice::<i16>()?, data_type::INT16),
            DType::I32 => Self::borrowed(library, shape, tensor.as_slice::<i32>()?, data_type::INT32),
            DType::I64 => Self::borrowed(library, shape, tensor.as_slice::<i64>()?, data_type::INT64),
            DType::F16 => Self::borrowed(library, shape, tensor.as_slice::<f16>()?, data_type::FLOAT16),
            DType::Bf16 => Self::borrowed(library, shape, tensor.as_slice::<bf16>()?, data_type::BFLOAT16),
            DType::F32 => Self::borrowed(library, shape, tensor.as_slice::<f32>()?, data_type::FLOAT),
            DType::F64 => Self::borrowed(library, shape, tensor.as_slice::<f64>()?, data_type::DOUBLE),
            DType::String => Self::texts(library, shape, tensor.as_slice::<String>()?),
        }
    }

    /// `code` is that of `T` in [`data_type`].
    fn borrowed<T: Element + Copy>(
        library: &'static Library,
        shape: &[usize],
        items: &'t [T],
        code: i32,
    ) -> Result<Self> {
        let dims = dims(shape)?;
        let mut value = ptr::null_mut();
        // SAFETY: shape and elements are of the lengths given, and the value borrows the elements. The library reads
        // inputs only. It numbers element types as the file format does, and knows all those of `DType`.
        let status = unsafe {
            (library.api.CreateTensorWithDataAsOrtValue)(
                library.memory,
                items.as_ptr().cast_mut().cast(),
                size_of_val(items),
                dims.as_ptr(),
                dims.len(),
                kind(code),
                &mut value,
            )
        };
        library.check(status)?;
        Ok(Self::owned(library, value))
    }

    fn texts(library: &'static Library, shape: &[usize], texts: &[String]) -> Result<Self> {
        let dims = dims(shape)?;
        let mut value = ptr::null_mut();
        let code = kind(data_type::STRING);
        // SAFETY: the shape is of the length given.
        library.check(unsafe {
            (library.api.CreateTensorAsOrtValue)(library.allocator, dims.as_ptr(), dims.len(), code, &mut value)
        })?;
        let made = Self::owned(library, value);
        for (i, text) in texts.iter().enumerate() {
            let mut buffer = ptr::null_mut();
            // SAFETY: the value has as many texts as `texts`, and the call gives room for as many bytes as asked for.
            unsafe {
                library.check((library.api.GetResizedStringTensorElementBuffer)(value, i, text.len(), &mut buffer))?;
                ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast(), text.len());
            }
        }
        Ok(made)
    }

    /// A copy as a tensor.
    fn tensor(&self, limits: &Limits) -> Result<Tensor<'static>> {
        let (code, shape) = self.described()?;
        let count = checked_len(&shape).filter(|n| *n <= limits.max_elements).ok_or_else(|| {
            Error::new(ErrorKind::LimitExceeded, "an output of the graph is larger than `Limits::max_elements`")
                .expected(format!("at most {} elements", limits.max_elements))
                .actual(shape_text(&shape))
        })?;
        let unknown = || {
            Error::new(ErrorKind::Unsupported, "an output of the graph has an element type that is not carried")
                .actual(data_type::name(code))
        };
        // SAFETY: the library says that the value is a tensor of `count` elements of the type `code`.
        unsafe {
            match dtype(code).ok_or_else(unknown)? {
                DType::Bool => {
                    Tensor::from_vec(&shape, self.items::<u8>(count)?.iter().map(|b| *b != 0).collect::<Vec<bool>>())
                }
                DType::U8 => Tensor::from_vec(&shape, self.items::<u8>(count)?.to_vec()),
                DType::U16 => Tensor::from_vec(&shape, self.items::<u16>(count)?.to_vec()),
                DType::U32 => Tensor::from_vec(&shape, self.items::<u32>(count)?.to_vec()),
                DType::U64 => Tensor::from_vec(&shape, self.items::<u64>(count)?.to_vec()),
                DType::I8 => Tensor::from_vec(&shape, self.items::<i8>(count)?.to_vec()),
                DType::I16 => Tensor::from_vec(&shape, self.items::<i16>(count)?.to_vec()),
                DType::I32 => Tensor::from_vec(&shape, self.items::<i32>(count)?.to_vec()),
                DType::I64 => Tensor::from_vec(&shape, self.items::<i64>(count)?.to_vec()),
                DType::F16 => Tensor::from_vec(&shape, self.items::<f16>(count)?.to_vec()),
                DType::Bf16 => Tensor::from_vec(&shape, self.items::<bf16>(count)?.to_vec()),
                DType::F32 => Tensor::from_vec(&shape, self.items::<f32>(count)?.to_vec()),
                DType::F64 => Tensor::from_vec(&shape, self.items::<f64>(count)?.to_vec()),
                DType::String => {
                    Tensor::from_vec(&shape, (0..count).map(|i| self.text(i)).collect::<Result<Vec<String>>>()?)
                }
            }
        }
    }

    /// Element type, as a code of [`data_type`], and shape.
    fn described(&self) -> Result<(i32, Vec<usize>)> {
        let (library, api) = (self.library, self.library.api);
        let no_tensor = || {
            Error::new(
                ErrorKind::Unsupported,
                "an output of the graph is a sequence, a map or absent; only tensors are given",
            )
        };
        if self.value.is_null() {
            return Err(no_tensor());
        }
        // Enumerations are read as numbers: a later library may have members that are not declared here.
        let mut sort = 0_i32;
        // SAFETY: the value is live, and C writes an enumeration as an `int`.
        library.check(unsafe { (api.GetValueType)(self.value, (&raw mut sort).cast()) })?;
        if sort != TENSOR {
            return Err(no_tensor());
        }
        let mut info = ptr::null_mut();
        // SAFETY: the value is a live tensor; the info is released by its guard.
        library.check(unsafe { (api.GetTensorTypeAndShape)(self.value, &mut info) })?;
        let info = Info { api, info };
        let (mut code, mut rank) = (0_i32, 0);
        // SAFETY: the info is live, and `dims` has room for as many sizes as it says there are.
        let dims = unsafe {
            library.check((api.GetTensorElementType)(info.info, (&raw mut code).cast()))?;
            library.check((api.GetDimensionsCount)(info.info, &mut rank))?;
            let mut dims = vec![0_i64; rank];
            library.check((api.GetDimensions)(info.info, dims.as_mut_ptr(), rank))?;
            dims
        };
        let shape = dims.iter().map(|&dim| usize::try_from(dim)).collect::<Result<Vec<_>, _>>();
        Ok((
            code,
            shape.map_err(|e| Error::new(ErrorKind::Backend, "ONNX Runtime gave a negative size").with_source(e))?,
        ))
    }

    /// The elements.
    ///
    /// # Safety
    /// The value must be a tensor of `count` elements of the type `T`.
    unsafe fn items<T: Copy>(&self, count: usize) -> Result<&[T]> {
        if count == 0 {
            return Ok(&[]);
        }
        let mut data: *mut c_void = ptr::null_mut();
        // SAFETY: the value is a live tensor of numbers.
        self.library.check(unsafe { (self.library.api.GetTensorMutableData)(self.value, &mut data) })?;
        if data.is_null() {
            return Err(Error::new(ErrorKind::Backend, "ONNX Runtime gave a tensor without elements"));
        }
        // SAFETY: as the caller promises; the library aligns its tensors, and nobody writes to an output.
        Ok(unsafe { std::slice::from_raw_parts(data.cast::<T>(), count) })
    }

    /// Text number `index` of a tensor of texts.
    fn text(&self, index: usize) -> Result<String> {
        let (library, api) = (self.library, self.library.api);
        let mut length = 0;
        // SAFETY: the value is a live tensor of texts; the library checks the index.
        library.check(unsafe { (api.GetStringTensorElementLength)(self.value, index, &mut length) })?;
        let mut bytes = vec![0_u8; length];
        // SAFETY: the buffer has the length that the library asked for.
        library.check(unsafe { (api.GetStringTensorElement)(self.value, length, index, bytes.as_mut_ptr().cast()) })?;
        String::from_utf8(bytes)
            .map_err(|e| Error::new(ErrorKind::Backend, "a text that the graph gave is not UTF-8").with_source(e))
    }
}

/// What a tensor is, released when it is no longer needed.
struct Info {
    api: &'static OrtApi,
    info: *mut OrtTensorTypeAndShapeInfo,
}

impl Drop for Info {
    fn drop(&mut self) {
        // SAFETY: made by `GetTensorTypeAndShape`, released once.
        unsafe { (self.api.ReleaseTensorTypeAndShapeInfo)(self.info) };
    }
}

fn dims(shape: &[usize]) -> Result<Vec<i64>> {
    let dims = shape.iter().map(|&n| i64::try_from(n)).collect::<Result<_, _>>();
    dims.map_err(|e| {
        Error::new(ErrorKind::LimitExceeded, "a dimension is larger than ONNX Runtime can say").with_source(e)
    })
}

/// The library's element type for a code of [`data_type`] that [`dtype`] knows.
fn kind(code: i32) -> Kind {
    match code {
        data_type::BOOL => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL,
        data_type::UINT8 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,
        data_type::UINT16 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16,
        data_type::UINT32 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32,
        data_type::UINT64 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64,
        data_type::INT8 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8,
        data_type::INT16 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16,
        data_type::INT32 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32,
        data_type::INT64 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64,
        data_type::FLOAT16 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16,
        data_type::BFLOAT16 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16,
        data_type::FLOAT => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
        data_type::DOUBLE => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE,
        data_type::STRING => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING,
        _ => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED,
    }
}
