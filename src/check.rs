//! What must hold in a lab, checked on the live kernel: its tables, its answers to pings, the frames on its wires.

mod evidence;
mod hints;
mod kind;
mod kinds;
mod nodes;
mod pings;
mod players;
mod run;
mod scene;
mod watch;

pub use kinds::KINDS;
pub use run::{Order, check, words};
pub use watch::watch;
