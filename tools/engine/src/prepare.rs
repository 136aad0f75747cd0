//! Runs cells once, so that everything they need is built.

/// Loads the configuration as a session does, then runs `cells` in order.
///
/// A cell that starts with `// fails` may fail: evcxr checks such a cell with `cargo check`, whose
/// results are wanted too.
///
/// # Errors
///
/// The compiler's text.
pub fn run(cells: &[String]) -> Result<(), String> {
    let (mut context, outputs) = evcxr::CommandContext::new().map_err(|error| error.to_string())?;
    // A cell ends only when somebody has read what it printed.
    let stdout = std::thread::spawn(move || outputs.stdout.iter().for_each(drop));
    let stderr =
        std::thread::spawn(move || outputs.stderr.iter().for_each(|line| eprintln!("{line}")));
    let outcome = std::iter::once(":load_config --quiet")
        .chain(cells.iter().map(String::as_str))
        .try_for_each(|cell| match context.execute(cell) {
            Err(_) if cell.starts_with("// fails") => Ok(()),
            Err(error) => Err(describe(&error)),
            Ok(_) => Ok(()),
        });
    drop(context);
    let _ = (stdout.join(), stderr.join());
    outcome
}

/// The compiler's own text, where there is one.
pub fn describe(error: &evcxr::Error) -> String {
    match error {
        evcxr::Error::CompilationErrors(errors) => errors
            .iter()
            .map(|error| error.rendered())
            .collect::<Vec<_>>()
            .join("\n"),
        other => other.to_string(),
    }
}
