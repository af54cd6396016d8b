//! A plan as a shell script that a student can read and run.

use super::Style;
use super::escape::escape;
use crate::report::plan::{Place, Plan, Purpose};

/// The commands of a plan, grouped by place, with a comment per step.
pub fn script(plan: &Plan, style: Style) -> String {
    let tongue = style.lang.tongue();
    if plan.steps.is_empty() {
        return format!("# {}\n", tongue.nothing_to_do(plan));
    }
    let mut lines = Vec::new();
    let whole = matches!(plan.purpose, Purpose::Build | Purpose::BuildOnLxd);
    if whole {
        lines.push("#!/bin/sh".to_owned());
    }
    lines.extend(tongue.script(plan).iter().map(|line| format!("# {line}")));
    if let Some(changes) = &plan.machine {
        lines.extend(tongue.machine(changes).iter().map(|line| format!("# {}", escape(line))));
    }
    if whole {
        lines.push("set -e".to_owned());
    }
    let mut here: Option<&Place> = None;
    for step in &plan.steps {
        lines.push(String::new());
        if here != Some(&step.place) {
            lines.push(style.bold(&format!("# ---- {} ----", tongue.place(&step.place))));
            here = Some(&step.place);
        }
        lines.extend(tongue.step(step.what).lines().map(|line| format!("# {line}")));
        lines.extend(step.commands.iter().map(|command| escape(command).into_owned()));
    }
    lines.join("\n") + "\n"
}
