"""The main job as a test: simulated players on world servers, a realm, a database, a verdict.

World servers and the realm run in processes of their own. Needs the extra ``realm``.
"""

from mmoinv.loadtest.run import run_load_test
from mmoinv.loadtest.settings import LoadTestSettings
from mmoinv.loadtest.throughput import ThroughputSettings, run_throughput

__all__ = ["LoadTestSettings", "ThroughputSettings", "run_load_test", "run_throughput"]
