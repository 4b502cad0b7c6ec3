//! How is a command line described? By tables of commands and options that the
//! parser, the help texts and the completion scripts are all made from.

/// A subcommand.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) name: &'static str,
    /// What it does, in one line without a full stop.
    pub(crate) summary: &'static str,
    /// What is to be said besides, paragraph by paragraph.
    pub(crate) details: &'static [&'static str],
    /// How it is called, one line for each way.
    pub(crate) usage: &'static [&'static str],
    /// What stands beside the options, if anything may.
    pub(crate) arguments: Option<Arguments>,
    /// The options, without `--help`, which every command has.
    pub(crate) groups: &'static [Group],
}

impl Command {
    /// All options of the command.
    pub(crate) fn options(&self) -> impl Iterator<Item = &'static Opt> + use<> {
        self.groups.iter().flat_map(|group| group.options)
    }
}

/// What stands beside the options of a command.
#[derive(Debug)]
pub(crate) struct Arguments {
    /// How help texts and errors write it.
    pub(crate) shown: &'static str,
    pub(crate) help: &'static str,
    pub(crate) number: Number,
    pub(crate) values: Values,
}

/// How many arguments there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    #[cfg_attr(
        not(any(feature = "compiler", feature = "completion")),
        allow(dead_code, reason = "only tests of this build take just one")
    )]
    One,
    OneAtMost,
    OneAtLeast,
    /// At least one. After the first nothing is an option any more: it is for the
    /// guest.
    OneAndTheGuests,
}

/// Options that are explained together.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) heading: &'static str,
    pub(crate) options: &'static [Opt],
}

/// The heading of options that have none of their own.
pub(crate) const OPTIONS: &str = "Options";

/// An option.
#[derive(Debug)]
pub(crate) struct Opt {
    /// The name, without `--`.
    pub(crate) long: &'static str,
    /// The short name, without `-`.
    pub(crate) short: Option<char>,
    /// What help texts and errors call its value; an option without is a flag.
    pub(crate) value: Option<&'static str>,
    pub(crate) times: Times,
    pub(crate) help: &'static str,
    #[cfg_attr(
        not(feature = "completion"),
        expect(dead_code, reason = "this build tells no shell")
    )]
    pub(crate) values: Values,
}

impl Opt {
    /// An option that may be given once, with any value.
    pub(crate) const fn new(long: &'static str, value: &'static str, help: &'static str) -> Opt {
        Opt {
            long,
            short: None,
            value: Some(value),
            times: Times::Once,
            help,
            values: Values::Any,
        }
    }

    /// An option without a value.
    pub(crate) const fn flag(long: &'static str, help: &'static str) -> Opt {
        Opt {
            value: None,
            ..Opt::new(long, "", help)
        }
    }

    /// The same, with a short name.
    pub(crate) const fn short(self, short: char) -> Opt {
        Opt {
            short: Some(short),
            ..self
        }
    }

    /// The same, as often as one likes, or not left out.
    pub(crate) const fn times(self, times: Times) -> Opt {
        Opt { times, ..self }
    }

    /// The same, with values of a kind.
    pub(crate) const fn values(self, values: Values) -> Opt {
        Opt { values, ..self }
    }

    /// The name and what stands for the value, as in `--fuel <N>`.
    pub(crate) fn shown(&self) -> String {
        match self.value {
            Some(value) => format!("--{} <{value}>", self.long),
            None => format!("--{}", self.long),
        }
    }
}

/// How often an option is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    /// At most once.
    Once,
    /// Any number of times.
    Many,
    /// Exactly once.
    #[cfg(feature = "compiler")]
    Needed,
}

/// What a shell offers as values.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Values {
    /// Nothing: only the user knows.
    Any,
    /// Files.
    Files,
    /// Directories.
    Directories,
    /// These words.
    Words(fn() -> Vec<&'static str>),
}
