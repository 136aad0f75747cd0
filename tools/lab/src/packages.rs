//! The packages of `.venv`: those that notebooks need, and those that the tests need on top.
//!
//! A stamp in `.lab` says that they are complete. It is removed before they are touched and
//! written at the end, so that an interrupted run starts again where it was.

use checkout::say;
use checkout::stamp::Stamp;

use crate::choice;
use crate::disk;
use crate::pip;
use crate::python::Interpreter;
use crate::step::Plan;
use crate::trouble::{Result, Trouble};
use crate::venv;

/// torch 2.11.0 with its CUDA libraries: 4.7 GB in `.venv`, and 2 GB of downloads and temporary
/// files on the way.
const DISK_FOR_TORCH: u64 = 8_000_000_000;

/// The stamps of the two package steps.
const STAMP: &str = "setup.stamp";
const TEST_STAMP: &str = "test.stamp";

/// Whether those of `requirements.txt` are complete.
pub fn are_installed(plan: &Plan) -> bool {
    is_stamped(plan, STAMP) && (!plan.choice.is_wheel() || choice::wheel(plan.place).is_some())
}

/// Whether those of `requirements-test.txt` are complete, too.
pub fn are_installed_for_tests(plan: &Plan) -> bool {
    is_stamped(plan, TEST_STAMP)
}

/// Installs those of `requirements.txt`.
pub fn install(plan: &Plan) -> Result<()> {
    check_disk(plan)?;
    remove_stamps(plan)?;
    pip::renew(plan.place, &plan.place.venv(), &plan.lock)?;
    let list = write_list(plan, "requirements.txt")?;
    pip::install(plan.place, &plan.place.venv(), &plan.lock, &["-r", &list])?;
    write_stamp(plan, STAMP)
}

/// Installs those of `requirements-test.txt` on top.
pub fn install_for_tests(plan: &Plan) -> Result<()> {
    remove_stamp(plan, TEST_STAMP)?;
    if !plan.choice.is_wheel() && !venv::has_torch(plan.place) {
        return Err(Trouble::new(
            "the tests compare with PyTorch, and the chosen libtorch comes without it",
            "unset LIBTORCH, then `cargo lab clean` and `cargo lab test`; or choose a Python with \
             PyTorch 2.11: `cargo lab setup --use-python PATH`",
        ));
    }
    pip::renew(plan.place, &plan.place.venv(), &plan.lock)?;
    // Both lists, so that a package of the second cannot change a version of the first.
    let first = write_list(plan, "requirements.txt")?;
    let second = write_list(plan, "requirements-test.txt")?;
    pip::install(
        plan.place,
        &plan.place.venv(),
        &plan.lock,
        &["-r", &first, "-r", &second],
    )?;
    if !plan.choice.is_wheel() {
        // Without its dependencies, or pip would put a torch of its own beside the chosen one.
        let text = read(plan, "requirements-test.txt")?;
        for requirement in text.lines().filter(|line| name(line) == "torchvision") {
            pip::install(
                plan.place,
                &plan.place.venv(),
                &plan.lock,
                &["--no-deps", requirement],
            )?;
        }
    }
    write_stamp(plan, TEST_STAMP)
}

/// Refuses to start on a disk that will fill up. What an interrupted run has unpacked counts.
pub fn check_disk(plan: &Plan) -> Result<()> {
    if !plan.choice.is_wheel() || choice::wheel(plan.place).is_some() {
        return Ok(());
    }
    let Some(free) = disk::free(&plan.place.root) else {
        return Ok(());
    };
    let present = disk::used(&plan.place.venv());
    if free + present >= DISK_FOR_TORCH {
        return Ok(());
    }
    Err(Trouble::new(
        format!(
            "only {} are free here, and PyTorch needs {} while it is installed",
            say::size(free),
            say::size(DISK_FOR_TORCH - present)
        ),
        "make room, or set LIBTORCH to a libtorch 2.11 that you have already",
    ))
}

fn read(plan: &Plan, list: &str) -> Result<String> {
    let path = plan.place.root.join(list);
    std::fs::read_to_string(&path).map_err(|error| Trouble::file("read", &path, &error))
}

/// The requirements that are to be installed into `.venv`.
fn requirements(plan: &Plan, list: &str) -> Result<String> {
    let text = read(plan, list)?;
    if plan.choice.is_wheel() {
        return Ok(text);
    }
    Ok(text
        .lines()
        .filter(|line| !matches!(name(line), "torch" | "torchvision"))
        .map(|line| format!("{line}\n"))
        .collect())
}

/// The package that a line of requirements names.
fn name(line: &str) -> &str {
    line.split(['=', ';', ' ']).next().unwrap_or_default()
}

/// Writes the requirements into `.lab`; the answer is the path for pip.
fn write_list(plan: &Plan, list: &str) -> Result<String> {
    let path = plan.place.lab().join(list);
    std::fs::write(&path, requirements(plan, list)?)
        .map_err(|error| Trouble::file("write", &path, &error))?;
    // Relative to the root, in which pip runs: short, and free of letters that are not UTF-8.
    Ok(format!(".lab/{list}"))
}

/// Everything that the installed packages depend on.
fn stamp_text(plan: &Plan, stamp: &str) -> Option<String> {
    let version = Interpreter::ask(&plan.place.python())?.version;
    let mut text = format!(
        "Python {version}\n{}",
        requirements(plan, "requirements.txt").ok()?
    );
    if stamp == TEST_STAMP {
        text += &requirements(plan, "requirements-test.txt").ok()?;
    }
    Some(text)
}

fn stamp(plan: &Plan, name: &str) -> Stamp {
    Stamp::new(plan.place.lab().join(name))
}

fn is_stamped(plan: &Plan, name: &str) -> bool {
    stamp_text(plan, name).is_some_and(|text| stamp(plan, name).is(&text))
}

fn write_stamp(plan: &Plan, name: &str) -> Result<()> {
    let stamp = stamp(plan, name);
    let text = stamp_text(plan, name).unwrap_or_default();
    stamp
        .write(&text)
        .map_err(|error| Trouble::file("write", stamp.path(), &error))
}

fn remove_stamp(plan: &Plan, name: &str) -> Result<()> {
    let stamp = stamp(plan, name);
    stamp
        .remove()
        .map_err(|error| Trouble::file("remove", stamp.path(), &error))
}

/// Says that no packages are complete.
pub fn remove_stamps(plan: &Plan) -> Result<()> {
    remove_stamp(plan, STAMP)?;
    remove_stamp(plan, TEST_STAMP)
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn requirement_lines_give_their_package() {
        assert_eq!(name("torch==2.11.0"), "torch");
        assert_eq!(name("torchvision==0.26.0"), "torchvision");
        assert_eq!(name("numpy==2.4.6; python_version >= \"3.11\""), "numpy");
        assert_eq!(name("# torch"), "#");
        assert_eq!(name(""), "");
    }
}
