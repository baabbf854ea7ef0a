//! zstd with contexts that are made once a thread: making one costs more than compressing an event.

use std::cell::RefCell;
use std::io;

use zstd::bulk::{Compressor, Decompressor};

use super::dictionary::Dictionary;

/// The level that events are compressed with: zstd's own default. Higher levels gain one per cent on events of this size and cost ten times the time.
pub const COMPRESSION_LEVEL: i32 = 3;

/// Without a dictionary. Nothing when zstd fails, which it does for want of memory only.
pub(super) fn compress(raw: &[u8]) -> Option<Vec<u8>> {
    thread_local! {
        static CONTEXT: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    }
    CONTEXT.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = Compressor::new(COMPRESSION_LEVEL).ok();
        }
        slot.as_mut()?.compress(raw).ok()
    })
}

/// With a dictionary. Nothing when zstd fails.
pub(super) fn compress_with(raw: &[u8], dictionary: &'static Dictionary) -> Option<Vec<u8>> {
    thread_local! {
        static CONTEXT: RefCell<Compressor<'static>> = RefCell::new(Compressor::default());
    }
    CONTEXT.with_borrow_mut(|context| {
        // One context for all dictionaries: this only sets a pointer to the digested one.
        context.set_prepared_dictionary(dictionary.encoder()).ok()?;
        context.compress(raw).ok()
    })
}

/// Without a dictionary.
///
/// # Errors
/// When the bytes are no frame, or hold more than `capacity` bytes: the buffer doesn't grow, whatever a frame announces.
pub(super) fn decompress(bytes: &[u8], capacity: usize) -> io::Result<Vec<u8>> {
    thread_local! {
        static CONTEXT: RefCell<Decompressor<'static>> = RefCell::new(Decompressor::default());
    }
    CONTEXT.with_borrow_mut(|context| context.decompress(bytes, capacity))
}

/// With a dictionary.
///
/// # Errors
/// When the bytes are no frame, were made with another dictionary, or hold more than `capacity` bytes.
pub(super) fn decompress_with(bytes: &[u8], capacity: usize, dictionary: &'static Dictionary) -> io::Result<Vec<u8>> {
    thread_local! {
        static CONTEXT: RefCell<Decompressor<'static>> = RefCell::new(Decompressor::default());
    }
    CONTEXT.with_borrow_mut(|context| {
        context.set_prepared_dictionary(dictionary.decoder())?;
        context.decompress(bytes, capacity)
    })
}
