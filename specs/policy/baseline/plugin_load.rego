# METADATA
# title: Which plugins may run
# description: Plugins of publishers that are trusted, with no more than they were granted. Nothing that was revoked.
# custom:
#   owner: platform
package governance.plugin_load.baseline

# METADATA
# title: Revoked binaries
# labels:
#   id: PL-1
deny contains {"id": "PL-1", "msg": sprintf("the binary of plugin %q was revoked (%s)", [input.plugin.name, input.plugin.digest])} if {
	input.plugin.digest in data.plugins.revoked
}

# METADATA
# title: Publishers that are not trusted
# labels:
#   id: PL-2
deny contains {"id": "PL-2", "msg": sprintf("plugin %q is of publisher %q, trusted are %s", [input.plugin.name, publisher, concat(", ", data.plugins.publishers)])} if {
	not publisher in data.plugins.publishers
}

# METADATA
# title: Plugins that nobody has looked at
# description: Of a plugin that is not in qanat.lock nobody knows the publisher.
# labels:
#   id: PL-3
deny contains {"id": "PL-3", "msg": sprintf("plugin %q is not in qanat.lock; have a look at it and run qanat plugin lock", [input.plugin.name])} if {
	not input.plugin.locked
}

# METADATA
# title: Network
# labels:
#   id: PL-4
deny contains {"id": "PL-4", "msg": sprintf("plugin %q uses the network, which it was not granted", [input.plugin.name])} if {
	count(input.plugin.capabilities.network) > 0
	not input.plugin.name in data.plugins.network
}

default publisher := "unknown"

publisher := input.plugin.publisher
