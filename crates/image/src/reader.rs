//! How bytes of which nothing is known are read: never outside them, never more
//! than is there.

use crate::error::Error;

/// Reads bytes of which nothing is known. Never reads outside them.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    /// Where `bytes` begins in the file.
    base: u64,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], base: u64) -> Reader<'a> {
        Reader { bytes, base, at: 0 }
    }

    /// Offset in the file of what is read next.
    pub(crate) fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    /// What was not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    pub(crate) fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], Error> {
        let taken = self.rest().get(..len).ok_or(invalid(what, self.offset()))?;
        self.at += len;
        Ok(taken)
    }

    /// A reader of `count` items of `bytes` each, which must fit in `limit`.
    pub(crate) fn array(
        &mut self,
        count: u32,
        bytes: usize,
        limit: usize,
        what: &'static str,
    ) -> Result<Reader<'a>, Error> {
        let base = self.offset();
        let len = usize::try_from(u64::from(count) * bytes as u64)
            .ok()
            .filter(|&len| len <= limit)
            .ok_or(invalid(what, base))?;
        Ok(Reader::new(self.take(len, what)?, base))
    }

    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let end = self.base + self.bytes.len() as u64;
        let bytes = self
            .rest()
            .first_chunk()
            .ok_or(Error::Truncated { offset: end })?;
        self.at += N;
        Ok(*bytes)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        self.fixed::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        self.fixed().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        self.fixed().map(u64::from_le_bytes)
    }

    pub(crate) fn zeros(&mut self, len: usize) -> Result<(), Error> {
        let at = self.offset();
        if self
            .take(len, "reserved bytes")?
            .iter()
            .any(|&byte| byte != 0)
        {
            return Err(invalid("reserved bytes are not zero", at));
        }
        Ok(())
    }

    pub(crate) fn string(&mut self) -> Result<&'a str, Error> {
        let at = self.offset();
        let len = self.u32()?;
        let bytes = self.array(len, 1, self.rest().len(), "a string outside its section")?;
        std::str::from_utf8(bytes.rest()).map_err(|_| invalid("a string is not UTF-8", at))
    }
}

pub(crate) fn invalid(what: &'static str, offset: u64) -> Error {
    Error::Invalid { what, offset }
}
