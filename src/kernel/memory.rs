//! Memory that the allocator keeps for nothing.

/// Gives the free pages of the heap back to the system, where the allocator has to be asked for it.
///
/// Making a model takes a multiple of what stays of it, and glibc keeps free pages that lie between blocks in use. This
/// takes milliseconds.
pub(crate) fn release_free_pages() {
    #[cfg(all(target_os = "linux", target_env = "gnu", not(miri)))]
    {
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        // SAFETY: glibc has this function, which any thread may call at any time, and which moves no block in use.
        unsafe {
            malloc_trim(0);
        }
    }
}
