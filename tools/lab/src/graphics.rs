//! What `cargo lab doctor` finds out about NVIDIA GPUs, their driver and libtorch's part for them.

use std::process::Command;

use checkout::place::Place;

use crate::finding::Finding;
use crate::libtorch;
use crate::programs;

/// The oldest NVIDIA driver for CUDA 13, which the wheel of torch 2.11.0 is built for.
const OLDEST_DRIVER_CUDA_13: u32 = 580;

/// Whether libtorch has its part for NVIDIA GPUs.
fn has_cuda(place: &Place) -> bool {
    libtorch::used(place).is_some_and(|folder| folder.join("lib/libtorch_cuda.so").is_file())
}

/// Looks for libtorch's part for NVIDIA GPUs.
pub fn torch_cuda(place: &Place) -> Finding {
    const TITLE: &str = "libtorch_cuda";
    if has_cuda(place) {
        return Finding::ok(TITLE, "present");
    }
    if matches!(graphics(), Graphics::None) {
        return Finding::ok(TITLE, "none, and there is no NVIDIA GPU that would need it");
    }
    Finding::warning(
        TITLE,
        "none: this libtorch computes on the CPU although there is an NVIDIA GPU",
        "use a libtorch with CUDA: `cargo lab setup` without LIBTORCH and --use-python installs one",
    )
}

/// The NVIDIA GPU of this machine.
enum Graphics {
    /// "NVIDIA H200, 580.65.06, 143771 MiB", one for each GPU.
    Cards(Vec<String>),
    /// A driver, but no answer from its tool.
    DriverOnly(String),
    None,
}

fn graphics() -> Graphics {
    let cards: Vec<String> = programs::answer(Command::new("nvidia-smi").args([
        "--query-gpu=name,driver_version,memory.total",
        "--format=csv,noheader",
    ]))
    .map(|text| text.lines().map(str::to_owned).collect())
    .unwrap_or_default();
    if !cards.is_empty() {
        return Graphics::Cards(cards);
    }
    match std::fs::read_to_string("/proc/driver/nvidia/version") {
        Ok(text) => Graphics::DriverOnly(text.lines().next().unwrap_or_default().to_owned()),
        Err(_) => Graphics::None,
    }
}

/// Whether there is a GPU that answers.
pub fn is_there() -> bool {
    matches!(graphics(), Graphics::Cards(_))
}

/// Looks for GPUs and asks whether their driver is new enough.
pub fn gpu(place: &Place) -> Finding {
    const TITLE: &str = "NVIDIA GPU";
    match graphics() {
        Graphics::None => Finding::ok(TITLE, "none: computations run on the CPU"),
        Graphics::DriverOnly(text) => Finding::warning(
            TITLE,
            format!("a driver without an answer from `nvidia-smi`: {text}"),
            "run `nvidia-smi` and see what it says; in a container, start it with access to the GPU",
        ),
        Graphics::Cards(cards) => {
            let text = cards.join("; ");
            let needs_13 = libtorch::used(place)
                .and_then(|folder| libtorch::cuda(&folder))
                .is_some_and(|version| version.starts_with("13."));
            let old = cards
                .iter()
                .find_map(|card| driver(card))
                .is_some_and(|major| major < OLDEST_DRIVER_CUDA_13);
            if needs_13 && old {
                return Finding::warning(
                    TITLE,
                    format!(
                        "{text}: the driver is too old for CUDA 13, so computations run on the CPU"
                    ),
                    "install NVIDIA driver 580 or newer",
                );
            }
            Finding::ok(TITLE, text)
        }
    }
}

/// 580 from "NVIDIA H200, 580.65.06, 143771 MiB".
fn driver(card: &str) -> Option<u32> {
    // From the right, because a card's name may hold commas.
    card.rsplit(", ").nth(1)?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_of_a_card_is_read() {
        assert_eq!(driver("NVIDIA H200, 580.65.06, 143771 MiB"), Some(580));
        assert_eq!(driver("Odd, Card, 535.1, 8 MiB"), Some(535));
        assert_eq!(driver("no devices"), None);
    }
}
