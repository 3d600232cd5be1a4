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
	input.plugin.digest in revoked
}

# METADATA
# title: Publishers that are not trusted
# labels:
#   id: PL-2
deny contains {"id": "PL-2", "msg": sprintf("plugin %q is of publisher %q, who is not one of data.plugins.publishers", [input.plugin.name, input.plugin.publisher])} if {
	input.plugin.locked
	not input.plugin.publisher in publishers
}

# METADATA
# title: Plugins that nobody has looked at
# description: Of a plugin that is not in qanat.lock nobody knows the publisher. To lock it, it may say what it is.
# labels:
#   id: PL-3
deny contains {"id": "PL-3", "msg": sprintf("plugin %q is not in qanat.lock; have a look at it and run qanat plugin lock", [input.plugin.name])} if {
	not input.plugin.locked
	input.action != "describe"
}

# METADATA
# title: Network
# labels:
#   id: PL-4
deny contains {"id": "PL-4", "msg": sprintf("plugin %q uses the network, which it was not granted", [input.plugin.name])} if {
	count(input.plugin.capabilities.network) > 0
	not input.plugin.name in network
}

# What the data does not say is nobody: a rule that asks for what is not there would say nothing.

default publishers := []

publishers := data.plugins.publishers

default revoked := []

revoked := data.plugins.revoked

default network := []

network := data.plugins.network
