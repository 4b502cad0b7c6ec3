//! Runs one command and says what it took: wall time, processor time, peak memory.
//!
//! This file holds `unsafe`: the calls to `waitid`, `wait4` and `kill`, which the standard library lacks.
//!
//! The command is started by a small process of its own, this program again under the name [`LAUNCHER`]. The system
//! counts the memory of the process that starts a program into that program's peak, so that a bench with megabytes
//! of reference output in memory would be seen in every engine. The floor is the launcher's own peak, 2 to 3 MB.

use crate::error::{Context, Result};
use crate::guests::Folder;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// The chore that measures one command; not for people.
pub(crate) const LAUNCHER: &str = "__measure";

/// A command to run in the folder of the inputs.
#[derive(Debug)]
pub(crate) struct Job {
    /// The program and its arguments.
    pub(crate) command: Vec<OsString>,
    /// A file in the folder of the inputs; nothing is an empty input.
    pub(crate) stdin: Option<String>,
    /// Asks engines that use a pool of threads to use one.
    pub(crate) one_thread: bool,
    /// How long it may take before it is ended.
    pub(crate) timeout: Duration,
}

/// What a run took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    pub(crate) wall: Duration,
    pub(crate) user: Duration,
    pub(crate) system: Duration,
    /// Peak resident memory in bytes; 0 where the system does not say.
    pub(crate) peak: u64,
    /// The exit code; for a signal 128 and its number; [`TIMED_OUT`].
    pub(crate) status: i32,
}

/// The status of a run that was ended because it took too long.
pub(crate) const TIMED_OUT: i32 = -1;

/// A run: what it took, and where its output is until the next run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) sample: Sample,
    pub(crate) stdout: PathBuf,
    stderr: PathBuf,
}

impl Run {
    /// How the run ended, with the first line that it complained in.
    pub(crate) fn complaint(&self) -> String {
        let words = fs::read(&self.stderr).unwrap_or_default();
        let words = String::from_utf8_lossy(&words);
        let line = words
            .lines()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("it says nothing")
            .trim();
        let shown: String = line.chars().take(160).collect();
        match self.sample.status {
            TIMED_OUT => "it took too long".to_owned(),
            status => format!("exit code {status}: {shown}"),
        }
    }
}

/// Runs a job with an environment of nothing but a path, a home and an empty cache folder.
///
/// # Errors
///
/// When it cannot be started; how it ended is in the status.
pub(crate) fn run(job: &Job, folder: &Folder) -> Result<Run> {
    let (result, stdout, stderr) = (
        folder.at("run/result")?,
        folder.at("run/stdout")?,
        folder.at("run/stderr")?,
    );
    let cache = folder.at("run/cache")?;
    if cache.exists() {
        fs::remove_dir_all(&cache).at("cannot empty", &cache)?;
    }
    let stdin = job
        .stdin
        .as_ref()
        .map_or_else(|| "/dev/null".into(), |name| folder.inputs().join(name));
    let mut launcher = Command::new(std::env::current_exe().doing("cannot find this program")?);
    launcher
        .arg(LAUNCHER)
        .args([&result, &stdin, &stdout, &stderr])
        .arg(job.timeout.as_millis().to_string());
    launcher
        .args(&job.command)
        .current_dir(folder.inputs())
        .env_clear();
    for variable in ["PATH", "HOME", "SystemRoot"] {
        if let Some(value) = std::env::var_os(variable) {
            launcher.env(variable, value);
        }
    }
    launcher
        .env("LANG", "C")
        .env("XDG_CACHE_HOME", &cache)
        .env("WASMER_CACHE_DIR", &cache);
    if job.one_thread {
        launcher.env("RAYON_NUM_THREADS", "1");
    }
    let output = launcher.output().doing("cannot start the launcher")?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(words.trim().trim_start_matches("error: ").to_owned().into());
    }
    let text = fs::read_to_string(&result).at("cannot read", &result)?;
    let sample = Sample::parse(&text).ok_or_else(|| format!("the launcher wrote `{text}`"))?;
    Ok(Run {
        sample,
        stdout,
        stderr,
    })
}

impl Sample {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let mut number = || words.next()?.parse::<u64>().ok();
        let (wall, user, system, peak) = (number()?, number()?, number()?, number()?);
        Some(Self {
            wall: Duration::from_nanos(wall),
            user: Duration::from_nanos(user),
            system: Duration::from_nanos(system),
            peak,
            status: words.next()?.parse().ok()?,
        })
    }

    fn write(&self) -> String {
        let [wall, user, system] = [self.wall, self.user, self.system].map(|time| time.as_nanos());
        format!("{wall} {user} {system} {} {}\n", self.peak, self.status)
    }

    /// User and system time.
    pub(crate) fn cpu(&self) -> Duration {
        self.user + self.system
    }
}

/// The launcher: `RESULT STDIN STDOUT STDERR MILLISECONDS PROGRAM ARGS…`.
pub(crate) fn launch(args: &[String]) -> Result<ExitCode> {
    // Arguments are paths of our own making and of guests; all are UTF-8 as `std::env::args` insists.
    let [result, stdin, stdout, stderr, timeout, program, rest @ ..] = args else {
        return Err("this chore is started by the bench".into());
    };
    let open = |path: &str| File::open(path).at("cannot open", Path::new(path));
    let create = |path: &str| File::create(path).at("cannot write", Path::new(path));
    let mut command = Command::new(program);
    command
        .args(rest.iter().map(OsStr::new))
        .stdin(Stdio::from(open(stdin)?));
    command
        .stdout(Stdio::from(create(stdout)?))
        .stderr(Stdio::from(create(stderr)?));
    let timeout = Duration::from_millis(timeout.parse().doing("wrong timeout")?);
    let sample =
        child::measure(&mut command, timeout).doing(format_args!("cannot run {program}"))?;
    fs::write(result, sample.write()).at("cannot write", Path::new(result))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(unix)]
mod child {
    use super::{Command, Duration, Instant, Sample, TIMED_OUT};
    use std::io;
    use std::mem::MaybeUninit;
    use std::os::unix::process::CommandExt;
    use std::sync::mpsc::{self, RecvTimeoutError};

    /// Runs a command to its end, or ends it and all that it started after `timeout`.
    pub(super) fn measure(command: &mut Command, timeout: Duration) -> io::Result<Sample> {
        let start = Instant::now();
        let child = command.process_group(0).spawn()?;
        let id = child.id() as libc::pid_t;
        let (ended, wait) = mpsc::channel::<()>();
        let watch = std::thread::spawn(move || {
            let late = wait.recv_timeout(timeout) == Err(RecvTimeoutError::Timeout);
            if late {
                // SAFETY: `kill` touches no memory of this process. The group is the child's own: it has not been
                // reaped, because `wait4` below runs only after this thread was joined, so its number is not reused.
                unsafe { libc::kill(-id, libc::SIGKILL) };
            }
            late
        });
        let waited = wait_for_end(id);
        let wall = start.elapsed();
        // The thread may be gone already, having ended the child.
        let _ = ended.send(());
        let late = watch.join().unwrap_or(false);
        waited?;
        let mut sample = reap(id)?;
        sample.wall = wall;
        if late {
            sample.status = TIMED_OUT;
        }
        Ok(sample)
    }

    /// Waits until the child has ended and leaves it to be reaped.
    fn wait_for_end(id: libc::pid_t) -> io::Result<()> {
        loop {
            let mut info = MaybeUninit::<libc::siginfo_t>::uninit();
            // SAFETY: `info` is valid for the write of one `siginfo_t`; it is not read.
            let status = unsafe {
                libc::waitid(
                    libc::P_PID,
                    id as libc::id_t,
                    info.as_mut_ptr(),
                    libc::WEXITED | libc::WNOWAIT,
                )
            };
            if status == 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    fn reap(id: libc::pid_t) -> io::Result<Sample> {
        let mut status = 0;
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: both pointers are valid for the writes of one value each.
        let reaped = unsafe { libc::wait4(id, &mut status, 0, usage.as_mut_ptr()) };
        if reaped != id {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: all of `rusage` is numbers, for which the zeros that it began with are values as well.
        let usage = unsafe { usage.assume_init() };
        let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
        let unit = if cfg!(target_vendor = "apple") {
            1
        } else {
            1024
        };
        Ok(Sample {
            wall: Duration::ZERO,
            user: time(usage.ru_utime),
            system: time(usage.ru_stime),
            peak: usage.ru_maxrss as u64 * unit,
            status: if libc::WIFSIGNALED(status) {
                128 + libc::WTERMSIG(status)
            } else {
                libc::WEXITSTATUS(status)
            },
        })
    }
}

#[cfg(not(unix))]
mod child {
    use super::{Command, Duration, Instant, Sample, TIMED_OUT};
    use std::io;

    /// Runs a command to its end, or ends it after `timeout`. Processor time and memory are not known here.
    pub(super) fn measure(command: &mut Command, timeout: Duration) -> io::Result<Sample> {
        let start = Instant::now();
        let mut child = command.spawn()?;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status.code().unwrap_or(128);
            }
            if start.elapsed() > timeout {
                child.kill()?;
                child.wait()?;
                break TIMED_OUT;
            }
            std::thread::sleep(Duration::from_micros(200));
        };
        let wall = start.elapsed();
        Ok(Sample {
            wall,
            user: Duration::ZERO,
            system: Duration::ZERO,
            peak: 0,
            status,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Sample, TIMED_OUT};
    use std::time::Duration;

    #[test]
    fn samples_survive_the_file() {
        let sample = Sample {
            wall: Duration::from_nanos(1_234_567_890),
            user: Duration::from_micros(1_000_001),
            system: Duration::from_micros(3),
            peak: 5 << 20,
            status: TIMED_OUT,
        };
        assert_eq!(Sample::parse(&sample.write()), Some(sample));
        assert_eq!(Sample::parse("1 2 3"), None);
    }

    #[cfg(unix)]
    #[test]
    fn what_runs_too_long_is_ended() {
        let mut command = std::process::Command::new("sleep");
        let sample = super::child::measure(command.arg("60"), Duration::from_millis(50))
            .expect("sleep runs");
        assert_eq!(sample.status, TIMED_OUT);
        assert!(sample.wall < Duration::from_secs(30));
    }

    #[cfg(unix)]
    #[test]
    fn exit_codes_and_signals_are_told() {
        let status = |script: &str| {
            let mut command = std::process::Command::new("sh");
            super::child::measure(command.args(["-c", script]), Duration::from_secs(60))
                .expect("sh runs")
                .status
        };
        assert_eq!(status("exit 7"), 7);
        assert_eq!(status("kill -9 $$"), 137);
    }
}
