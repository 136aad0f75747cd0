//! The lesson's program as several processes that MPI starts: the numbers of one, a killed process, and what is refused.
//!
//! `cargo lab test` runs this with the machine's MPI, or the one that it installs into `.venv`, and says where there is none.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and may print what it measured"
)]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Sums in another order, in f32, over the epochs of each part; measured at 6e-7.
const TOLERANCE: f64 = 5e-6;

/// The lesson on a few drawn pictures, seeded and in f32; 13 in steps of 6 leave a short last one.
const LESSON: &str =
    "--samples --weights seed:0 --device cpu --precision f32 --train 13 --validation 7 --batch 6";

/// `examples/lesson.rs`, built with the crate's feature `mpi`.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let status = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        // As `cargo lab test` builds, or the dependencies would be built once more.
        .args([
            "build",
            "--workspace",
            "--exclude",
            "engine",
            "--exclude",
            "kernel",
        ])
        .args(["--features", "evcxr_transfer/mpi", "--example", "lesson"])
        // The crate is optimised less than in programs, and built in half the time.
        .args(["--profile", "test"])
        .status();
    assert!(status.unwrap().success());
    let own = std::env::current_exe().unwrap();
    own.ancestors().nth(2).unwrap().join("examples/lesson")
});

/// The lesson as that many processes. `more` are arguments of all of them.
fn lesson(processes: usize, more: &str) -> Command {
    let mut command = mpirun();
    command.args(["-n", &processes.to_string()]).arg(&*PROGRAM);
    command
        .args(LESSON.split(' '))
        .args(more.split_whitespace());
    command
}

fn mpirun() -> Command {
    let mut command = Command::new("mpirun");
    command
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .envs([
            // Open MPI 4 and 5: more processes than cores, in containers too, whoever the user is there.
            ("OMPI_MCA_rmaps_base_oversubscribe", "1"),
            ("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe"),
            ("OMPI_MCA_btl_vader_single_copy_mechanism", "none"),
            ("OMPI_ALLOW_RUN_AS_ROOT", "1"),
            ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
            ("OMP_NUM_THREADS", "1"),
        ])
        .env("EVCXR_TRANSFER_DATA", common::repository("data"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn said(output: &Output) -> String {
    let both = [&output.stdout, &output.stderr];
    both.map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

/// The line of JSON that the first process ends with, and nobody else.
fn report(mut command: Command) -> Value {
    let output = command.output().expect("mpirun starts");
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut reports = text.lines().filter(|line| line.starts_with("{\""));
    let report = serde_json::from_str(reports.next().expect("a line of JSON")).unwrap();
    assert!(reports.next().is_none(), "the others are silent:\n{text}");
    report
}

fn numbers(report: &Value) -> Vec<f64> {
    let lists =
        ["loss", "train_acc", "val_loss", "val_acc"].map(|name| report[name].as_array().unwrap());
    lists
        .into_iter()
        .flatten()
        .map(|number| number.as_f64().unwrap())
        .collect()
}

fn assert_same(what: &str, found: &Value, expected: &Value) {
    let (found, expected) = (numbers(found), numbers(expected));
    assert_eq!(found.len(), expected.len());
    let pairs = found.iter().zip(&expected);
    let difference = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    println!("{what}: {difference:.1e} at most from one process");
    assert!(difference < TOLERANCE, "{what}: {found:?} and {expected:?}");
}

#[test]
#[ignore = "needs an MPI: cargo test --test mpi -- --ignored"]
fn the_lesson_of_several_processes_has_the_numbers_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let part_3 = "--part finetune --epochs 2";
    let alone = report(lesson(1, part_3));
    for processes in [2, 4] {
        let report = report(lesson(processes, part_3));
        assert_eq!(report["processes"], processes);
        assert_same(&format!("block 5 tuned by {processes}"), &report, &alone);
    }
    let part_1 = "--part features --epochs 5";
    let alone = report(lesson(1, part_1));
    let shards = folder.path().join("features");
    let sharded = format!("{part_1} --shards {}", shards.display());
    assert_same("a head by 2", &report(lesson(2, &sharded)), &alone);
    let written = |part: &str| std::fs::read_dir(shards.join(part)).unwrap().count();
    assert_eq!([written("train"), written("validation")], [2, 2]);
    // Read again by another number of them.
    assert_same("a head by 4", &report(lesson(4, &sharded)), &alone);
    assert_eq!(written("train"), 2);
}

/// The processes that another one has started.
fn children(of: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{of}/task/{of}/children"));
    let text = text.unwrap_or_default();
    text.split_whitespace()
        .map(|process| process.parse().unwrap())
        .collect()
}

/// Waits until `is` or a minute has passed.
fn wait_until(what: &str, mut is: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
    start.elapsed()
}

fn kill(process: u32) {
    let status = Command::new("kill")
        .args(["-9", &process.to_string()])
        .status();
    assert!(status.unwrap().success());
}

#[test]
#[ignore = "needs an MPI: cargo test --test mpi -- --ignored"]
fn a_killed_process_ends_the_others_and_the_run_goes_on_with_another_number() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("run.safetensors");
    let long = format!(
        "--part frozen --epochs 500 --checkpoint {}",
        place.display()
    );
    let mut run: Child = lesson(3, &long).spawn().unwrap();
    wait_until("an epoch with its checkpoint", || place.exists());
    let started = children(run.id());
    assert_eq!(started.len(), 3);
    kill(started[1]);
    let took = wait_until("the others end", || run.try_wait().unwrap().is_some());
    let output = run.wait_with_output().unwrap();
    let text = said(&output);
    println!("the others have ended after {:.1} s", took.as_secs_f64());
    assert!(!output.status.success());
    // Open MPI names the process by its rank and its computer.
    assert!(
        text.contains("rank 1") && text.contains("signal 9"),
        "{text}"
    );
    wait_until("nobody is left", || {
        started
            .iter()
            .all(|process| !Path::new(&format!("/proc/{process}")).exists())
    });

    let done = checkpointed(&place);
    let rest = format!(
        "--part frozen --epochs {} --resume {}",
        done + 1,
        place.display()
    );
    let resumed = report(lesson(2, &rest));
    let whole = report(lesson(1, &format!("--part frozen --epochs {}", done + 1)));
    assert_same("3 processes, then 2", &resumed, &whole);
}

/// How many epochs a checkpoint has.
fn checkpointed(place: &Path) -> usize {
    let model = evcxr_transfer::Classifier::load(place, evcxr_transfer::Device::Cpu).unwrap();
    model.history().epochs.len()
}

#[test]
#[ignore = "needs an MPI: cargo test --test mpi -- --ignored"]
fn what_cannot_be_one_run_is_refused_by_name() {
    // Two programs of one world, with different arguments.
    let mut differ = mpirun();
    for (number, seed) in ["1", "2"].into_iter().enumerate() {
        if number > 0 {
            differ.arg(":");
        }
        differ.args(["-n", "1"]).arg(&*PROGRAM);
        differ
            .args(LESSON.split(' '))
            .args(["--part", "frozen", "--epochs", "1", "--seed", seed]);
    }
    let output = differ.output().unwrap();
    let text = said(&output);
    assert!(
        !output.status.success() && text.contains("process 1 of 2 (on "),
        "{text}"
    );
    assert!(text.contains("seed: 2, and process 0"), "{text}");

    let output = lesson(4, "--part frozen --train 3").output().unwrap();
    let text = said(&output);
    assert!(!output.status.success(), "{text}");
    assert!(
        text.contains("training pictures for 4 processes: expected 4 or more"),
        "{text}"
    );

    // Processes that cannot hear each other, as srun without its PMI starts them.
    let mut deaf = Command::new(&*PROGRAM);
    let output = deaf.env("SLURM_STEP_NUM_TASKS", "2").output().unwrap();
    let text = said(&output);
    assert!(
        text.contains("2 that hear each other") && text.contains("--mpi=pmix"),
        "{text}"
    );
}
