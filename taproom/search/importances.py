"""How much each parameter of a search matters for the values of its trials (fANOVA).

Here belongs the measure; it is drawn in `taproom.search.search_figures`.

Source: Hutter, Hoos and Leyton-Brown, An efficient approach for assessing hyperparameter importance, 2014, by Optuna.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from taproom.search.space import Space, holds
from taproom.search.trials import Trial

# With fewer trials, importances are not reliable.
LEAST_TRIALS = 6
TREES = 32
# Values are clipped so many interquartile ranges beyond the quartiles (Tukey's inner fences): otherwise one run that
# diverged would be all the variance.
FENCE = 1.5


def importances(trials: Sequence[Trial], space: Space) -> dict[str, float]:
    """Each parameter's share of the variance of values at the budget that most trials have had; they sum to 1.

    That budget is the full one, or that of a rung of Hyperband, of which few trials are complete. The largest share
    comes first. The result is empty if fewer than 6 trials of the space had it, or if all their values are equal.

    Source: Hutter, Hoos and Leyton-Brown 2014, by Optuna's FanovaImportanceEvaluator with a fixed seed.
    """
    inside = [trial for trial in trials if trial.state != "failed" and holds(space, trial.parameters)]
    had = Counter(budget for trial in inside for budget in trial.budgets)
    budget = max(had, key=lambda budget: (had[budget], budget), default=0)
    judged = [trial for trial in inside if budget in trial.budgets]
    values = [trial.values[trial.budgets.index(budget)] for trial in judged]
    if len(judged) < LEAST_TRIALS or len(set(values)) == 1:
        return {}
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    distributions = {name: dimension.distribution() for name, dimension in space.items()}
    for trial, value in zip(judged, _fenced(np.array(values)), strict=True):
        study.add_trial(
            optuna.trial.create_trial(params=dict(trial.parameters), distributions=distributions, value=float(value))
        )
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=TREES, seed=0)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator, params=list(space))
    return {name: float(share) for name, share in found.items()}


def _fenced(values: np.ndarray) -> np.ndarray:
    """Values (n,), those far out moved to Tukey's inner fences."""
    low, high = np.quantile(values, [0.25, 0.75])
    beyond = FENCE * (high - low)
    return np.clip(values, low - beyond, high + beyond) if beyond else values
