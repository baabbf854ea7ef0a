"""A function's log lines are stored only if its role may write them.

AWS: the execution environment writes to CloudWatch Logs with the function's role:
`logs:CreateLogStream` and `logs:PutLogEvents` on the log group, and `logs:CreateLogGroup` when
there is none yet. Without them the function runs, and its lines are lost.
(https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html)
Stock: the lines are stored whatever the role may.
Here: the rights are asked for with each invocation. Refused ones are in `GET /_local/denied`.
"""

from __future__ import annotations

import time
from typing import Any

from ministack.core.responses import request_scope
from ministack.services import cloudwatch_logs, lambda_svc

from tandem_emulator import iam


def apply() -> None:
    stock = lambda_svc._emit_lambda_logs

    def emit_lambda_logs(function: dict[str, Any], *arguments: Any, **options: Any) -> None:
        config = function.get("config") or function
        account, region = lambda_svc._account_region_from_function_config(config)
        with request_scope(account, region):
            if may_log(config, account, region):
                stock(function, *arguments, **options)

    lambda_svc._emit_lambda_logs = emit_lambda_logs


def may_log(config: dict[str, Any], account: str, region: str) -> bool:
    group = group_of(config)
    arn = f"arn:aws:logs:{region}:{account}:log-group:{group}"
    # A stream's name ends with an id of the environment; no policy can name that.
    stream = f"{arn}:log-stream:{time.strftime('%Y/%m/%d')}/[{config.get('Version', '$LATEST')}]"
    needed = [("logs:CreateLogStream", stream), ("logs:PutLogEvents", stream)]
    if group not in cloudwatch_logs._log_groups:
        needed.insert(0, ("logs:CreateLogGroup", arn))
    role_arn = str(config.get("Role", ""))
    return all(iam.role_allows(role_arn, action, resource) for action, resource in needed)


def group_of(config: dict[str, Any]) -> str:
    configured = (config.get("LoggingConfig") or {}).get("LogGroup")
    return str(configured or f"/aws/lambda/{config.get('FunctionName', '')}")
