//! Logs as Parquet, their search, and SQL over them; the only crate that knows arrow and parquet.
