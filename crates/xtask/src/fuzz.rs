//! Coverage-guided fuzzing with the stable compiler.
//!
//! The sanitizer-coverage pass of LLVM is reachable through stable `-C` flags, and libFuzzer needs nothing else; so no
//! nightly toolchain and no further tool are needed. The fuzz crate is a workspace of its own, because these flags
//! must not touch the product's build.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use anyhow::{Context as _, bail, ensure};

use crate::Outcome;

const FLAGS: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions",
    "-Ccodegen-units=1",
    "--cfg=fuzzing",
];

/// One input that takes longer than this many seconds is a finding.
const INPUT_SECONDS: u32 = 10;
const MEMORY_MB: u32 = 2048;
/// Lines of a failed run's log that are shown.
const TAIL: usize = 40;

#[derive(Debug, PartialEq, Eq)]
struct Plan {
    seconds: u32,
    /// Empty means all.
    targets: Vec<String>,
}

/// Runs `cargo xtask fuzz` with the words that follow it.
pub(crate) fn run(root: &Path, words: &[&str]) -> anyhow::Result<Outcome> {
    let plan = parse(words)?;
    let home = root.join("tests/fuzz");
    let targets = choose(present(&home)?, &plan.targets)?;
    let binaries = build(&home, &targets)?;

    let mut outcome = Outcome::InOrder;
    for target in &targets {
        let run = Run::new(&home, target)?;
        let status = run.start(&binaries.join(target), plan.seconds)?;
        let log = run.log()?;
        if status.success() {
            let counts = Counts::read(&log);
            ensure!(counts.counters > 0, "{target}: built without coverage counters, so it would search blindly");
            println!("fuzz {target}: {} runs, {} edges reached, no finding", counts.runs, counts.edges);
        } else {
            outcome = Outcome::Found;
            println!("{}", tail(&log));
            println!("error: fuzz {target}: {status}; the input is the newest file in {}", run.artifacts.display());
            println!("hint: to repeat it: {} FILE", binaries.join(target).display());
        }
    }
    Ok(outcome)
}

fn parse(words: &[&str]) -> anyhow::Result<Plan> {
    let mut seconds = None;
    let mut targets = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "--seconds" => {
                let number = words.next().context("--seconds wants a number")?;
                seconds = Some(number.parse().with_context(|| format!("--seconds {number}"))?);
            }
            flag if flag.starts_with('-') => bail!("fuzz knows no {flag}"),
            target => targets.push(target.to_owned()),
        }
    }
    let seconds = seconds.context("fuzz wants --seconds N: for how long to run each target")?;
    // libFuzzer takes 0 for "without end".
    ensure!(seconds > 0, "--seconds must be at least 1");
    Ok(Plan { seconds, targets })
}

/// The targets that have a source file, in order.
fn present(home: &Path) -> anyhow::Result<Vec<String>> {
    let folder = home.join("targets");
    let mut targets = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            targets.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    ensure!(!targets.is_empty(), "no target in {}", folder.display());
    targets.sort();
    Ok(targets)
}

fn choose(present: Vec<String>, wanted: &[String]) -> anyhow::Result<Vec<String>> {
    if wanted.is_empty() {
        return Ok(present);
    }
    for target in wanted {
        ensure!(present.contains(target), "no target {target}; there are {}", present.join(", "));
    }
    Ok(wanted.to_vec())
}

/// Builds the targets and returns the folder that they are in.
fn build(home: &Path, targets: &[String]) -> anyhow::Result<PathBuf> {
    // Named even though it is the default: without it cargo gives the flags to build scripts and macros as well,
    // which do not link then.
    let platform = host()?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--release", "--target", &platform, "--manifest-path"])
        .arg(home.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(home.join("target"))
        .args(targets.iter().flat_map(|target| ["--bin", target]))
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"))
        .env_remove("RUSTFLAGS");
    if std::env::var_os("CI").is_some() {
        cargo.arg("--locked");
    }
    let status = cargo.status().context("cargo build")?;
    ensure!(status.success(), "the fuzz targets do not build");
    Ok(home.join("target").join(platform).join("release"))
}

fn host() -> anyhow::Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("rustc -vV")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}

/// Where one target's run reads and writes.
struct Run {
    corpus: PathBuf,
    seeds: PathBuf,
    artifacts: PathBuf,
    log: PathBuf,
}

impl Run {
    fn new(home: &Path, target: &str) -> anyhow::Result<Self> {
        let run = Self {
            corpus: home.join("corpus").join(target),
            seeds: home.join("seeds").join(target),
            artifacts: home.join("artifacts").join(target),
            log: home.join("artifacts").join(format!("{target}.log")),
        };
        for folder in [&run.corpus, &run.artifacts] {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        Ok(run)
    }

    fn start(&self, binary: &Path, seconds: u32) -> anyhow::Result<ExitStatus> {
        let log = File::create(&self.log).with_context(|| self.log.display().to_string())?;
        // libFuzzer writes what it finds into the first folder and only reads the second.
        let seeds = self.seeds.is_dir().then_some(&self.seeds);
        Command::new(binary)
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-rss_limit_mb={MEMORY_MB}"))
            .arg(format!("-timeout={INPUT_SECONDS}"))
            .arg(format!("-artifact_prefix={}/", self.artifacts.display()))
            .arg("-print_final_stats=1")
            .arg(&self.corpus)
            .args(seeds)
            .stdout(log.try_clone()?)
            .stderr(log)
            .status()
            .with_context(|| binary.display().to_string())
    }

    fn log(&self) -> anyhow::Result<String> {
        let bytes = fs::read(&self.log).with_context(|| self.log.display().to_string())?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// What libFuzzer's log says of a run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    /// Coverage counters compiled in.
    counters: u64,
    runs: u64,
    /// Edges reached.
    edges: u64,
}

impl Counts {
    fn read(log: &str) -> Self {
        let mut counts = Self::default();
        for line in log.lines() {
            if line.contains(" inline 8-bit counters)") {
                counts.counters += number_after(line, "(").unwrap_or(0);
            }
            if let Some(runs) = number_after(line, "stat::number_of_executed_units:") {
                counts.runs = runs;
            }
            if let Some(edges) = number_after(line, " cov: ") {
                counts.edges = edges;
            }
        }
        counts
    }
}

fn number_after(line: &str, mark: &str) -> Option<u64> {
    let rest = line.split_once(mark)?.1.trim_start();
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::{Counts, Plan, choose, parse, tail};

    fn refusal(words: &[&str]) -> String {
        parse(words).map_or_else(|error| error.to_string(), |plan| format!("{plan:?}"))
    }

    #[test]
    fn targets_and_seconds_come_in_any_order() -> anyhow::Result<()> {
        let plan = Plan { seconds: 10, targets: vec!["pack".to_owned(), "index".to_owned()] };
        assert_eq!(parse(&["pack", "--seconds", "10", "index"])?, plan);
        Ok(())
    }

    #[test]
    fn an_endless_run_is_refused() {
        assert_eq!(refusal(&["--seconds", "0"]), "--seconds must be at least 1");
        assert_eq!(refusal(&[]), "fuzz wants --seconds N: for how long to run each target");
        assert_eq!(refusal(&["--seconds"]), "--seconds wants a number");
        assert_eq!(refusal(&["--seconds", "-1"]), "--seconds -1");
    }

    #[test]
    fn an_unknown_flag_is_refused() {
        assert_eq!(refusal(&["--second", "10"]), "fuzz knows no --second");
    }

    #[test]
    fn an_unknown_target_is_refused_by_name() {
        let present = vec!["index".to_owned(), "pack".to_owned()];
        let refusal = choose(present, &["snap".to_owned()]).map_err(|error| error.to_string());
        assert_eq!(refusal, Err("no target snap; there are index, pack".to_owned()));
    }

    #[test]
    fn the_counts_come_from_the_last_lines_that_name_them() {
        let log = "INFO: Loaded 1 modules   (159 inline 8-bit counters): 159 [0x5, 0x6), \n\
                   #2\tINITED cov: 3 ft: 3 corp: 1/1b\n\
                   #9\tDONE   cov: 12 ft: 20 corp: 4/9b\n\
                   stat::number_of_executed_units: 122663\n";
        assert_eq!(Counts::read(log), Counts { counters: 159, runs: 122_663, edges: 12 });
    }

    #[test]
    fn a_build_without_counters_counts_none() {
        assert_eq!(Counts::read("INFO: Seed: 7\nDone 9 runs in 1 second(s)\n").counters, 0);
    }

    #[test]
    fn the_tail_is_the_end_of_the_log() {
        let log: String = (0..100).map(|n| format!("{n}\n")).collect();
        let tail = tail(&log);
        assert!(tail.starts_with("60\n") && tail.ends_with("\n99"), "{tail}");
    }
}
