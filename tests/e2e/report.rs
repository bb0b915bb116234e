//! Runs the scenarios and tells how each of them went.

use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

use futures::FutureExt;

use crate::scenarios::{IN_EACH_FORM, ONCE, Scenario};
use crate::session::Form;
use crate::world::World;

/// Which scenarios to run.
pub(crate) struct Selection {
    parts: Vec<String>,
    list: bool,
}

impl Selection {
    /// Reads what `cargo test` passes on: parts of names, `--list`; other flags mean nothing here.
    pub(crate) fn from_arguments(arguments: impl Iterator<Item = String>) -> Self {
        let (flags, parts): (Vec<_>, Vec<_>) = arguments.partition(|argument| argument.starts_with('-'));
        Self { parts, list: flags.iter().any(|flag| flag == "--list") }
    }

    /// Whether nothing is to be run; lists the names where that was asked.
    pub(crate) fn only_lists(&self) -> bool {
        let selected: Vec<_> = ONCE.iter().chain(IN_EACH_FORM).filter(|scenario| self.includes(scenario)).collect();
        if self.list {
            for scenario in &selected {
                println!("{}: test", scenario.name);
            }
        } else if selected.is_empty() {
            println!("e2e: no scenario has such a name");
        }
        self.list || selected.is_empty()
    }

    fn includes(&self, scenario: &Scenario) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|part| scenario.name.contains(part.as_str()))
    }
}

#[derive(Default)]
struct Tally {
    passed: usize,
    failed: Vec<String>,
    needs_newer: usize,
    not_selected: usize,
}

/// Runs what is selected; the logs stay where something failed.
pub(crate) async fn run(assets: PathBuf, selection: &Selection) -> ExitCode {
    let start = Instant::now();
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("e2e-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    println!("end to end, with the programs in {}", assets.display());
    let mut tally = Tally::default();
    let Ok(mut world) = AssertUnwindSafe(World::new(assets, folder.clone())).catch_unwind().await else {
        println!("FAILED before the first scenario: {}\nLogs: {}", last_panic(), folder.display());
        return ExitCode::FAILURE;
    };
    let version = world.version.to_string();
    println!("Kubernetes {version}, ready in {:.1} s", start.elapsed().as_secs_f64());

    for form in Form::ALL {
        if let Err(reason) = in_form(&mut world, form, selection, &mut tally).await {
            tally.failed.push(format!("on Kubernetes {version}: {form}: not reached ({reason})"));
            break;
        }
    }
    for scenario in ONCE {
        attempt(&world, scenario, "once", selection, &mut tally).await;
    }
    drop(world);
    tally.print_summary(&version, start, &folder)
}

async fn in_form(world: &mut World, form: Form, selection: &Selection, tally: &mut Tally) -> Result<(), String> {
    if !IN_EACH_FORM.iter().any(|scenario| selection.includes(scenario)) {
        tally.not_selected += IN_EACH_FORM.len();
        return Ok(());
    }
    AssertUnwindSafe(world.change_form(form)).catch_unwind().await.map_err(|_| last_panic())?;
    let label = form.to_string();
    for scenario in IN_EACH_FORM {
        attempt(world, scenario, &label, selection, tally).await;
    }
    Ok(())
}

async fn attempt(world: &World, scenario: &Scenario, label: &str, selection: &Selection, tally: &mut Tally) {
    if !selection.includes(scenario) {
        tally.not_selected += 1;
        return;
    }
    if !world.version.is_at_least(scenario.since) {
        tally.needs_newer += 1;
        return;
    }
    let version = &world.version;
    let start = Instant::now();
    let outcome = AssertUnwindSafe((scenario.run)(world)).catch_unwind().await;
    let verdict = if outcome.is_ok() { "ok    " } else { "FAILED" };
    println!("{verdict} {version}, {label}: {} ({:.1} s)", scenario.name, start.elapsed().as_secs_f64());
    match outcome {
        Ok(()) => tally.passed += 1,
        Err(_) => tally.failed.push(format!("on Kubernetes {version}, {label}: {}\n{}", scenario.name, last_panic())),
    }
}

/// Keeps panics for the report, instead of printing each with a backtrace through the executor.
pub(crate) fn collect_panics() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let text = info.payload_as_str().unwrap_or_default();
        *LAST_PANIC.lock().unwrap() = format!("{place}: {text}");
    }));
}

static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

fn last_panic() -> String {
    LAST_PANIC.lock().unwrap().clone()
}

impl Tally {
    fn print_summary(&self, version: &str, start: Instant, folder: &Path) -> ExitCode {
        for failure in &self.failed {
            println!("\nFAILED {failure}");
        }
        let all = Form::ALL.len() * IN_EACH_FORM.len() + ONCE.len();
        let skipped = all.saturating_sub(self.passed + self.failed.len() + self.needs_newer + self.not_selected);
        println!(
            "\ne2e on Kubernetes {version}: {} scenarios passed, {} failed, {skipped} skipped, {} need a newer server, \
             {} not selected, in {:.0} s\n",
            self.passed,
            self.failed.len(),
            self.needs_newer,
            self.not_selected,
            start.elapsed().as_secs_f64()
        );
        if self.failed.is_empty() && skipped == 0 {
            // Logs of a success interest nobody.
            let _ = fs::remove_dir_all(folder);
            return ExitCode::SUCCESS;
        }
        println!("Logs: {}", folder.display());
        ExitCode::FAILURE
    }
}
