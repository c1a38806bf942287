"""The learner model and the policy: pure functions of row, course version and population version.

Plain Python, which `make compile` turns into machine code where there is a C compiler: the same functions, the same bytes,
about half the time. Nothing needs it. Code that was compiled from other sources than these is refused, not run.
"""

from runtime.compiled import refuse_stale

refuse_stale()
