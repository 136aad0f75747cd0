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

/// The day and time in UTC: "2026-03-07 14:05".
pub fn date(seconds_since_1970: u64) -> String {
    let (days, seconds) = (seconds_since_1970 / 86_400, seconds_since_1970 % 86_400);
    // Years are counted from March, so that a leap day is a year's last: 146,097 days are 400 of them.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute) = (seconds / 3600, seconds / 60 % 60);
    format!("{year:04}-{month:02}-{date:02} {hour:02}:{minute:02}")
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
    fn days_are_counted_from_1970() {
        // `date -u -d @N "+%F %H:%M"` says the same.
        assert_eq!(date(0), "1970-01-01 00:00");
        assert_eq!(date(951_782_400), "2000-02-29 00:00");
        assert_eq!(date(1_709_251_199), "2024-02-29 23:59");
        assert_eq!(date(4_102_444_800), "2100-01-01 00:00");
    }
}
