//! Standard input, of commands that read lines from it.

use std::io::{IsTerminal, Stdin};

use crate::failure::say;

/// Standard input, from which `what` is read. Where that is a terminal the command says so: it would seem to hang.
pub fn stdin_of(what: &str) -> Stdin {
    let input = std::io::stdin();
    if input.is_terminal() {
        say(format_args!(
            "reading {what} from the terminal, a line each; Ctrl-D ends them"
        ));
    }
    input
}
