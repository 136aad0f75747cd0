//! Runs a cell: from its code to the events that tell of it.

use std::collections::BTreeSet;

use evcxr::CommandContext;
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::gone::{Cell, Gone};
use crate::outputs::{Failed, Outputs, parsed};

/// The kernel's own command that lays our `Cargo.lock` into the session, as evcxr runs it.
const READY: &str = "!\"$EVCXR_TRANSFER_KERNEL\" ready";

/// The cell with [`READY`] behind its last `:dep`: evcxr has asked cargo about the new crate alone, in the session's
/// folder, and cargo has dropped every other version from the lock file. Without it all crates would be built anew,
/// in other versions.
fn with_our_versions(code: &str) -> String {
    let is_command = |line: &str| {
        line.trim().is_empty()
            || [":", "!", "//"]
                .iter()
                .any(|c| line.trim_start().starts_with(c))
    };
    let commands = code
        .split_inclusive('\n')
        .take_while(|line| is_command(line));
    let mut place = 0;
    let last = commands
        .filter_map(|line| {
            place += line.len();
            line.trim_start().starts_with(":dep").then_some(place)
        })
        .last();
    match last.map(|place| code.split_at(place)) {
        Some((deps, rest)) => format!("{}\n{READY}\n{rest}", deps.trim_end_matches('\n')),
        None => code.to_owned(),
    }
}

/// evcxr with what is known of its variables.
pub struct Runner {
    /// evcxr.
    pub context: CommandContext,
    outputs: Outputs,
    gone: Gone,
}

impl Runner {
    /// One that has loaded the session's configuration.
    ///
    /// # Errors
    ///
    /// The compiler's text, or evcxr's.
    pub fn start(outputs: Outputs) -> Result<Self, String> {
        let describe = |error| crate::prepare::describe(&error);
        let (mut context, evcxr_outputs) = CommandContext::new().map_err(describe)?;
        outputs.hand_on(evcxr_outputs);
        context.execute(":load_config --quiet").map_err(describe)?;
        Ok(Self {
            context,
            outputs,
            gone: Gone::default(),
        })
    }

    /// Runs a cell with its number. Its last event says that it is done.
    pub fn run(&mut self, code: &str, cell: u64) {
        // As the compiler reads it.
        let code = &with_our_versions(&code.replace("\r\n", "\n"));
        let before = self.variables();
        let _ = self.outputs.failed();
        let result = self.context.execute(code);
        let is_over = matches!(result, Err(evcxr::Error::SubprocessTerminated(_)));
        let ended = is_over.then(|| self.outputs.ended());
        let after = self.variables();
        let ended_cell = Cell {
            number: cell,
            code,
            has_run: !matches!(result, Err(evcxr::Error::CompilationErrors(_))),
            has_ended_all: ended.is_some(),
        };
        self.gone.cell(&ended_cell, &before, &after);
        let failure = match (&result, ended, self.outputs.failed()) {
            (_, Some(how), _) => Some(Failure::ended(&how)),
            (_, None, Some(Failed::Error(text))) => Some(Failure::error(&text)),
            (_, None, Some(Failed::Panic(text))) => Some(Failure::panic(&text)),
            (Err(error), None, None) => Some(Failure::of(error, code, cell, &self.gone)),
            (Ok(_), None, None) => None,
        };
        if let Ok(output) = result {
            self.show(output);
        }
        self.outputs
            .send(&failure.map_or_else(|| json!({"done": true}), |failure| failure.event()));
    }

    /// The cell's value, if it has one.
    fn show(&self, output: evcxr::EvalOutputs) {
        let data: Map<String, Value> = output
            .content_by_mime_type
            .into_iter()
            .map(|(kind, body)| (kind, body.into()))
            .collect();
        // What a cell that ends with a call of no value has: nobody wants to see it.
        let is_unit = data.len() == 1 && data.get("text/plain").is_some_and(|text| text == "()");
        if !data.is_empty() && !is_unit {
            let data = parsed(Value::Object(data));
            self.outputs.send(&json!({"result": data}));
        }
        if let Some(time) = output.timing {
            let line = format!("took {} ms\n", time.as_millis());
            self.outputs.send(&json!({"stdout": line}));
        }
    }

    fn variables(&self) -> BTreeSet<String> {
        let variables = self.context.variables_and_types();
        variables.map(|(name, _)| name.to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_crate_is_built_beside_our_versions() {
        let with = |code| with_our_versions(code);
        assert_eq!(with(":dep a"), format!(":dep a\n{READY}\n"));
        assert_eq!(
            with("// x\n:dep a = \"1\"\n:dep b\n\na::f()"),
            format!("// x\n:dep a = \"1\"\n:dep b\n{READY}\n\na::f()")
        );
        assert_eq!(with("f();\n:dep a"), "f();\n:dep a");
        assert_eq!(with(""), "");
    }
}
