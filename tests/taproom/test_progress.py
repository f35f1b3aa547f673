from taproom.progress import progress, silent


def shows() -> bool:
    """Whether a bar that is made now would appear, if the work took long."""
    with progress(doing="resting", total=3, unit="nap") as bar:
        return not bar.disable


def test_work_within_other_work_is_silent():
    assert shows()
    with silent():
        assert not shows()
        with silent():
            assert not shows()
        assert not shows()
    assert shows()


def test_it_is_heard_again_after_an_error():
    try:
        with silent():
            raise ValueError
    except ValueError:
        pass
    assert shows()
