//! Pure: PromQL evaluation over a source of series.
