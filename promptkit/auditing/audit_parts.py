"""The parts of an audit, as values."""

from __future__ import annotations

from dataclasses import dataclass

from promptkit.auditing.group_changes import GroupChanges
from promptkit.auditing.group_results import GroupAudit
from promptkit.auditing.prompt_bias_results import PromptBias
from promptkit.auditing.swap_results import SwapAudit
from promptkit.auditing.unintended_bias import UnintendedBias


@dataclass(frozen=True)
class AuditParts:
    """What an audit finds of one predictor; a part is None where it was not asked for."""

    task: str
    """Name of the task."""
    fingerprint: str
    """Digest of the task."""
    predictor: str
    """Name of the predictor."""
    sha256: str
    """Digest of the predictor's weights, or of the student."""
    queries: int
    """Number of queries; 0 where only swaps or the prompt are audited."""
    seeds: int
    """Number of draws of shots."""
    groups: GroupAudit | None = None
    """Groups of the tests."""
    unintended: tuple[UnintendedBias, ...] = ()
    """Areas under ROC curves by subgroup, for each way in which there are subgroups."""
    changes: GroupChanges | None = None
    """Changes of the groups from another predictor."""
    swaps: SwapAudit | None = None
    """Answers to the same sentences with other terms in their slots."""
    prompt: PromptBias | None = None
    """What the prompt leans to by itself."""
