//! Who is told what: messages from the journal into the spool, and their delivery.
