"""Why a demo cannot run, in one sentence."""


class DemoTrouble(Exception):
    """The message is the sentence, with what can be done."""
