//! `modelberth registry`: where models live.

mod args;
mod change;
mod reference;
mod show;
mod text;

use modelberth::registry::blocking::Registry;
use modelberth::{Error, ErrorKind, Result};

pub(crate) use args::RegistryArgs;
use args::{AliasVerb, Verb};
use reference::store;
pub(crate) use reference::{is_reference, load, remember_store};

/// Runs a verb of the registry; whether it found what it was asked for.
pub(crate) fn run(args: &RegistryArgs) -> Result<bool> {
    let place = store().ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidArgument,
            "where is the registry? name it with --store, or in the variable MODELBERTH_STORE",
        )
        .expected("a directory, s3://BUCKET/PATH, gs://BUCKET/PATH or az://CONTAINER/PATH")
    })?;
    let registry = &Registry::open(&place)?;
    match &args.verb {
        Verb::Register(args) => change::register(registry, args),
        Verb::List(args) => show::list(registry, args),
        Verb::Get(args) => show::get(registry, args),
        Verb::Search(args) => show::search(registry, args),
        Verb::Diff(args) => show::diff(registry, args),
        Verb::Lineage(args) => show::lineage(registry, args),
        Verb::Events(args) => show::events(registry, args),
        Verb::Card(args) => show::document(registry, args, Registry::card),
        Verb::Bom(args) => show::document(registry, args, Registry::bom),
        Verb::Note(args) => change::note(registry, args),
        Verb::Archive(args) => change::archive(registry, args),
        Verb::Restore(args) => change::restore(registry, args),
        Verb::Alias(alias) => match &alias.verb {
            AliasVerb::Set(args) => change::set_alias(registry, args),
            AliasVerb::Get(args) => show::alias(registry, args),
            AliasVerb::List(args) => show::aliases(registry, args),
            AliasVerb::History(args) => show::history(registry, args),
            AliasVerb::Remove(args) => change::remove_alias(registry, args),
            AliasVerb::Check(args) => return show::check(registry, args),
        },
        Verb::Rollback(args) => change::rollback(registry, args),
        Verb::Gate(args) => change::gate(registry, args),
        Verb::Verdict(args) => change::verdict(registry, args),
        Verb::Test(args) => return change::test(registry, args),
        Verb::Watch(args) => show::watch(registry, args),
        Verb::Verify(args) => return show::verify(registry, args),
        Verb::Gc(args) => change::gc(registry, args),
        Verb::Export(args) => change::export(registry, args),
        Verb::Import(args) => change::import(registry, args),
        #[cfg(feature = "mlflow")]
        Verb::Mlflow(args) => change::mlflow(registry, args),
    }
    .map(|()| true)
}
