//! The locks of the crate `fd-lock`, on a system without file locks: taking one always succeeds.

use std::io;
use std::ops::{Deref, DerefMut};

/// A file that other processes would have to wait for, if there were any.
#[derive(Debug)]
pub struct RwLock<T>(T);

/// The file, for reading.
#[derive(Debug)]
pub struct RwLockReadGuard<'lock, T>(&'lock T);

/// The file, for writing.
#[derive(Debug)]
pub struct RwLockWriteGuard<'lock, T>(&'lock mut T);

impl<T> RwLock<T> {
    /// Wraps `inner`.
    pub fn new(inner: T) -> Self {
        Self(inner)
    }

    /// Locks for reading.
    pub fn read(&self) -> io::Result<RwLockReadGuard<'_, T>> {
        Ok(RwLockReadGuard(&self.0))
    }

    /// Locks for writing.
    pub fn write(&mut self) -> io::Result<RwLockWriteGuard<'_, T>> {
        Ok(RwLockWriteGuard(&mut self.0))
    }

    /// Unwraps what [`RwLock::new`] was given.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for RwLockReadGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.0
    }
}

impl<T> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.0
    }
}

impl<T> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0
    }
}
