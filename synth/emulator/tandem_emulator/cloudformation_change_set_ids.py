"""A stack tells the change set that changed it last.

AWS: DescribeStacks has the ChangeSetId of the change set that made or last updated the stack.
(https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_Stack.html)
Stock: it is left out.
Here: it is there once a change set of the stack was executed.
"""

from __future__ import annotations

import re
from typing import Any

from ministack.services.cloudformation import changesets, handlers

STACK_ID = re.compile(rb"<StackId>([^<]*)</StackId>")
KEY = "ChangeSetId"


def apply() -> None:
    execute = handlers._ACTION_HANDLERS["ExecuteChangeSet"]
    describe = handlers._ACTION_HANDLERS["DescribeStacks"]

    def execute_change_set(params: dict[str, Any]) -> Any:
        name, stack_name = (handlers._p(params, key) for key in ("ChangeSetName", "StackName"))
        change_set_id, change_set = changesets._find_change_set(name, stack_name)
        answer = execute(params)
        stack = handlers._resolve_stack(change_set["StackName"]) if change_set else None
        if stack is not None and answer[0] < 300:
            stack[KEY] = change_set_id
        return answer

    def describe_stacks(params: dict[str, Any]) -> Any:
        status, headers, body = describe(params)
        return status, headers, STACK_ID.sub(with_change_set, body)

    handlers._ACTION_HANDLERS["ExecuteChangeSet"] = execute_change_set
    handlers._ACTION_HANDLERS["DescribeStacks"] = describe_stacks


def with_change_set(stack_id: re.Match[bytes]) -> bytes:
    stack = handlers._resolve_stack(stack_id.group(1).decode())
    known = stack.get(KEY) if stack else None
    return stack_id.group() + (f"<{KEY}>{known}</{KEY}>".encode() if known else b"")
