//! What reports, errors and notices say, a file for each kind of them; catalogues have it in other languages.

pub mod capture;
pub mod causes;
pub mod doctor;
pub mod errors;
pub mod findings;
pub mod lxd;
pub mod packets;
pub mod role;
pub mod statement;
pub mod usage;
