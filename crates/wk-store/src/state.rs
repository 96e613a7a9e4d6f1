//! The state database: journal, registry, accounts, spool and cursors.
