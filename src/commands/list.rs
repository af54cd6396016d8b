//! `nslab list`

use super::run::{Context, Run};
use super::{far, target};
use crate::error::Result;
use crate::render::shapes;
use crate::report::lab::List as Labs;
use crate::report::remote::Instances;

/// List the labs that are up, or the containers of a remote
#[derive(Debug, clap::Args)]
pub struct List {
    /// A remote with its colon, as in host-b:
    #[arg(value_name = "REMOTE:")]
    remote: Option<String>,
}

shapes! {
    /// Labs that are up, or the containers of a remote.
    pub enum Listed { Labs(Labs), Instances(Instances) }
}

impl Run for List {
    type Out = Listed;

    fn run(self, _context: &mut Context) -> Result<Self::Out> {
        if let Some(word) = self.remote.as_deref() {
            let (remote, name) = far::split(word).unwrap_or((word, ""));
            return far::list(remote, name, false).map(Listed::Instances);
        }
        Ok(Listed::Labs(Labs { labs: target::items() }))
    }
}
