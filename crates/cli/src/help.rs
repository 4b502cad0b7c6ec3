//! What does `--help` say? Everything that the tables know, laid out for the
//! terminal: with `-h` in columns, with `--help` at length.

use crate::grammar::{Command, Group, OPTIONS, Opt};
use crate::line::Detail;
use crate::terminal::{Paint, Style};
use std::fmt::Write;

/// A text that grows, as wide as may be.
struct Page {
    text: String,
    width: usize,
    style: Style,
}

/// An entry of a list: its name as it is shown, how many columns that takes, and
/// what there is to say.
struct Entry {
    name: String,
    columns: usize,
    about: String,
}

/// Where the explanations of a list in columns may begin at most.
const FURTHEST: usize = 36;

/// How far explanations are indented that stand below their names.
const BELOW: usize = 10;

/// How narrow explanations in columns may be.
const NARROWEST: usize = 20;

/// The help text of a command.
pub(crate) fn of_command(command: &Command, detail: Detail, width: usize, style: Style) -> String {
    let mut page = Page::new(width, style);
    match detail {
        Detail::Short => page.paragraph(0, command.summary),
        Detail::Long => {
            page.paragraph(0, &format!("{}.", command.summary));
            for paragraph in command.details {
                page.text.push('\n');
                page.paragraph(0, paragraph);
            }
        }
    }
    page.text.push('\n');
    page.text += &usage(Some(command), style);
    if let Some(arguments) = &command.arguments {
        let mut about = arguments.help.to_string();
        if let crate::grammar::Values::Words(words) = arguments.values {
            let _ = write!(about, " [possible values: {}]", words().join(", "));
        }
        page.list(
            "Arguments",
            detail,
            vec![Entry {
                name: arguments.shown.to_string(),
                columns: arguments.shown.len(),
                about,
            }],
        );
    }
    let help = Opt::flag(
        "help",
        match detail {
            Detail::Short => "Print help (see more with '--help')",
            Detail::Long => "Print help (see a summary with '-h')",
        },
    )
    .short('h');
    if command.groups.is_empty() {
        page.list(OPTIONS, detail, vec![entry(&help, style)]);
    }
    for Group { heading, options } in command.groups {
        let mut entries: Vec<_> = options.iter().map(|option| entry(option, style)).collect();
        if *heading == OPTIONS {
            entries.push(entry(&help, style));
        }
        page.list(heading, detail, entries);
    }
    page.text
}

/// The help text of the program.
pub(crate) fn of_program(
    about: &str,
    after: &str,
    commands: &[Command],
    width: usize,
    style: Style,
) -> String {
    let mut page = Page::new(width, style);
    page.paragraph(0, about);
    page.text.push('\n');
    page.text += &usage(None, style);
    page.list(
        "Commands",
        Detail::Short,
        commands
            .iter()
            .map(|command| Entry {
                name: style.paint(Paint::Literal, command.name),
                columns: command.name.len(),
                about: command.summary.to_string(),
            })
            .collect(),
    );
    page.list(
        OPTIONS,
        Detail::Short,
        vec![
            entry(&Opt::flag("help", "Print help").short('h'), style),
            entry(&Opt::flag("version", "Print version").short('V'), style),
        ],
    );
    let _ = write!(page.text, "\n{after}\n");
    page.text
}

/// The lines that say how a command is called; for none, how the program is.
pub(crate) fn usage(command: Option<&Command>, style: Style) -> String {
    let lines = match command {
        Some(command) => command.usage,
        None => &["tepui [run] [OPTIONS] FILE [ARGS]...", "tepui COMMAND ..."],
    };
    let mut text = String::new();
    for (i, line) in lines.iter().enumerate() {
        let heading = style.paint(Paint::Heading, "Usage:");
        let before = if i == 0 { &heading } else { "      " };
        let _ = writeln!(text, "{before} {line}");
    }
    text
}

fn entry(option: &Opt, style: Style) -> Entry {
    let shown = option.shown();
    let long = style.paint(Paint::Literal, &format!("--{}", option.long));
    let (short, comma) = match option.short {
        Some(short) => (style.paint(Paint::Literal, &format!("-{short}")), ", "),
        None => ("  ".to_string(), "  "),
    };
    let value = &shown[2 + option.long.len()..];
    Entry {
        columns: 4 + shown.len(),
        name: format!("{short}{comma}{long}{value}"),
        about: option.help.to_string(),
    }
}

impl Page {
    fn new(width: usize, style: Style) -> Page {
        Page {
            text: String::new(),
            width,
            style,
        }
    }

    /// Adds a headline and a list: in columns, or with each explanation below its
    /// name.
    fn list(&mut self, heading: &str, detail: Detail, entries: Vec<Entry>) {
        let heading = self.style.paint(Paint::Heading, &format!("{heading}:"));
        let _ = writeln!(self.text, "\n{heading}");
        let longest = entries.iter().map(|entry| entry.columns).max().unwrap_or(0);
        let mut column = (longest + 4).min(FURTHEST);
        if detail == Detail::Long || column + NARROWEST > self.width {
            column = BELOW;
        }
        for (i, entry) in entries.iter().enumerate() {
            if detail == Detail::Long && i > 0 {
                self.text.push('\n');
            }
            let _ = write!(self.text, "  {}", entry.name);
            let used = 2 + entry.columns;
            if detail == Detail::Long || used + 2 > column {
                self.text.push('\n');
                self.paragraph(column, &entry.about);
            } else {
                let _ = write!(self.text, "{:1$}", "", column - used);
                self.continued(column, column, &entry.about);
            }
        }
    }

    /// Adds a text on lines of its own, each with `indent` spaces before it.
    fn paragraph(&mut self, indent: usize, text: &str) {
        self.continued(0, indent, text);
    }

    /// Adds a text to a line that has `used` columns already; further lines begin
    /// with `indent` spaces.
    fn continued(&mut self, mut used: usize, indent: usize, text: &str) {
        for word in text.split(' ') {
            let columns = word.chars().count();
            if used > indent && used + 1 + columns > self.width {
                self.text.push('\n');
                used = 0;
            }
            match used {
                0 => {
                    let _ = write!(self.text, "{:indent$}", "");
                    used = indent;
                }
                used if used > indent => self.text.push(' '),
                _ => {}
            }
            self.text.push_str(word);
            used += columns + usize::from(used > indent);
        }
        self.text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::{Arguments, Number, Values};

    static COMMAND: Command = Command {
        name: "bake",
        summary: "Bake a cake",
        details: &["It takes flour, and some time."],
        usage: &["test bake [OPTIONS] <CAKE>", "test CAKE"],
        arguments: Some(Arguments {
            shown: "<CAKE>",
            help: "The cake that is to be baked",
            number: Number::One,
            values: Values::Words(|| vec!["round", "square"]),
        }),
        groups: &[
            Group {
                heading: OPTIONS,
                options: &[Opt::new("heat", "N", "How hot it is to be").short('t')],
            },
            Group {
                heading: "Rest",
                options: &[Opt::flag("a-rather-long-name-of-an-option", "No more")],
            },
        ],
    };

    #[test]
    fn in_columns() {
        let text = of_command(&COMMAND, Detail::Short, 40, Style::PLAIN);
        assert_eq!(
            text,
            "\
Bake a cake

Usage: test bake [OPTIONS] <CAKE>
       test CAKE

Arguments:
  <CAKE>  The cake that is to be baked
          [possible values: round,
          square]

Options:
  -t, --heat <N>  How hot it is to be
  -h, --help      Print help (see more
                  with '--help')

Rest:
      --a-rather-long-name-of-an-option
          No more
"
        );
    }

    #[test]
    fn at_length() {
        let text = of_command(&COMMAND, Detail::Long, 36, Style::PLAIN);
        assert!(text.starts_with("Bake a cake.\n\nIt takes flour, and some time.\n\nUsage: "));
        let options = text.split_once("Options:\n").expect("options").1;
        assert_eq!(
            options,
            "  -t, --heat <N>
          How hot it is to be

  -h, --help
          Print help (see a summary
          with '-h')

Rest:
      --a-rather-long-name-of-an-option
          No more
"
        );
    }

    #[test]
    fn of_all_commands() {
        let commands = std::slice::from_ref(&COMMAND);
        let text = of_program("Bakes", "See you.", commands, 100, Style::PLAIN);
        assert!(text.starts_with("Bakes\n\nUsage: tepui "), "{text}");
        assert!(text.contains("Commands:\n  bake  Bake a cake\n\nOptions:\n  -h, --help"));
        assert!(text.ends_with("  -V, --version  Print version\n\nSee you.\n"));
    }
}
