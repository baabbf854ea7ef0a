//! The rows, from narrow to wide: the first that fits counts.

use super::Row;

const fn row(name: &'static str, texts: &'static [&'static str], hint: &'static str) -> Row {
    Row { name, texts, hint }
}

pub(super) const ROWS: &[Row] = &[
    // The template and the change set, before anything is changed.
    row(
        "template-too-long",
        &["member must have length less than or equal to 51200"],
        "the template is too long for a call and its bucket isn't there yet; split the stack, see `synth check`",
    ),
    row(
        "unknown-type",
        &["unrecognized resource types"],
        "the platform can't provision these types; on the local platform they are left out when it lists its types, see \
         `synth status`",
    ),
    row(
        "undefined-reference",
        &["unresolved resource dependencies", "references undefined resource"],
        "the template reads something that isn't in it; run `synth check`",
    ),
    row(
        "circle",
        &["circular dependency between resources"],
        "resources wait for each other; run `synth check`, which names the circle",
    ),
    row(
        "capabilities",
        &["requires capabilities"],
        "the template makes roles, which the change set must acknowledge; this is a fault of the tool",
    ),
    row(
        "unknown-property",
        &["extraneous key", "encountered unsupported property"],
        "the type has no such property; compare its name and place with the type's schema, `synth check` knows it",
    ),
    row(
        "missing-property",
        &["required key [", "required property [", "property…cannot be empty"],
        "the type needs that property; set it where the resource is declared",
    ),
    row(
        "wrong-value",
        &["properties validation failed for resource", "model validation failed", "is not a valid enum value"],
        "a value isn't of the form that the type's schema wants; the path in the message says which",
    ),
    row(
        "missing-input",
        &["must have values"],
        "the template has a parameter that the change set gives no value; deploy with the tool of the same commit",
    ),
    row(
        "too-many-change-sets",
        &["changeset limit exceeded"],
        "the stack has a thousand change sets that nobody executed; delete them with `aws cloudformation delete-change-set`",
    ),
    row(
        "stack-is-busy",
        &["_in_progress state and can not be updated"],
        "another operation runs in the stack; follow it with `synth watch`, then deploy again",
    ),
    row(
        "stack-state",
        &["state and can not be updated"],
        "the stack's last operation left it in a state that takes no update; deploy again, which clears it up or names the \
         command that does",
    ),
    row(
        "broken-off",
        &["user initiated"],
        "someone broke the operation off, or undid it by hand; deploy again when the change shall be made after all",
    ),
    row(
        "export-in-use",
        &["cannot be updated as it is in use by", "cannot be deleted as it is in use by", "cannot delete export"],
        "another stack still imports this output; deploy that stack without the import first, then this one",
    ),
    row(
        "export-missing",
        &["no export named"],
        "the stack with that output isn't deployed in this region, or has it no more; deploy that stack first",
    ),
    row(
        "custom-name",
        &["custom-named resource requires replacing"],
        "the resource has a fixed name, so its successor can't be made beside it; give it a new name",
    ),
    row(
        "stack-policy",
        &["action denied by stack policy"],
        "a policy of the stack protects that resource; lift it with `aws cloudformation set-stack-policy` for this change",
    ),
    row(
        "termination-protection",
        &["while terminationprotection is enabled"],
        "the stack refuses its deletion; turn termination protection off in the environment and deploy first",
    ),
    row(
        "hook",
        &["hook(s) failed", "hook failed with message"],
        "a hook of the account refuses the change; its own message says which rule, and whoever runs the hook can say more",
    ),
    row(
        "bucket-not-empty",
        &["the bucket you tried to delete is not empty", "' is not empty. you must either delete"],
        "the bucket holds objects; `synth destroy` empties it, or keep it with `DeletionPolicy: Retain`",
    ),
    // Who may do what.
    row(
        "web-identity",
        &["not authorized to perform sts:assumerolewithwebidentity", "no openidconnect provider found"],
        "the role doesn't trust this repository, branch or environment; see \"Setting it up\" in docs/github.md, and \
         `synth roles --role deploy` for whom it trusts",
    ),
    row(
        "stack-role",
        &["is invalid or cannot be assumed"],
        "CloudFormation can't take the stack's role: an administrator deploys the stack `access` first, and a new role takes \
         some seconds to be known everywhere",
    ),
    row(
        "organization-denies",
        &["with an explicit deny in a service control policy"],
        "the organization forbids that action in this account or region; only whoever runs the organization can allow it",
    ),
    row(
        "boundary",
        &["no permissions boundary allows", "with an explicit deny in a permissions boundary"],
        "the boundary of roles doesn't allow that action; if a program needs it, declare the need in its contract and have \
         `access` deployed",
    ),
    row(
        "pass-role",
        &["is not authorized to perform: iam:passrole"],
        "the deploying role may not hand over that role; allow `iam:PassRole` on it",
    ),
    row(
        "function-network",
        &["execution role does not have permissions to call createnetworkinterface"],
        "a function in a network needs to make network interfaces; its role lacks the EC2 actions for that",
    ),
    row(
        "function-role",
        &["execution role does not have permissions", "please ensure the role can perform"],
        "the function's role lacks that action; add the need to what the stack binds to the function",
    ),
    row(
        "new-role",
        &["the role defined for the function cannot be assumed", "cannot be assumed by principal"],
        "a new role takes some seconds to be known everywhere; deploy again",
    ),
    row(
        "not-authorized",
        &["is not authorized to perform"],
        "the deploying role lacks that action; `synth roles` shows what each stack's role may do, and an administrator \
         deploys `access` when that changed",
    ),
    // Code and functions.
    row(
        "code-missing",
        &["nosuchkey"],
        "the code is not in the artifact bucket any more; deploy again, which uploads what is missing",
    ),
    row(
        "code-elsewhere",
        &["s3 error code: permanentredirect"],
        "the code's bucket is in another region, and Lambda reads only its own region's; deploy with this tool, which has a \
         bucket in each",
    ),
    row(
        "code-unreadable",
        &["error occurred while getobject", "your access has been denied by s3"],
        "the role that deploys the stack may not read the code in the artifact bucket, or its key; see `synth roles`",
    ),
    row(
        "code-too-large",
        &["unzipped size must be smaller than"],
        "the function's code is over Lambda's limit of 250 MB unpacked; build it with the `lambda` profile",
    ),
    row(
        "code-damaged",
        &["could not unzip uploaded file"],
        "the uploaded code is damaged; delete its object in the artifact bucket and deploy again",
    ),
    row(
        "visibility-timeout",
        &["queue visibility timeout"],
        "a queue that feeds a function needs a visibility timeout of at least the function's timeout",
    ),
    row(
        "reserved-concurrency",
        &["unreservedconcurrentexecution below its minimum value"],
        "the account must keep 100 unreserved concurrent executions (10 in a new account); lower the reservation or have the \
         quota raised",
    ),
    row(
        "reserved-variable",
        &["reserved keys that are currently not supported for modification"],
        "Lambda sets that variable itself; rename the function's",
    ),
    row(
        "function-policy-size",
        &["the final policy size"],
        "a function's policy has 20 KB; give one permission for all routes or rules instead of one each",
    ),
    row(
        "mapping-exists",
        &["provided mapping already exists"],
        "source and start of a mapping can't be changed in place, and a second one for the same pair is refused; remove the \
         mapping in one deployment and add the new one in the next",
    ),
    // Tables.
    row(
        "one-index",
        &[
            "cannot perform more than one gsi creation or deletion",
            "only 1 online index can be created or deleted simultaneously",
        ],
        "change one index of a table per deployment: deploy the first, then the second",
    ),
    row(
        "own-replica",
        &["cannot add, delete, or update the local region", "must contain an entry for the current region"],
        "a global table always has a replica in its stack's own region; leave that one in `Replicas`",
    ),
    row(
        "table-is-busy",
        &["attempt to change a resource which is still in use"],
        "the table is still working on an earlier change; wait until it is active, then deploy again",
    ),
    row(
        "billing-mode",
        &["update to payperrequest mode are limited"],
        "DynamoDB changes to on-demand capacity only now and then; deploy again after the time in the message",
    ),
    row(
        "time-to-live",
        &["time to live has been modified multiple times"],
        "DynamoDB takes about one change of time to live an hour; deploy again later",
    ),
    row(
        "unused-attribute",
        &["some attributedefinitions are not used", "does not exactly match number of attributes defined"],
        "a table declares exactly the attributes that its keys and indexes use; correct `AttributeDefinitions`",
    ),
    row(
        "deletion-protection",
        &["protected against deletion"],
        "the resource refuses its deletion; turn its deletion protection off if its data may go, then try again",
    ),
    // Roles and policies.
    row(
        "delete-conflict",
        &["cannot delete entity, must", "cannot delete a policy attached to entities"],
        "something was attached by hand, and IAM deletes nothing that is in use; `synth drift` shows what, detach it and try \
         again",
    ),
    row(
        "invalid-principal",
        &["invalid principal in policy", "one or more invalid principals"],
        "the policy names a role or account that doesn't exist (yet); deploy the stack that makes it first, or correct the \
         name",
    ),
    row(
        "malformed-policy",
        &["malformedpolicydocument", "syntax errors in policy", "failed legacy parsing"],
        "a policy document is wrong; run `synth check`, then look at the resource's statements",
    ),
    row(
        "iam-quota",
        &["cannot exceed quota for", "maximum policy size of"],
        "a role's policies have a limit of size and number; use fewer or shorter statements, or split the stack",
    ),
    row(
        "service-role-exists",
        &["has been taken in this account"],
        "AWS has made that service's role already, once for the account; leave it out of the template",
    ),
    // Keys, secrets, buckets, queues, logs.
    row(
        "key-policy",
        &["the new key policy will not allow you to update the key policy in the future"],
        "the key's policy must let somebody of the account change it; name the account or an administrator's role in it",
    ),
    row(
        "key-goes",
        &["is pending deletion"],
        "the key is to be deleted and can't be used; bring it back with `aws kms cancel-key-deletion` and \
         `aws kms enable-key`, or name another",
    ),
    row(
        "key-of-function",
        &["unable to configure access to your environment variables because the kms key is invalid"],
        "Lambda can't use the key for the function's variables; the key's policy must allow it to the function's role, and the \
         key must be enabled",
    ),
    row(
        "secret-goes",
        &["already scheduled for deletion"],
        "a secret of that name waits to be deleted; bring it back with `aws secretsmanager restore-secret`, or delete it at \
         once with `--force-delete-without-recovery`",
    ),
    row(
        "secret-missing",
        &["secrets manager can't find the specified secret", "could not find a value associated with jsonkey"],
        "the secret or its field isn't there in this region; make it, or wait until its replica is",
    ),
    row(
        "bucket-name-taken",
        &["the requested bucket name is not available", "and you already own it"],
        "names of buckets are one for all accounts, and somebody has this one; choose another, or import your own",
    ),
    row(
        "bucket-is-busy",
        &["a conflicting conditional operation is currently in progress"],
        "S3 is still making or deleting a bucket of that name; deploy again in some minutes",
    ),
    row("queue-just-deleted", &["you must wait 60 seconds after deleting a queue"], "deploy again in a minute"),
    row(
        "dead-letters-missing",
        &["dead letter target does not exist"],
        "the queue for dead letters isn't there, or is in another region or account; it must be made first",
    ),
    row(
        "log-group-exists",
        &["aws::logs::loggroup…already exists", "the specified log group already exists"],
        "the log group outlived an earlier stack, or its service made it first; delete it if nobody needs the logs, or import \
         it into the stack",
    ),
    // Events and APIs.
    row(
        "event-pattern",
        &["event pattern is not valid"],
        "the rule's pattern is wrong at the place in the message; every value in a pattern stands in a list",
    ),
    row("bus-missing", &["event bus…does not exist"], "the bus isn't there; deploy the stack that makes it first"),
    row(
        "bus-in-use",
        &["can't be deleted since it has"],
        "somebody added rules or targets by hand; `synth drift` may show them, remove them and try again",
    ),
    row(
        "target-role",
        &["rolearn is required for target"],
        "a target on a bus needs a role that may put events there; give the rule's target one",
    ),
    row(
        "alarm-missing",
        &["in the alarm rule do not exist"],
        "a composite alarm is made after the alarms that it names; give it `DependsOn` on them",
    ),
    row(
        "issuer",
        &["issuer must have a valid discovery endpoint"],
        "API Gateway reads the issuer's `/.well-known/openid-configuration`; make sure that the address is right and answers",
    ),
    row(
        "logging-rights",
        &["insufficient permissions to enable logging"],
        "who turns on an access log must be allowed to deliver logs; the stack's role gets that from `access`, which has to be \
         deployed first",
    ),
    row(
        "certificate-pending",
        &["unable to associate certificate"],
        "the certificate isn't proven yet: its record must be in the public zone of the domain, and the registrar must name that \
         zone's servers",
    ),
    // DNS.
    row(
        "record-exists",
        &["tried to create resource record set…but it already exists"],
        "another hand or stack made that DNS record; remove it there, or import it into the stack",
    ),
    row(
        "record-gone",
        &[
            "tried to delete resource record set…but it was not found",
            "values provided do not match the current values",
        ],
        "the DNS record was changed or removed by hand; make it as the template says, then deploy again",
    ),
    row(
        "zone-not-empty",
        &["contains non-required resource record sets"],
        "the zone holds records that no stack made, such as proofs of certificates; remove them and try again",
    ),
    row(
        "record-outside",
        &["is not permitted in zone"],
        "the name doesn't belong to that zone; compare `[domain]` of the environment with the zone's own name",
    ),
    // Networks.
    row(
        "network-in-use",
        &["has a dependent object", "has dependencies and cannot be deleted", "has some mapped public address"],
        "a network interface is still there: those of functions and endpoints go up to 40 minutes after them; try again then, \
         and look for what was made by hand",
    ),
    row(
        "private-names",
        &["private-dns-enabled cannot be set because there is already a conflicting dns domain"],
        "the network has an endpoint for that service already; remove the other one, or its private names",
    ),
    row(
        "address-range",
        &["conflicts with another subnet"],
        "two subnets of the network have the same addresses; correct `network` of the region",
    ),
    // Clusters.
    row(
        "access-entry-exists",
        &["access entry resource is already in use on this cluster"],
        "the cluster has an entry for that role already, made by hand or by EKS for its creator; delete it with \
         `aws eks delete-access-entry`, then deploy again",
    ),
    row(
        "zone-is-full",
        &["does not currently have sufficient capacity to support the cluster"],
        "EKS has no room in that availability zone; use subnets of the zones in the message",
    ),
    row(
        "add-on-conflict",
        &["will not continue due to resolve conflicts mode"],
        "somebody changed the add-on's objects in the cluster; undo that, or set `ResolveConflicts: OVERWRITE`",
    ),
    row(
        "nodes-do-not-join",
        &["instances failed to join the kubernetes cluster"],
        "nodes can't reach the cluster or may not join: look at their route to the API, at their role's access entry, and at \
         the security group",
    ),
    row(
        "cluster-in-use",
        &["cluster has nodegroups attached"],
        "somebody made a group of nodes by hand; delete it with `aws eks delete-nodegroup`, then try again",
    ),
    row(
        "cluster-version",
        &["unsupported kubernetes version", "unsupported kubernetes minor version update"],
        "EKS doesn't have that version, or goes up by one minor version at a time; correct `version` of `[cluster]`",
    ),
    row(
        "images-left",
        &["cannot be deleted because it still contains images"],
        "the repository holds images; delete them if nobody runs them, or keep the repository with `DeletionPolicy: Retain`",
    ),
    // What any service may say.
    row(
        "name-in-stack",
        &["already exists in stack"],
        "another stack owns a resource of that name; remove it there first, or give this one another name",
    ),
    row(
        "name-taken",
        &["already exist", "duplicate names are not allowed"],
        "something outside the stack has that name; delete it, import it into the stack, or choose another name",
    ),
    row(
        "conflict",
        &["resourceconflictexception", "resourceconflict", "due to concurrent modification"],
        "two changes met on one resource; deploy again, it carries on from what is there",
    ),
    row(
        "vcpu-quota",
        &["vcpu capacity than your current vcpu limit"],
        "the account's quota of vCPUs is used up; have it raised for this kind of instances in Service Quotas",
    ),
    row(
        "quota",
        &["limitexceeded", "limit exceeded", "maximum number of"],
        "a quota of the account is used up; have it raised in Service Quotas, or remove what is no longer needed",
    ),
    row(
        "iam-throttled",
        &["rate exceeded (service: amazonidentitymanagement", "rate exceeded (service: iam"],
        "IAM takes few changes at a time for all regions together; deploy again in a minute, it carries on from what is there",
    ),
    row(
        "throttled",
        &["rate exceeded", "throttl", "too many requests", "slowdown", "still processing a prior request"],
        "the service refuses more calls at this moment; deploy again in a minute",
    ),
    row(
        "gone-by-hand",
        &["handlererrorcode: notfound", "was not found", "does not exist or is not attachable"],
        "the resource was deleted or changed by hand; `synth drift` shows what else was, make it again as the template says or \
         take it out of the template",
    ),
    row(
        "access-denied",
        &["access denied", "accessdenied", "unauthorizedoperation"],
        "the role lacks a permission for that call, or the resource's own policy refuses it; see `synth roles`",
    ),
    row(
        "credentials-unknown",
        &["security token included in the request is invalid"],
        "the credentials are unknown to AWS; sign in again, for example with `aws sso login`",
    ),
    row(
        "credentials-expired",
        &[
            "token included in the request is expired",
            "expiredtoken",
            "session associated with this profile has expired",
        ],
        "the credentials have run out; sign in again, for example with `aws sso login`",
    ),
    row(
        "too-slow",
        &["did not stabilize", "exceeded attempts to wait", "timed out waiting for completion", "notstabilized"],
        "the service did not finish in time; look at the resource in the service's own console, then deploy again",
    ),
    row(
        "internal-failure",
        &["internal failure", "serviceinternalerror", "internalfailure"],
        "the service failed by itself; deploy again, and ask AWS's support if it stays",
    ),
    row(
        "early-validation",
        &["earlyvalidation"],
        "CloudFormation's checks before a change failed; `aws cloudformation describe-events --change-set-name <arn>` says which",
    ),
    row(
        "rollback-failed",
        &["the following resource(s) failed to update"],
        "undoing the update failed for these resources; their own events say why, and `synth status` names the stack",
    ),
];
