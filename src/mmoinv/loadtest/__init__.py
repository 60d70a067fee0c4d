"""The main job as a test: simulated players on world servers, a realm, a database, a verdict.

World servers and the realm run in processes of their own. Needs the extra ``realm``.
"""

from mmoinv.loadtest.run import run_load_test
from mmoinv.loadtest.settings import LoadTestSettings

__all__ = ["LoadTestSettings", "run_load_test"]
