//! What a measurement was made on: the processor and what it computes with, the GPU, the day.

use std::process::Command;

use crate::programs;

/// The sets of instructions that decide how fast convolutions are, as Linux calls them.
const DECIDING: [&str; 5] = ["avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile"];

/// The machine, in words.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hardware {
    /// "AMD EPYC-Milan Processor"
    pub processor: String,
    /// Those of [`DECIDING`] that it has.
    pub instructions: Vec<String>,
    /// How many cores this program may use.
    pub cores: usize,
    /// "NVIDIA H100 80GB HBM3, 580.65.06, 81559 MiB"; none without its driver.
    pub gpu: Option<String>,
}

impl Hardware {
    /// Looks at this machine.
    pub fn look() -> Self {
        let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let (processor, instructions) = processor(&text);
        let asked = "--query-gpu=name,driver_version,memory.total";
        let gpu =
            programs::answer(Command::new("nvidia-smi").args([asked, "--format=csv,noheader"]));
        Self {
            processor: processor.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            instructions,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            gpu: gpu.and_then(|text| text.lines().next().map(str::to_owned)),
        }
    }

    /// Whether its processor computes in bf16; others imitate it, slowly.
    pub fn has_bf16(&self) -> bool {
        let is_bf16 = |name: &String| name.ends_with("_bf16");
        self.instructions.iter().any(is_bf16)
    }

    /// "AMD EPYC (avx2), 2 cores"
    pub fn line(&self) -> String {
        let cores = match self.cores {
            1 => "1 core".to_owned(),
            cores => format!("{cores} cores"),
        };
        let instructions = self.instructions.join(", ");
        let gpu = self.gpu.as_ref().map(|gpu| format!("; {gpu}"));
        format!(
            "{} ({instructions}), {cores}{}",
            self.processor,
            gpu.unwrap_or_default()
        )
    }
}

/// The name of the first processor in /proc/cpuinfo, and the deciding instructions that it has.
fn processor(cpuinfo: &str) -> (Option<String>, Vec<String>) {
    let value = |key: &str| {
        let mut fields = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        let found = fields.find(|(name, _)| name.trim() == key);
        found.map(|(_, value)| value.trim().to_owned())
    };
    let flags = value("flags").unwrap_or_default();
    let flags: Vec<&str> = flags.split_whitespace().collect();
    let has = |name: &&str| flags.contains(name);
    let found = DECIDING.into_iter().filter(has).map(str::to_owned);
    (value("model name"), found.collect())
}

/// The day and time in UTC, as the system tells it: "2026-03-07 14:05".
pub fn date() -> String {
    programs::answer(Command::new("date").args(["-u", "+%F %H:%M"])).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_tells_what_it_computes_with() {
        let text = "processor\t: 0\nmodel name\t: Intel(R) Xeon(R)\nflags\t\t: fpu avx2 avx512f amx_tile \
                    avx512_bf16 amx_bf16\n\nprocessor\t: 1\nmodel name\t: other\n";
        let (name, instructions) = processor(text);
        assert_eq!(name.as_deref(), Some("Intel(R) Xeon(R)"));
        let expected = ["avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile"];
        assert_eq!(instructions, expected);
        let hardware = Hardware {
            instructions,
            ..Hardware::default()
        };
        assert!(hardware.has_bf16() && !Hardware::default().has_bf16());
        assert_eq!(processor(""), (None, Vec::new()));
    }

    #[test]
    fn the_date_has_a_day_and_a_minute() {
        let date = date();
        let signs = date
            .chars()
            .map(|sign| if sign.is_ascii_digit() { '0' } else { sign });
        assert_eq!(signs.collect::<String>(), "0000-00-00 00:00");
    }
}
