"""Every metric's name, in one place. Seconds and counts, prometheus conventions."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

ACCEPTED = Counter("segue_events_accepted", "Events answered with 202.", ["type"])
REJECTED = Counter("segue_events_rejected", "Events refused at the edge or by a lane.", ["code", "where"])
APPLIED = Counter("segue_events_applied", "Events that changed a row.", ["partition"])
DUPLICATES = Counter("segue_events_duplicate", "Events recognised as resends.", ["partition"])
DECISIONS = Counter("segue_decisions", "Decisions written to the view.", ["partition"])
FALLBACKS = Counter("segue_fallbacks", "Fallback decisions given at a deadline.")
LANE_STATES = Counter("segue_lane_states", "Times that a lane entered a state.", ["state"])
HALTED = Gauge("segue_lane_halted", "1 while a partition is halted.", ["partition"])
OFFSET_LAG = Gauge("kafka_consumergroup_lag", "Records not yet applied.", ["consumergroup", "topic", "partition"])
LAG_SECONDS = Gauge("segue_lag_seconds", "Now minus the log time of the last applied record.", ["partition"])
STREAMS_OPEN = Gauge("segue_streams_open", "Open subscriptions.")
STREAMS_EVICTED = Counter("segue_streams_evicted", "Subscribers cut off because they did not read.")
RECEIPTS_LOST = Counter("segue_receipts_lost", "Deliveries of compulsory content that could not be noted for want of room.")
STREAMS_RESUMED = Counter("segue_streams_resumed", "Subscriptions that resumed from a cursor.")
POPULATION_VERSION = Gauge("segue_population_version", "Newest population version published.", ["course"])
