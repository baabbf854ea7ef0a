//! What to do about the reasons that Kubernetes gives for a pod that doesn't run.

/// A reason, or words in a message, and what to do about it.
const HINTS: [(&str, &str); 17] = [
    ("ErrImagePull", IMAGE),
    ("ImagePullBackOff", IMAGE),
    ("ErrImageNeverPull", IMAGE),
    ("InvalidImageName", "correct the image's name in the manifest"),
    ("CreateContainerConfigError", "it names a ConfigMap or Secret that isn't there; apply that first"),
    ("CreateContainerError", "the node can't make the container; the events say why"),
    ("RunContainerError", "the container's program can't be started; look at its command and at the image's platform"),
    ("OOMKilled", "it needs more memory than its limit; raise the limit, or find what takes the memory"),
    ("CrashLoopBackOff", "read what it said before it ended, with `kubectl logs --previous`"),
    ("Unschedulable", "no node takes it; add nodes, or look at its requests, selectors and tolerations"),
    ("FailedScheduling", "no node takes it; add nodes, or look at its requests, selectors and tolerations"),
    ("FailedMount", "a volume can't be mounted; look whether what it is made of is there, and may be read"),
    ("FailedAttachVolume", "a volume can't be attached; it may still be at another node"),
    ("exceeded quota", "the namespace's quota is used up; raise it, or remove what uses it"),
    ("violates PodSecurity", "the namespace forbids such pods; correct their security context"),
    ("FailedCreate", "Kubernetes may not make its pods; the events say why"),
    ("Evicted", "the node was short of something; look at the node, and at the pod's requests"),
];

const IMAGE: &str =
    "the node can't get the image; look whether it is in the registry under that digest, and whether nodes may read it";

/// For pods that run and don't get ready.
pub(super) const NOT_READY: &str =
    "its readiness probe doesn't succeed; read its log, and look whether what it needs can be reached";

/// What to do, by the first reason that is known.
pub(super) fn hint(texts: &[&str]) -> Option<&'static str> {
    HINTS.iter().find(|(reason, _)| texts.iter().any(|text| text.contains(reason))).map(|(_, hint)| *hint)
}
