//! What is said while a command runs: notices and questions.

/// Something worth telling that is no error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Several labs are up and the command line names none: the lab that is meant, and the name that would say so.
    Assumed {
        /// The lab.
        lab: String,
        /// How to name the thing without doubt.
        exact: String,
    },
    /// A lab that is up bears the name of a built-in topology and is made from another description.
    OwnDescription {
        /// The lab.
        lab: String,
    },
}

/// A question to answer with yes or no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// `reset` removes what was made by hand.
    Reset {
        /// The lab.
        lab: String,
        /// How many things go.
        by_hand: usize,
    },
}
