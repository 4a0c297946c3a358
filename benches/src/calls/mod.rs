//! What the client for APIs costs beside plain reqwest, also with an exchanged token, and a proxy beside a handler that
//! forwards by hand.

pub(crate) mod apps;
mod client;
mod forwarding;
mod upstream;

use crate::Failure;
use crate::effort::Effort;
use crate::report::Section;

pub(crate) fn measure(effort: Effort) -> Result<Section, Failure> {
    let mut section = Section::default();
    client::measure(effort, &mut section)?;
    forwarding::measure(effort, &mut section)?;
    Ok(section)
}
