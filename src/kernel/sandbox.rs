//! The processes of nodes: each node with a process has a sandbox, namespaces of its own for processes, mounts,
//! hostname and IPC, held by a small init.
//!
//! The init is a copy of nslab itself. It ends when nothing else lives in its sandbox; a lock per node makes joining
//! and ending exclude each other. A process that is started in a sandbox stays a child of the nslab that started it, in
//! the caller's session and process group: so a shell on the caller's terminal has its job control, Ctrl-C and Ctrl-Z
//! reach it like any other command of a pipeline, and no pseudo-terminal needs copying.

mod end;
mod files;
mod join;
mod make;
mod outside;
mod processes;
mod root;
mod session;
mod shim;
mod spec;
mod wait;

pub use end::{end, freeze, thaw};
pub use files::{Attributes, Kind, Look, Tree, files};
pub use join::{run, start};
pub use make::{forget, links, rename, wait_for_clients};
pub use outside::{Manner, send};
pub use processes::{Process, around, processes, user};
pub use session::{Refused, Session, Streams, open};
pub(crate) use shim::READER;
pub use spec::{Clients, Order, Paths, Run, Screen, Spec, shell};
pub use wait::{Exit, Started};
