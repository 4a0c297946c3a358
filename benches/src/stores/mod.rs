//! What the stores cost by themselves.

mod operations;

use crate::Failure;
use crate::effort::Effort;
use crate::report::Section;

pub(crate) async fn measure(effort: Effort) -> Result<Section, Failure> {
    Ok(Section {
        tables: operations::measure(effort).await?,
        ..Section::default()
    })
}
