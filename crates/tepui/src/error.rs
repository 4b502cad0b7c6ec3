//! What does a fallible call of the embedding API return?
//!
//! An [`Error`] holds one value of any type, and the contexts that were added
//! on its way up, outermost first. Each of them can be asked for by type: a
//! host that fails with its own error type finds that error again after it
//! crossed the guest, beside the [`WasmBacktrace`] that was attached there.
//!
//! `Error` does not implement [`std::error::Error`], so that every type that
//! does converts into it with `?`. It converts into
//! `Box<dyn std::error::Error + Send + Sync>`.

use core::any::{Any, TypeId};
use core::error::Error as StdError;
use core::fmt;

use crate::backtrace::WasmBacktrace;
#[cfg(not(feature = "std"))]
use crate::prelude::*;

/// The result of a fallible call of this crate.
pub type Result<T, E = Error> = core::result::Result<T, E>;

/// Why a call failed: a value of any type, and what was being done.
///
/// `{}` displays the outermost message, `{:#}` all of them in one line, and
/// `{:?}` all of them in lines, with the Wasm backtrace when there is one.
/// The value is one pointer wide.
pub struct Error {
    layer: Box<Layer>,
}

/// A value, and the error that it is the context of.
struct Layer {
    value: Box<dyn Value>,
    below: Below,
}

/// The layers below one. Dropped in a loop: a chain may be longer than the
/// stack is deep.
struct Below(Option<Error>);

impl Drop for Below {
    fn drop(&mut self) {
        let mut next = self.0.take();
        while let Some(mut error) = next {
            next = error.layer.below.0.take();
        }
    }
}

/// What a layer holds: a message, an error, or a backtrace.
trait Value: Send + Sync + 'static {
    fn display(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
    fn debug(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
    /// The value as an error with sources of its own.
    fn as_std(&self) -> Option<&(dyn StdError + 'static)>;
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

/// A value that can only be shown.
struct Message<M>(M);

impl<M: fmt::Display + fmt::Debug + Send + Sync + 'static> Value for Message<M> {
    fn display(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
    fn debug(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
    fn as_std(&self) -> Option<&(dyn StdError + 'static)> {
        None
    }
    fn as_any(&self) -> &dyn Any {
        &self.0
    }
    fn as_any_mut(&mut self) -> &mut dyn Any {
        &mut self.0
    }
    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        Box::new(self.0)
    }
}

/// A value that is an error.
struct Cause<E>(E);

impl<E: StdError + Send + Sync + 'static> Value for Cause<E> {
    fn display(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
    fn debug(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
    fn as_std(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
    fn as_any(&self) -> &dyn Any {
        &self.0
    }
    fn as_any_mut(&mut self) -> &mut dyn Any {
        &mut self.0
    }
    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        Box::new(self.0)
    }
}

/// An error whose type was already forgotten.
struct BoxedCause(Box<dyn StdError + Send + Sync>);

impl Value for BoxedCause {
    fn display(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
    fn debug(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
    fn as_std(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
    fn as_any(&self) -> &dyn Any {
        &self.0
    }
    fn as_any_mut(&mut self) -> &mut dyn Any {
        &mut self.0
    }
    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        Box::new(self.0)
    }
}

impl Layer {
    fn is(&self, ty: TypeId) -> bool {
        self.value.as_any().type_id() == ty
    }

    /// Whether this layer says what was being done; a backtrace only says where.
    fn is_message(&self) -> bool {
        !self.is(TypeId::of::<WasmBacktrace>())
    }

    /// This layer for `std`: the value itself when it is an error that stands
    /// at the end of the chain, so that it can be downcast there too.
    fn as_std(&self) -> &(dyn StdError + 'static) {
        match self.value.as_std() {
            Some(error) if self.below.0.is_none() => error,
            _ => self,
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.display(f)
    }
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.debug(f)
    }
}

impl StdError for Layer {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.below.0 {
            Some(below) => below
                .layers()
                .find(|layer| layer.is_message())
                .map(Layer::as_std),
            None => self.value.as_std().and_then(StdError::source),
        }
    }
}

impl Error {
    fn from_value(value: Box<dyn Value>) -> Error {
        Error {
            layer: Box::new(Layer {
                value,
                below: Below(None),
            }),
        }
    }

    /// The error that `error` is.
    pub fn new<E>(error: E) -> Error
    where
        E: StdError + Send + Sync + 'static,
    {
        Error::from_value(Box::new(Cause(error)))
    }

    /// An error that says `message`.
    ///
    /// Unlike [`Error::new`] it does not need a type that implements
    /// [`std::error::Error`], and does not show that type's sources.
    pub fn msg<M>(message: M) -> Error
    where
        M: fmt::Display + fmt::Debug + Send + Sync + 'static,
    {
        Error::from_value(Box::new(Message(message)))
    }

    /// The error in a box. [`Error::downcast_ref`] does not see through the
    /// box; the items of [`Error::chain`] can be downcast.
    pub fn from_boxed(error: Box<dyn StdError + Send + Sync>) -> Error {
        Error::from_value(Box::new(BoxedCause(error)))
    }

    /// The same error in the given context, which becomes the outermost message.
    ///
    /// A [`WasmBacktrace`] as context adds no message: it is shown by `{:?}` alone.
    #[must_use]
    pub fn context<C>(self, context: C) -> Error
    where
        C: fmt::Display + fmt::Debug + Send + Sync + 'static,
    {
        Error {
            layer: Box::new(Layer {
                value: Box::new(Message(context)),
                below: Below(Some(self)),
            }),
        }
    }

    /// The same error, with the place in the guest where it happened.
    #[must_use]
    pub(crate) fn with_backtrace(self, backtrace: WasmBacktrace) -> Error {
        self.context(backtrace)
    }

    fn layers(&self) -> impl Iterator<Item = &Layer> {
        core::iter::successors(Some(&*self.layer), |layer| {
            layer.below.0.as_ref().map(|error| &*error.layer)
        })
    }

    /// Whether the error or one of its contexts is a `T`.
    pub fn is<T>(&self) -> bool
    where
        T: fmt::Display + fmt::Debug + Send + Sync + 'static,
    {
        self.downcast_ref::<T>().is_some()
    }

    /// The outermost context, or the error, that is a `T`.
    ///
    /// The sources of the error that started the chain are not looked at; see
    /// [`Error::chain`] for them.
    pub fn downcast_ref<T>(&self) -> Option<&T>
    where
        T: fmt::Display + fmt::Debug + Send + Sync + 'static,
    {
        self.layers()
            .find_map(|layer| layer.value.as_any().downcast_ref())
    }

    /// The same for changing it.
    pub fn downcast_mut<T>(&mut self) -> Option<&mut T>
    where
        T: fmt::Display + fmt::Debug + Send + Sync + 'static,
    {
        let mut error = self;
        loop {
            if error.layer.is(TypeId::of::<T>()) {
                return error.layer.value.as_any_mut().downcast_mut();
            }
            error = error.layer.below.0.as_mut()?;
        }
    }

    /// Takes the outermost context, or the error, that is a `T`, out.
    ///
    /// # Errors
    ///
    /// The error as it was, when there is no `T` in it.
    pub fn downcast<T>(self) -> Result<T, Error>
    where
        T: fmt::Display + fmt::Debug + Send + Sync + 'static,
    {
        if !self.is::<T>() {
            return Err(self);
        }
        let mut error = self;
        loop {
            let mut layer = *error.layer;
            if layer.is(TypeId::of::<T>()) {
                let Ok(value) = layer.value.into_any().downcast() else {
                    unreachable!("the type was just compared");
                };
                return Ok(*value);
            }
            let Some(below) = layer.below.0.take() else {
                unreachable!("a layer with this type was just seen");
            };
            error = below;
        }
    }

    /// The messages, outermost first: contexts, the error, then its sources.
    pub fn chain(&self) -> Chain<'_> {
        Chain {
            next: Some(self.as_std()),
        }
    }

    /// The last of [`Error::chain`].
    pub fn root_cause(&self) -> &(dyn StdError + 'static) {
        let mut cause = self.as_std();
        while let Some(source) = cause.source() {
            cause = source;
        }
        cause
    }

    /// The outermost layer that is not a backtrace, as `std` sees it.
    fn as_std(&self) -> &(dyn StdError + 'static) {
        self.layers()
            .find(|layer| layer.is_message())
            .unwrap_or(&self.layer)
            .as_std()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return write!(f, "{}", self.as_std());
        }
        for (number, message) in self.chain().enumerate() {
            if number > 0 {
                f.write_str(": ")?;
            }
            write!(f, "{message}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return f
                .debug_list()
                .entries(self.layers().map(|layer| layer as &dyn fmt::Debug))
                .finish();
        }
        let mut chain = self.chain();
        if let Some(message) = chain.next() {
            write!(f, "{message}")?;
        }
        let causes: Vec<_> = chain.collect();
        if !causes.is_empty() {
            f.write_str("\n\nCaused by:")?;
            for (number, cause) in causes.iter().enumerate() {
                let text = cause.to_string().replace('\n', "\n       ");
                if causes.len() == 1 {
                    write!(f, "\n    {text}")?;
                } else {
                    write!(f, "\n    {number}: {text}")?;
                }
            }
        }
        for layer in self.layers().filter(|layer| !layer.is_message()) {
            write!(f, "\n\n{layer}")?;
        }
        Ok(())
    }
}

impl<E> From<E> for Error
where
    E: StdError + Send + Sync + 'static,
{
    #[cold]
    fn from(error: E) -> Error {
        Error::new(error)
    }
}

/// An error as `std` boxes it.
struct Boxed(Error);

impl fmt::Display for Boxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Boxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl StdError for Boxed {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.as_std().source()
    }
}

impl From<Error> for Box<dyn StdError + Send + Sync> {
    fn from(error: Error) -> Self {
        Box::new(Boxed(error))
    }
}

impl From<Error> for Box<dyn StdError> {
    fn from(error: Error) -> Self {
        Box::new(Boxed(error))
    }
}

impl AsRef<dyn StdError> for Error {
    fn as_ref(&self) -> &(dyn StdError + 'static) {
        self.as_std()
    }
}

/// The messages of an error, outermost first. See [`Error::chain`].
#[derive(Clone, Debug)]
pub struct Chain<'a> {
    next: Option<&'a (dyn StdError + 'static)>,
}

impl<'a> Iterator for Chain<'a> {
    type Item = &'a (dyn StdError + 'static);

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.next?;
        self.next = item.source();
        Some(item)
    }
}

/// Adds context to the error of a [`Result`], or makes an error of `None`.
pub trait Context<T>: sealed::Sealed {
    /// Adds `context`.
    ///
    /// # Errors
    ///
    /// The error, or none at all, in this context.
    fn context<C>(self, context: C) -> Result<T>
    where
        C: fmt::Display + fmt::Debug + Send + Sync + 'static;

    /// Adds what `context` returns; it is called only when there is an error.
    ///
    /// # Errors
    ///
    /// The error, or none at all, in this context.
    fn with_context<C, F>(self, context: F) -> Result<T>
    where
        C: fmt::Display + fmt::Debug + Send + Sync + 'static,
        F: FnOnce() -> C;
}

impl<T, E: sealed::IntoError> Context<T> for Result<T, E> {
    fn context<C>(self, context: C) -> Result<T>
    where
        C: fmt::Display + fmt::Debug + Send + Sync + 'static,
    {
        self.map_err(|error| error.into_error().context(context))
    }

    fn with_context<C, F>(self, context: F) -> Result<T>
    where
        C: fmt::Display + fmt::Debug + Send + Sync + 'static,
        F: FnOnce() -> C,
    {
        self.map_err(|error| error.into_error().context(context()))
    }
}

impl<T> Context<T> for Option<T> {
    fn context<C>(self, context: C) -> Result<T>
    where
        C: fmt::Display + fmt::Debug + Send + Sync + 'static,
    {
        self.ok_or_else(|| Error::msg(context))
    }

    fn with_context<C, F>(self, context: F) -> Result<T>
    where
        C: fmt::Display + fmt::Debug + Send + Sync + 'static,
        F: FnOnce() -> C,
    {
        self.ok_or_else(|| Error::msg(context()))
    }
}

mod sealed {
    use super::{Error, StdError};

    pub trait Sealed {}
    impl<T, E: IntoError> Sealed for Result<T, E> {}
    impl<T> Sealed for Option<T> {}

    /// [`Error`] itself and whatever converts into it.
    pub trait IntoError {
        fn into_error(self) -> Error;
    }

    impl<E: StdError + Send + Sync + 'static> IntoError for E {
        fn into_error(self) -> Error {
            Error::new(self)
        }
    }

    impl IntoError for Error {
        fn into_error(self) -> Error {
            self
        }
    }
}

/// What the macros call. Not part of the API.
#[doc(hidden)]
pub mod macros {
    use super::Error;
    #[doc(hidden)]
    pub use alloc::format;
    use core::fmt;

    // `format_err!(value)` keeps the type of a value that is an error, and
    // shows any other. Both traits have a method of the same name; look-up
    // finds that of `ErrorKind` first because it needs one reference less.

    /// Chosen for what converts into an error.
    pub trait ErrorKind {
        #[doc(hidden)]
        fn tepui_kind(&self) -> IsError {
            IsError
        }
    }

    impl<E: Into<Error>> ErrorKind for E {}

    /// Chosen for what can only be shown.
    pub trait MessageKind {
        #[doc(hidden)]
        fn tepui_kind(&self) -> IsMessage {
            IsMessage
        }
    }

    impl<M: fmt::Display + fmt::Debug + Send + Sync + 'static> MessageKind for &M {}

    /// Converts an error.
    #[derive(Debug)]
    pub struct IsError;

    impl IsError {
        #[doc(hidden)]
        #[cold]
        pub fn make<E: Into<Error>>(self, error: E) -> Error {
            error.into()
        }
    }

    /// Wraps a message.
    #[derive(Debug)]
    pub struct IsMessage;

    impl IsMessage {
        #[doc(hidden)]
        #[cold]
        pub fn make<M: fmt::Display + fmt::Debug + Send + Sync + 'static>(
            self,
            message: M,
        ) -> Error {
            Error::msg(message)
        }
    }
}

/// An [`Error`] from a format string and its arguments, or from a value.
#[macro_export]
macro_rules! format_err {
    ($message:literal $(,)?) => {
        $crate::Error::msg($crate::__macros::format!($message))
    };
    ($format:literal, $($argument:tt)*) => {
        $crate::Error::msg($crate::__macros::format!($format, $($argument)*))
    };
    ($value:expr $(,)?) => {{
        #[allow(unused_imports, reason = "one of the two is chosen")]
        use $crate::__macros::{ErrorKind as _, MessageKind as _};
        match $value {
            value => (&value).tepui_kind().make(value),
        }
    }};
}

/// Returns an [`Error`] made as [`format_err!`] makes it.
#[macro_export]
macro_rules! bail {
    ($($argument:tt)*) => {
        return ::core::result::Result::Err($crate::format_err!($($argument)*))
    };
}

/// Returns an [`Error`] when a condition does not hold.
#[macro_export]
macro_rules! ensure {
    ($condition:expr $(,)?) => {
        if !$condition {
            return ::core::result::Result::Err($crate::Error::msg(::core::concat!(
                "condition failed: `",
                ::core::stringify!($condition),
                "`"
            )));
        }
    };
    ($condition:expr, $($argument:tt)*) => {
        if !$condition {
            return ::core::result::Result::Err($crate::format_err!($($argument)*));
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtrace::{FrameInfo, WasmBacktrace};
    use tepui_abi::Trap;

    #[derive(Debug, PartialEq)]
    struct Exit(i32);

    impl fmt::Display for Exit {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "exit {}", self.0)
        }
    }

    impl StdError for Exit {}

    fn backtrace() -> WasmBacktrace {
        let frame = FrameInfo::new(Some("m"), 3, Some("f"), Some(0x1a3), 4);
        WasmBacktrace::new(vec![frame], 0)
    }

    fn assert_bounds<T: Send + Sync + 'static>() {}

    #[test]
    fn an_error_is_one_word_and_travels() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        assert_eq!(size_of::<Result<(), Error>>(), size_of::<usize>());
        assert_bounds::<Error>();
    }

    #[test]
    fn messages_stand_outermost_first() {
        let error = Error::from(Exit(3)).context("running").context("outer");
        assert_eq!(error.to_string(), "outer");
        assert_eq!(format!("{error:#}"), "outer: running: exit 3");
        assert_eq!(
            format!("{error:?}"),
            "outer\n\nCaused by:\n    0: running\n    1: exit 3"
        );
        let one = Error::from(Exit(3)).context("running");
        assert_eq!(format!("{one:?}"), "running\n\nCaused by:\n    exit 3");
        let chain: Vec<_> = error.chain().map(ToString::to_string).collect();
        assert_eq!(chain, ["outer", "running", "exit 3"]);
        assert_eq!(
            error.root_cause().downcast_ref::<Exit>(),
            Some(&Exit(3)),
            "the root is the value itself"
        );
    }

    #[test]
    fn a_backtrace_is_found_and_shown_but_is_no_message() {
        let error = Error::from(Trap::IntegerOverflow)
            .context(backtrace())
            .context("calling `run`");
        assert_eq!(
            format!("{error:#}"),
            "calling `run`: integer overflow",
            "the backtrace is no message"
        );
        let debug = format!("{error:?}");
        assert!(debug.starts_with("calling `run`\n\nCaused by:\n    integer overflow\n\nerror while executing at wasm backtrace:\n"), "{debug}");
        assert!(debug.contains("m!f"), "{debug}");
        assert_eq!(error.downcast_ref(), Some(&Trap::IntegerOverflow));
        assert_eq!(
            error
                .downcast_ref::<WasmBacktrace>()
                .unwrap()
                .frames()
                .len(),
            1
        );
        assert_eq!(error.downcast::<Trap>().unwrap(), Trap::IntegerOverflow);

        let bare = Error::from(Trap::IntegerOverflow).context(backtrace());
        assert_eq!(bare.to_string(), "integer overflow");
        assert_eq!(bare.chain().count(), 1);
        assert_eq!(bare.root_cause().to_string(), "integer overflow");
    }

    #[test]
    fn downcasts_find_contexts_and_give_the_error_back() {
        let mut error = Error::msg("inside").context(Exit(1)).context("outside");
        assert!(error.is::<Exit>() && error.is::<&str>() && !error.is::<Trap>());
        error.downcast_mut::<Exit>().unwrap().0 = 2;
        let error = error.downcast::<Trap>().unwrap_err();
        assert_eq!(format!("{error:#}"), "outside: exit 2: inside");
        assert_eq!(error.downcast_ref::<&str>(), Some(&"outside"));
        assert_eq!(error.downcast::<Exit>().unwrap(), Exit(2));
    }

    #[test]
    fn boxed_errors_keep_their_sources() {
        let boxed: Box<dyn StdError + Send + Sync> = Error::from(Exit(1)).context("why").into();
        assert_eq!(boxed.to_string(), "why");
        let error = Error::from_boxed(boxed).context("again");
        assert_eq!(format!("{error:#}"), "again: why: exit 1");
        assert!(error.chain().last().unwrap().is::<Exit>());
    }

    #[test]
    fn options_and_results_take_context() {
        let none: Option<u8> = None;
        assert_eq!(none.context("missing").unwrap_err().to_string(), "missing");
        let failed: Result<u8, Exit> = Err(Exit(9));
        let error = failed.with_context(|| format!("step {}", 2)).unwrap_err();
        assert_eq!(format!("{error:#}"), "step 2: exit 9");
        let own: Result<u8> = Err(error);
        assert_eq!(
            format!("{:#}", own.context("top").unwrap_err()),
            "top: step 2: exit 9"
        );
        let fine: Result<u8, Exit> = Ok(1);
        assert_eq!(fine.with_context(|| -> &str { unreachable!() }).unwrap(), 1);
    }

    #[test]
    fn macros_make_errors() {
        fn check(value: u32) -> Result<u32> {
            ensure!(value != 1);
            ensure!(value != 2, "value {value}");
            ensure!(value != 3, "value {} of {}", value, 9);
            if value == 4 {
                bail!(Exit(4));
            }
            if value == 5 {
                bail!(Error::from(Exit(5)).context("five"));
            }
            if value == 6 {
                let text = String::from("six {}");
                bail!(text);
            }
            Ok(value)
        }
        let text = |value| check(value).unwrap_err().to_string();
        assert_eq!(check(0).unwrap(), 0);
        assert_eq!(text(1), "condition failed: `value != 1`");
        assert_eq!(text(2), "value 2");
        assert_eq!(text(3), "value 3 of 9");
        assert!(check(4).unwrap_err().is::<Exit>());
        assert_eq!(format!("{:#}", check(5).unwrap_err()), "five: exit 5");
        assert_eq!(text(6), "six {}");
        assert!(check(6).unwrap_err().is::<String>());
    }

    #[test]
    fn a_chain_longer_than_the_stack_is_deep_can_be_dropped() {
        let mut error = Error::msg("root");
        for _ in 0..1_000_000 {
            error = error.context("level");
        }
        assert!(!error.is::<Exit>());
        assert_eq!(error.root_cause().to_string(), "root");
        drop(error);
    }
}
