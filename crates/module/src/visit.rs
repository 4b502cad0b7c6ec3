//! What do the tiers' visitors of instructions have in common? Control, calls,
//! references, tables and bulk operations mean the same work for each of them:
//! the instruction's name and immediates go to a method of the tier. The methods
//! that say so, and those that refuse what no tier has, are written once, by
//! macros that a tier puts into its implementation of
//! [`VisitOperator`](wasmparser::VisitOperator).

/// Whether a call comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// It comes back.
    Ordinary,
    /// It replaces the frame of its caller.
    Tail,
}

/// What a method that serves an instruction returns: nothing, if it cannot fail,
/// or whether it failed.
pub trait IntoStep<E> {
    /// The same as a result.
    ///
    /// # Errors
    ///
    /// That of the method.
    fn into_step(self) -> Result<(), E>;
}

impl<E> IntoStep<E> for () {
    #[inline(always)]
    fn into_step(self) -> Result<(), E> {
        Ok(())
    }
}

impl<E> IntoStep<E> for Result<(), E> {
    #[inline(always)]
    fn into_step(self) -> Result<(), E> {
        self
    }
}

/// Writes the methods of a visitor for instructions that every tier hands to a
/// method of its own: those of control, calls, references, tables, globals, and
/// bulk operations on memories. The methods return what [`IntoStep`] knows. Its
/// argument is the lifetime of the body.
#[macro_export]
macro_rules! forward_structure {
    ($a:lifetime) => {
        $crate::forward_structure! { @methods
            // Control.
            visit_unreachable() => unreachable_instruction();
            visit_block(blockty: $crate::wasmparser::BlockType) => block(blockty);
            visit_loop(blockty: $crate::wasmparser::BlockType) => loop_(blockty);
            visit_if(blockty: $crate::wasmparser::BlockType) => if_(blockty);
            visit_else() => else_();
            visit_end() => end();
            visit_br(relative_depth: u32) => br(relative_depth);
            visit_br_if(relative_depth: u32) => br_if(relative_depth);
            visit_br_table(targets: $crate::wasmparser::BrTable<$a>) => br_table(&targets);
            visit_return() => return_();
            // Calls.
            visit_call(function_index: u32) => call(function_index, $crate::CallKind::Ordinary);
            visit_call_indirect(type_index: u32, table_index: u32)
                => call_indirect(type_index, table_index, $crate::CallKind::Ordinary);
            visit_call_ref(type_index: u32) => call_ref(type_index, $crate::CallKind::Ordinary);
            visit_return_call(function_index: u32) => call(function_index, $crate::CallKind::Tail);
            visit_return_call_indirect(type_index: u32, table_index: u32)
                => call_indirect(type_index, table_index, $crate::CallKind::Tail);
            visit_return_call_ref(type_index: u32) => call_ref(type_index, $crate::CallKind::Tail);
            // Values that move. Validation accepts exactly one type of a selection.
            visit_select() => select();
            visit_typed_select(_ty: $crate::wasmparser::ValType) => select();
            visit_typed_select_multi(_tys: $crate::macro_support::Vec<$crate::wasmparser::ValType>) => select();
            visit_local_set(local_index: u32) => local_set(local_index);
            visit_local_tee(local_index: u32) => local_tee(local_index);
            visit_global_get(global_index: u32) => global_get(global_index);
            visit_global_set(global_index: u32) => global_set(global_index);
            // References.
            visit_ref_null(hty: $crate::wasmparser::HeapType) => ref_null(hty);
            visit_ref_is_null() => ref_is_null();
            visit_ref_as_non_null() => ref_as_non_null();
            visit_ref_func(function_index: u32) => ref_func(function_index);
            visit_br_on_null(relative_depth: u32) => br_on_null(relative_depth);
            visit_br_on_non_null(relative_depth: u32) => br_on_non_null(relative_depth);
            // Tables.
            visit_table_get(table: u32) => table_get(table);
            visit_table_set(table: u32) => table_set(table);
            visit_table_size(table: u32) => table_size(table);
            visit_table_grow(table: u32) => table_grow(table);
            visit_table_fill(table: u32) => table_fill(table);
            visit_table_copy(dst_table: u32, src_table: u32) => table_copy(dst_table, src_table);
            visit_table_init(elem_index: u32, table: u32) => table_init(table, elem_index);
            visit_elem_drop(elem_index: u32) => elem_drop(elem_index);
            // Memories.
            visit_memory_size(mem: u32) => memory_size(mem);
            visit_memory_grow(mem: u32) => memory_grow(mem);
            visit_memory_init(data_index: u32, mem: u32) => memory_init(mem, data_index);
            visit_memory_copy(dst_mem: u32, src_mem: u32) => memory_copy(dst_mem, src_mem);
            visit_memory_fill(mem: u32) => memory_fill(mem);
            visit_data_drop(data_index: u32) => data_drop(data_index);
        }
        fn visit_nop(&mut self) -> Self::Output {
            $crate::IntoStep::into_step(())
        }
    };
    (@methods $($visit:ident($($parameter:ident: $ty:ty),*) => $method:ident($($argument:expr),*);)*) => {
        $(fn $visit(&mut self $(, $parameter: $ty)*) -> Self::Output {
            $crate::IntoStep::into_step(self.$method($($argument),*))
        })*
    };
}

/// Writes the methods of a visitor for instructions of proposals that are not
/// implemented, for `wasmparser::for_each_visit_operator!`. Validation refuses
/// them by name before a tier sees them; the visitor's method `refuse` makes an
/// error of a message.
#[macro_export]
macro_rules! refuse_proposals {
    ($( @$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*) )*) => {
        $( $crate::refuse_proposals!(@$proposal; $visit $({ $($arg: $argty),* })?); )*
    };
    (@mvp; $($rest:tt)*) => {};
    (@sign_extension; $($rest:tt)*) => {};
    (@saturating_float_to_int; $($rest:tt)*) => {};
    (@bulk_memory; $($rest:tt)*) => {};
    (@reference_types; $($rest:tt)*) => {};
    (@tail_call; $($rest:tt)*) => {};
    (@threads; $($rest:tt)*) => {};
    (@function_references; $($rest:tt)*) => {};
    (@wide_arithmetic; $($rest:tt)*) => {};
    (@$proposal:ident; $visit:ident $({ $($arg:ident: $argty:ty),* })?) => {
        fn $visit(&mut self $($(, $arg: $argty)*)?) -> Self::Output {
            $($(let _ = $arg;)*)?
            self.refuse(concat!(
                "the ",
                stringify!($proposal),
                " proposal is not implemented"
            ))
        }
    };
}
