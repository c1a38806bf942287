"""The names of the topics, the same on every engine, and which of them are split like `interactions`."""

from __future__ import annotations

INTERACTIONS = "interactions"
DECISIONS = "decisions"
LEARNING = "learning"
POPULATION = "population"
COURSES = "courses"
LEARNER_STATE = "learner-state"
REJECTS = "rejects"
EVIDENCE = "evidence"

PARTITIONED = (INTERACTIONS, DECISIONS, LEARNING, LEARNER_STATE, REJECTS, EVIDENCE)
"""Equal partition counts; a row is in the same partition of each."""

SHARED = (POPULATION, COURSES)
"""One partition each: everybody reads all of it, in one order."""

READ_BY_ALL = 0
"""The one partition of a shared topic."""
