//! The bytes of one transfer that have come and are not acknowledged, in pieces of one size: what is
//! kept is what was counted, whatever the sizes in which it came.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Bytes of one allocation.
const PIECE: usize = 24 * 1024;
/// Fewest bytes that are cut off before the end, so that many small arrivals do not become many
/// small pieces.
const LEAST: usize = 4 * 1024;

/// Bytes from `start` on.
#[derive(Default)]
pub(super) struct Kept {
    start: u64,
    pieces: VecDeque<Bytes>,
    /// What came last, and room for more.
    tail: BytesMut,
}

impl Kept {
    /// Appends a copy.
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.tail.capacity() == self.tail.len() {
                self.cut();
                self.tail = BytesMut::with_capacity(PIECE);
            }
            let (now, later) = bytes.split_at(bytes.len().min(self.tail.capacity() - self.tail.len()));
            self.tail.extend_from_slice(now);
            bytes = later;
        }
    }

    /// Some of the bytes from `offset` on, at most `most`: shared, not copied. `last`: no more will come.
    pub(super) fn slice(&mut self, offset: u64, most: usize, last: bool) -> Option<Bytes> {
        let mut skip = usize::try_from(offset - self.start).expect("a window fits in memory");
        let held: usize = self.pieces.iter().map(Bytes::len).sum();
        if skip >= held {
            let ready = self.tail.len() - (skip - held);
            if ready == 0 || (ready < LEAST && !last) {
                return None;
            }
            self.cut();
        }
        for piece in &self.pieces {
            if skip < piece.len() {
                return Some(piece.slice(skip..piece.len().min(skip + most)));
            }
            skip -= piece.len();
        }
        None
    }

    /// Forgets the bytes before `offset`.
    pub(super) fn forget(&mut self, offset: u64) {
        while let Some(piece) = self.pieces.front() {
            let end = self.start + piece.len() as u64;
            if end > offset {
                break;
            }
            self.start = end;
            self.pieces.pop_front();
        }
        // A piece of which a part is acknowledged stays whole: it is one allocation.
    }

    fn cut(&mut self) {
        if !self.tail.is_empty() {
            self.pieces.push_back(self.tail.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kept: &mut Kept, mut from: u64, last: bool) -> Vec<u8> {
        let mut read = Vec::new();
        while let Some(bytes) = kept.slice(from, 10_000, last) {
            from += bytes.len() as u64;
            read.extend_from_slice(&bytes);
        }
        read
    }

    #[test]
    fn what_was_pushed_is_read_from_any_offset_that_is_kept() {
        let all: Vec<u8> = (0..150_000_u32).map(|index| u8::try_from(index % 251).unwrap()).collect();
        for step in [1, 7, 1_000, 70_000] {
            let mut kept = Kept::default();
            for chunk in all.chunks(step) {
                kept.push(chunk);
            }
            assert_eq!(read(&mut kept, 0, true), all);
            assert_eq!(read(&mut kept, 99_999, true), all[99_999..]);
            kept.forget(70_000);
            assert_eq!(read(&mut kept, 70_000, true), all[70_000..]);
            kept.forget(150_000);
            assert!(kept.pieces.is_empty());
        }
    }

    #[test]
    fn tiny_arrivals_make_no_tiny_pieces() {
        let mut kept = Kept::default();
        let mut at = 0;
        for byte in 0..=255_u8 {
            kept.push(&[byte; 100]);
            while let Some(bytes) = kept.slice(at, usize::MAX, false) {
                at += bytes.len() as u64;
                // But for what is left of an allocation.
                assert!(bytes.len() >= LEAST || at.is_multiple_of(PIECE as u64));
            }
        }
        assert!(kept.pieces.len() <= 8);
        assert_eq!(read(&mut kept, at, true).len() as u64, 25_600 - at);
    }
}
