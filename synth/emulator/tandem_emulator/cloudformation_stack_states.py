"""Change sets are refused while the stack's state does not allow them.

AWS: a stack whose creation was rolled back can only be deleted; a running operation has to end
first; a stack that exists cannot be created by a change set, except in REVIEW_IN_PROGRESS.
(https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html)
Stock: a rolled-back stack is updated or created anew as if nothing had happened.
Here: CreateChangeSet answers with AWS's ValidationError.
"""

from __future__ import annotations

from typing import Any

from ministack.services.cloudformation import handlers

ONLY_DELETE = frozenset(
    {
        "CREATE_FAILED",
        "DELETE_FAILED",
        "ROLLBACK_COMPLETE",
        "ROLLBACK_FAILED",
        "UPDATE_ROLLBACK_FAILED",
    }
)


def apply() -> None:
    stock = handlers._ACTION_HANDLERS["CreateChangeSet"]

    def create_change_set(params: dict[str, Any]) -> Any:
        problem = problem_of(params)
        if problem is not None:
            return handlers._error("ValidationError", problem)
        return stock(params)

    handlers._ACTION_HANDLERS["CreateChangeSet"] = create_change_set


def problem_of(params: dict[str, Any]) -> str | None:
    """Why the stack's state forbids a change set, or None."""
    stack = handlers._resolve_stack(handlers._p(params, "StackName"))
    status = stack.get("StackStatus") if stack else None
    if status in (None, "DELETE_COMPLETE", "REVIEW_IN_PROGRESS"):
        return None
    kind = handlers._p(params, "ChangeSetType", "UPDATE")
    if kind == "CREATE":
        name = handlers._p(params, "ChangeSetName")
        return (
            f"Stack [{stack['StackName']}] already exists and cannot be created again "
            f"with the changeSet [{name}]."
        )
    if status in ONLY_DELETE or status.endswith("_IN_PROGRESS"):
        return f"Stack:{stack['StackId']} is in {status} state and can not be updated."
    return None
