//! The intake log: everything observed and every command, on disk before it is acknowledged.
