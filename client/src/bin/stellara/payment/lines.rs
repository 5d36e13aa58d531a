//! The lines on which the records of a CSV file begin.
//!
//! The CSV reader reports the line before the blank ones that it skips, and a quoted field may
//! span lines; this reader passes the bytes on and notes where each record begins.

use std::collections::VecDeque;
use std::io::{self, Read};

/// Where in a record the last byte was (RFC 4180).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    LineStart,
    FieldStart,
    Bare,
    Quoted,
    /// After a quote within quotes: the end of them, or the first half of a quote.
    QuoteSeen,
}

/// Passes bytes on. What it holds is bounded by the buffer of whoever reads from it.
#[derive(Debug)]
pub struct RecordLines<R> {
    input: R,
    line: u64,
    place: Place,
    begins: VecDeque<u64>,
}

impl<R> RecordLines<R> {
    pub const fn new(input: R) -> Self {
        Self {
            input,
            line: 1,
            place: Place::LineStart,
            begins: VecDeque::new(),
        }
    }

    /// The line on which the next record begins, from 1; called once for each record.
    pub fn next(&mut self) -> u64 {
        self.begins.pop_front().unwrap_or(self.line)
    }

    fn pass(&mut self, byte: u8) {
        if self.place == Place::LineStart && !matches!(byte, b'\n' | b'\r') {
            self.begins.push_back(self.line);
        }
        if byte == b'\n' {
            self.line += 1;
        }
        self.place = match (self.place, byte) {
            (Place::Quoted, b'"') => Place::QuoteSeen,
            (Place::Quoted, _) => Place::Quoted,
            (Place::QuoteSeen | Place::LineStart | Place::FieldStart, b'"') => Place::Quoted,
            (_, b'\n' | b'\r') => Place::LineStart,
            (_, b',') => Place::FieldStart,
            (_, _) => Place::Bare,
        };
    }
}

impl<R: Read> Read for RecordLines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        for byte in &buffer[..read] {
            self.pass(*byte);
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_begin_where_a_person_sees_them() {
        let check = |text: &str| {
            let mut lines = RecordLines::new(text.as_bytes());
            io::copy(&mut lines, &mut io::sink()).unwrap();
            Vec::from(lines.begins)
        };
        assert_eq!(check("a,b\n1,2\n3,4"), [1, 2, 3]);
        assert_eq!(check("a\r\n\r\n\r\n1\r\n"), [1, 4]);
        assert_eq!(check("\n\na\n\"1\n\n2\"\n3\n"), [3, 4, 7]);
        assert_eq!(check("a\n\"x\"\"\n,y\"\nz\"q\n\"\"\nw\n"), [1, 2, 4, 5, 6]);
        assert!(check("").is_empty());
    }
}
