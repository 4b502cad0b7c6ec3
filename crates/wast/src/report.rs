//! What did a script show? The counts per kind of directive and the failures.

use std::collections::BTreeMap;
use std::fmt;

/// The kinds of directive that a script consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DirectiveKind {
    /// `module` and `module definition`, `module instance`.
    Module,
    /// `register`.
    Register,
    /// `invoke` outside of an assertion.
    Invoke,
    /// `thread`, of the threads proposal.
    Thread,
    /// `wait`, of the threads proposal.
    Wait,
    /// `assert_return`.
    AssertReturn,
    /// `assert_trap`.
    AssertTrap,
    /// `assert_exhaustion`.
    AssertExhaustion,
    /// `assert_invalid`.
    AssertInvalid,
    /// `assert_malformed`.
    AssertMalformed,
    /// `assert_unlinkable`.
    AssertUnlinkable,
    /// `assert_exception`.
    AssertException,
    /// `assert_suspension`.
    AssertSuspension,
    /// `assert_invalid_custom`.
    AssertInvalidCustom,
    /// `assert_malformed_custom`.
    AssertMalformedCustom,
}

impl DirectiveKind {
    /// The keyword of the directive.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Module => "module",
            Self::Register => "register",
            Self::Invoke => "invoke",
            Self::Thread => "thread",
            Self::Wait => "wait",
            Self::AssertReturn => "assert_return",
            Self::AssertTrap => "assert_trap",
            Self::AssertExhaustion => "assert_exhaustion",
            Self::AssertInvalid => "assert_invalid",
            Self::AssertMalformed => "assert_malformed",
            Self::AssertUnlinkable => "assert_unlinkable",
            Self::AssertException => "assert_exception",
            Self::AssertSuspension => "assert_suspension",
            Self::AssertInvalidCustom => "assert_invalid_custom",
            Self::AssertMalformedCustom => "assert_malformed_custom",
        }
    }

    /// Whether this is one of the `assert_…` directives.
    pub const fn is_assertion(self) -> bool {
        !matches!(
            self,
            Self::Module | Self::Register | Self::Invoke | Self::Thread | Self::Wait
        )
    }
}

impl fmt::Display for DirectiveKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a directive did not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The script's text could not be parsed. Nothing of it ran.
    Parse,
    /// The directive was carried out and does not hold.
    Mismatch,
    /// The directive needs something that this build does not have.
    Unsupported,
    /// The runner or the engine panicked.
    Panic,
}

/// A directive that did not pass.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// The line, counted from 1, where the directive begins.
    pub line: usize,
    /// The column, in bytes counted from 1, where the directive begins.
    pub column: usize,
    /// The directive; `None` when the script could not be parsed.
    pub directive: Option<DirectiveKind>,
    /// The class of the failure.
    pub kind: FailureKind,
    /// What was expected and what happened, for a person. It may have several
    /// lines.
    pub message: String,
}

impl fmt::Display for Failure {
    /// `line:column: directive: message`, for a file name to stand before it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if let Some(directive) = self.directive {
            write!(f, "{directive}: ")?;
        }
        match self.kind {
            FailureKind::Parse => f.write_str("the script cannot be parsed: ")?,
            FailureKind::Unsupported => f.write_str("not supported: ")?,
            FailureKind::Panic => f.write_str("panic: ")?,
            FailureKind::Mismatch => {}
        }
        f.write_str(&self.message)
    }
}

/// How many directives of one kind passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Those that hold.
    pub passed: usize,
    /// Those that do not, unsupported ones included.
    pub failed: usize,
}

/// The outcome of one script, or of several merged.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// The name that was given for the script.
    pub name: String,
    /// Counts per kind of directive. A script that cannot be parsed has none.
    pub counts: BTreeMap<DirectiveKind, Count>,
    /// What did not pass, in the order in which it ran; failures inside of a
    /// `thread` directive stand where the thread was waited for.
    pub failures: Vec<Failure>,
}

impl Report {
    /// An empty report.
    pub fn new(name: impl Into<String>) -> Report {
        Report {
            name: name.into(),
            ..Report::default()
        }
    }

    /// Whether everything passed. An empty script passes.
    pub fn is_ok(&self) -> bool {
        self.failures.is_empty()
    }

    /// The number of directives that passed.
    pub fn passed(&self) -> usize {
        self.counts.values().map(|count| count.passed).sum()
    }

    /// The number of directives that failed, plus one if the script could not
    /// be parsed.
    pub fn failed(&self) -> usize {
        self.failures.len()
    }

    /// Passed and failed directives that are assertions.
    pub fn assertions(&self) -> Count {
        let mut sum = Count::default();
        for (kind, count) in &self.counts {
            if kind.is_assertion() {
                sum.passed += count.passed;
                sum.failed += count.failed;
            }
        }
        sum
    }

    /// Adds the counts and failures of `other`, whose name is dropped.
    pub fn merge(&mut self, other: Report) {
        for (kind, count) in other.counts {
            let sum = self.counts.entry(kind).or_default();
            sum.passed += count.passed;
            sum.failed += count.failed;
        }
        self.failures.extend(other.failures);
    }

    pub(crate) fn pass(&mut self, kind: DirectiveKind) {
        self.counts.entry(kind).or_default().passed += 1;
    }

    pub(crate) fn fail(&mut self, failure: Failure) {
        if let Some(kind) = failure.directive {
            self.counts.entry(kind).or_default().failed += 1;
        }
        self.failures.push(failure);
    }
}
