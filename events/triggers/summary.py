"""Say a rule in one sentence, as a person would."""

from collections.abc import Sequence

from events.models import Trigger

from .rules import Rule

Source, Once = Trigger.Source, Trigger.Once
_ONCE = {
    Once.CHANGE: "each time that becomes true",
    Once.EVERY: "at every such report",
    Once.OBJECT: "once for each {kind}",
    Once.PERIOD: "once for each {kind} and {period}",
}


def sentence(rule: Rule) -> str:
    """Return what the rule does: when, if what, publishes which event, how often."""
    row = rule.row
    parts = [_when(rule)]
    if rule.conditions:
        joined = _join([str(each) for each in rule.conditions], "and" if row.match_all else "or")
        parts.append(f"{'so that' if row.source == Source.CHANGE else 'if'} {joined}")
    told = f"publish {row.event_type.code}"
    if row.source == Source.CHANGE:
        told += f", {_ONCE[Once(row.once)].format(kind=row.object_kind, period=row.period_path or 'period')}"
    parts.append(told)
    text = ", ".join(parts) + "."
    if row.recovery_type:
        text += f" Once that is over, publish {row.recovery_type.code}."
    if cancels := [str(each) for each in row.cancellations.all()] if row.pk else []:
        text += f" What waits is withdrawn by {_join(cancels, 'or')}."
    return text


def _when(rule: Rule) -> str:
    row = rule.row
    match row.source:
        case Source.CHANGE:
            flags = [("created", row.on_create), ("updated", row.on_update), ("deleted", row.on_delete)]
            return f"When {_a(row.object_kind)} is {_join([word for word, is_on in flags if is_on], 'or')}"
        case Source.THRESHOLD:
            unit = (
                f" % of its {'tiers' if row.tiers_path else row.size_path}"
                if row.size_path or row.tiers_path
                else ""
            )
            levels = _join([str(each) for each in row.thresholds.all()] if row.pk else [], "or")
            verb = "falls to" if row.is_below else "reaches"
            per = f", once for each {row.period_path}" if row.period_path else ""
            highest = ", only the highest" if row.highest_only else ""
            return (
                f"When {row.value_path} of {_a(row.object_kind)} {verb} {levels or '…'}{unit}{per}{highest}"
            )
        case Source.DATE | Source.COMMITMENT | Source.SCHEDULE:
            what = row.anchor.code if row.anchor else f"{row.date_path} of {_a(row.object_kind)}"
            tiers = ", for each tier whose actual is under its committed"
            return f"{_days(row)} {what}, {_at(row)}{tiers if row.source == Source.COMMITMENT else ''}"
        case Source.INACTIVITY:
            plans = _join(
                [f"{each.idle_days} on {each.plan}" for each in row.plans.all()] if row.pk else [], "and"
            )
            own = f", or its own {row.days_path}" if row.days_path else ""
            days = f"{row.idle_days} days" + (f" ({plans})" if plans else "")
            return (
                f"When {_a(row.object_kind)} has had no {row.activity} for {days}{own}, once for each spell"
            )
        case _:
            return f"When {row.anchor.code if row.anchor else '…'} is published"


def _days(row: Trigger) -> str:
    if not row.offset_days:
        return "On the day of"
    return f"{row.offset_days} day{'' if row.offset_days == 1 else 's'} after"


def _at(row: Trigger) -> str:
    zone = row.timezone or "the account's time zone"
    return (
        f"at {row.at_time:%H:%M} in {zone}" if hasattr(row.at_time, "hour") else f"at {row.at_time} in {zone}"
    )


def _a(noun: str) -> str:
    noun = noun.replace("_", " ") or "…"
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _join(words: Sequence[str], last: str) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}" if words else ""
