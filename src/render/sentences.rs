//! What reports, errors and notices say, a file for each kind of them; catalogues have it in other languages.

pub mod agent;
pub mod capture;
pub mod causes;
pub mod doctor;
pub mod errors;
pub mod filters;
pub mod findings;
pub mod graph;
pub mod halves;
pub mod instances;
pub mod interference;
pub mod macs;
pub mod nics;
pub mod notices;
pub mod ping;
pub mod remote;
pub mod role;
pub mod statement;
pub mod trace;
pub mod usage;
