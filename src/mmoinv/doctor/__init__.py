"""``mmoinv doctor``: what is installed, what is reachable, how quick the disk is.

Changes nothing but a temporary file. Imports the rest of mmoinv only inside a check: that it
cannot be imported is a finding too.
"""

from mmoinv.doctor.report import run

__all__ = ["run"]
