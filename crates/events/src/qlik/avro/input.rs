//! Avro's primitives, read from a slice.
//!
//! Nothing is allocated here, and no length is believed that goes beyond the bytes that are there.

use super::error::DatumError;

/// The rest of a datum's bytes.
#[derive(Clone, Copy, Debug)]
pub(in crate::qlik) struct Input<'b> {
    rest: &'b [u8],
}

impl<'b> Input<'b> {
    pub(in crate::qlik) fn new(bytes: &'b [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The end of a datum: no byte may be left.
    pub(in crate::qlik) fn finish(self) -> Result<(), DatumError> {
        match self.rest.len() {
            0 => Ok(()),
            bytes => Err(DatumError::TrailingBytes { bytes }),
        }
    }

    /// So many bytes.
    #[inline]
    pub(super) fn take(&mut self, count: usize) -> Result<&'b [u8], DatumError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(DatumError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// So many bytes, as many as the array has.
    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DatumError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(DatumError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// A `long`: the sign is the last bit, and seven bits go into a byte (Avro 1.12, "Binary Encoding").
    #[inline]
    pub(super) fn long(&mut self) -> Result<i64, DatumError> {
        let zigzag = match *self.rest {
            [byte @ 0..0x80, ref rest @ ..] => {
                self.rest = rest;
                u64::from(byte)
            }
            _ => self.long_of_several_bytes()?,
        };
        Ok((zigzag >> 1).cast_signed() ^ -((zigzag & 1).cast_signed()))
    }

    fn long_of_several_bytes(&mut self) -> Result<u64, DatumError> {
        let mut number = 0;
        for (index, byte) in self.rest.iter().enumerate().take(10) {
            // The tenth byte has room for one bit.
            if index == 9 && *byte > 1 {
                return Err(DatumError::LongNumber);
            }
            number |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[index + 1..];
                return Ok(number);
            }
        }
        Err(DatumError::Truncated)
    }

    /// An `int`, which is a `long` in a smaller range.
    #[inline]
    pub(super) fn int(&mut self) -> Result<i32, DatumError> {
        i32::try_from(self.long()?).map_err(|_| DatumError::IntRange)
    }

    #[inline]
    pub(super) fn boolean(&mut self) -> Result<bool, DatumError> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(DatumError::Boolean(other)),
        }
    }

    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'b [u8], DatumError> {
        let length = usize::try_from(self.long()?).map_err(|_| DatumError::NegativeLength)?;
        self.take(length)
    }

    #[inline]
    pub(super) fn text(&mut self) -> Result<&'b str, DatumError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| DatumError::Utf8)
    }

    /// The number of elements in the next block of a list or map; 0 ends it.
    ///
    /// An element takes a byte or more, so a block of more elements than bytes lies.
    pub(super) fn block(&mut self) -> Result<usize, DatumError> {
        let mut count = self.long()?;
        if count < 0 {
            // The size in bytes follows, for who wants to skip the block.
            self.long()?;
            count = count.checked_neg().ok_or(DatumError::NegativeLength)?;
        }
        match usize::try_from(count) {
            Ok(count) if count <= self.rest.len() => Ok(count),
            _ => Err(DatumError::Truncated),
        }
    }

    /// An index into a union's variants or an enum's symbols.
    #[inline]
    pub(super) fn index(&mut self, of: usize) -> Result<usize, DatumError> {
        let index = self.long()?;
        usize::try_from(index).ok().filter(|index| *index < of).ok_or(DatumError::Index { index, of })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_length() {
        for (bytes, expected) in [
            (&[0][..], Ok(0)),
            (&[1], Ok(-1)),
            (&[2], Ok(1)),
            (&[0x7f], Ok(-64)),
            (&[0x80, 0x01], Ok(64)),
            (&[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], Ok(i64::MAX)),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], Ok(i64::MIN)),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], Err(DatumError::LongNumber)),
            (&[0x80; 12], Err(DatumError::LongNumber)),
            (&[0x80], Err(DatumError::Truncated)),
            (&[], Err(DatumError::Truncated)),
        ] {
            assert_eq!(Input::new(bytes).long(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn lengths_beyond_the_end_are_refused() {
        assert_eq!(Input::new(&[6, 1, 2]).bytes(), Err(DatumError::Truncated));
        assert_eq!(Input::new(&[1]).bytes(), Err(DatumError::NegativeLength));
        // Three elements in two bytes.
        assert_eq!(Input::new(&[6, 1, 2]).block(), Err(DatumError::Truncated));
        assert_eq!(Input::new(&[6, 1, 2, 3]).block(), Ok(3));
        assert_eq!(Input::new(&[5, 1, 1, 2, 3]).block(), Ok(3));
        let smallest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0];
        assert_eq!(Input::new(&smallest).block(), Err(DatumError::NegativeLength));
        assert_eq!(Input::new(&[4]).index(2), Err(DatumError::Index { index: 2, of: 2 }));
    }
}
