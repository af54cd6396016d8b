//! `nslab trace`, and what it says of a lab that was broken on purpose.

use serde_json::Value;

use super::json::documented;
use super::run::{Ran, nslab, sh, wait_for};
use super::wiring::inside;

/// A trace that was made.
pub struct Traced {
    pub ran: Ran,
    pub report: Value,
}

impl Traced {
    /// Traces with these words, and expects the exit code that the outcome asks for.
    #[track_caller]
    pub fn run(words: &str) -> Self {
        let ran = nslab(&format!("--format json trace {words}"));
        assert!(ran.code < 2, "{ran}");
        let report = ran.json();
        documented(&report, "trace");
        let answered = report["outcome"]["answered"].is_object();
        assert_eq!(ran.code, i32::from(!answered), "{ran}");
        Self { ran, report }
    }

    /// How the packet died; null where it was answered.
    pub fn death(&self) -> &Value {
        &self.report["outcome"]["died"]
    }

    /// `LEG NODE CAUSE at NODE.INTERFACE`, with a question mark where it is not certain; `answered` where it was.
    pub fn verdict(&self) -> String {
        let death = self.death();
        if death.is_null() {
            return "answered".to_owned();
        }
        let word = |value: &Value| value.as_str().unwrap_or("?").to_owned();
        let sure = if death["certain"] == true { "" } else { "?" };
        let place = match &death["cause"]["interface"] {
            Value::Object(place) => format!(" at {}.{}", word(&place["node"]), word(&place["interface"])),
            _ => String::new(),
        };
        format!("{} {} {}{sure}{place}", word(&death["leg"]), word(&death["node"]), word(&death["cause"]["cause"]))
    }

    /// The causes that are noted beside the outcome.
    pub fn notes(&self) -> Vec<String> {
        let notes = self.report["notes"].as_array().unwrap().iter();
        notes.map(|note| note["cause"].as_str().unwrap().to_owned()).collect()
    }

    /// Types the commands that cure it, as a student would.
    #[track_caller]
    pub fn cure(&self) {
        let cure = self.death()["cure"].as_array().unwrap_or_else(|| panic!("no cure: {}", self.ran));
        assert!(!cure.is_empty(), "no cure: {}", self.ran);
        for command in cure {
            let command = command.as_str().unwrap();
            let typed = command.strip_prefix("sudo ").unwrap_or(command);
            sh(&typed.replacen("nslab", env!("CARGO_BIN_EXE_nslab"), 1));
        }
    }

    /// The nodes of a direction, in order.
    pub fn nodes(&self, leg: &str) -> Vec<String> {
        let visits = self.report[leg]["visits"].as_array().into_iter().flatten();
        visits.map(|visit| visit["node"].as_str().unwrap().to_owned()).collect()
    }
}

/// Something broken in a lab: in which node, how, what is traced, what the verdict must be.
pub struct Case {
    pub lab: &'static str,
    pub breaks: &'static [(&'static str, &'static str)],
    pub trace: &'static str,
    pub verdict: &'static str,
}

impl Case {
    /// Breaks the lab, which is up; traces; checks the verdict.
    #[track_caller]
    pub fn check(&self) -> Traced {
        for (node, script) in self.breaks {
            inside(self.lab, node, script).expect(0);
        }
        let traced = Traced::run(self.trace);
        assert_eq!(
            traced.verdict(),
            self.verdict,
            "after {:?}\n{}\n{}",
            self.breaks,
            traced.ran,
            nslab(&format!("trace {}", self.trace))
        );
        traced
    }

    /// Then does what the trace says, and traces again.
    #[track_caller]
    pub fn check_and_cure(&self) {
        let traced = self.check();
        traced.cure();
        // The kernel lets a port forward up to a second after its link is up.
        let mut again = Traced::run(self.trace);
        wait_for(3, || {
            again = Traced::run(self.trace);
            again.verdict() == "answered"
        });
        assert_eq!(again.verdict(), "answered", "after {:?}\ncured by {}\n{}", self.breaks, traced.death()["cure"], again.ran);
    }
}
