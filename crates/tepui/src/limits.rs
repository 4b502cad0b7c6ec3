//! How much may the guests of a store take? Limits on growth and on numbers.

use crate::error::{Error, Result};
#[cfg(not(feature = "std"))]
use crate::prelude::*;

/// Instances in a store when nothing else is said.
pub(crate) const DEFAULT_INSTANCE_LIMIT: usize = 10_000;
/// Tables in a store when nothing else is said.
pub(crate) const DEFAULT_TABLE_LIMIT: usize = 10_000;
/// Memories in a store when nothing else is said.
pub(crate) const DEFAULT_MEMORY_LIMIT: usize = 10_000;

/// Decides about each growth of a store's memories and tables, and how many
/// things the store may hold.
///
/// Shared memories belong to no store; no limiter is asked about their growth.
pub trait ResourceLimiter: Send {
    /// Whether a memory may grow from `current` to `desired` bytes.
    ///
    /// Asked when a memory is created (`current` is then 0) and when it is to
    /// grow, within the declared `maximum`, in bytes. `false` makes
    /// `memory.grow` answer -1 and creation fail.
    ///
    /// # Errors
    ///
    /// An error ends the call of the guest as a trap does.
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool>;

    /// A memory could not grow for another reason: its maximum, or a lack of
    /// address space or memory. `memory.grow` answers -1.
    ///
    /// # Errors
    ///
    /// An error ends the call of the guest as a trap does.
    fn memory_grow_failed(&mut self, error: Error) -> Result<()> {
        let _ = error;
        Ok(())
    }

    /// Whether a table may grow from `current` to `desired` elements.
    ///
    /// As [`memory_growing`](Self::memory_growing), in elements.
    ///
    /// # Errors
    ///
    /// An error ends the call of the guest as a trap does.
    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool>;

    /// A table could not grow for another reason. `table.grow` answers -1.
    ///
    /// # Errors
    ///
    /// An error ends the call of the guest as a trap does.
    fn table_grow_failed(&mut self, error: Error) -> Result<()> {
        let _ = error;
        Ok(())
    }

    /// The most instances that the store may hold. Asked once.
    fn instances(&self) -> usize {
        DEFAULT_INSTANCE_LIMIT
    }

    /// The most tables that the store may hold. Asked once.
    fn tables(&self) -> usize {
        DEFAULT_TABLE_LIMIT
    }

    /// The most memories that the store may hold. Asked once.
    fn memories(&self) -> usize {
        DEFAULT_MEMORY_LIMIT
    }
}

/// Fixed limits: a [`ResourceLimiter`] that only compares.
///
/// ```
/// let limits = tepui::StoreLimitsBuilder::new()
///     .memory_size(64 << 20)
///     .instances(1)
///     .build();
/// # let _ = limits;
/// ```
#[derive(Clone, Debug)]
pub struct StoreLimits {
    memory_size: Option<usize>,
    table_elements: Option<usize>,
    instances: usize,
    tables: usize,
    memories: usize,
    trap_on_grow_failure: bool,
}

impl Default for StoreLimits {
    /// No limit on sizes, and the default numbers of things.
    fn default() -> StoreLimits {
        StoreLimits {
            memory_size: None,
            table_elements: None,
            instances: DEFAULT_INSTANCE_LIMIT,
            tables: DEFAULT_TABLE_LIMIT,
            memories: DEFAULT_MEMORY_LIMIT,
            trap_on_grow_failure: false,
        }
    }
}

/// Makes [`StoreLimits`].
#[derive(Clone, Debug, Default)]
pub struct StoreLimitsBuilder(StoreLimits);

impl StoreLimitsBuilder {
    /// Starts without limits on sizes, and with the default numbers of things.
    pub fn new() -> StoreLimitsBuilder {
        StoreLimitsBuilder::default()
    }

    /// The most bytes that each memory may have.
    #[must_use]
    pub fn memory_size(mut self, limit: usize) -> StoreLimitsBuilder {
        self.0.memory_size = Some(limit);
        self
    }

    /// The most elements that each table may have.
    #[must_use]
    pub fn table_elements(mut self, limit: usize) -> StoreLimitsBuilder {
        self.0.table_elements = Some(limit);
        self
    }

    /// The most instances.
    #[must_use]
    pub fn instances(mut self, limit: usize) -> StoreLimitsBuilder {
        self.0.instances = limit;
        self
    }

    /// The most tables.
    #[must_use]
    pub fn tables(mut self, limit: usize) -> StoreLimitsBuilder {
        self.0.tables = limit;
        self
    }

    /// The most memories.
    #[must_use]
    pub fn memories(mut self, limit: usize) -> StoreLimitsBuilder {
        self.0.memories = limit;
        self
    }

    /// Whether growth that fails ends the guest's call with an error instead
    /// of answering -1. It does not by default.
    #[must_use]
    pub fn trap_on_grow_failure(mut self, trap: bool) -> StoreLimitsBuilder {
        self.0.trap_on_grow_failure = trap;
        self
    }

    /// The limits.
    pub fn build(self) -> StoreLimits {
        self.0
    }
}

impl StoreLimits {
    fn decide(
        &self,
        what: &str,
        unit: &str,
        desired: usize,
        limit: Option<usize>,
        maximum: Option<usize>,
    ) -> Result<bool> {
        let by_limit = limit.is_some_and(|limit| desired > limit);
        let by_maximum = maximum.is_some_and(|maximum| desired > maximum);
        if !by_limit && !by_maximum {
            return Ok(true);
        }
        if self.trap_on_grow_failure {
            let (name, bound) = if by_limit {
                ("store's limit", limit)
            } else {
                ("declared maximum", maximum)
            };
            return Err(Error::msg(format!(
                "forcing trap when growing {what} to {desired} {unit}: the {name} is {}",
                bound.unwrap_or(usize::MAX),
            )));
        }
        Ok(false)
    }

    fn failed(&self, what: &str, error: Error) -> Result<()> {
        if self.trap_on_grow_failure {
            return Err(error.context(format!("forcing a {what} growth failure to be a trap")));
        }
        Ok(())
    }
}

impl ResourceLimiter for StoreLimits {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        self.decide("memory", "bytes", desired, self.memory_size, maximum)
    }

    fn memory_grow_failed(&mut self, error: Error) -> Result<()> {
        self.failed("memory", error)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        self.decide("table", "elements", desired, self.table_elements, maximum)
    }

    fn table_grow_failed(&mut self, error: Error) -> Result<()> {
        self.failed("table", error)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.tables
    }

    fn memories(&self) -> usize {
        self.memories
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_compare_at_the_edge() {
        let mut limits = StoreLimitsBuilder::new()
            .memory_size(100)
            .table_elements(0)
            .instances(1)
            .tables(2)
            .memories(0)
            .build();
        assert!(limits.memory_growing(0, 100, None).unwrap());
        assert!(!limits.memory_growing(0, 101, None).unwrap());
        assert!(
            !limits
                .memory_growing(0, usize::MAX, Some(usize::MAX))
                .unwrap()
        );
        assert!(!limits.memory_growing(0, 50, Some(49)).unwrap());
        assert!(limits.table_growing(0, 0, Some(0)).unwrap());
        assert!(!limits.table_growing(0, 1, None).unwrap());
        assert!(limits.memory_grow_failed(Error::msg("no")).is_ok());
        assert_eq!(
            (limits.instances(), limits.tables(), limits.memories()),
            (1, 2, 0)
        );
    }

    #[test]
    fn failure_becomes_an_error_on_request() {
        let mut limits = StoreLimitsBuilder::new()
            .memory_size(100)
            .trap_on_grow_failure(true)
            .build();
        assert!(limits.memory_growing(0, 100, None).unwrap());
        let error = limits.memory_growing(0, 101, None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "forcing trap when growing memory to 101 bytes: the store's limit is 100"
        );
        let error = limits.table_growing(0, 5, Some(4)).unwrap_err();
        assert!(
            error.to_string().contains("declared maximum is 4"),
            "{error}"
        );
        let error = limits.table_grow_failed(Error::msg("no room")).unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "forcing a table growth failure to be a trap: no room"
        );
    }

    #[test]
    fn defaults_do_not_limit_sizes() {
        let mut limits = StoreLimits::default();
        assert!(limits.memory_growing(0, usize::MAX, None).unwrap());
        assert_eq!(limits.instances(), DEFAULT_INSTANCE_LIMIT);
    }
}
