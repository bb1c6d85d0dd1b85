"""Search: a query string becomes a plan; a resource becomes index entries. See README.md."""

from fhir_server.search.bare_codes import BareCodes, bare_codes, with_systems
from fhir_server.search.choosing import SCAN, Choice, choose, is_wide
from fhir_server.search.compartment import in_compartment, members
from fhir_server.search.cursor import Cursor, Cursors
from fhir_server.search.entries import IndexDescriptor, IndexEntries, SearchPlan
from fhir_server.search.indexes import indexed, indexes
from fhir_server.search.indexing import Indexer
from fhir_server.search.lexing import LONGEST_FORM, decode_pairs
from fhir_server.search.paging import Pager, Position
from fhir_server.search.plan import COUNT_CAP, FEW, count_plan, rivals
from fhir_server.search.query import SearchQuery, parse
from fhir_server.search.registry import Registry
from fhir_server.search.search_parameter import Parameter
from fhir_server.search.sorting import is_order_of, with_order
from fhir_server.search.system import SystemPager

__all__ = [
    "COUNT_CAP",
    "FEW",
    "LONGEST_FORM",
    "SCAN",
    "BareCodes",
    "Choice",
    "Cursor",
    "Cursors",
    "IndexDescriptor",
    "IndexEntries",
    "Indexer",
    "Pager",
    "Parameter",
    "Position",
    "Registry",
    "SearchPlan",
    "SearchQuery",
    "SystemPager",
    "bare_codes",
    "choose",
    "count_plan",
    "decode_pairs",
    "in_compartment",
    "indexed",
    "indexes",
    "is_order_of",
    "is_wide",
    "members",
    "parse",
    "rivals",
    "with_order",
    "with_systems",
]
