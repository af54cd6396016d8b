//! What a client wants to run: the body of `POST /1.0/instances/NAME/exec` and of `.../console`, and what it says meanwhile.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use serde::Deserialize;

use crate::kernel::sandbox::{Order, Screen};

/// Bytes of a command with its arguments.
const LONGEST: usize = 128 << 10;

/// The body of a request to run a command.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Request {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Variables of its environment.
    pub environment: BTreeMap<String, String>,
    /// It gets a terminal, not pipes.
    pub interactive: bool,
    /// Characters of a row of that terminal.
    pub width: u16,
    /// Rows of it.
    pub height: u16,
    /// It starts when the websockets are connected; otherwise at once.
    pub wait_for_websocket: bool,
    /// What it writes is kept to be asked for; only without websockets.
    pub record_output: bool,
    /// The user's number.
    pub user: u32,
    /// The group's number.
    pub group: u32,
    /// The working directory; the empty one is the user's home.
    pub cwd: String,
}

/// The body of a request for a console.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Console {
    /// Characters of a row.
    pub width: u16,
    /// Rows.
    pub height: u16,
    /// `console` or nothing; there is no graphical one.
    #[serde(rename = "type")]
    pub kind: String,
}

impl Request {
    /// The descriptors that its websockets are for.
    pub fn descriptors(&self) -> &'static [&'static str] {
        if self.interactive { &["0", "control"] } else { &["0", "1", "2", "control"] }
    }

    /// What to start.
    ///
    /// # Errors
    /// What is wrong with it, in the API's words.
    pub fn order(&self) -> Result<Order, String> {
        if self.command.is_empty() {
            return Err("No command to run".to_owned());
        }
        if self.command.iter().map(|word| word.len() + 1).sum::<usize>() > LONGEST {
            return Err("The command is too long".to_owned());
        }
        if self.command.iter().any(|word| word.contains('\0')) || self.cwd.contains('\0') {
            return Err("A command contains no NUL character".to_owned());
        }
        for (name, value) in &self.environment {
            if !is_variable(name) || value.contains('\0') {
                return Err(format!("Invalid environment variable {name:?}"));
            }
        }
        if self.user == u32::MAX || self.group == u32::MAX {
            return Err("Invalid user or group ID 4294967295".to_owned());
        }
        let home = if self.user == 0 { "/root" } else { "/" };
        let cwd = if self.cwd.is_empty() { home } else { &self.cwd };
        if !cwd.starts_with('/') {
            return Err(format!("The working directory {cwd:?} is no absolute path"));
        }
        Ok(Order {
            argv: self.command.iter().map(OsString::from).collect(),
            env: self.environment.clone().into_iter().collect(),
            cwd: Some(PathBuf::from(cwd)),
            user: self.user,
            group: self.group,
            screen: self.interactive.then_some(Screen { columns: self.width, rows: self.height }),
        })
    }
}

fn is_variable(name: &str) -> bool {
    let mut characters = name.chars();
    let begins = characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    begins && characters.all(|each| each.is_ascii_alphanumeric() || each == '_')
}

impl Console {
    /// The descriptors that its websockets are for.
    pub const DESCRIPTORS: &'static [&'static str] = &["0", "control"];

    /// What to start: a shell of root on a terminal of its own.
    ///
    /// # Errors
    /// When another kind of console is asked for.
    pub fn order(&self) -> Result<Order, String> {
        if !matches!(self.kind.as_str(), "" | "console") {
            return Err(format!("Unknown console type {:?}", self.kind));
        }
        let shell = "[ -x /bin/bash ] && exec /bin/bash -l; exec /bin/sh -l";
        Ok(Order {
            argv: ["/bin/sh", "-c", shell].map(OsString::from).to_vec(),
            env: vec![("TERM".to_owned(), "vt220".to_owned())],
            cwd: Some(PathBuf::from("/root")),
            screen: Some(Screen { columns: self.width, rows: self.height }),
            ..Order::default()
        })
    }
}

/// What a client says on the control websocket.
#[derive(Debug, Deserialize)]
pub(super) struct Control {
    command: String,
    #[serde(default)]
    args: Option<BTreeMap<String, String>>,
    #[serde(default)]
    signal: i32,
}

/// What it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Resize(Screen),
    Signal(i32),
    Nothing,
}

impl Wish {
    pub(super) fn read(text: &str) -> Self {
        let Ok(Control { command, args, signal }) = serde_json::from_str(text) else { return Self::Nothing };
        let side = |name: &str| args.as_ref()?.get(name)?.parse().ok();
        match command.as_str() {
            "window-resize" => match (side("width"), side("height")) {
                (Some(columns), Some(rows)) => Self::Resize(Screen { columns, rows }),
                _ => Self::Nothing,
            },
            "signal" if (1..=64).contains(&signal) => Self::Signal(signal),
            _ => Self::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_request_is_read_as_the_clients_write_it() {
        let text = r#"{"command":["sh","-c","exit 7"],"wait-for-websocket":true,"interactive":true,"environment":{"TERM":"xterm"},
            "width":80,"height":24,"record-output":false,"user":5,"group":6,"cwd":"/tmp"}"#;
        let request: Request = serde_json::from_str(text).unwrap();
        let order = request.order().unwrap();
        assert!(request.wait_for_websocket && !request.record_output);
        assert_eq!(request.descriptors(), ["0", "control"]);
        assert_eq!((order.user, order.group, order.cwd.unwrap()), (5, 6, PathBuf::from("/tmp")));
        assert_eq!(order.screen, Some(Screen { columns: 80, rows: 24 }));
        assert_eq!(order.env, [("TERM".to_owned(), "xterm".to_owned())]);
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        let good = Request { command: vec!["true".to_owned()], ..Request::default() };
        good.order().unwrap();
        let bad: [fn(&mut Request); 7] = [
            |request| request.command.clear(),
            |request| request.command.push("a\0b".to_owned()),
            |request| request.command.push("a".repeat(LONGEST)),
            |request| request.user = u32::MAX,
            |request| request.cwd = "../..".to_owned(),
            |request| drop(request.environment.insert("A=B".to_owned(), String::new())),
            |request| drop(request.environment.insert(String::new(), String::new())),
        ];
        for (at, spoil) in bad.iter().enumerate() {
            let mut request = good.clone();
            spoil(&mut request);
            assert!(request.order().is_err(), "{at}");
        }
    }

    #[test]
    fn control_messages_have_their_numbers_as_text() {
        let resize = r#"{"command":"window-resize","args":{"height":"22","width":"77"},"signal":0}"#;
        assert_eq!(Wish::read(resize), Wish::Resize(Screen { columns: 77, rows: 22 }));
        assert_eq!(Wish::read(r#"{"command":"signal","args":null,"signal":15}"#), Wish::Signal(15));
        for text in ["", "{}", r#"{"command":"signal","signal":0}"#, r#"{"command":"window-resize","args":{"width":"-1"}}"#] {
            assert_eq!(Wish::read(text), Wish::Nothing, "{text}");
        }
    }
}
