"""Values with which a rule cannot work, told in a sentence that names the field and what mends it."""

from .rules import Rule


class OddValue(Exception):  # noqa: N818 - named for the fact
    """A field of an object or event is not what the rule needs; says which, and what mends it."""


def sentence(rule: Rule, error: Exception) -> str:
    """Return what went wrong with a rule, for people who know neither our code nor its words."""
    if isinstance(error, OddValue | RuntimeError):
        return str(error)
    fields = _fields(rule)
    if isinstance(error, ArithmeticError | ValueError | TypeError | LookupError | AttributeError):
        which = f"one of the fields that the rule reads ({', '.join(fields)})" if fields else "a field"
        return (
            f"The rule could not work with the value of {which}: {error}. Correct what is reported, or change the "
            "field or value that the rule names."
        )
    return f"The rule could not be carried out: {error}. The log of the support cluster says where."


def _fields(rule: Rule) -> list[str]:
    row = rule.row
    paths = [
        row.date_path,
        row.value_path,
        row.size_path,
        row.tiers_path,
        row.period_path,
        row.days_path,
        row.plan_path,
    ]
    return list(
        dict.fromkeys(each for each in [*paths, *(str(one.field) for one in rule.conditions)] if each)
    )
