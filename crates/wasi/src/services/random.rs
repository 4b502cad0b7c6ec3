//! Where does randomness come from?

use super::Result;

/// A source of random bytes.
pub trait Random: Send {
    /// Fills `buffer`. The guest takes the bytes for cryptographically strong.
    ///
    /// # Errors
    ///
    /// When the source fails; the buffer's content is then unspecified.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<()>;
}
