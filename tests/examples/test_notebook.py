"""The notebook runs from top to bottom against a server with the examples, and plots what it says."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import nbformat
import pytest
from matplotlib import pyplot as plt

NOTEBOOK = nbformat.read(
    Path(__file__).parents[2] / "examples" / "notebooks" / "measures.ipynb", as_version=4
)


@pytest.fixture
def figures(monkeypatch):
    """Where plots go instead of a screen."""
    mpl.use("Agg")
    monkeypatch.setattr(plt, "show", lambda: None)
    yield plt
    plt.close("all")


def run(monkeypatch, base, patient):
    monkeypatch.setenv("FHIR_BASE", base)
    monkeypatch.setenv("PATIENT", patient)
    names = {}
    try:
        for cell in NOTEBOOK.cells:
            if cell.cell_type == "code":
                exec(compile(cell.source, cell.id, "exec"), names)
    finally:
        names["fhir"].close()
    return names


def test_it_is_a_valid_notebook_without_outputs():
    nbformat.validate(NOTEBOOK)
    assert all(not cell.outputs for cell in NOTEBOOK.cells if cell.cell_type == "code")


def test_it_plots_all_measures(monkeypatch, capsys, fhir_base, figures):
    names = run(monkeypatch, fhir_base, "dominique-testani")
    assert "Dominique TESTANI, born 1960" in capsys.readouterr().out
    [figure] = map(figures.figure, figures.get_fignums())
    drawn = {
        axes.get_title("left"): [len(line.get_xdata()) for line in axes.get_lines()] for axes in figure.axes
    }
    assert drawn == {
        kind: [len(points) for points in lines.values()] for kind, lines in names["series"].items()
    }
    assert sorted(map(len, drawn.values())) == [1, 1, 1, 2]  # blood pressure has two values


def test_a_refusal_is_shown_in_its_own_words(monkeypatch, fhir_base, figures):
    with pytest.raises(RuntimeError, match="There is no Patient with this id"):
        run(monkeypatch, fhir_base, "nobody-at-all")
