"""The model as a River classifier: River's own checks where they apply, and River's evaluation."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest
from river import datasets, evaluate, metrics
from river.checks import clf, common

from models.classifier import KnowledgeModel

OF_THE_CLASS = (
    common.check_repr, common.check_str, common.check_tags, common.check_doc, common.check_clone_same_class,
    common.check_clone_is_idempotent, common.check_clone_changes_memory_addresses, common.check_get_params_matches_signature,
    common.check_init_has_default_params_for_tests, common.check_init_default_params_are_not_mutable,
    common.check_mutate_can_be_idempotent, common.check_repr_roundtrips_clone, common.check_clone_with_new_params_applies,
)  # fmt: skip
"""Left out: pickling. Nothing here is pickled; rows and versions have formats of their own."""

OF_LEARNING = (
    common.check_learn_one, common.check_predict_one_pure, common.check_predict_one_before_any_learn,
    common.check_emerging_features, common.check_disappearing_features, common.check_radically_disappearing_features,
    common.check_shuffle_features_no_impact, common.check_no_state_aliasing_with_input, common.check_seeding_is_idempotent,
    clf.check_predict_proba_one, clf.check_predict_proba_one_binary,
)  # fmt: skip


@pytest.mark.parametrize("check", OF_THE_CLASS, ids=lambda check: str(check.__name__))
def test_rivers_checks_of_an_estimator(check: Callable[[Any], None]) -> None:
    check(KnowledgeModel())


@pytest.mark.parametrize("check", OF_LEARNING, ids=lambda check: str(check.__name__))
def test_rivers_checks_of_learning(check: Callable[[Any, Any], None]) -> None:
    check(KnowledgeModel(), list(islice(datasets.Phishing(), 60)))
    check(KnowledgeModel(), [({"learner": f"l{n % 3}", "item": f"i{n % 5}", "skills": "a~b"}, n % 5 > 1) for n in range(60)])


def test_rivers_evaluation_runs_over_it() -> None:
    stream = [({"learner": f"l{n % 5}", "item": f"i{n % 7}", "skills": "a~b"}, n % 7 > n % 5) for n in range(400)]
    assert evaluate.progressive_val_score(stream, KnowledgeModel(), metrics.ROCAUC()).get() > 0.7
