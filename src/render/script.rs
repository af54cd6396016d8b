//! A plan as a shell script that a student can read and run.

use super::Style;
use super::escape::escape;
use crate::plan::steps::Place;
use crate::render::sentences;
use crate::report::plan::{Plan, Purpose};

/// The commands of a plan, grouped by place, with a comment per step.
pub fn script(plan: &Plan, style: Style) -> String {
    if plan.steps.is_empty() {
        return format!("# {}\n", sentences::plans::nothing(style.lang, plan));
    }
    let mut lines = Vec::new();
    let whole = matches!(plan.purpose, Purpose::Build | Purpose::BuildOnLxd);
    if whole {
        lines.push("#!/bin/sh".to_owned());
    }
    lines.extend(sentences::plans::script(style.lang, plan).iter().map(|line| format!("# {line}")));
    if let Some(changes) = &plan.machine {
        lines.extend(sentences::nics::changes(style.lang, changes).iter().map(|line| format!("# {}", escape(line))));
    }
    if whole {
        lines.push("set -e".to_owned());
    }
    let mut here: Option<&Place> = None;
    for step in &plan.steps {
        lines.push(String::new());
        if here != Some(&step.place) {
            lines.push(style.bold(&format!("# ---- {} ----", sentences::plans::place(style.lang, &step.place))));
            here = Some(&step.place);
        }
        lines.extend(sentences::plans::step(style.lang, step.what).lines().map(|line| format!("# {line}")));
        lines.extend(step.commands.iter().map(|command| escape(command).into_owned()));
    }
    lines.join("\n") + "\n"
}
