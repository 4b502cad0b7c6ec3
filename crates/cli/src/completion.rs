//! `tepui completion`: which script makes a shell complete the command line? One
//! that says, in the language of that shell, what the tables of commands know.

use crate::args::COMMANDS;
use crate::grammar::{Command, Number, Opt, Times, Values};
use crate::line::Mistake;
use crate::{Outcome, output};
use std::ffi::{OsStr, OsString};
use std::fmt::Write;

/// A shell that can complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shell {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

impl Shell {
    const ALL: [(&'static str, Shell); 5] = [
        ("bash", Shell::Bash),
        ("elvish", Shell::Elvish),
        ("fish", Shell::Fish),
        ("powershell", Shell::Powershell),
        ("zsh", Shell::Zsh),
    ];

    /// The shell that the first word names.
    pub(crate) fn of(words: &[OsString]) -> Result<Shell, Mistake> {
        let word = words.first().map_or(OsStr::new(""), OsString::as_os_str);
        let known = Shell::ALL.iter().find(|(name, _)| word == *name);
        known.map(|&(_, shell)| shell).ok_or_else(|| {
            let why = format!("there are {}", shells().join(", "));
            Mistake::value("<SHELL>", word, &why)
        })
    }
}

/// The names of all shells.
pub(crate) fn shells() -> Vec<&'static str> {
    Shell::ALL.iter().map(|&(name, _)| name).collect()
}

/// Prints the script for the shell.
pub(crate) fn completion(shell: Shell) -> Outcome {
    output::write(script(shell).as_bytes())
}

fn script(shell: Shell) -> String {
    let mut script = String::new();
    // A string can always be written to.
    let _ = match shell {
        Shell::Bash => bash(&mut script),
        Shell::Elvish => elvish(&mut script),
        Shell::Fish => fish(&mut script),
        Shell::Powershell => powershell(&mut script),
        Shell::Zsh => zsh(&mut script),
    };
    script
}

/// Every command has this option, and the tables do not list it.
const HELP_OPTION: Opt = Opt::flag("help", "Print help").short('h');

/// The option that stands in the place of a command.
const VERSION: Opt = Opt::flag("version", "Print version").short('V');

/// The options of a command, `--help` last.
fn options(command: &Command) -> impl Iterator<Item = &'static Opt> + use<> {
    command.options().chain(std::iter::once(&HELP_OPTION))
}

/// How an option is written: both names.
fn names(option: &Opt) -> Vec<String> {
    let short = option.short.map(|short| format!("-{short}"));
    let long = format!("--{}", option.long);
    short.into_iter().chain([long]).collect()
}

/// Each option that has a value, by each of its names behind the command's, as `run
/// --fuel`; and what its values are.
fn options_with_values() -> impl Iterator<Item = (String, Values)> {
    COMMANDS.iter().flat_map(|command| {
        options(command)
            .filter(|option| option.value.is_some())
            .flat_map(|option| names(option).into_iter().map(move |name| (name, option)))
            .map(|(name, option)| (format!("{} {name}", command.name), option.values))
    })
}

/// What can stand beside the options of a command.
fn arguments(command: &Command) -> Values {
    match &command.arguments {
        Some(arguments) => arguments.values,
        None => Values::Any,
    }
}

/// A text in single quotes, for shells where two of them stand for one inside.
fn doubled(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn all_names() -> Vec<&'static str> {
    COMMANDS.iter().map(|command| command.name).collect()
}

fn bash(to: &mut String) -> std::fmt::Result {
    let reply = |to: &mut String, values: Values| match values {
        // Files, by what `complete` says below.
        Values::Files => writeln!(to, "return ;;"),
        Values::Any => writeln!(to, "compopt +o default; return ;;"),
        Values::Directories => writeln!(to, "compopt -o dirnames +o default; return ;;"),
        Values::Words(words) => writeln!(to, "words='{}' ;;", words().join(" ")),
    };
    writeln!(
        to,
        "\
_tepui() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} command=run words=
    COMPREPLY=()
    # `--option=value` comes as three words.
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]]; then
        prev=${{COMP_WORDS[COMP_CWORD-2]}}
    fi
    if (( COMP_CWORD > 1 )); then
        case ${{COMP_WORDS[1]}} in
            {}) command=${{COMP_WORDS[1]}} ;;
        esac
    fi
    case $command,$prev in",
        all_names().join("|")
    )?;
    for command in COMMANDS {
        for option in options(command).filter(|option| option.value.is_some()) {
            let patterns: Vec<_> = names(option)
                .iter()
                .map(|name| format!("{},{name}", command.name))
                .collect();
            write!(to, "        {}) ", patterns.join("|"))?;
            reply(to, option.values)?;
        }
    }
    writeln!(
        to,
        "    esac
    if [[ -z $words ]]; then
        case $command,$cur in"
    )?;
    for command in COMMANDS {
        let options: Vec<_> = options(command).flat_map(names).collect();
        let options = options.join(" ");
        writeln!(to, "            {},-*) words='{options}' ;;", command.name)?;
        if command.arguments.is_some() && !matches!(arguments(command), Values::Files) {
            write!(to, "            {},*) ", command.name)?;
            reply(to, arguments(command))?;
        }
    }
    writeln!(
        to,
        "        esac
        if (( COMP_CWORD == 1 )); then
            case $cur in
                -*) words+=' {}' ;;
                *) words='{}' ;;
            esac
        fi
    fi
    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))
    if (( COMP_CWORD == 1 )) && [[ $cur != -* ]]; then
        compopt -o filenames
        local IFS=$'\\n'
        COMPREPLY+=($(compgen -f -- \"$cur\"))
    fi
}}
complete -o bashdefault -o default -F _tepui tepui",
        names(&VERSION).join(" "),
        all_names().join(" ")
    )
}

fn zsh(to: &mut String) -> std::fmt::Result {
    /// A text inside a specification in single quotes.
    fn quoted(text: &str) -> String {
        let mut quoted = String::new();
        for c in text.chars() {
            match c {
                '\'' => quoted.push_str("'\\''"),
                '[' | ']' | ':' | '\\' => quoted.extend(['\\', c]),
                '`' => quoted.push_str("\\`"),
                _ => quoted.push(c),
            }
        }
        quoted
    }
    fn values(values: Values) -> String {
        match values {
            Values::Any => " ".to_string(),
            Values::Files => "_files".to_string(),
            Values::Directories => "_files -/".to_string(),
            Values::Words(words) => format!("({})", quoted(&words().join(" "))),
        }
    }
    let specification = |option: &Opt, name: &str| {
        let help = quoted(option.help);
        let many = if option.times == Times::Many { "*" } else { "" };
        let both = names(option).join(" ");
        let others = match many {
            "" => format!("({both})"),
            _ => String::new(),
        };
        match option.value {
            None => format!("'{others}{many}{name}[{help}]'"),
            Some(value) => {
                let glued = if name.starts_with("--") { "=" } else { "+" };
                let (value, action) = (quoted(value), values(option.values));
                format!("'{others}{many}{name}{glued}[{help}]:{value}:{action}'")
            }
        }
    };
    writeln!(
        to,
        "\
#compdef tepui

_tepui_command() {{
    case $1 in"
    )?;
    for command in COMMANDS {
        writeln!(
            to,
            "        {})\n            _arguments -s \\",
            command.name
        )?;
        for option in options(command) {
            for name in names(option) {
                writeln!(to, "                {} \\", specification(option, &name))?;
            }
        }
        let action = values(arguments(command));
        match command.arguments.as_ref().map(|all| all.number) {
            None => writeln!(to, "                ;;")?,
            Some(Number::One | Number::OneAtMost) => {
                writeln!(to, "                '1: :{action}'\n            ;;")?;
            }
            Some(Number::OneAtLeast) => {
                writeln!(to, "                '*: :{action}'\n            ;;")?;
            }
            Some(Number::OneAndTheGuests) => {
                writeln!(
                    to,
                    "                '1: :{action}' '*:: :_files'\n            ;;"
                )?;
            }
        }
    }
    writeln!(
        to,
        "    esac
}}

_tepui() {{
    local -a commands=("
    )?;
    for command in COMMANDS {
        let summary = quoted(command.summary);
        writeln!(to, "        '{}:{summary}'", command.name)?;
    }
    writeln!(
        to,
        "    )
    if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then
        _describe command commands
        _files
        return
    fi
    if (( CURRENT == 2 )); then
        compadd -- {}
    fi
    case $words[2] in
        {})
            local command=$words[2]
            shift words
            (( CURRENT-- ))
            _tepui_command $command ;;
        *)
            _tepui_command run ;;
    esac
}}

if [[ $funcstack[1] == _tepui ]]; then
    _tepui \"$@\"
else
    compdef _tepui tepui
fi",
        names(&VERSION).join(" "),
        all_names().join("|")
    )
}

fn fish(to: &mut String) -> std::fmt::Result {
    let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
    let values = |values: Values| match values {
        Values::Any => "-x".to_string(),
        Values::Files => "-r -F".to_string(),
        Values::Directories => "-x -a '(__fish_complete_directories)'".to_string(),
        Values::Words(words) => format!("-x -a '{}'", words().join(" ")),
    };
    writeln!(
        to,
        "\
function __tepui_is
    set -l words (commandline -opc)
    set -l command run
    if set -q words[2]; and contains -- $words[2] {}
        set command $words[2]
    end
    test $command = $argv[1]
end

function __tepui_first
    test (count (commandline -opc)) -eq 1
end
",
        all_names().join(" ")
    )?;
    let line = |to: &mut String, condition: &str, option: &Opt| {
        write!(to, "complete -c tepui -n '{condition}' -l {}", option.long)?;
        if let Some(short) = option.short {
            write!(to, " -s {short}")?;
        }
        if option.value.is_some() {
            write!(to, " {}", values(option.values))?;
        }
        writeln!(to, " -d {}", quoted(option.help))
    };
    line(to, "__tepui_first", &VERSION)?;
    for command in COMMANDS {
        let condition = format!("__tepui_is {}", command.name);
        writeln!(
            to,
            "complete -c tepui -n __tepui_first -a {} -d {}",
            command.name,
            quoted(command.summary)
        )?;
        match (&command.arguments, arguments(command)) {
            (Some(_), Values::Files) => {}
            (_, values) => {
                write!(to, "complete -c tepui -n '{condition}' -f")?;
                if let Values::Words(words) = values {
                    write!(to, " -a '{}'", words().join(" "))?;
                }
                writeln!(to)?;
            }
        }
        for option in options(command) {
            line(to, &condition, option)?;
        }
    }
    Ok(())
}

fn powershell(to: &mut String) -> std::fmt::Result {
    let result = |to: &mut String, indent: usize, text: &str, kind: &str, help: &str| {
        let (text, help) = (doubled(text), doubled(help));
        writeln!(
            to,
            "{:indent$}[CompletionResult]::new({text}, {text}, [CompletionResultType]::{kind}, {help})",
            ""
        )
    };
    writeln!(
        to,
        "\
using namespace System.Management.Automation

Register-ArgumentCompleter -Native -CommandName tepui -ScriptBlock {{
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = @($commandAst.CommandElements | ForEach-Object {{ $_.ToString() }})
    # What stands before the word that is completed.
    if ($wordToComplete -ne '' -and $words.Count -gt 1) {{
        $words = @($words[0..($words.Count - 2)])
    }}
    $command = 'run'
    if ($words.Count -gt 1 -and $words[1] -cin {}) {{
        $command = $words[1]
    }}
    $completions = @(switch -CaseSensitive (\"$command $($words[-1])\") {{",
        all_names()
            .iter()
            .map(|name| doubled(name))
            .collect::<Vec<_>>()
            .join(", ")
    )?;
    for (key, values) in options_with_values() {
        let key = doubled(&key);
        match values {
            Values::Words(words) => {
                writeln!(to, "        {key} {{")?;
                for word in words() {
                    result(to, 12, word, "ParameterValue", word)?;
                }
                writeln!(to, "            break\n        }}")?;
            }
            // Nothing, which is to say files.
            _ => writeln!(to, "        {key} {{ break }}")?,
        }
    }
    writeln!(
        to,
        "        default {{
            if ($words.Count -eq 1) {{"
    )?;
    for command in COMMANDS {
        result(to, 16, command.name, "ParameterValue", command.summary)?;
    }
    for name in names(&VERSION) {
        result(to, 16, &name, "ParameterName", VERSION.help)?;
    }
    writeln!(
        to,
        "            }}
            switch -CaseSensitive ($command) {{"
    )?;
    for command in COMMANDS {
        writeln!(to, "                {} {{", doubled(command.name))?;
        for option in options(command) {
            for name in names(option) {
                result(to, 20, &name, "ParameterName", option.help)?;
            }
        }
        if let Values::Words(words) = arguments(command) {
            for word in words() {
                result(to, 20, word, "ParameterValue", word)?;
            }
        }
        writeln!(to, "                }}")?;
    }
    writeln!(
        to,
        "            }}
        }}
    }})
    $completions.Where{{ $_.CompletionText -like \"$wordToComplete*\" }}
}}"
    )
}

fn elvish(to: &mut String) -> std::fmt::Result {
    let candidate = |to: &mut String, indent: usize, word: &str, help: &str| {
        let (word, help) = (doubled(word), doubled(help));
        writeln!(to, "{:indent$}cand {word} {help}", "")
    };
    writeln!(
        to,
        "\
set edit:completion:arg-completer[tepui] = {{|@words|
    fn cand {{|word help|
        edit:complex-candidate $word &display=$word' '$help
    }}
    var command = run
    if (and (> (count $words) 2) (has-value [{}] $words[1])) {{
        set command = $words[1]
    }}
    var values = [",
        all_names().join(" ")
    )?;
    for (key, values) in options_with_values() {
        let key = doubled(&key);
        match values {
            Values::Words(words) => {
                writeln!(to, "        &{key}= {{|word|")?;
                for word in words() {
                    writeln!(to, "            put {}", doubled(word))?;
                }
                writeln!(to, "        }}")?;
            }
            Values::Files | Values::Directories => writeln!(
                to,
                "        &{key}= {{|word| edit:complete-filename $word }}"
            )?,
            Values::Any => writeln!(to, "        &{key}= {{|word| }}")?,
        }
    }
    writeln!(to, "    ]\n    var commands = [")?;
    for command in COMMANDS {
        writeln!(to, "        &{}= {{|word|", command.name)?;
        for option in options(command) {
            for name in names(option) {
                candidate(to, 12, &name, option.help)?;
            }
        }
        match arguments(command) {
            Values::Files | Values::Directories => {
                writeln!(to, "            edit:complete-filename $word")?;
            }
            Values::Words(words) => {
                for word in words() {
                    writeln!(to, "            put {}", doubled(word))?;
                }
            }
            Values::Any => {}
        }
        writeln!(to, "        }}")?;
    }
    writeln!(
        to,
        "    ]
    var before = $command' '$words[-2]
    if (has-key $values $before) {{
        $values[$before] $words[-1]
    }} else {{
        if (== (count $words) 2) {{"
    )?;
    for command in COMMANDS {
        candidate(to, 12, command.name, command.summary)?;
    }
    for name in names(&VERSION) {
        candidate(to, 12, &name, VERSION.help)?;
    }
    writeln!(
        to,
        "        }}
        $commands[$command] $words[-1]
    }}
}}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_names_every_command_and_option() {
        for (shell, kind) in Shell::ALL {
            let script = script(kind);
            for command in COMMANDS {
                // What stands alone in the script, and not inside of another word.
                let has = |word: &str| {
                    script
                        .split(|c: char| !c.is_alphanumeric() && c != '-')
                        .any(|part| part == word)
                };
                assert!(has(command.name), "{shell}: {}", command.name);
                for option in options(command) {
                    for name in names(option) {
                        let written = match kind {
                            Shell::Fish => name.trim_start_matches('-'),
                            _ => &name,
                        };
                        assert!(has(written), "{shell}: {} {name}", command.name);
                    }
                }
            }
            for (key, values) in options_with_values() {
                if let Values::Words(words) = values {
                    let missing = words().into_iter().find(|word| !script.contains(word));
                    assert_eq!(missing, None, "{shell}: {key}");
                }
            }
        }
    }
}
