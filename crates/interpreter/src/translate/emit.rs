//! How is bytecode written, and what was written last changed?

use super::stack::{Entry, Kind};
use super::{Step, Translator, UNNUMBERED, fuse};
use crate::dispatch::{HANDLER_WORDS, Handler, put_address};
use crate::value::Class;

/// Whether instructions have other forms than the plain one: operands that are
/// slots, a result that is written to a slot.
pub(super) const FUSED: bool = cfg!(feature = "fused");

/// Why other forms are not asked for: whoever chooses one looks at
/// [`Translator::is_plain`] first.
pub(super) const ONE_FORM: &str = "this build has one form of each instruction";

/// The instruction that was written last, if it gives a result.
#[derive(Clone, Copy)]
pub(super) struct Last {
    pub(super) start: usize,
    pub(super) end: usize,
    /// The operand that says where the result goes, if that may still be changed.
    pub(super) result: Option<usize>,
    /// The slot that the result goes to.
    pub(super) place: i32,
    /// Where it is kept at hand.
    pub(super) class: Class,
    /// The instruction without its last operand, the slot: only keeps the result.
    pub(super) unstored: Option<Handler>,
    /// For a comparison: the branches when it holds, and when it does not.
    pub(super) branches: Option<[Handler; 2]>,
    /// What it computes, if another may be fused with it.
    pub(super) shape: Option<fuse::Shape>,
    /// Where the instruction just before it starts, if both add a constant to a
    /// slot.
    pub(super) before: Option<usize>,
}

/// A handler that gives a result which is kept at hand, in both forms.
#[derive(Clone, Copy)]
pub(super) struct Giving {
    pub(super) stored: Handler,
    pub(super) unstored: Option<Handler>,
}

/// What only builds with all forms have: `None` in others, which then do not even
/// mention it.
macro_rules! fused {
    ($some:expr) => {{
        #[cfg(feature = "fused")]
        let some: Option<$crate::dispatch::Handler> = Some($some);
        #[cfg(not(feature = "fused"))]
        let some: Option<$crate::dispatch::Handler> = None;
        some
    }};
}
pub(crate) use fused;

/// Both forms of a handler whose last parameter says where the result goes.
macro_rules! giving {
    ($($handler:ident)::+ $(<$($parameter:ty),*>)?) => {
        $crate::translate::emit::Giving {
            stored: $($handler)::+::<$($($parameter,)*)? $crate::value::Stored>,
            unstored: $crate::translate::emit::fused!(
                $($handler)::+::<$($($parameter,)*)? $crate::value::Unstored>
            ),
        }
    };
}
pub(crate) use giving;

impl Translator<'_> {
    /// Begins an instruction.
    pub(super) fn start(&mut self, handler: Handler) -> usize {
        let start = self.words.len();
        self.last = None;
        if let Some(starts) = &mut self.starts {
            starts.push((start, self.position));
        }
        self.words.resize(start + self.handler_words(), 0);
        self.put_handler(start, handler);
        start
    }

    /// Writes the address of a handler at the start of an instruction.
    pub(super) fn put_handler(&mut self, start: usize, handler: Handler) {
        if let Some(numbers) = self.input.numbers() {
            self.words[start] = numbers.of(handler).unwrap_or(UNNUMBERED);
            return;
        }
        put_address(&mut self.words[start..start + HANDLER_WORDS], handler);
    }

    pub(super) fn word(&mut self, word: u32) {
        self.words.push(word);
    }

    pub(super) fn place(&mut self, place: i32) {
        self.words.push(place as u32);
    }

    pub(super) fn wide(&mut self, value: u64) {
        self.words.push(value as u32);
        self.words.push((value >> 32) as u32);
    }

    /// Begins an instruction whose first operand is where its result goes: the
    /// home of a new entry of the stack. The operands have been taken.
    pub(super) fn start_result(&mut self, handler: Handler, wide: bool) -> Step<usize> {
        let start = self.start(handler);
        let home = self.push_temporary(wide)?;
        self.place(home);
        Ok(start)
    }

    /// Ends an instruction begun by [`Translator::start_result`].
    pub(super) fn end_result(&mut self, start: usize) {
        let result = start + self.handler_words();
        self.last = Some(Last {
            start,
            end: self.words.len(),
            result: Some(result),
            place: self.words[result] as i32,
            class: Class::Vector,
            unstored: None,
            branches: None,
            shape: None,
            before: None,
        });
    }

    /// Ends an instruction by the operand that says where its result goes: the
    /// home of a new entry of the stack. The operands have been taken.
    pub(super) fn give(
        &mut self,
        start: usize,
        class: Class,
        unstored: Option<Handler>,
        branches: Option<[Handler; 2]>,
    ) -> Step {
        let home = self.push_temporary(class == Class::Vector)?;
        let result = self.words.len();
        self.place(home);
        self.last = Some(Last {
            start,
            end: self.words.len(),
            result: Some(result),
            place: home,
            class,
            unstored,
            branches,
            shape: None,
            before: None,
        });
        Ok(())
    }

    /// The instruction written last, if it gave the value of the slot and
    /// nothing was written since.
    pub(super) fn last_giving(&self, place: i32) -> Option<Last> {
        self.last
            .filter(|last| last.end == self.words.len() && last.place == place)
    }

    /// Whether the value of the slot is at hand for an instruction written now.
    pub(super) fn is_kept(&self, place: i32, class: Class) -> bool {
        class != Class::Vector
            && self
                .last_giving(place)
                .is_some_and(|last| last.class == class)
    }

    /// Whether each instruction is written in its plain form.
    #[inline(always)]
    pub(super) fn is_plain(&self) -> bool {
        !FUSED || self.input.numbers().is_some()
    }

    /// Words that a handler takes.
    #[inline(always)]
    pub(super) fn handler_words(&self) -> usize {
        match self.input.numbers() {
            Some(numbers) => numbers.handler_words(),
            None => HANDLER_WORDS,
        }
    }

    /// Whether the value of an entry that was taken, in this slot, is at hand for
    /// the instruction that is written now and uses it so. If nobody else can
    /// use it, it is no longer written to its slot.
    #[inline(always)]
    pub(super) fn use_kept(&mut self, entry: Entry, place: i32, class: Class) -> bool {
        !self.is_plain() && self.take_kept(entry, place, class)
    }

    fn take_kept(&mut self, entry: Entry, place: i32, class: Class) -> bool {
        if !self.is_kept(place, class) {
            return false;
        }
        if entry.kind == Kind::Temporary
            && let Some(last) = self.last.take()
            && let Some(unstored) = last.unstored
        {
            self.words.truncate(last.end - 1);
            self.put_handler(last.start, unstored);
        }
        true
    }

    /// Takes the instruction written last back. Gives the position that it was
    /// written for.
    pub(super) fn take_back(&mut self, last: &Last) {
        debug_assert_eq!(last.end, self.words.len());
        self.words.truncate(last.start);
        self.last = None;
        if let Some(starts) = &mut self.starts {
            starts.pop();
        }
    }

    /// A branch leads to what is written next: nothing is known of what was
    /// done before it.
    pub(super) fn forget(&mut self) {
        self.last = None;
        self.copies = None;
    }
}
