//! placeholder
pub fn run(_: &Args) -> Result<(), std::fmt::Error> {
    Ok(())
}
/// Options.
#[derive(clap::Args)]
pub struct Args {}
