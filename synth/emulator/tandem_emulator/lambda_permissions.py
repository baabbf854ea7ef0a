"""The policy of a function, which lets services invoke it.

Not a restored behaviour by itself; the invoking modules share it. Versions and aliases have no
policy of their own: their statements are in the function's, with the qualified ARN as resource.
"""

from __future__ import annotations

from ministack.services import lambda_svc

from tandem_emulator import iam

INVOKE = "lambda:InvokeFunction"


def service_may_invoke(function_arn: str, service: str, source_arn: str) -> bool:
    """Whether the policy lets a service invoke, on behalf of the source.

    The ARN may be qualified, then only statements for that version or alias count.
    """
    _partition, _lambda, _service, region, account, _kind, name = function_arn.split(":")[:7]
    function = lambda_svc._functions.get_scoped(account, region, name) or {}
    return iam.resource_policy_allows(
        function.get("policy"), service, INVOKE, function_arn, iam.origin(source_arn)
    )
