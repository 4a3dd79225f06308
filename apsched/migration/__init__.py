"""Take over the jobs of APScheduler 3 (layer 7).

Jobs are read from the tables, keys, collections and export files of APScheduler 3 without running what stands in them,
made anew with the triggers of this package, and added to a job store. What was read is left as it is.
"""

from apsched.migration.importing import ImportedJob, ImportReport, import_jobs
from apsched.migration.jobs import FoundJob
from apsched.migration.sources import read_jobs

__all__ = ["FoundJob", "ImportReport", "ImportedJob", "import_jobs", "read_jobs"]
