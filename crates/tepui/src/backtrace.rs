//! Where in the guest did it happen? The Wasm frames of a call chain.
//!
//! A trap or a host function's error carries one: ask with
//! `error.downcast_ref::<WasmBacktrace>()`, or show the error with `{:?}`.

#[cfg(not(feature = "std"))]
use crate::prelude::*;
use alloc::sync::Arc;
use core::fmt::{self, Write as _};

/// The Wasm frames that were on the stack, innermost first.
///
/// Displayed, it is one line per frame under a headline. Of a stack deeper
/// than [`WasmBacktrace::SHOWN`] frames, as after a runaway recursion, only
/// the innermost and the outermost are displayed, with the number of frames
/// between them; [`WasmBacktrace::frames`] has more.
#[derive(Clone)]
pub struct WasmBacktrace {
    frames: Vec<FrameInfo>,
    omitted: usize,
}

impl WasmBacktrace {
    /// The most frames that are displayed: half of them innermost, half outermost.
    pub const SHOWN: usize = 100;

    /// The most frames that are kept: half of them innermost, half outermost. How
    /// deep a stack is, is up to the guest.
    pub const KEPT: usize = 100_000;

    /// The backtrace with these frames, innermost first, of which half come before
    /// those `omitted`.
    pub(crate) fn new(frames: Vec<FrameInfo>, omitted: usize) -> WasmBacktrace {
        WasmBacktrace { frames, omitted }
    }

    /// The frames, innermost first. Frames of the host are not among them.
    pub fn frames(&self) -> &[FrameInfo] {
        &self.frames
    }

    /// How many frames of a stack deeper than [`WasmBacktrace::KEPT`] are missing
    /// in the middle of [`frames`](WasmBacktrace::frames).
    pub fn omitted(&self) -> usize {
        self.omitted
    }
}

impl fmt::Display for WasmBacktrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("error while executing at wasm backtrace:")?;
        if self.frames.is_empty() {
            return f.write_str("\n    <no wasm frames>");
        }
        let count = self.frames.len() + self.omitted;
        let hidden = count.saturating_sub(Self::SHOWN).max(self.omitted);
        let first = (count - hidden).min(Self::SHOWN / 2);
        let (innermost, rest) = self.frames.split_at(first);
        for (number, frame) in innermost.iter().enumerate() {
            write!(f, "\n  {number:>5}: {frame}")?;
        }
        if hidden > 0 {
            write!(f, "\n         … {hidden} frames not shown …")?;
        }
        let outermost = &rest[hidden - self.omitted..];
        for (number, frame) in (first + hidden..).zip(outermost) {
            write!(f, "\n  {number:>5}: {frame}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for WasmBacktrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.frames).finish()
    }
}

/// One frame of a [`WasmBacktrace`].
#[derive(Clone, Debug)]
pub struct FrameInfo {
    module_name: Option<Arc<str>>,
    func_index: u32,
    func_name: Option<Arc<str>>,
    module_offset: Option<usize>,
    func_offset: Option<usize>,
}

impl FrameInfo {
    /// A frame from its parts. Offsets are in bytes from the start of the
    /// module: that of the instruction, if it is known, and that of the
    /// function's body.
    pub(crate) fn new(
        module_name: Option<impl Into<Arc<str>>>,
        func_index: u32,
        func_name: Option<impl Into<Arc<str>>>,
        module_offset: Option<usize>,
        body_offset: usize,
    ) -> FrameInfo {
        FrameInfo {
            module_name: module_name.map(Into::into),
            func_index,
            func_name: func_name.map(Into::into),
            module_offset,
            func_offset: module_offset.and_then(|offset| offset.checked_sub(body_offset)),
        }
    }

    /// The name that the module gives itself in its name section, if it does.
    pub fn module_name(&self) -> Option<&str> {
        self.module_name.as_deref()
    }

    /// The index of the function in its module, imported functions included.
    pub fn func_index(&self) -> u32 {
        self.func_index
    }

    /// The name that the name section gives the function, as it stands there.
    ///
    /// Compilers mangle names; the display of a frame shows those of Rust as
    /// they are in the source.
    pub fn func_name(&self) -> Option<&str> {
        self.func_name.as_deref()
    }

    /// The offset of the instruction from the start of the module, in bytes.
    /// Of a frame that called another one it is that of the call.
    pub fn module_offset(&self) -> Option<usize> {
        self.module_offset
    }

    /// The offset of the instruction from the start of the function's body, in
    /// bytes.
    pub fn func_offset(&self) -> Option<usize> {
        self.func_offset
    }
}

impl fmt::Display for FrameInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.module_offset {
            Some(offset) => write!(f, "{offset:>#8x} - ")?,
            None => f.write_str("       ? - ")?,
        }
        write_name(f, self.module_name().unwrap_or("<unknown>"))?;
        f.write_char('!')?;
        match self.func_name() {
            Some(name) => write_function_name(f, name),
            None => write!(f, "<wasm function {}>", self.func_index),
        }
    }
}

/// The most characters of a name that are displayed: names come from the guest
/// and may be as long as a module.
const NAME_SHOWN: usize = 1_000;

/// Writes a name that the guest chose: without control characters, which a
/// terminal would obey, and not longer than a person can read.
fn write_name(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    let mut characters = name.chars();
    for character in characters.by_ref().take(NAME_SHOWN) {
        if is_hidden(character) {
            write!(f, "{}", character.escape_unicode())?;
        } else {
            f.write_char(character)?;
        }
    }
    if characters.next().is_some() {
        f.write_char('…')?;
    }
    Ok(())
}

/// Whether a character steers a terminal rather than being shown: controls,
/// and the marks that reverse the direction of a line.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(feature = "demangle")]
fn write_function_name(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    match rustc_demangle::try_demangle(name) {
        // The alternate form leaves the hash out. A mangled name is short; the
        // library bounds what it becomes.
        Ok(demangled) if name.len() <= NAME_SHOWN => {
            let mut text = Bounded(String::new());
            // An error means that the text was cut, which is what is wanted.
            let _ = write!(text, "{demangled:#}");
            write_name(f, &text.0)
        }
        _ => write_name(f, name),
    }
}

#[cfg(not(feature = "demangle"))]
fn write_function_name(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    write_name(f, name)
}

/// Text that stops to grow soon after it is longer than will be shown.
#[cfg(feature = "demangle")]
struct Bounded(String);

#[cfg(feature = "demangle")]
impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() > 4 * NAME_SHOWN {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(name: Option<&str>) -> FrameInfo {
        FrameInfo::new(Some("program"), 7, name, Some(0x1a3), 0x1a1)
    }

    #[test]
    fn frames_are_shown_in_lines() {
        let unknown = FrameInfo::new(None::<&str>, 9, None::<&str>, None, 4);
        let backtrace = WasmBacktrace::new(vec![frame(Some("run")), frame(None), unknown], 0);
        assert_eq!(
            backtrace.to_string(),
            "error while executing at wasm backtrace:\
             \n      0:    0x1a3 - program!run\
             \n      1:    0x1a3 - program!<wasm function 7>\
             \n      2:        ? - <unknown>!<wasm function 9>"
        );
        assert_eq!(backtrace.frames()[0].func_name(), Some("run"));
        assert_eq!(backtrace.frames()[0].func_offset(), Some(2));
    }

    #[test]
    fn deep_stacks_are_cut_in_the_middle() {
        let frames: Vec<_> = (0..100_000)
            .map(|index| FrameInfo::new(None::<&str>, index, None::<&str>, None, 0))
            .collect();
        let exact = WasmBacktrace::new(frames[..100].to_vec(), 0).to_string();
        assert_eq!(exact.lines().count(), 101);
        let text = WasmBacktrace::new(frames.clone(), 0).to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 1 + 100 + 1);
        assert!(lines[50].ends_with("<wasm function 49>"), "{}", lines[50]);
        assert!(lines[51].contains("99900 frames not shown"));
        assert!(lines[52].ends_with("<wasm function 99950>"));
        assert!(lines[101].ends_with("<wasm function 99999>"));
        // Some were not even kept.
        let backtrace = WasmBacktrace::new(frames, 23);
        let text = backtrace.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 1 + 100 + 1);
        assert!(lines[51].contains("99923 frames not shown"));
        assert!(lines[52].contains("99973:") && lines[52].ends_with("<wasm function 99950>"));
        assert_eq!(backtrace.omitted(), 23);
    }

    #[test]
    fn names_cannot_steer_a_terminal_or_flood_it() {
        let text = frame(Some("a\x1b[2Jb\n\u{202e}c")).to_string();
        assert!(
            text.ends_with("program!a\\u{1b}[2Jb\\u{a}\\u{202e}c"),
            "{text}"
        );
        let long = frame(Some(&"x".repeat(1 << 20))).to_string();
        assert!(long.len() < 2 * NAME_SHOWN, "{}", long.len());
    }

    #[test]
    #[cfg(feature = "demangle")]
    fn names_of_rust_are_demangled() {
        let text = frame(Some("_ZN4core3fmt5write17h0123456789abcdefE")).to_string();
        assert!(text.ends_with("program!core::fmt::write"), "{text}");
        let text = frame(Some("_RNvC6_123foo3bar")).to_string();
        assert!(text.ends_with("program!123foo::bar"), "{text}");
    }
}
