"""Show a scheduler at work on real files: `python -m apsched.demo` (layer 10).

An example to read from top to bottom:

* `schedule` turns a TOML file into the parameters of `add_job`;
* `jobs` is what the jobs do;
* `board` follows what happens, by a listener;
* `screen` shows the board while the scheduler runs, `report` the history when it has run;
* `__main__` starts the scheduler and puts these together.
"""
