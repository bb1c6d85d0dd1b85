"""The content folders of a checkout, and the examples in them."""

from __future__ import annotations

import pytest

from fhir_server.definitions.content import FOLDERS, content_folder, examples_that_pass


@pytest.mark.parametrize("folder", FOLDERS)
def test_content_folders(folder):
    assert (content_folder(folder) / "README.md").is_file()


def test_a_missing_folder_says_so():
    with pytest.raises(FileNotFoundError, match="install the package again"):
        content_folder("absent")


def test_examples_come_with_their_identity():
    found = list(examples_that_pass())
    assert len({(type_, id_) for type_, id_, _ in found}) == len(found) > 50
    assert all(body.lstrip().startswith(b"{") for *_, body in found)
