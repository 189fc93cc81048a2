//! Progress as a bar on standard error.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use modelberth::{Progress, ProgressEvent};

/// Work that is done sooner than this draws nothing.
const PATIENCE: Duration = Duration::from_millis(500);
/// The steps of a full bar.
const STEPS: u64 = 1000;

/// Draws a bar when standard error is a terminal, and nothing when it is not.
#[derive(Debug)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    pub(crate) fn new() -> Self {
        let target =
            if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(STEPS), target);
        if let Ok(style) = ProgressStyle::with_template("{prefix} [{bar:30}] {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self(bar)
    }

    /// Wipes the bar, before something is printed or at an error.
    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

impl Progress for Bar {
    fn report(&self, event: &ProgressEvent<'_>) {
        if event.finished {
            return self.clear();
        }
        if self.0.is_hidden() || event.elapsed < PATIENCE {
            return;
        }
        let rate = HumanCount(event.per_second() as u64);
        let mut text = format!("{} {}, {rate}/s", HumanCount(event.done), event.unit);
        if let Some(share) = event.share {
            self.0.set_position((share * STEPS as f64) as u64);
            text = format!("{:.0}%, {text}", share * 100.0);
        }
        if let Some(left) = event.time_left() {
            text = format!("{text}, {} left", HumanDuration(left));
        }
        self.0.set_prefix(event.task.to_owned());
        self.0.set_message(text);
    }
}
