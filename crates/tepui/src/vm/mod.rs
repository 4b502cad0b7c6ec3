//! The inside of a store: what generated code reads, and what it calls.

pub(crate) mod builtins;
pub(crate) mod call;
pub(crate) mod context;
pub(crate) mod definition;
pub(crate) mod frames;
pub(crate) mod instance;
pub(crate) mod memory;
#[cfg(feature = "std")]
pub(crate) mod parking;
#[cfg(not(feature = "std"))]
#[path = "parking_alone.rs"]
pub(crate) mod parking;
pub(crate) mod shared_memory;
pub(crate) mod startup;
pub(crate) mod table;
pub(crate) mod transfer;
