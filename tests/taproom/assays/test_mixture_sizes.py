import numpy as np

from taproom.assays.mixture_sizes import SizeFit, best_by_bic, best_held_out


def size_fit(components, bic, held_out, seed=0):
    return SizeFit(components, seed, 0.0, held_out, bic, 1, True)


def test_held_out_events_and_bic_may_choose_differently():
    fits = [size_fit(2, 1.0, -3.0), size_fit(4, 2.0, -2.0), size_fit(8, 3.0, -2.0)]
    assert best_by_bic(fits).components == 2
    assert best_held_out(fits).components == 4


def test_without_held_out_events_bic_chooses():
    fits = [size_fit(1, 2.0, np.nan), size_fit(2, 1.0, np.nan)]
    assert best_held_out(fits) == fits[1]
