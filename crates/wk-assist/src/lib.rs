//! Questions in plain words, answered with the query and the figures behind them.
