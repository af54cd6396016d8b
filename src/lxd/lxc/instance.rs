//! `lxc launch`, `init`, `start`, `stop`, `restart`, `pause`, `delete`, `exec`, `console`, `file`

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{client, done, pair, parse, print, put, reach, refuse, store};
use crate::commands::Context;
use crate::commands::remote::terminals;
use crate::error::{Error, RemoteFault, Result};
use crate::lxd::client::{self, Action, Change, Client, Ends, Kind, New, Owner};

// What is made, and how. No docstring, here and below: it would take the place of the verb's.
#[derive(Debug, clap::Args)]
pub(super) struct Made {
    /// The image: [REMOTE:]IMAGE
    image: String,
    /// The instance: [REMOTE:]NAME
    name: Option<String>,
    /// A setting: KEY=VALUE
    #[arg(short, long)]
    config: Vec<String>,
    /// A device's setting: DEVICE,KEY=VALUE...
    #[arg(short, long)]
    device: Vec<String>,
    /// A profile, instead of the usual one
    #[arg(short, long)]
    profile: Vec<String>,
    /// No profile
    #[arg(long, conflicts_with = "profile")]
    no_profiles: bool,
    /// Attach it to this network
    #[arg(short, long)]
    network: Option<String>,
    /// It goes when it stops
    #[arg(short, long)]
    ephemeral: bool,
}

impl Made {
    pub(super) fn make(self, context: &mut Context) -> Result<(Client, String)> {
        let store = store()?;
        let (from, image) = parse(&store, &self.image);
        // A bare REMOTE:IMAGE makes it there, as `lxc` does for the default remote.
        let (remote, name) = self.name.as_deref().map_or((store.default_remote(), ""), |name| parse(&store, name));
        // Of the public image servers only the image's name counts.
        if from != remote && store.find(&from).is_ok() {
            return Err(refuse(format!("Images are not copied between servers: try {remote}:{image}")));
        }
        let client = client(&store, &remote)?;
        let mut devices = json!({});
        for word in &self.device {
            let (device, rest) = word.split_once(',').ok_or_else(|| refuse(format!("Invalid device: {word}")))?;
            put(&mut devices[device], rest.split(','))?;
        }
        if let Some(network) = &self.network {
            devices["eth0"] = client.nic(network)?;
            devices["eth0"]["name"] = "eth0".into();
        }
        let config = self.config.iter().map(|word| pair(word)).collect::<Result<_>>()?;
        let profiles = (self.no_profiles || !self.profile.is_empty()).then_some(self.profile);
        print(context, &if name.is_empty() { "Creating the instance".to_owned() } else { format!("Creating {name}") })?;
        let name = client.create(&New { image, name, config, devices, profiles, ephemeral: self.ephemeral })?;
        Ok((client, name))
    }

    pub(super) fn launch(self, context: &mut Context) -> Result<String> {
        let (client, name) = self.make(context)?;
        print(context, &format!("Starting {name}"))?;
        client.change(&name, Change { action: Action::Start, force: false, timeout: -1 }).map(done)
    }
}

/// Does something to each instance; the first error ends it.
fn each(names: &[String], what: impl Fn(&Client, &str) -> Result<()>) -> Result<String> {
    for word in names {
        let (client, name) = reach(word)?;
        what(&client, name)?;
    }
    Ok(String::new())
}

#[derive(Debug, clap::Args)]
pub(super) struct Names {
    /// The instances: [REMOTE:]NAME
    #[arg(required = true)]
    names: Vec<String>,
}

impl Names {
    pub(super) fn start(&self) -> Result<String> {
        each(&self.names, |client, name| {
            let frozen = client.instance(name)?["status"] == "Frozen";
            let action = if frozen { Action::Unfreeze } else { Action::Start };
            client.change(name, Change { action, force: false, timeout: 0 })
        })
    }

    pub(super) fn pause(&self) -> Result<String> {
        each(&self.names, |client, name| client.change(name, Change { action: Action::Freeze, force: false, timeout: -1 }))
    }
}

#[derive(Debug, clap::Args)]
struct Ending {
    /// At once
    #[arg(short, long)]
    force: bool,
    /// Seconds that it has to end by itself
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    timeout: i64,
}

impl Ending {
    fn for_action(&self, action: Action) -> Change {
        Change { action, force: self.force, timeout: self.timeout }
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct Stop {
    /// The instances: [REMOTE:]NAME
    #[arg(required_unless_present = "all")]
    names: Vec<String>,
    #[command(flatten)]
    ending: Ending,
    /// Every instance
    #[arg(long)]
    all: bool,
}

impl Stop {
    pub(super) fn run(self) -> Result<String> {
        let change = self.ending.for_action(Action::Stop);
        if !self.all {
            return each(&self.names, |client, name| client.change(name, change));
        }
        let (client, _) = reach(self.names.first().map_or("", String::as_str))?;
        for one in client.instances()?.iter().filter(|one| one["status"] == "Running") {
            client.change(one["name"].as_str().unwrap_or_default(), change)?;
        }
        Ok(String::new())
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct Restart {
    #[command(flatten)]
    names: Names,
    #[command(flatten)]
    ending: Ending,
}

impl Restart {
    pub(super) fn run(self) -> Result<String> {
        let change = self.ending.for_action(Action::Restart);
        each(&self.names.names, |client, name| client.change(name, change))
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct Delete {
    #[command(flatten)]
    names: Names,
    /// Also those that run
    #[arg(short, long)]
    force: bool,
}

impl Delete {
    pub(super) fn run(self) -> Result<String> {
        each(&self.names.names, |client, name| {
            let document = client.instance(name)?;
            if document["status"] != "Stopped" {
                if !self.force {
                    return Err(refuse("The instance is currently running, stop it first or pass --force"));
                }
                client.change(name, Change { action: Action::Stop, force: true, timeout: -1 })?;
                if document["ephemeral"] == true {
                    return Ok(());
                }
            }
            match client.delete(name) {
                Err(Error::Remote(RemoteFault::Refused { code: 404, .. })) if self.force => Ok(()),
                deleted => deleted,
            }
        })
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct Exec {
    /// The instance: [REMOTE:]NAME
    name: String,
    /// A variable: KEY=VALUE
    #[arg(long)]
    env: Vec<String>,
    /// The working directory
    #[arg(long, default_value = "")]
    cwd: String,
    /// The user's number
    #[arg(long, default_value_t = 0)]
    user: u32,
    /// The group's number
    #[arg(long, default_value_t = 0)]
    group: u32,
    /// auto, interactive or non-interactive
    #[arg(long, default_value = "auto")]
    mode: String,
    /// On a terminal
    #[arg(short = 't', long)]
    force_interactive: bool,
    /// Not on a terminal
    #[arg(short = 'T', long, conflicts_with = "force_interactive")]
    force_noninteractive: bool,
    /// Nothing to read
    #[arg(short = 'n', long)]
    disable_stdin: bool,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Exec {
    pub(super) fn run(self) -> Result<u8> {
        let (client, name) = reach(&self.name)?;
        let interactive = match self.mode.as_str() {
            _ if self.force_interactive => true,
            _ if self.force_noninteractive => false,
            "interactive" => true,
            "non-interactive" => false,
            _ => terminals() && !self.disable_stdin,
        };
        let mut environment: BTreeMap<String, String> =
            std::env::var("TERM").ok().map(|term| ("TERM".to_owned(), term)).into_iter().collect();
        for word in &self.env {
            let (key, value) = pair(word)?;
            environment.insert(key, value);
        }
        let exec = client::Exec {
            command: self.command,
            environment,
            interactive,
            user: self.user,
            group: self.group,
            cwd: self.cwd,
            ..client::Exec::default()
        };
        client.exec(name, &exec, if self.disable_stdin { Ends::Unread } else { Ends::Mine }).map(|(code, _)| code)
    }
}

/// Shows an instance's console, or what it has shown.
pub(super) fn console(word: &str, show_log: bool, context: &mut Context) -> Result<String> {
    let (client, name) = reach(word)?;
    if show_log {
        let log = client.console_log(name)?;
        return Ok(format!("\nConsole log:\n\n{}\n", String::from_utf8_lossy(&log)));
    }
    print(context, "To detach from the console, press: <ctrl>+a q")?;
    client.console(name).map(done)
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum File {
    Push(Push),
    Pull(Pull),
    /// Delete files in an instance
    Delete {
        /// [REMOTE:]NAME/PATH
        #[arg(required = true)]
        words: Vec<String>,
    },
}

impl File {
    pub(super) fn run(self) -> Result<()> {
        match self {
            Self::Push(push) => push.run(),
            Self::Pull(pull) => pull.run(),
            Self::Delete { words } => words.iter().try_for_each(|word| {
                let (client, name, path) = place(word)?;
                client.remove(name, &path)
            }),
        }
    }
}

/// `[REMOTE:]NAME/PATH`
fn place(word: &str) -> Result<(Client, &str, String)> {
    let (client, rest) = reach(word)?;
    let (name, path) = rest.split_once('/').ok_or_else(|| refuse(format!("Invalid path {word}")))?;
    Ok((client, name, format!("/{path}")))
}

fn fault(file: &Path) -> impl Fn(std::io::Error) -> Error + '_ {
    move |error| refuse(format!("{}: {error}", file.display()))
}

fn base(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Push files into an instance
#[derive(Debug, clap::Args)]
pub(super) struct Push {
    /// The files, - for standard input; last [REMOTE:]NAME/PATH
    #[arg(required = true, num_args = 2..)]
    words: Vec<String>,
    /// Make the directories above it
    #[arg(short = 'p', long)]
    create_dirs: bool,
    /// With everything in them
    #[arg(short, long)]
    recursive: bool,
    /// The owner's number
    #[arg(long)]
    uid: Option<u32>,
    /// The group's number
    #[arg(long)]
    gid: Option<u32>,
    /// The permissions, octal
    #[arg(long)]
    mode: Option<String>,
}

impl Push {
    fn run(self) -> Result<()> {
        let Some((target, files)) = self.words.split_last() else { return Ok(()) };
        let (client, name, path) = place(target)?;
        let mode = self.mode.as_deref().map(|mode| u32::from_str_radix(mode, 8)).transpose();
        let mode = mode.map_err(|_| refuse("Invalid mode"))?;
        let into = path.ends_with('/') || files.len() > 1;
        if self.create_dirs {
            let above = if into { path.as_str() } else { path.rsplit_once('/').map_or("/", |(above, _)| above) };
            directories(&client, name, above)?;
        }
        for file in files.iter().map(Path::new) {
            let to = if into || self.recursive { format!("{}/{}", path.trim_end_matches('/'), base(file)) } else { path.clone() };
            let stdin = file == Path::new("-");
            let meta = if stdin { None } else { Some(std::fs::metadata(file).map_err(fault(file))?) };
            let owner = Owner {
                uid: self.uid.unwrap_or(meta.as_ref().map_or(0, MetadataExt::uid)),
                gid: self.gid.unwrap_or(meta.as_ref().map_or(0, MetadataExt::gid)),
                mode: mode.unwrap_or(meta.as_ref().map_or(0o644, |meta| meta.permissions().mode() & 0o777)),
            };
            match meta {
                Some(meta) if meta.is_dir() => {
                    if !self.recursive {
                        return Err(refuse(format!("{} is a directory: try -r", file.display())));
                    }
                    tree(&client, name, file, &to)?;
                }
                _ => client.push(name, &to, Kind::File, owner, content(file)?)?,
            }
        }
        Ok(())
    }
}

fn content(file: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).map(drop)
    } else {
        std::fs::read(file).map(|read| bytes = read)
    };
    read.map_err(fault(file))?;
    Ok(bytes)
}

/// Makes a directory and those above it, where they are not there.
fn directories(client: &Client, name: &str, path: &str) -> Result<()> {
    let mut above = String::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        above = format!("{above}/{part}");
        match client.pull(name, &above) {
            Ok(_) => {}
            Err(Error::Remote(RemoteFault::Refused { code: 404, .. })) => {
                client.push(name, &above, Kind::Directory, Owner { uid: 0, gid: 0, mode: 0o755 }, Vec::new())?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Pushes a directory with everything in it.
fn tree(client: &Client, name: &str, from: &Path, to: &str) -> Result<()> {
    let meta = std::fs::symlink_metadata(from).map_err(fault(from))?;
    let owner = Owner { uid: meta.uid(), gid: meta.gid(), mode: meta.mode() & 0o777 };
    if meta.is_dir() {
        client.push(name, to, Kind::Directory, owner, Vec::new())?;
        for entry in std::fs::read_dir(from).map_err(fault(from))? {
            let path = entry.map_err(fault(from))?.path();
            tree(client, name, &path, &format!("{to}/{}", base(&path)))?;
        }
        Ok(())
    } else if meta.is_symlink() {
        let target = std::fs::read_link(from).map_err(fault(from))?;
        client.push(name, to, Kind::Symlink, owner, target.to_string_lossy().into_owned().into_bytes())
    } else if meta.is_file() {
        client.push(name, to, Kind::File, owner, content(from)?)
    } else {
        Err(refuse(format!("{} is no regular file", from.display())))
    }
}

/// Pull files from an instance
#[derive(Debug, clap::Args)]
pub(super) struct Pull {
    /// [REMOTE:]NAME/PATH of each; last where to, - for standard output
    #[arg(required = true, num_args = 2..)]
    words: Vec<String>,
    /// With everything in them
    #[arg(short, long)]
    recursive: bool,
    /// Make the directories above it
    #[arg(short = 'p', long)]
    create_dirs: bool,
}

impl Pull {
    fn run(self) -> Result<()> {
        let Some((target, files)) = self.words.split_last() else { return Ok(()) };
        let target = Path::new(target);
        if self.create_dirs {
            let above = if files.len() > 1 { target } else { target.parent().unwrap_or(target) };
            std::fs::create_dir_all(above).map_err(fault(above))?;
        }
        for word in files {
            let (client, name, path) = place(word)?;
            let to = if target.is_dir() { target.join(base(Path::new(&path))) } else { target.to_owned() };
            self.take(&client, name, &path, &to, false)?;
        }
        Ok(())
    }

    fn take(&self, client: &Client, name: &str, path: &str, to: &PathBuf, inside: bool) -> Result<()> {
        // A server that tells a link and then the same name again would else choose where this writes.
        if inside && to.is_symlink() {
            return Err(refuse(format!("{} is a symbolic link", to.display())));
        }
        let file = client.pull(name, path)?;
        let to_error = fault(to);
        match file.kind {
            Kind::Directory if !self.recursive => Err(refuse("Can't pull a directory without --recursive")),
            Kind::Directory => {
                std::fs::create_dir_all(to).map_err(to_error)?;
                for inner in &file.names {
                    // A name is one component: nothing else may be written to.
                    if inner.contains('/') || matches!(inner.as_str(), "" | "." | "..") {
                        return Err(refuse(format!("Invalid name in {path}")));
                    }
                    self.take(client, name, &format!("{path}/{inner}"), &to.join(inner), true)?;
                }
                Ok(())
            }
            Kind::Symlink => {
                let target = String::from_utf8_lossy(&file.content).trim_end().to_owned();
                std::os::unix::fs::symlink(target, to).map_err(to_error)
            }
            Kind::File if to == Path::new("-") => {
                let mut stdout = std::io::stdout().lock();
                stdout.write_all(&file.content).and_then(|()| stdout.flush()).map_err(to_error)
            }
            Kind::File => {
                let mut open = std::fs::OpenOptions::new();
                let open = open.write(true).create(true).truncate(true).mode(file.mode & 0o777).open(to);
                open.and_then(|mut open| open.write_all(&file.content)).map_err(to_error)
            }
        }
    }
}
