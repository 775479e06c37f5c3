//! The heap, for the one thing that cannot be kept out of it: a key that a library carries through buffers of its own.
//! While [`wiping`] runs, whatever this thread gives back is wiped first. All else goes as fast as ever.

#![expect(unsafe_code, reason = "an allocator in front of an allocator; every block says why it is sound")]

use std::{
    alloc::{GlobalAlloc, Layout},
    cell::Cell,
    slice,
};

use zeroize::Zeroize as _;

thread_local! {
    // Without a destructor and without a lazy start: it may be asked at any time in a thread's life, and allocates nothing.
    static WIPES: Cell<bool> = const { Cell::new(false) };
}

/// An allocator that can wipe; to be named as the program's.
pub struct Wiping<A>(pub A);

/// Runs `work` with this thread's heap wiped as it is given back. What outlives `work` is not.
pub fn wiping<R>(work: impl FnOnce() -> R) -> R {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            WIPES.set(self.0);
        }
    }
    let before = Before(WIPES.replace(true));
    let done = work();
    drop(before);
    done
}

// SAFETY: every block comes from and goes back to `A`, with the layout it was taken with.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Wiping<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if WIPES.get() {
            // SAFETY: the caller gives back a whole block of this size, and uses it no more. Its bytes need not have been
            // written: they are only written here.
            unsafe { slice::from_raw_parts_mut(block.cast::<std::mem::MaybeUninit<u8>>(), layout.size()) }.zeroize();
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { self.0.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !WIPES.get() {
            // SAFETY: the caller's promise is passed on.
            return unsafe { self.0.realloc(block, layout, size) };
        }
        // The allocator would move the bytes and leave a copy behind.
        // SAFETY: the caller promises that this size is sound for this alignment.
        let new = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !new.is_null() {
            // SAFETY: both blocks are at least so long, and a new one overlaps no other.
            unsafe { block.copy_to_nonoverlapping(new, layout.size().min(size)) };
            // SAFETY: the caller gives the old block up where it gets a new one.
            unsafe { self.dealloc(block, layout) };
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use std::{alloc::System, sync::Mutex};

    use super::*;

    /// Notes what blocks hold when they come back.
    struct Noting(Mutex<Vec<Vec<u8>>>);

    // SAFETY: it is the system's, but for reading what the tests below have written.
    unsafe impl GlobalAlloc for Noting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: the caller's promise is passed on.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            // SAFETY: the tests write every byte of their blocks.
            self.0.lock().unwrap().push(unsafe { slice::from_raw_parts(block, layout.size()) }.to_vec());
            // SAFETY: the caller's promise is passed on.
            unsafe { System.dealloc(block, layout) }
        }
    }

    fn given_back(work: impl FnOnce(&Wiping<Noting>, *mut u8, Layout)) -> Vec<Vec<u8>> {
        let heap = Wiping(Noting(Mutex::default()));
        let layout = Layout::new::<[u8; 8]>();
        // SAFETY: the layout is not empty; the block is written whole before anybody reads it.
        let block = unsafe {
            let block = heap.alloc(layout);
            block.copy_from_nonoverlapping(b"planted!".as_ptr(), 8);
            block
        };
        work(&heap, block, layout);
        heap.0.0.into_inner().unwrap()
    }

    #[test]
    fn what_is_given_back_is_wiped_while_it_is_asked_for_and_not_otherwise() {
        // SAFETY: the block is that of the layout, and given back once.
        let give_back = |heap: &Wiping<Noting>, block, layout| unsafe { heap.dealloc(block, layout) };
        assert_eq!(given_back(give_back), [b"planted!".to_vec()]);
        assert_eq!(given_back(|heap, block, layout| wiping(|| give_back(heap, block, layout))), [vec![0; 8]]);
        assert_eq!(given_back(give_back), [b"planted!".to_vec()], "it ends with the work");
    }

    #[test]
    fn what_grows_leaves_no_copy_behind() {
        let all = given_back(|heap, block, layout| {
            wiping(|| {
                // SAFETY: the block is that of the layout; then the grown one is, written to its end before it is read.
                unsafe {
                    let grown = heap.realloc(block, layout, 16);
                    assert_eq!(slice::from_raw_parts(grown, 8), b"planted!");
                    grown.add(8).copy_from_nonoverlapping(b"planted!".as_ptr(), 8);
                    heap.dealloc(grown, Layout::new::<[u8; 16]>());
                }
            });
        });
        assert_eq!(all, [vec![0; 8], vec![0; 16]]);
    }
}
