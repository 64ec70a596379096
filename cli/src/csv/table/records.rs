//! Records of CSV text: its delimiter, and one record after another.

use std::io::{self, Read};

use ::csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder, Terminator};

use super::problem::{Error, Problem, Result};

/// Bytes of the beginning that are looked at before the text is read.
pub const HEAD: usize = 1 << 16;

/// The longest record, in bytes. A quote that is not closed makes one of all that follows.
const MAX_RECORD: usize = 1 << 26;

/// Refuses what is not text in an encoding that has ASCII's bytes.
pub fn check_text(head: &[u8]) -> Result<()> {
    let is_utf_16 = head.starts_with(b"\xff\xfe")
        || head.starts_with(b"\xfe\xff")
        || matches!(*head, [0, second, ..] if second != 0)
        || matches!(*head, [first, 0, ..] if first != 0);
    if is_utf_16 {
        let hint = "save it as UTF-8, in a spreadsheet as 'CSV UTF-8', or convert it with iconv";
        return Err(Problem::error(None, "this is text in UTF-16; UTF-8 was expected", hint));
    }
    if head.starts_with(b"\x1f\x8b") {
        let problem = "this is compressed with gzip twice; text was expected";
        return Err(Problem::error(None, problem, "decompress it once"));
    }
    let is_control = |byte: &u8| *byte < b' ' && !b"\t\n\r\x0c".contains(byte);
    if let Some(byte) = head.iter().find(|byte| is_control(byte)) {
        let problem = format!("this is not text, it has a byte {byte}; CSV or TSV was expected");
        let hint = "give a table of numbers as text, as a spreadsheet or pandas writes with to_csv";
        return Err(Problem::error(None, problem, hint));
    }
    if unquoted(head).any(|window| window == (b'\r', false)) {
        let problem = "lines end with a carriage return alone; line feeds were expected";
        return Err(Problem::error(Some(1), problem, "convert it with tr '\\r' '\\n'"));
    }
    Ok(())
}

/// The bytes of the first line that is not blank, but for those in quotes, and whether each is followed
/// by a line feed. The line feed itself is not among them.
fn unquoted(head: &[u8]) -> impl Iterator<Item = (u8, bool)> {
    let start = head.iter().take_while(|byte| byte.is_ascii_whitespace() && **byte != b'\t');
    let head = &head[start.count()..];
    let mut quoted = false;
    let outside = head.iter().enumerate().filter(move |&(_, &byte)| {
        quoted ^= byte == b'"';
        !quoted
    });
    outside
        .map(|(at, &byte)| (byte, head.get(at + 1).is_none_or(|&next| next == b'\n')))
        .take_while(|&(byte, _)| byte != b'\n')
}

/// The delimiter of a text by its first line.
pub fn detect(head: &[u8]) -> u8 {
    let has = |delimiter: &u8| unquoted(head).any(|(byte, _)| byte == *delimiter);
    *b",;\t".iter().find(|delimiter| has(delimiter)).unwrap_or(&b',')
}

/// The records of a text, without those of blank lines.
pub struct Records<R> {
    reader: Reader<Counted<R>>,
    /// The present one; empty at the end.
    pub record: ByteRecord,
    /// The line that was reached before it was read.
    since_line: u64,
}

impl<R: Read> Records<R> {
    pub fn new(from: R, delimiter: u8) -> Self {
        let mut builder = ReaderBuilder::new();
        builder.has_headers(false).flexible(true).delimiter(delimiter).buffer_capacity(1 << 16);
        // With the default, which takes a carriage return for the end of a line, the line feed behind
        // it counts for the next record, and with it the line. Here the carriage return is
        // whitespace around a field.
        builder.terminator(Terminator::Any(b'\n'));
        let from = Counted { from, since: 0, total: 0, last: b'\n', is_too_long: false };
        Records { reader: builder.from_reader(from), record: ByteRecord::new(), since_line: 1 }
    }

    /// Reads the next record. Returns whether there is one.
    pub fn next(&mut self) -> Result<bool> {
        loop {
            let before = self.reader.position().clone();
            self.reader.get_mut().since = 0;
            self.since_line = before.line();
            let found = self.reader.read_byte_record(&mut self.record).map_err(|error| {
                if self.reader.get_ref().is_too_long {
                    let problem = format!("a record is longer than {} MiB", MAX_RECORD >> 20);
                    let hint = "look for a quote that is not closed in this line or after it";
                    return Problem::error(Some(before.line()), problem, hint);
                }
                match error.into_kind() {
                    ErrorKind::Io(error) => Error::Read(error),
                    _ => Error::Read(io::Error::other("it cannot be divided into records")),
                }
            })?;
            if !found {
                self.record.clear();
                return Ok(false);
            }
            // The bytes of a blank line are its whitespace and its end; a quoted field has quotes, too.
            let after = self.reader.position();
            let bytes = after.byte() - before.byte();
            let (lines, content) = (after.line() - before.line(), self.record.as_slice());
            let is_blank = self.record.len() == 1 && content.trim_ascii().is_empty();
            if !is_blank || bytes != lines + content.len() as u64 {
                return Ok(true);
            }
        }
    }

    /// The line where the present record begins.
    pub fn line(&self) -> u64 {
        let (position, counted) = (self.reader.position(), self.reader.get_ref());
        let ends_file = position.byte() == counted.total && counted.last != b'\n';
        let within = self.record.as_slice().iter().filter(|&&byte| byte == b'\n').count();
        let lines = within as u64 + u64::from(!ends_file);
        // A quote that is not closed ends with the file, perhaps after a line feed.
        position.line().saturating_sub(lines).max(self.since_line)
    }
}

/// A reader that fails in the middle of a record that is too long.
struct Counted<R> {
    from: R,
    /// Bytes since the present record was begun.
    since: usize,
    total: u64,
    last: u8,
    is_too_long: bool,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.since > MAX_RECORD {
            self.is_too_long = true;
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        let n = self.from.read(buf)?;
        self.since += n;
        self.total += n as u64;
        self.last = buf[..n].last().copied().unwrap_or(self.last);
        Ok(n)
    }
}
