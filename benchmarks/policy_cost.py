"""What choosing costs, at 50 and at 500 eligible segments: from a row and its event to the choice, median of blocks."""

from __future__ import annotations

from statistics import median
from time import perf_counter

from msgspec import convert

from models import policy
from models.belief import start
from models.gain import View
from models.population import Population
from models.row import Row
from schemas.course import Course
from schemas.ids import hash32


def decide_us() -> dict[str, float]:
    """Microseconds by number of eligible segments."""
    return {str(count): round(_one(count), 1) for count in (50, 500)}


def _one(count: int) -> float:
    skills = [{"id": f"k{n}"} for n in range(12)]
    segments = [
        {"id": f"s{n}", "skills": {f"k{n % 12}": 1.0}, "minutes": 3 + n % 7, "difficulty": n % 9 / 8} for n in range(count)
    ]
    course = convert({"id": "cost", "version": "1", "skills": skills, "segments": segments}, Course)
    row, population = Row(run_start_ms=0, last_at_ms=60_000, seq=9), Population.empty()
    for n in range(12):
        state = row.skills.touch(hash32(f"k{n}"))
        state.tries, state.wins, state.known = 5, n % 5, start(0.2 + 0.05 * n)
    blocks = []
    for block in range(40):
        begin = perf_counter()
        for n in range(25):
            policy.choose(View(row, course, population, 60_000), f"default/cost/1/l/{block * 25 + n}")
        blocks.append((perf_counter() - begin) / 25 * 1e6)
    return median(blocks)
