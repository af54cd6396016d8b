//! `nslab reset`

use clap_complete::engine::ArgValueCompleter;

use super::run::{Context, Place, Run};
use super::{complete, target};
use crate::error::{Error, Result, Usage};
use crate::kernel::sandbox::Manner;
use crate::lab;
use crate::report::lab as reports;
use crate::report::notice::Question;

/// Remove what was made by hand in a lab and restore what is missing
#[derive(Debug, clap::Args)]
pub struct Reset {
    /// The lab; may be left out when only one is up
    #[arg(add = ArgValueCompleter::new(complete::labs))]
    lab: Option<String>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl Run for Reset {
    type Out = reports::Reset;

    fn place(&self) -> Place {
        Place::Outside(Manner::Interactive)
    }

    fn run(self, context: &mut Context) -> Result<Self::Out> {
        crate::kernel::sys::note_signals();
        let entry = target::lab(self.lab.as_deref())?.ok_or_else(target::none_up)?;
        let name = entry.lab;
        let status = lab::status(&name)?;
        let by_hand = status.by_hand.len()
            + status.namespaces.len()
            + status.tables.len()
            + status.kept.map_or(0, |kept| kept.launched + kept.stopped + kept.configured);
        let mut report = reports::Reset { lab: name.to_string(), confirmed: true, operations: 0, namespaces: 0, tables: 0 };
        if by_hand > 0 && !self.yes {
            let answer = context.front.ask(&Question::Reset { lab: report.lab.clone(), by_hand });
            report.confirmed = answer.ok_or(Error::Usage(Usage::NeedsAnswer("--yes")))?;
        }
        if report.confirmed {
            let reset = lab::reset(&name)?;
            (report.operations, report.namespaces, report.tables) = (reset.operations, reset.namespaces, reset.tables);
        }
        Ok(report)
    }
}
