//! Which index space does a number index? One type per index space.
//!
//! Index spaces are those of the core specification, section 2.5.1 "Indices".
//! [`DefinedFuncIndex`] is the one addition: it counts the functions that the
//! module defines itself, in the order of the code section, without imports.

use core::fmt;

macro_rules! index_types {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
            #[repr(transparent)]
            pub struct $name(u32);

            impl $name {
                /// The index with the given number.
                #[inline]
                pub const fn new(index: u32) -> Self {
                    Self(index)
                }

                /// The number, as the binary format writes it.
                #[inline]
                pub const fn as_u32(self) -> u32 {
                    self.0
                }

                /// The number, ready to index a slice.
                #[inline]
                pub const fn index(self) -> usize {
                    self.0 as usize
                }
            }

            impl From<u32> for $name {
                #[inline]
                fn from(index: u32) -> Self {
                    Self(index)
                }
            }

            impl From<$name> for u32 {
                #[inline]
                fn from(index: $name) -> u32 {
                    index.0
                }
            }

            impl From<$name> for usize {
                #[inline]
                fn from(index: $name) -> usize {
                    index.0 as usize
                }
            }

            impl fmt::Debug for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    write!(f, concat!(stringify!($name), "({})"), self.0)
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    fmt::Display::fmt(&self.0, f)
                }
            }
        )*
    };
}

index_types! {
    /// A function, imported or defined: *funcidx*.
    FuncIndex;
    /// A function that the module defines: its place in the code section.
    DefinedFuncIndex;
    /// A type of the module's type section: *typeidx*.
    TypeIndex;
    /// A table, imported or defined: *tableidx*.
    TableIndex;
    /// A memory, imported or defined: *memidx*.
    MemoryIndex;
    /// A global, imported or defined: *globalidx*.
    GlobalIndex;
    /// A tag, imported or defined: *tagidx*.
    TagIndex;
    /// An element segment: *elemidx*.
    ElemIndex;
    /// A data segment: *dataidx*.
    DataIndex;
    /// A parameter or local of a function: *localidx*.
    LocalIndex;
}
