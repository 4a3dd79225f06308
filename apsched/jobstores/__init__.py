"""Job stores: where jobs and the history of their runs are kept."""
