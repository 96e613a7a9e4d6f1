//! Intake log, metric store and the SQLite state of a node.
