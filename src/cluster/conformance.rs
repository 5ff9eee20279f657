//! What every backend must do, run on each of them.
