"""What the references of a script lead to: contained resources, files beside it, or URLs.

https://hl7.org/fhir/R4/testscript-definitions.html#TestScript.fixture.resource
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fhir_server.datatypes.json_format import encode
from fhir_server.datatypes.xml_format import XmlFormat
from fhir_server.testscript.message import Message, ScriptError
from fhir_server.testscript.script import Script


def resolve(reference: str, script: Script, xml: XmlFormat, get: Callable[[str], Message]) -> Message:
    """Return the resource that a reference of a script leads to; raises ScriptError when there is none.

    ``get`` asks the server under test, for a URL, or for ``Type/id`` when no such file lies beside the script.
    """
    if reference.startswith("#"):
        for resource in script.resource.get("contained", []):
            if resource.get("id") == reference[1:]:
                own = {
                    name: value for name, value in resource.items() if name != "id"
                }  # it names it in here only
                return Message(xml, encode(own), {"content-type": "application/fhir+json"})
        raise ScriptError(f"The script contains no resource {reference}.")
    if not reference.startswith(("http://", "https://")) and script.folder is not None:
        file = _file(script.folder, reference)
        if file is not None:
            message = Message(xml, file.read_bytes())
            if not message.has_resource():
                raise ScriptError(f"The file {reference} holds no resource.")
            return message
    message = get(reference)
    if message.status != 200 or not message.has_resource():
        raise ScriptError(f"{reference} is no file beside the script, and reading it gave {message.status}.")
    return message


def _file(folder: Path, reference: str) -> Path | None:
    """Return the file of a reference; never one outside the script's folder and its siblings."""
    root = folder.resolve()
    for name in (reference, f"{reference}.json", f"{reference}.xml"):
        file = (folder / name).resolve()
        if file.is_file() and (file.is_relative_to(root) or file.is_relative_to(root.parent)):
            return file
    return None
