"""Show a scheduler at work on real files: `python -m apsched.demo` (layer 10).

An example to read from top to bottom:

* `schedule` writes a TOML file, of which each table is a job;
* `jobs` is what the jobs do;
* `board` follows what happens, by a listener;
* `screen` shows the board while the scheduler runs, `report` the history when it has run;
* `__main__` starts the scheduler and puts these together.
"""
