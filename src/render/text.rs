//! Reports as text for people.

mod agent;
pub(crate) mod capture;
mod doctor;
mod labs;
pub(crate) mod ping;
mod remote;
mod topologies;

use super::{Show, Style, lines, script};
use crate::error::Error;
use crate::render::sentences;
use crate::report as reports;

impl Show for reports::lab::Home {
    fn text(&self, style: Style) -> String {
        labs::home(self, style)
    }
}

impl Show for reports::lab::Up {
    fn text(&self, style: Style) -> String {
        lines(&sentences::labs::up(style.lang, self))
    }

    fn is_talk(&self) -> bool {
        true
    }
}

impl Show for reports::lab::Downs {
    fn text(&self, style: Style) -> String {
        labs::down(self, style)
    }

    fn is_talk(&self) -> bool {
        true
    }

    fn exit_code(&self) -> u8 {
        self.errors.first().map_or(0, Error::exit_code)
    }

    fn errors(&self) -> Vec<&Error> {
        self.errors.iter().collect()
    }
}

impl Show for reports::instance::Changes {
    fn text(&self, style: Style) -> String {
        lines(&sentences::instances::changes(style.lang, self))
    }

    fn is_talk(&self) -> bool {
        true
    }

    fn exit_code(&self) -> u8 {
        self.errors.first().map_or(0, Error::exit_code)
    }

    fn errors(&self) -> Vec<&Error> {
        self.errors.iter().collect()
    }
}

impl Show for reports::lab::Keep {
    fn text(&self, style: Style) -> String {
        lines(&[sentences::nics::kept(style.lang, self)])
    }

    fn is_talk(&self) -> bool {
        true
    }
}

impl Show for reports::lab::Reset {
    fn text(&self, style: Style) -> String {
        lines(&[sentences::labs::reset(style.lang, self)])
    }

    fn is_talk(&self) -> bool {
        true
    }
}

impl Show for reports::lab::Statuses {
    fn text(&self, style: Style) -> String {
        labs::status(self, style)
    }

    fn exit_code(&self) -> u8 {
        u8::from(self.labs.iter().any(|lab| !lab.condition.is_up()))
    }
}

impl Show for reports::lab::List {
    fn text(&self, style: Style) -> String {
        labs::list(self, style)
    }
}

impl Show for reports::topology::List {
    fn text(&self, style: Style) -> String {
        topologies::list(&self.topologies, style)
    }
}

impl Show for reports::topology::Source {
    fn text(&self, _: Style) -> String {
        self.text.clone()
    }
}

impl Show for reports::topology::Validation {
    fn text(&self, style: Style) -> String {
        topologies::validation(self, style)
    }

    fn exit_code(&self) -> u8 {
        if self.files.iter().all(|file| file.valid) { 0 } else { 2 }
    }

    fn errors(&self) -> Vec<&Error> {
        self.files.iter().filter_map(|file| file.error.as_ref()).collect()
    }
}

impl Show for reports::plan::Plan {
    fn text(&self, style: Style) -> String {
        script::script(self, style)
    }
}

impl Show for reports::ping::Ping {
    fn text(&self, style: Style) -> String {
        ping::end(self, style)
    }

    fn exit_code(&self) -> u8 {
        u8::from(self.received == 0)
    }
}

impl Show for reports::ping::Matrix {
    fn text(&self, style: Style) -> String {
        ping::matrix(self, style)
    }

    fn exit_code(&self) -> u8 {
        u8::from(!self.failed.is_empty())
    }
}

impl Show for reports::doctor::Doctor {
    fn text(&self, style: Style) -> String {
        doctor::doctor(self, style)
    }

    fn exit_code(&self) -> u8 {
        if self.works() { 0 } else { 3 }
    }
}

impl Show for reports::agent::Outcome {
    fn text(&self, style: Style) -> String {
        lines(&[sentences::agent::outcome(style.lang, self)])
    }

    fn is_talk(&self) -> bool {
        true
    }
}

impl Show for reports::agent::Token {
    fn text(&self, _: Style) -> String {
        lines(std::slice::from_ref(&self.token))
    }
}

impl Show for reports::agent::Agents {
    fn text(&self, style: Style) -> String {
        agent::agents(self, style)
    }
}

impl Show for reports::agent::Trusted {
    fn text(&self, style: Style) -> String {
        agent::trusted(self, style)
    }
}

impl Show for reports::remote::Remotes {
    fn text(&self, style: Style) -> String {
        remote::remotes(self, style)
    }
}

impl Show for reports::remote::Instances {
    fn text(&self, style: Style) -> String {
        remote::instances(self, style)
    }

    fn exit_code(&self) -> u8 {
        u8::from(self.judged && !self.instances.iter().all(reports::remote::Instance::runs))
    }
}

impl Show for reports::remote::Outcome {
    fn text(&self, style: Style) -> String {
        lines(&[sentences::remote::outcome(style.lang, self)])
    }

    fn is_talk(&self) -> bool {
        true
    }
}
