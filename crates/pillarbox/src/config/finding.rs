//! What is wrong with a configuration, and how to mend it.

use std::fmt;
use std::path::{Path, PathBuf};

use tracing::{error, warn};

/// One thing that is wrong, or that should be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file that it is about.
    pub file: PathBuf,
    /// The line in it, from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub fix: String,
    /// The file and the line that made us look there.
    pub set_at: Option<(PathBuf, usize)>,
}

/// How bad a [`Finding`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The server does not start.
    Error,
    /// The server starts.
    Warning,
}

impl Finding {
    /// Something that must be mended.
    pub fn error(
        file: &Path,
        line: Option<usize>,
        problem: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Error,
            file: file.to_owned(),
            line,
            problem: problem.into(),
            fix: fix.into(),
            set_at: None,
        }
    }

    /// Something that should be known.
    pub fn warning(
        file: &Path,
        line: Option<usize>,
        problem: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(file, line, problem, fix)
        }
    }

    /// The same, found because of what `file` says on `line`.
    #[must_use]
    pub fn set_at(self, file: &Path, line: usize) -> Self {
        Self {
            set_at: Some((file.to_owned(), line)),
            ..self
        }
    }
}

impl fmt::Display for Finding {
    /// `error: FILE:LINE: PROBLEM`, and where that file was named and the fix on lines of their own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.problem)?;
        if let Some((file, line)) = &self.set_at {
            write!(f, "\n  set at {}:{line}", file.display())?;
        }
        write!(f, "\n  fix: {}", self.fix)
    }
}

impl Finding {
    /// Logs it as one event.
    fn log(&self) {
        let file = self.file.display();
        let set_at = self
            .set_at
            .as_ref()
            .map(|(file, line)| format!("{}:{line}", file.display()));
        let (line, set_at, fix) = (self.line, set_at.as_deref(), self.fix.as_str());
        match self.severity {
            Severity::Error => error!(%file, line, set_at, fix, "{}", self.problem),
            Severity::Warning => warn!(%file, line, set_at, fix, "{}", self.problem),
        }
    }
}

/// All findings of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    findings: Vec<Finding>,
}

impl Report {
    /// Adds a finding.
    pub fn push(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// The findings; those of the configuration come first and by line.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Whether anything must be mended.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// How many findings are so bad.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    }

    /// Logs each finding as one event.
    pub fn log(&self) {
        for finding in &self.findings {
            finding.log();
        }
    }

    /// Puts the findings in the order of their lines.
    pub(super) fn sort(&mut self) {
        self.findings.sort_by_key(|finding| finding.line);
    }
}

impl fmt::Display for Report {
    /// The findings, one after the other.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, finding) in self.findings.iter().enumerate() {
            if place > 0 {
                f.write_str("\n")?;
            }
            finding.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}
