"""Scores agree with their definitions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from simulator.scores import auc, log_loss, percentile

pairs = st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.5, 0.9]), st.booleans()), min_size=1, max_size=40)


@given(pairs)
def test_auc_is_the_chance_that_a_right_answer_ranks_above_a_wrong_one(given_pairs: list[tuple[float, bool]]) -> None:
    right = [p for p, happened in given_pairs if happened]
    wrong = [p for p, happened in given_pairs if not happened]
    found = auc(given_pairs)
    if not right or not wrong:
        assert found is None
        return
    wins = sum((r > w) + 0.5 * (r == w) for r in right for w in wrong)
    assert found is not None and abs(found - wins / (len(right) * len(wrong))) < 1e-12


def test_log_loss_and_percentiles() -> None:
    loss = log_loss([(0.5, True), (0.5, False)])
    assert loss is not None and abs(loss - 0.6931471805599453) < 1e-12
    assert [percentile(list(range(1, 101)), share) for share in (0.5, 0.99, 1.0)] == [50, 99, 100]
    assert percentile([], 0.5) is None
