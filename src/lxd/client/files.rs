//! Files of a container.

use hyper::Method;
use hyper::body::Bytes;

use super::answer::refused;
use super::instance::{path, quote};
use super::wire::Response;
use super::{Answer, Client};
use crate::error::Result;

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words explain themselves")]
pub enum Kind {
    File,
    Directory,
    Symlink,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
        }
    }
}

/// Whose a file is and who may use it: numbers inside the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words explain themselves")]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
    pub mode: u32,
}

/// A file of a container.
#[derive(Debug, Clone)]
pub struct File {
    /// What it is.
    pub kind: Kind,
    /// Who may use it.
    pub mode: u32,
    /// What is in it: bytes, the names in a directory, the target of a link.
    pub content: Bytes,
    /// The names in a directory.
    pub names: Vec<String>,
}

fn files(name: &str, file: &str) -> String {
    format!("{}/files?path={}", path(name), quote(file))
}

fn header<'a>(response: &'a Response, end: &str) -> Option<&'a str> {
    ["x-lxd-", "x-incus-"].iter().find_map(|start| response.headers.get(format!("{start}{end}"))?.to_str().ok())
}

impl Client {
    /// Reads a file or a directory.
    ///
    /// # Errors
    /// When there is none, or the server cannot be reached or refuses.
    pub fn pull(&self, name: &str, file: &str) -> Result<File> {
        let response = self.runtime.block_on(self.wire.send(Method::GET, &files(name, file), None, &[]))?;
        if !response.status.is_success() {
            Answer::of(self.name(), &response)?;
            return Err(refused(self.name(), response.status, response.status.as_str()));
        }
        let kind = match header(&response, "type") {
            Some("directory") => Kind::Directory,
            Some("symlink") => Kind::Symlink,
            _ => Kind::File,
        };
        let mode = header(&response, "mode").and_then(|mode| u32::from_str_radix(mode, 8).ok()).unwrap_or(0o644);
        let names = if kind == Kind::Directory { Answer::of(self.name(), &response)?.told() } else { serde_json::Value::Null };
        let names = names.as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect();
        Ok(File { kind, mode, content: response.body, names })
    }

    /// What a container's console has shown.
    ///
    /// # Errors
    /// When it keeps none, or the server cannot be reached or refuses.
    pub fn console_log(&self, name: &str) -> Result<Bytes> {
        let log = format!("{}/console", path(name));
        let response = self.runtime.block_on(self.wire.send(Method::GET, &log, None, &[]))?;
        if !response.status.is_success() {
            Answer::of(self.name(), &response)?;
        }
        Ok(response.body)
    }

    /// Writes a file, or makes a directory or link.
    ///
    /// # Errors
    /// When it cannot be written there, or the server cannot be reached or refuses.
    pub fn push(&self, name: &str, file: &str, kind: Kind, owner: Owner, content: Vec<u8>) -> Result<()> {
        let (uid, gid, mode) = (owner.uid.to_string(), owner.gid.to_string(), format!("{:04o}", owner.mode & 0o7777));
        let headers = [
            ("Content-Type", "application/octet-stream"),
            ("X-LXD-uid", &uid),
            ("X-LXD-gid", &gid),
            ("X-LXD-mode", &mode),
            ("X-LXD-type", kind.word()),
            ("X-LXD-write", "overwrite"),
            ("X-Incus-uid", &uid),
            ("X-Incus-gid", &gid),
            ("X-Incus-mode", &mode),
            ("X-Incus-type", kind.word()),
            ("X-Incus-write", "overwrite"),
        ];
        let file = files(name, file);
        let sent = self.wire.send(Method::POST, &file, Some(content.into()), &headers);
        Answer::of(self.name(), &self.runtime.block_on(sent)?).map(drop)
    }

    /// Deletes a file or an empty directory.
    ///
    /// # Errors
    /// When there is none, or the server cannot be reached or refuses.
    pub fn remove(&self, name: &str, file: &str) -> Result<()> {
        self.ask(Method::DELETE, &files(name, file), None, &[]).map(drop)
    }
}
