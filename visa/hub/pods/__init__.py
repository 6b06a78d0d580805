"""Instances as pods: from an admitted `InstanceSpec` to a manifest, and from a pod's state to words."""
