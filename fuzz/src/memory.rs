//! A ceiling on memory that holds at the moment of the allocation, with the stack that asks for it; libFuzzer's own
//! looks only once a second.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The most bytes that may be allocated at a time, fuzzer included.
const MAX_BYTES: usize = 512 << 20;

static TAKEN: AtomicUsize = AtomicUsize::new(0);

struct Ceiling;

#[global_allocator]
static ALLOCATOR: Ceiling = Ceiling;

fn take(bytes: usize) {
    let before = TAKEN.fetch_add(bytes, Ordering::Relaxed);
    if before.saturating_add(bytes) > MAX_BYTES {
        // The report allocates too.
        TAKEN.store(0, Ordering::Relaxed);
        panic!("an allocation of {bytes} bytes after {before} passes the ceiling of {MAX_BYTES}");
    }
}

// SAFETY: every call goes to the system's allocator as it came. The panic does not unwind out of here: the hook that
// libFuzzer's crate installs aborts first.
unsafe impl GlobalAlloc for Ceiling {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: the caller's promise is ours.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: the caller's promise is ours.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        TAKEN.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is ours.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        take(size);
        TAKEN.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is ours.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
