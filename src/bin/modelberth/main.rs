//! The command line: every verb parses its arguments, makes one call into the library and prints.

mod args;
mod draw;
#[cfg(feature = "optimize")]
mod optimize;
#[cfg(feature = "registry")]
mod registry;
#[cfg(feature = "validate")]
mod validate;
mod verbs;

use std::error::Error as StdError;
use std::io;
use std::panic::catch_unwind;
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Verb};

fn main() -> ExitCode {
    // Engines panic on some inputs; those panics are contained and come back as errors, so the hook's text is noise.
    std::panic::set_hook(Box::new(|_| {}));
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            // Help goes to standard output, whose reader may have left.
            let _ = usage.print();
            return ExitCode::from(if usage.use_stderr() { 2 } else { 0 });
        }
    };
    #[cfg(feature = "registry")]
    registry::remember_store(cli.store.clone());
    // A verb that answers with its exit status keeps 1 for the answer, so that its errors are 2 as those of usage are.
    let broken = match &cli.verb {
        #[cfg(feature = "validate")]
        Verb::Test(_) => ExitCode::from(2),
        #[cfg(feature = "registry")]
        Verb::Registry(args) if args.answers_with_status() => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    };
    let ran = catch_unwind(|| match cli.verb {
        Verb::Inspect(args) => verbs::inspect(&args).map(|()| true),
        Verb::Predict(args) => verbs::predict(&args).map(|()| true),
        Verb::Bench(args) => verbs::bench(&args).map(|()| true),
        #[cfg(feature = "validate")]
        Verb::Slices(args) => validate::slices(&args).map(|()| true),
        #[cfg(feature = "validate")]
        Verb::Test(args) => validate::test(&args),
        #[cfg(feature = "optimize")]
        Verb::Quantize(args) => optimize::quantize(&args),
        #[cfg(feature = "optimize")]
        Verb::Prune(args) => optimize::prune(&args),
        #[cfg(feature = "optimize")]
        Verb::Distill(args) => optimize::distill(&args),
        #[cfg(feature = "optimize")]
        Verb::Convert(args) => optimize::convert(&args),
        #[cfg(feature = "optimize")]
        Verb::Compare(args) => optimize::compare(&args).map(|()| true),
        #[cfg(feature = "registry")]
        Verb::Registry(args) => registry::run(&args),
        Verb::Completions(args) => verbs::completions(&args).map(|()| true),
    });
    match ran {
        Ok(Ok(true)) => ExitCode::SUCCESS,
        // A model that failed its tests is an answer and no error.
        Ok(Ok(false)) => ExitCode::FAILURE,
        // The reader of a pipe has what it wanted, as `head` does.
        Ok(Err(error)) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            report(&error);
            broken
        }
        Err(_) => {
            eprintln!("error: modelberth failed inside; this is a bug of it, please report what you ran");
            broken
        }
    }
}

/// Prints an error on one line, then what caused it, a line each.
fn report(error: &dyn StdError) {
    let mut said = one_line(error);
    eprintln!("error: {said}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = one_line(error);
        if text != said {
            eprintln!("caused by: {text}");
        }
        said = text;
        cause = error.source();
    }
}

fn one_line(error: &dyn StdError) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_broken_pipe(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
            return true;
        }
        next = error.source();
    }
    false
}
