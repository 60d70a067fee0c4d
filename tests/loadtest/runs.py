"""Finished runs for the tests of what is said about them."""

from array import array

from mmoinv.loadtest.deeds import Count
from mmoinv.loadtest.measures import Measures
from mmoinv.loadtest.report import RunFigures
from mmoinv.loadtest.settings import LoadTestSettings
from mmoinv.loadtest.verification import Findings


def measures(rtt_ms=(1.0, 2.0), size=100.0, database_ms=(1.0,)) -> Measures:
    result = Measures()
    result.rtt_ms.extend(rtt_ms, 0.5)
    result.packet_bytes.extend([size] * len(rtt_ms), 0.5)
    result.database_ms.extend(database_ms, 0.5)
    result.group_size.extend([3.0] * len(database_ms), 0.5)
    result.queue_depth.extend([3.0] * len(database_ms), 0.5)
    result.packet_us.extend([5.0], 0.5)
    result.set_pending(1, 0.5)
    return result


def run(**changes) -> RunFigures:
    values = {
        "settings": LoadTestSettings(players=2, worlds=1),
        "play": measures(),
        "all_at_once": measures(),
        "packet_bytes_of": {"packet_bytes_40_items": 700, "packet_bytes_119_items": 1300},
        "findings": Findings(2, 50),
        "played_s": 2.0,
        "deeds": {
            "loot": Count(1234, 1, array("f", [10.0, 20.0, 30.0])),
            "trade": Count(2, 0, array("f", [40.0, 50.0])),
        },
    }
    return RunFigures(**(values | changes))
