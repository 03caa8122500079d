"""What the tests have in common."""

import faulthandler

import level_party
import pytest

# A test that hangs says where: no test takes minutes.
faulthandler.enable()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "db"


@pytest.fixture
def db(path):
    with level_party.open(path) as db:
        yield db


@pytest.fixture(autouse=True)
def no_hang():
    faulthandler.dump_traceback_later(180, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


FIGURES = pytest.StashKey()


@pytest.fixture
def tell(request):
    """Has a line said at the end of the run."""
    return request.config.stash.setdefault(FIGURES, []).append


def pytest_terminal_summary(terminalreporter, config):
    for line in config.stash.get(FIGURES, []):
        terminalreporter.line(line)
