//! Which piece of a list to leave out next: halves, quarters, down to single items, and over again while it helps.

use std::ops::Range;

/// The pieces of a list, largest first.
pub(super) struct Cuts {
    piece: usize,
    at: usize,
    helped: bool,
}

impl Cuts {
    pub(super) fn of(len: usize) -> Self {
        Self {
            piece: len.max(1),
            at: 0,
            helped: false,
        }
    }

    /// The next piece to leave out of a list that is `len` long now.
    pub(super) fn next_cut(&mut self, len: usize) -> Option<Range<usize>> {
        if len == 0 {
            return None;
        }
        if self.at >= len {
            if self.piece == 1 && !self.helped {
                return None;
            }
            self.piece = self.piece.div_ceil(2).min(len).max(1);
            self.at = 0;
            self.helped = false;
        }
        Some(self.at..(self.at + self.piece).min(len))
    }

    /// Whether the piece last given was left out for good.
    pub(super) fn tell(&mut self, taken: bool) {
        if taken {
            self.helped = true;
        } else {
            self.at += self.piece;
        }
    }
}
