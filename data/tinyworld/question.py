"""A question about something held out, with the minimal change that makes another answer right."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Question:
    """A prompt pair; `clean` is answered by any of `answers`, `corrupt` by any of `foils`.

    Answers and foils carry their leading space: each is the token after the prompt.
    """

    clean: str
    corrupt: str
    answers: tuple[str, ...]
    foils: tuple[str, ...]
    template: str
    labels: dict[str, str | float | int] = field(default_factory=dict)
