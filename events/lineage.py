"""An object and what it belongs to, as last reported."""

from typing import Any, LiteralString

from . import exact, prepared
from .models import BillingObject

# The depth stops a circle, which reports cannot make and a hand in the database can.
_LINEAGE: LiteralString = """
WITH RECURSIVE lineage AS (
    SELECT id, parent_id, kind, external_id, state, 1 AS depth
    FROM events_billingobject WHERE id = %s::bigint
    UNION ALL
    SELECT above.id, above.parent_id, above.kind, above.external_id, above.state, depth + 1
    FROM lineage JOIN events_billingobject AS above ON above.id = lineage.parent_id
    WHERE depth < 10
)
SELECT kind, external_id, state::text FROM lineage ORDER BY depth
"""


def lineage(row: BillingObject) -> dict[str, dict[str, Any]]:
    """Return the last known state of the object and of each of its to-one parents, by kind, itself first.

    One statement. Each state has its `id`; numbers are ints and Decimals.
    """
    rows = prepared.run(_LINEAGE, [str(row.pk)])
    return {kind: {"id": external_id, **exact.loads(state)} for kind, external_id, state in rows}
