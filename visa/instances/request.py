"""Start options as they arrive (any JSON) to a `StartRequest`, or the refusal that says what is wrong."""

from __future__ import annotations

from typing import TypeVar

from visa.facility.model import SessionKind
from visa.identifiers import EnvironmentId, ExperimentId, FlavourId, Identifier, InvalidIdentifier, ServerName
from visa.instances.model import Reason, Refusal, StartRequest

AnyIdentifier = TypeVar("AnyIdentifier", bound=Identifier)

KEYS = ("experiments", "environment", "flavour", "session")
MOST_EXPERIMENTS = 20
SESSIONS: tuple[SessionKind, ...] = ("notebook", "desktop")
_REMEDY = (
    'Give {"experiments": ["id"], "environment": "id", "flavour": "id", "session": "notebook"} '
    "with ids from the portal."
)


def shown(value: object) -> str:
    """At most 40 characters of ``value``, printable, to be quoted in a sentence."""
    text = value if isinstance(value, str) else type(value).__name__
    text = "".join(c if c.isprintable() else "?" for c in text[:41])
    return text if len(text) <= 40 else text[:37] + "..."


def check_name(name: str) -> Refusal | None:
    """The refusal of a server name that is empty or no safe identifier."""
    if not name:
        sentence = "An instance needs a name; the unnamed server is not used here."
        return Refusal(Reason.UNNAMED_SERVER, sentence, "Start it from the portal, or give the server a name.")
    try:
        ServerName(name)
    except InvalidIdentifier:
        sentence = f"'{shown(name)}' cannot be the name of an instance."
        remedy = f"Give at most {ServerName.longest} {ServerName.allowed}."
        return Refusal(Reason.MALFORMED, sentence, remedy, "name")
    return None


def parse_request(options: object) -> StartRequest | Refusal:
    """Check shape and identifiers; never raises, whatever ``options`` is.

    ``session`` may be left out (``notebook``); everything else must be there and nothing more.
    """
    if not isinstance(options, dict):
        return Refusal(Reason.MALFORMED, f"Start options must be an object, not {type(options).__name__}.", _REMEDY)
    for key in options:
        if key not in KEYS:
            sentence = f"Start option '{shown(key)}' is not known."
            return Refusal(Reason.UNKNOWN_OPTION, sentence, f"Only {', '.join(KEYS)} can be asked for.", shown(key))
    for key in KEYS[:3]:
        if key not in options:
            return _malformed(key, f"Start option '{key}' is missing.")
    experiments = _experiments(options["experiments"])
    if isinstance(experiments, Refusal):
        return experiments
    environment = _identifier(EnvironmentId, options["environment"], "environment")
    if isinstance(environment, Refusal):
        return environment
    flavour = _identifier(FlavourId, options["flavour"], "flavour")
    if isinstance(flavour, Refusal):
        return flavour
    session = options.get("session", "notebook")
    if not isinstance(session, str) or session not in SESSIONS:
        return _malformed("session", f"Session '{shown(session)}' is not one of notebook, desktop.")
    return StartRequest(experiments, environment, flavour, "desktop" if session == "desktop" else "notebook")


def _malformed(field: str, sentence: str) -> Refusal:
    return Refusal(Reason.MALFORMED, sentence, _REMEDY, field)


def _identifier(kind: type[AnyIdentifier], value: object, field: str) -> AnyIdentifier | Refusal:
    if not isinstance(value, str):
        return _malformed(field, f"{kind.kind.capitalize()} must be text, not {type(value).__name__}.")
    try:
        return kind(value)
    except InvalidIdentifier:
        sentence = (
            f"'{shown(value)}' is not the id of an {kind.kind}."
            if kind.kind[0] in "aeiou"
            else (f"'{shown(value)}' is not the id of a {kind.kind}.")
        )
        return _malformed(field, sentence)


def _experiments(value: object) -> tuple[ExperimentId, ...] | Refusal:
    if not isinstance(value, list):
        return _malformed("experiments", f"Experiments must be a list of ids, not {type(value).__name__}.")
    if len(value) > MOST_EXPERIMENTS:
        sentence = f"{len(value)} experiments were asked for; one instance takes at most {MOST_EXPERIMENTS}."
        return Refusal(Reason.TOO_MANY_EXPERIMENTS, sentence, "Choose fewer experiments.", "experiments")
    found: list[ExperimentId] = []
    for item in value:
        identifier = _identifier(ExperimentId, item, "experiments")
        if isinstance(identifier, Refusal):
            return identifier
        if identifier in found:
            sentence = f"Experiment '{identifier}' is named more than once."
            return Refusal(Reason.REPEATED_EXPERIMENT, sentence, "Name each experiment once.", "experiments")
        found.append(identifier)
    return tuple(found)
