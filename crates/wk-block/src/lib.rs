//! Pure: the metric block codec, one format for disk and for the link.
