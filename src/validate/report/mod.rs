//! Reports as JSON, JUnit XML, Markdown and one HTML page.

mod html;
mod plot;
#[cfg(test)]
mod tests;
mod text;
