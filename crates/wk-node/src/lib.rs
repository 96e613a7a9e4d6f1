//! Roles and wiring of a node: scheduler, HTTP API, authentication, pipeline counters.
