"""Small notebooks to run."""

from __future__ import annotations

import nbformat
import pytest

METADATA = {"kernelspec": {"name": "trii-workbench", "display_name": "TRII Workbench", "language": "python"}}


@pytest.fixture
def notebook(tmp_path):
    """Write a notebook of code cells, the first with the tag ``parameters`` where one is given."""

    def written(*cells, parameters=None, name="small.ipynb", kernel="trii-workbench"):
        made = nbformat.v4.new_notebook(metadata=METADATA)
        made.metadata.kernelspec.name = kernel
        if parameters is not None:
            made.cells.append(nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
        made.cells += [nbformat.v4.new_code_cell(cell) for cell in cells]
        path = tmp_path / "notebooks" / name
        path.parent.mkdir(exist_ok=True)
        nbformat.write(made, path)
        return path

    return written
