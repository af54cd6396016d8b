//! `lxc file`

use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{done, reach, refuse};
use crate::error::{Error, RemoteFault, Result};
use crate::lxd::client::{Client, Kind, Owner};
use crate::render::Printed;

/// Files of instances
#[derive(Debug, clap::Subcommand)]
pub(super) enum File {
    Push(Push),
    Pull(Pull),
    Delete(Delete),
}

impl File {
    pub(super) fn run(self) -> Result<Printed> {
        match self {
            Self::Push(push) => push.run(),
            Self::Pull(pull) => pull.run(),
            Self::Delete(delete) => delete.run(),
        }
    }
}

/// `[REMOTE:]NAME/PATH`
fn place(word: &str) -> Result<(Client, &str, String)> {
    let (client, rest) = reach(word)?;
    let (name, path) = rest.split_once('/').ok_or_else(|| refuse(format!("Invalid path {word}")))?;
    Ok((client, name, format!("/{path}")))
}

fn fault(file: &Path, error: &std::io::Error) -> Error {
    refuse(format!("{}: {error}", file.display()))
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
    fn run(self) -> Result<Printed> {
        let Some((target, files)) = self.words.split_last() else { return Ok(done()) };
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
            let meta = if stdin { None } else { Some(std::fs::metadata(file).map_err(|error| fault(file, &error))?) };
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
        Ok(done())
    }
}

fn content(file: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).map(drop)
    } else {
        std::fs::read(file).map(|read| bytes = read)
    };
    read.map_err(|error| fault(file, &error))?;
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
    let meta = std::fs::symlink_metadata(from).map_err(|error| fault(from, &error))?;
    let owner = Owner { uid: meta.uid(), gid: meta.gid(), mode: meta.mode() & 0o777 };
    if meta.is_dir() {
        client.push(name, to, Kind::Directory, owner, Vec::new())?;
        for entry in std::fs::read_dir(from).map_err(|error| fault(from, &error))? {
            let path = entry.map_err(|error| fault(from, &error))?.path();
            tree(client, name, &path, &format!("{to}/{}", base(&path)))?;
        }
        Ok(())
    } else if meta.is_symlink() {
        let target = std::fs::read_link(from).map_err(|error| fault(from, &error))?;
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
    fn run(self) -> Result<Printed> {
        let Some((target, files)) = self.words.split_last() else { return Ok(done()) };
        let target = Path::new(target);
        if self.create_dirs {
            let above = if files.len() > 1 { target } else { target.parent().unwrap_or(target) };
            std::fs::create_dir_all(above).map_err(|error| fault(above, &error))?;
        }
        for word in files {
            let (client, name, path) = place(word)?;
            let to = if target.is_dir() { target.join(base(Path::new(&path))) } else { target.to_owned() };
            self.take(&client, name, &path, &to, false)?;
        }
        Ok(done())
    }

    fn take(&self, client: &Client, name: &str, path: &str, to: &PathBuf, inside: bool) -> Result<()> {
        // A server that tells a link and then the same name again would else choose where this writes.
        if inside && to.is_symlink() {
            return Err(refuse(format!("{} is a symbolic link", to.display())));
        }
        let file = client.pull(name, path)?;
        let told = |error: std::io::Error| fault(to, &error);
        match file.kind {
            Kind::Directory if !self.recursive => Err(refuse("Can't pull a directory without --recursive")),
            Kind::Directory => {
                std::fs::create_dir_all(to).map_err(told)?;
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
                std::os::unix::fs::symlink(target, to).map_err(told)
            }
            Kind::File if to == Path::new("-") => {
                let mut stdout = std::io::stdout().lock();
                stdout.write_all(&file.content).and_then(|()| stdout.flush()).map_err(told)
            }
            Kind::File => {
                let mut open = std::fs::OpenOptions::new();
                let open = open.write(true).create(true).truncate(true).mode(file.mode & 0o777).open(to);
                open.and_then(|mut open| open.write_all(&file.content)).map_err(told)
            }
        }
    }
}

/// Delete files in an instance
#[derive(Debug, clap::Args)]
pub(super) struct Delete {
    /// [REMOTE:]NAME/PATH
    #[arg(required = true)]
    words: Vec<String>,
}

impl Delete {
    fn run(self) -> Result<Printed> {
        for word in &self.words {
            let (client, name, path) = place(word)?;
            client.remove(name, &path)?;
        }
        Ok(done())
    }
}
