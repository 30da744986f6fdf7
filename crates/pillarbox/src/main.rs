//! The `pillarbox` command: arguments in, exit code out.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use pillarbox::cli::{self, Cli, Command, ConfigArgs, DevArgs};
use pillarbox::config::{LogFormat, Report, Settings};
use pillarbox::dev::{self, Dev};
use pillarbox::signals::{Signal, Signals};
use pillarbox::telemetry::{self, Format};
use pillarbox::{Server, check, index, quota, server, sharing, user};
use tokio::runtime::{Builder, Runtime};
use tracing::error;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            let mut stderr = io::stderr().lock();
            // There is nowhere left to complain about a closed standard error.
            writeln!(stderr, "pillarbox: {}", explain(&error)).unwrap_or_default();
            ExitCode::FAILURE
        }
    }
}

/// Does what the arguments say.
fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Serve(args) => serve(&args),
        Command::Dev(args) => develop(&args),
        Command::Completions { shell } => {
            cli::completions(shell, &mut io::stdout().lock());
            Ok(ExitCode::SUCCESS)
        }
        Command::Man { dir } => {
            cli::man(dir.as_deref(), &mut io::stdout().lock())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Check(args) => Ok(check::run(&args.config)),
        Command::Index(command) => index::run(command),
        Command::Quota(command) => quota::run(&command),
        Command::Sharing(command) => sharing::run(&command),
        Command::User(command) => {
            user::run(command)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The error with its causes, as far as it does not name them itself.
fn explain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// `pillarbox serve`
fn serve(args: &ConfigArgs) -> Result<ExitCode> {
    let (settings, report) = check::settings_to_serve_by(&args.config);
    let level = settings.log.level.name();
    match settings.log.format {
        // For people, findings look as `check` shows them.
        LogFormat::Human => {
            complain(&report);
            telemetry::init(Format::Human, level)?;
        }
        LogFormat::Json => {
            telemetry::init(Format::Json, level)?;
            report.log();
        }
    }
    if report.has_errors() {
        return Ok(ExitCode::FAILURE);
    }
    let format = settings.log.format;
    match run_server(settings) {
        Err(error) if format == LogFormat::Json => {
            error!("{}", explain(&error));
            Ok(ExitCode::FAILURE)
        }
        ended => ended.map(|()| ExitCode::SUCCESS),
    }
}

/// Serves until a signal ends it.
fn run_server(settings: Settings) -> Result<()> {
    runtime()?.block_on(async {
        let mut signals = Signals::new()?;
        let server = Server::builder(settings).bind().await?;
        while signals.next().await == Signal::Reload {
            server.reload().await;
        }
        signals.finish(server.shutdown()).await;
        Ok(())
    })
}

/// Shows what a check found, if anything.
fn complain(report: &Report) {
    if !report.findings().is_empty() {
        // There is nowhere left to complain about a closed standard error.
        writeln!(io::stderr().lock(), "{report}").unwrap_or_default();
    }
}

/// `pillarbox dev`
fn develop(args: &DevArgs) -> Result<ExitCode> {
    let filter = match args.verbose {
        0 => "info",
        1 => "debug",
        _ => "trace",
    };
    telemetry::init(Format::Human, filter)?;
    let options = dev::Options {
        dir: args.dir.clone(),
        port_base: args.port_base,
        certs: args.certs.clone(),
        ..dev::Options::default()
    };
    runtime()?.block_on(async {
        let mut signals = Signals::new()?;
        let dev = dev::start(options).await.map_err(explain_dev)?;
        announce(&dev).context("standard output")?;
        while signals.next().await == Signal::Reload {
            dev.server().reload().await;
        }
        signals.finish(dev.shutdown()).await;
        Ok(ExitCode::SUCCESS)
    })
}

/// The error, and how to take other ports or another directory if they are what is wrong.
fn explain_dev(error: dev::Error) -> anyhow::Error {
    if let dev::Error::Server(server::Error::Bind { source, .. }) = &error
        && source.kind() == io::ErrorKind::AddrInUse
    {
        return anyhow!("{error} (`--port-base 0` takes free ones)");
    }
    if let dev::Error::Directory { source, .. } = &error
        && matches!(
            source.kind(),
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory
        )
    {
        return anyhow!("{error} (`--dir` takes a directory, or a path where one can be made)");
    }
    error.into()
}

/// Says where the server is: to people, and in the last line to programs.
fn announce(dev: &Dev) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(
        stdout,
        "Pillarbox is running. Settings for a mail client:\n"
    )?;
    writeln!(stdout, "{}", dev.settings_table())?;
    writeln!(stdout, "Stop it with Ctrl-C.")?;
    writeln!(stdout, "{}", dev.ready_line())?;
    stdout.flush()
}

/// The runtime of a server: with more threads than processors, as sessions read and write files on
/// them and some then wait for the disk. It may get so many more that all slices of work and
/// password checks that run at once can block; each costs memory until long after its use.
fn runtime() -> Result<Runtime> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Builder::new_multi_thread()
        .worker_threads(processors + 4)
        .max_blocking_threads(96 + 8 * processors)
        .enable_all()
        .thread_name("pillarbox")
        .build()
        .context("starting threads")
}
