//! The part of CBOR (RFC 8949) that messages are made of: integers, byte and text
//! strings, arrays, booleans and null, each in its one shortest form.

use crate::Reject;
use alloc::vec::Vec;

const NEGATIVE: u8 = 1;
const DATA: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;

/// Writes items, one after another, to `bytes`.
#[derive(Default)]
pub struct Writer {
    pub bytes: Vec<u8>,
}

impl Writer {
    pub fn new() -> Self {
        Self::default()
    }
    fn head(mut self, major: u8, n: u64) -> Self {
        let (info, size) = match n {
            0..=23 => (n as u8, 0),
            24..=0xff => (24, 1),
            0x100..=0xffff => (25, 2),
            0x1_0000..=0xffff_ffff => (26, 4),
            _ => (27, 8),
        };
        self.bytes.push(major << 5 | info);
        self.bytes.extend_from_slice(&n.to_be_bytes()[8 - size..]);
        self
    }
    pub fn int(self, n: i64) -> Self {
        if n < 0 {
            self.head(NEGATIVE, !n as u64)
        } else {
            self.head(0, n as u64)
        }
    }
    pub fn text(self, s: &str) -> Self {
        let mut w = self.head(TEXT, s.len() as u64);
        w.bytes.extend_from_slice(s.as_bytes());
        w
    }
    pub fn data(self, b: &[u8]) -> Self {
        let mut w = self.head(DATA, b.len() as u64);
        w.bytes.extend_from_slice(b);
        w
    }
    /// Begins an array of the next `n` items.
    pub fn array(self, n: usize) -> Self {
        self.head(ARRAY, n as u64)
    }
    pub fn bool(mut self, b: bool) -> Self {
        self.bytes.push(if b { 0xf5 } else { 0xf4 });
        self
    }
    pub fn null(mut self) -> Self {
        self.bytes.push(0xf6);
        self
    }
}

/// Reads items. One that is not what is asked for rejects the input.
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }
    fn take(&mut self, n: u64) -> Result<&'a [u8], Reject> {
        if n > self.rest.len() as u64 {
            return Err(Reject::malformed());
        }
        let (taken, rest) = self.rest.split_at(n as usize);
        self.rest = rest;
        Ok(taken)
    }
    fn head(&mut self) -> Result<(u8, u64), Reject> {
        let first = self.take(1)?[0];
        let (major, info) = (first >> 5, first & 31);
        if info < 24 {
            return Ok((major, info as u64));
        }
        if info > 27 {
            return Err(Reject::malformed());
        }
        let n = self.take(1 << (info - 24))?.iter().fold(0, |n, b| n << 8 | *b as u64);
        let least = [24, 1 << 8, 1 << 16, 1 << 32][info as usize - 24];
        if n < least {
            return Err(Reject::malformed()); // it has a shorter form
        }
        Ok((major, n))
    }
    fn want(&mut self, major: u8) -> Result<u64, Reject> {
        match self.head()? {
            (got, n) if got == major => Ok(n),
            _ => Err(Reject::malformed()),
        }
    }
    pub fn int(&mut self) -> Result<i64, Reject> {
        match self.head()? {
            (0, n) if n <= i64::MAX as u64 => Ok(n as i64),
            (NEGATIVE, n) if n <= i64::MAX as u64 => Ok(!(n as i64)),
            _ => Err(Reject::malformed()),
        }
    }
    pub fn data(&mut self) -> Result<&'a [u8], Reject> {
        let n = self.want(DATA)?;
        self.take(n)
    }
    pub fn text(&mut self) -> Result<&'a str, Reject> {
        let n = self.want(TEXT)?;
        core::str::from_utf8(self.take(n)?).map_err(|_| Reject::malformed())
    }
    /// Reads the head of an array, and returns the number of its items.
    pub fn array(&mut self) -> Result<usize, Reject> {
        match self.want(ARRAY)? {
            n if n <= self.rest.len() as u64 => Ok(n as usize),
            _ => Err(Reject::malformed()),
        }
    }
    /// Rejects what has more than was read.
    pub fn end(&self) -> Result<(), Reject> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Reject::malformed())
        }
    }
}

/// A request: an array of the name of an operation and its arguments.
pub struct Request<'a> {
    pub op: &'a str,
    pub args: usize,
    reader: Reader<'a>,
}

impl<'a> Request<'a> {
    pub fn new(input: &'a [u8]) -> Result<Self, Reject> {
        let mut reader = Reader::new(input);
        let items = reader.array()?;
        let op = reader.text()?;
        Ok(Request { op, args: items.wrapping_sub(1), reader })
    }
    pub fn int(&mut self) -> Result<i64, Reject> {
        self.reader.int()
    }
    pub fn data(&mut self) -> Result<&'a [u8], Reject> {
        self.reader.data()
    }
    pub fn text(&mut self) -> Result<&'a str, Reject> {
        self.reader.text()
    }
    /// Rejects a request that has other than `args` arguments, or more behind them.
    pub fn end(&self, args: usize) -> Result<(), Reject> {
        if self.args != args {
            return Err(Reject::malformed());
        }
        self.reader.end()
    }
}
