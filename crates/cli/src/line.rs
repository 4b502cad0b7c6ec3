//! What do the words of a command line mean, by the tables of the [`grammar`]? And
//! what was meant by those that mean nothing?
//!
//! [`grammar`]: crate::grammar

use crate::failure::Failure;
use crate::grammar::{Command, Number, Opt, Times};
use crate::help;
use crate::terminal::{Paint, Style};
use std::ffi::{OsStr, OsString};
use std::fmt::Write;

/// What a command line asks for.
#[derive(Debug)]
pub(crate) enum Line {
    /// To carry out a command.
    Do(&'static Command, Words),
    /// The help text of a command, or of all when none is named.
    Help(Option<&'static Command>, Detail),
    /// The version.
    Version,
}

/// The command that prints help texts.
pub(crate) const HELP: &str = "help";

/// How much help is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// `-h`.
    Short,
    /// `--help`.
    Long,
}

/// What was given to a command.
#[derive(Debug, Default)]
pub(crate) struct Words {
    /// The options in the order they were given in; the value of a flag is empty.
    pub(crate) options: Vec<(&'static Opt, OsString)>,
    pub(crate) arguments: Vec<OsString>,
}

/// A mistake in a command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    what: String,
    tip: Option<String>,
    usage: Option<String>,
}

impl Mistake {
    fn new(what: String) -> Mistake {
        Mistake {
            what,
            tip: None,
            usage: None,
        }
    }

    /// The value of an option, or an argument, is none that can be.
    pub(crate) fn value(of: &str, value: &OsStr, why: &str) -> Mistake {
        Mistake::new(format!(
            "invalid value '{}' for '{of}': {why}",
            value.display()
        ))
    }

    fn tip(mut self, tip: Option<String>) -> Mistake {
        self.tip = tip;
        self
    }

    fn usage(mut self, command: Option<&Command>) -> Mistake {
        self.usage = Some(help::usage(command, Style::stderr()));
        self
    }
}

impl From<Mistake> for Failure {
    fn from(mistake: Mistake) -> Failure {
        let style = Style::stderr();
        let mut text = mistake.what;
        if let Some(tip) = mistake.tip {
            let _ = write!(text, "\n\n  {} {tip}", style.paint(Paint::Good, "tip:"));
        }
        if let Some(usage) = mistake.usage {
            let _ = write!(text, "\n\n{}", usage.trim_end());
        }
        let help = style.paint(Paint::Literal, "--help");
        let _ = write!(text, "\n\nFor more information, try '{help}'.");
        Failure::Usage(text)
    }
}

/// Reads the words after the name of the program. Where the first names no command,
/// `default` is meant.
pub(crate) fn read(
    mut words: impl Iterator<Item = OsString>,
    commands: &'static [Command],
    default: &'static Command,
) -> Result<Line, Mistake> {
    let Some(first) = words.next() else {
        return Err(Mistake::new(String::new()));
    };
    let named = |name: &OsStr| commands.iter().find(|command| name == command.name);
    match first.to_str() {
        Some("-h") => return Ok(Line::Help(None, Detail::Short)),
        Some("--help") => return Ok(Line::Help(None, Detail::Long)),
        Some("-V" | "--version") => return Ok(Line::Version),
        _ => {}
    }
    let Some(command) = named(&first) else {
        return read_command(default, std::iter::once(first).chain(words));
    };
    let line = read_command(command, words)?;
    match line {
        Line::Do(command, words) if command.name == HELP => match words.arguments.first() {
            None => Ok(Line::Help(None, Detail::Long)),
            Some(name) => match named(name) {
                Some(command) => Ok(Line::Help(Some(command), Detail::Long)),
                None => {
                    let tip = similar(name, commands.iter().map(|command| command.name))
                        .map(|name| format!("a similar subcommand exists: '{name}'"));
                    let what = format!("unrecognized subcommand '{}'", name.display());
                    Err(Mistake::new(what).tip(tip).usage(None))
                }
            },
        },
        line => Ok(line),
    }
}

/// Reads what is given to a command.
fn read_command(
    command: &'static Command,
    words: impl Iterator<Item = OsString>,
) -> Result<Line, Mistake> {
    let mut words = words.peekable();
    let mut given = Words::default();
    let mut only_arguments = false;
    while let Some(word) = words.next() {
        let bytes = word.as_encoded_bytes();
        if only_arguments || !bytes.starts_with(b"-") || bytes == b"-" {
            let expected = command.arguments.as_ref().map(|all| all.number);
            match expected {
                Some(Number::OneAtLeast) => {}
                Some(Number::OneAndTheGuests) => only_arguments = true,
                Some(Number::One | Number::OneAtMost) if given.arguments.is_empty() => {}
                _ => return Err(unexpected(&word).usage(Some(command))),
            }
            given.arguments.push(word);
            continue;
        }
        if bytes == b"--" {
            only_arguments = true;
            continue;
        }
        let Some(text) = word.to_str() else {
            let what = format!("the option '{}' is not Unicode", word.display());
            let tip = "a value that is not is written as a word of its own".to_string();
            return Err(Mistake::new(what).tip(Some(tip)));
        };
        let (name, value) = split(text);
        let found = match name.strip_prefix("--") {
            Some(long) => command.options().find(|option| option.long == long),
            None => command
                .options()
                .find(|option| option.short == name.chars().nth(1)),
        };
        let Some(option) = found else {
            let detail = match name {
                "--help" => Detail::Long,
                "-h" => Detail::Short,
                _ => return Err(unknown(command, name)),
            };
            if let Some(value) = value {
                return Err(no_value(value, name).usage(Some(command)));
            }
            return Ok(Line::Help(Some(command), detail));
        };
        if option.times != Times::Many && given.options.iter().any(|(o, _)| o.long == option.long) {
            let what = format!(
                "the argument '{}' cannot be used multiple times",
                option.shown()
            );
            return Err(Mistake::new(what).usage(Some(command)));
        }
        let value = match (option.value, value) {
            (None, None) => OsString::new(),
            (None, Some(value)) => return Err(no_value(value, name).usage(Some(command))),
            (Some(_), Some(value)) => value.into(),
            (Some(_), None) => words.next_if(|next| !is_option(next)).ok_or_else(|| {
                let what = format!(
                    "a value is required for '{}' but none was supplied",
                    option.shown()
                );
                let tip = words.peek().map(|next| {
                    format!(
                        "to pass '{0}' as the value, write '{name}={0}'",
                        next.display()
                    )
                });
                Mistake::new(what).tip(tip)
            })?,
        };
        given.options.push((option, value));
    }
    match missing(command, &given) {
        missing if missing.is_empty() => Ok(Line::Do(command, given)),
        missing => {
            let mut what = "the following required arguments were not provided:".to_string();
            for name in missing {
                let _ = write!(what, "\n  {name}");
            }
            Err(Mistake::new(what).usage(Some(command)))
        }
    }
}

/// Whether a word would be read as an option.
fn is_option(word: &OsStr) -> bool {
    word.as_encoded_bytes().starts_with(b"-") && word != "-"
}

/// Splits an option with its value into both: `--name=value`, `-nvalue` or
/// `-n=value`.
fn split(word: &str) -> (&str, Option<&str>) {
    if word.starts_with("--") {
        return match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
    }
    let short = word.chars().nth(1).map_or(0, char::len_utf8);
    match word.split_at(1 + short) {
        (name, "") => (name, None),
        (name, value) => (name, Some(value.strip_prefix('=').unwrap_or(value))),
    }
}

/// What the command needs and was not given.
fn missing(command: &Command, given: &Words) -> Vec<String> {
    let mut missing = Vec::new();
    #[cfg(feature = "compiler")]
    for option in command.options() {
        if option.times == Times::Needed
            && !given.options.iter().any(|(o, _)| o.long == option.long)
        {
            missing.push(option.shown());
        }
    }
    if let Some(arguments) = &command.arguments
        && arguments.number != Number::OneAtMost
        && given.arguments.is_empty()
    {
        missing.push(arguments.shown.to_string());
    }
    missing
}

fn no_value(value: &str, name: &str) -> Mistake {
    Mistake::new(format!(
        "unexpected value '{value}' for '{name}' found; no more were expected"
    ))
}

fn unexpected(word: &OsStr) -> Mistake {
    Mistake::new(format!("unexpected argument '{}' found", word.display()))
}

/// The mistake that the command has no option `name`.
fn unknown(command: &'static Command, name: &str) -> Mistake {
    let like = name.strip_prefix("--").and_then(|long| {
        similar(
            OsStr::new(long),
            command.options().map(|option| option.long),
        )
    });
    let takes_arguments = command
        .arguments
        .as_ref()
        .is_some_and(|all| all.number != Number::OneAtMost);
    let tip = match like {
        Some(like) => Some(format!("a similar argument exists: '--{like}'")),
        None if takes_arguments => Some(format!(
            "to pass '{name}' as an argument, write '-- {name}'"
        )),
        None => None,
    };
    unexpected(OsStr::new(name)).tip(tip).usage(Some(command))
}

/// The name that was probably meant.
fn similar(word: &OsStr, names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let word = word.to_str()?;
    let names: Vec<_> = names.collect();
    let closest = names
        .iter()
        .map(|&name| (distance(word, name), name))
        .min_by_key(|&(distance, _)| distance);
    match closest {
        Some((distance, name)) if distance <= 1 + name.len() / 4 => Some(name),
        // The beginning of one name alone.
        _ => {
            let mut starts = names
                .into_iter()
                .filter(|name| word.len() > 1 && name.starts_with(word));
            starts.next().filter(|_| starts.next().is_none())
        }
    }
}

/// How many letters have to be added, taken away, replaced, or swapped with their
/// neighbours to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // Rows for one and for two letters of `a` less, and for as many as there are.
    let mut before = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let replaced = last[j] + usize::from(a[i] != b[j]);
            let mut least = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                let swapped: &Vec<usize> = &before;
                least = least.min(swapped[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

/// Whether a table is one that can be read by: for tests.
#[cfg(test)]
pub(crate) fn check(commands: &[Command]) {
    for (i, command) in commands.iter().enumerate() {
        assert!(commands[..i].iter().all(|c| c.name != command.name));
        assert!(!command.summary.ends_with('.'), "{}", command.name);
        assert!(!command.usage.is_empty(), "{}", command.name);
        let options: Vec<_> = command.options().collect();
        for (i, option) in options.iter().enumerate() {
            assert!(!option.long.is_empty() && option.long != "help");
            assert!(option.short != Some('h'), "{}", option.long);
            assert!(!option.help.ends_with('.'), "{}", option.long);
            for other in &options[..i] {
                assert_ne!(option.long, other.long, "{}", command.name);
                assert!(option.short.is_none() || option.short != other.short);
            }
        }
        if let Some(first) = command.groups.first() {
            assert_eq!(first.heading, crate::grammar::OPTIONS, "{}", command.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::{Arguments, Group, OPTIONS, Values};

    const OPTION: Group = Group {
        heading: OPTIONS,
        options: &[
            Opt::new("level", "N", "How deep").short('l'),
            Opt::new("name", "S", "Names").times(Times::Many),
            Opt::flag("fast", "Fast").short('f'),
        ],
    };
    const fn command(name: &'static str, number: Number) -> Command {
        Command {
            name,
            summary: "Does it",
            details: &[],
            usage: &["test"],
            arguments: Some(Arguments {
                shown: "<FILE>",
                help: "What",
                number,
                values: Values::Files,
            }),
            groups: &[OPTION],
        }
    }
    static COMMANDS: [Command; 4] = [
        command("guest", Number::OneAndTheGuests),
        command("many", Number::OneAtLeast),
        command("one", Number::One),
        command("help", Number::OneAtMost),
    ];

    fn line(words: &[&str]) -> Result<Line, Mistake> {
        let words: Vec<_> = words.iter().map(OsString::from).collect();
        read(words.into_iter(), &COMMANDS, &COMMANDS[0])
    }

    /// The command, its options and its arguments, as text.
    fn done(words: &[&str]) -> String {
        match line(words).expect("no mistake") {
            Line::Do(command, words) => {
                let mut text = command.name.to_string();
                for (option, value) in words.options {
                    let _ = write!(text, " {}={}", option.long, value.display());
                }
                text + &words.arguments.iter().fold(" :".to_string(), |text, word| {
                    format!("{text} {}", word.display())
                })
            }
            other => format!("{other:?}"),
        }
    }

    fn mistake(words: &[&str]) -> String {
        let mistake = line(words).expect_err("a mistake");
        format!("{} [{}]", mistake.what, mistake.tip.unwrap_or_default())
    }

    #[test]
    fn the_guest_gets_what_follows_its_file() {
        assert_eq!(done(&["a", "one"]), "guest : a one");
        assert_eq!(done(&["guest", "a", "-f", "--", "b"]), "guest : a -f -- b");
        assert_eq!(done(&["--", "-a", "--help"]), "guest : -a --help");
        assert_eq!(done(&["-l", "3", "-", "-l"]), "guest level=3 : - -l");
        assert_eq!(done(&["-f", "many"]), "guest fast= : many");
    }

    #[test]
    fn options_stand_anywhere_else() {
        assert_eq!(done(&["many", "a", "--level=3", "b"]), "many level=3 : a b");
        assert_eq!(done(&["many", "-l3", "--", "-f"]), "many level=3 : -f");
        assert_eq!(done(&["many", "-l=3", "a"]), "many level=3 : a");
        assert_eq!(
            done(&["many", "--name", "", "a", "--name=x=y"]),
            "many name= name=x=y : a"
        );
    }

    #[test]
    fn help_is_found_everywhere() {
        for (words, detail) in [
            (&["-h"][..], Detail::Short),
            (&["--help", "one"], Detail::Long),
            (&["help"], Detail::Long),
        ] {
            assert!(matches!(line(words), Ok(Line::Help(None, d)) if d == detail));
        }
        for words in [
            &["one", "--help"][..],
            &["help", "one"],
            &["one", "a", "-h"],
        ] {
            assert!(matches!(line(words), Ok(Line::Help(Some(c), _)) if c.name == "one"));
        }
        assert!(matches!(line(&["-V", "x"]), Ok(Line::Version)));
        assert!(
            matches!(line(&["help", "--help"]), Ok(Line::Help(Some(c), _)) if c.name == "help")
        );
    }

    #[test]
    fn mistakes_are_explained() {
        for (words, text) in [
            (&["many"][..], "not provided:\n  <FILE> []"),
            (&["one", "a", "b"], "unexpected argument 'b' found []"),
            (
                &["one", "--lvel", "3"],
                "'--lvel' found [a similar argument exists: '--level']",
            ),
            (
                &["one", "--lev=3"],
                "[a similar argument exists: '--level']",
            ),
            (
                &["one", "-x"],
                "'-x' found [to pass '-x' as an argument, write '-- -x']",
            ),
            (
                &["one", "--level"],
                "'--level <N>' but none was supplied []",
            ),
            (
                &["one", "--level", "-3"],
                "supplied [to pass '-3' as the value, write '--level=-3']",
            ),
            (
                &["one", "--level", "1", "-l2"],
                "'--level <N>' cannot be used multiple times",
            ),
            (
                &["one", "--fast=1", "a"],
                "unexpected value '1' for '--fast'",
            ),
            (
                &["one", "--help=1", "a"],
                "unexpected value '1' for '--help'",
            ),
            (
                &["help", "mnay"],
                "'mnay' [a similar subcommand exists: 'many']",
            ),
            (&["help", "rabbit"], "unrecognized subcommand 'rabbit' []"),
        ] {
            let found = mistake(words);
            assert!(found.contains(text), "{words:?}: {found}");
        }
        assert!(line(&[]).is_err());
    }

    #[test]
    fn distances() {
        for (a, b, apart) in [
            ("", "", 0),
            ("", "ab", 2),
            ("fuel", "fuel", 0),
            ("fule", "fuel", 1),
            ("fuels", "fuel", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!((distance(a, b), distance(b, a)), (apart, apart), "{a} {b}");
        }
    }
}
