//! How does text look on a terminal? How wide it may be, and in which colours.

#[cfg(feature = "terminal")]
use std::io::IsTerminal;
#[cfg(feature = "terminal")]
use std::io::{self};

/// The widest that text is set, in columns, and how wide it is where there is no
/// terminal.
const WIDEST: usize = 100;

/// How wide text may be on stdout, in columns.
#[cfg(feature = "terminal")]
pub(crate) fn width() -> usize {
    // Of the terminal that stdout, stderr or stdin is.
    let width = terminal_size::terminal_size().map(|(terminal_size::Width(w), _)| w);
    match width.map(usize::from) {
        Some(width) if width > 0 => width.min(WIDEST),
        _ => WIDEST,
    }
}

/// How wide text may be; this build does not ask the terminal.
#[cfg(not(feature = "terminal"))]
pub(crate) fn width() -> usize {
    WIDEST
}

/// What a piece of text is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Paint {
    /// A headline.
    Heading,
    /// What is to be typed as it stands.
    Literal,
    /// What helps.
    Good,
    /// What went wrong.
    Error,
}

/// Whether a stream takes colours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    colours: bool,
}

impl Style {
    /// Text as it is.
    #[cfg(test)]
    pub(crate) const PLAIN: Style = Style { colours: false };

    /// For stdout.
    pub(crate) fn stdout() -> Style {
        Style {
            #[cfg(feature = "terminal")]
            colours: wanted() && io::stdout().is_terminal(),
            #[cfg(not(feature = "terminal"))]
            colours: false,
        }
    }

    /// For stderr.
    pub(crate) fn stderr() -> Style {
        Style {
            #[cfg(feature = "terminal")]
            colours: wanted() && io::stderr().is_terminal(),
            #[cfg(not(feature = "terminal"))]
            colours: false,
        }
    }

    /// The text as what it is.
    pub(crate) fn paint(self, paint: Paint, text: &str) -> String {
        let start = match paint {
            _ if !self.colours => return text.to_string(),
            Paint::Heading => "\x1b[1m\x1b[4m",
            Paint::Literal => "\x1b[1m",
            Paint::Good => "\x1b[32m",
            Paint::Error => "\x1b[1m\x1b[31m",
        };
        format!("{start}{text}\x1b[0m")
    }
}

/// Whether the user wants colours where there can be some: <https://no-color.org>.
/// Consoles of Windows would have to be switched to them.
#[cfg(feature = "terminal")]
fn wanted() -> bool {
    let is = |name: &str, value: &str| std::env::var_os(name).is_some_and(|v| v == value);
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !cfg!(windows) && !no_colour && !is("TERM", "dumb") && !is("CLICOLOR", "0")
}
