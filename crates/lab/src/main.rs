//! lab: the workstation tool of sunup.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use lab::boot::{self, Booted, Options, Parts};
use lab::image::{self, Compress};
use lab::machine::End;
use lab::report::{self, Marks, Sizes};
use lab::runner::warden;
use lab::{
    bench, chart, disk, docs, inside, kernel, oci, package, picture, reference, release, suite,
    terminal, workspace,
};

/// Builds images of sunup and boots them.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Builds everything, boots it, and hands you the console
    Boot(Options),
    /// Makes an image: a newc cpio archive, the same bytes every time
    Image(Image),
    /// Makes a container image: an OCI image layout, the same bytes every time
    Oci(oci::Options),
    /// Makes what people install: for Debian, for rpm, for any Linux, and for containers
    Package(package::Options),
    /// Builds a small kernel from Debian's source package, once, and prints where it is
    Kernel(kernel::Options),
    /// Builds the busybox that sunup is compared with, and prints its directory
    Reference,
    /// Builds release binaries: of glibc and of musl, and for other machines
    Release(release::Options),
    /// Boots, and draws what took how long as a page to look at
    Chart(chart::Options),
    /// Writes the documents and the manual as a site of plain files
    Docs(docs::Options),
    /// Draws what a terminal shows of `sv`, for README.md
    Picture(picture::Options),
    /// Runs all tests, and installs what they need if it is root who asks
    Test(suite::Options),
    /// Measures performance beside other supervisors, and installs them if it is root who asks
    Bench(bench::Options),
    #[command(hide = true)]
    InsidePorter(Inside),
    #[command(hide = true)]
    InsideInit(Inside),
    #[command(hide = true)]
    InsideTest(Warden),
}

#[derive(Args)]
struct Image {
    #[command(flatten)]
    parts: Parts,
    /// Where to write it [default: sunup.cpio, with .gz or .zst, in the target directory's lab]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How to pack it
    #[arg(long, value_enum, default_value_t)]
    compress: Compress,
    /// Write a disk instead, an ext4 file system, for `cargo lab boot --disk`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["out", "compress", "initramfs", "stage1"])]
    disk: Option<PathBuf>,
    /// The size of the disk [default: twice what is on it, and 64 at least]
    #[arg(long, value_name = "MIB", requires = "disk")]
    size: Option<u64>,
    /// Make the initramfs that mounts a disk, instead of an image that is the whole system
    #[arg(long, conflicts_with_all = ["rootfs", "stage1"])]
    initramfs: bool,
}

/// What [`lab::enter`] tells the processes inside.
#[derive(Args)]
struct Inside {
    console: String,
    results: String,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// What the runner tells the warden of a test.
#[derive(Args)]
struct Warden {
    #[arg(allow_negative_numbers = true)]
    nice: i32,
    output: PathBuf,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Boot(options) => boot(&options),
        Command::Chart(options) => chart::run(&options),
        Command::Image(options) => make_image(&options),
        Command::Oci(options) => oci::make(&options),
        Command::Package(options) => package::run(&options),
        Command::Kernel(options) => {
            kernel::build(&options).map(|file| println!("{}", file.display()))
        }
        Command::Reference => {
            reference::busybox().map(|directory| println!("{}", directory.display()))
        }
        Command::Picture(options) => picture::run(&options),
        Command::Release(options) => release::run(&options),
        Command::Docs(options) => docs::run(&options),
        Command::Test(options) => match suite::run(&options) {
            Ok(true) => Ok(()),
            Ok(false) => return ExitCode::FAILURE,
            Err(e) => Err(e),
        },
        Command::Bench(options) => bench::run(&options),
        Command::InsidePorter(i) => inside::porter(&i.console, &i.results, &i.words),
        Command::InsideInit(i) => inside::init(&i.console, &i.results, &i.words),
        Command::InsideTest(w) => warden::run(w.nice, &w.output, &w.words),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("lab: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn make_image(options: &Image) -> Result<()> {
    if let Some(file) = &options.disk {
        let mib = disk::write(&options.parts.disk()?, file, options.size, image::mtime()?)?;
        println!("{}: {mib} MiB, UUID={}", file.display(), disk::UUID);
        return Ok(());
    }
    let tree = if options.initramfs {
        options.parts.initramfs()?
    } else {
        options.parts.tree()?
    };
    let archive = image::archive(&tree)?;
    let packed = image::pack(&archive, options.compress)?;
    let out = match &options.out {
        Some(path) => path.clone(),
        None => workspace::scratch()?.join(match options.compress {
            Compress::None => "sunup.cpio",
            Compress::Gzip => "sunup.cpio.gz",
            Compress::Zstd => "sunup.cpio.zst",
        }),
    };
    std::fs::write(&out, &packed).with_context(|| format!("write {}", out.display()))?;
    println!("{}: {} bytes", out.display(), packed.len());
    Ok(())
}

fn boot(options: &Options) -> Result<()> {
    let lab = std::env::current_exe().context("find lab's own binary")?;
    let Booted {
        mut machine,
        archive,
        host,
        kernel,
    } = boot::start(options, &lab)?;
    let mut marks = Marks::default();
    let end = if options.measure {
        boot::measure(&mut machine, &mut marks)?;
        None
    } else {
        eprintln!("lab: log in as root; `poweroff` ends the machine, Ctrl-A x pulls the plug");
        terminal::relay(&mut machine, &mut marks)?
    };
    drop(machine);
    if let Some(end @ (End::Failed(_) | End::Init(_))) = end {
        bail!("the machine {end}");
    }
    let gzip = image::pack(&archive, Compress::Gzip)?.len();
    let sizes = Sizes {
        raw: archive.len(),
        gzip,
    };
    let how = match end {
        Some(end) => end.to_string(),
        None if options.measure => "measured to the first login".into(),
        None => "the plug was pulled".into(),
    };
    print!(
        "{}",
        report::render(host, kernel.as_deref(), &marks, sizes, &how)
    );
    Ok(())
}
