package governance.plugin_load.baseline_test

import data.governance.plugin_load.baseline

plugins := {"publishers": ["qanat"], "revoked": ["sha256:bad"], "network": ["postgres"]}

file := {"name": "file", "kind": "source", "digest": "sha256:good", "publisher": "qanat", "locked": true, "capabilities": {"fs": ["*"]}}

ids(plugin) := {reason.id | some reason in baseline.deny with input as {"plugin": plugin} with data.plugins as plugins}

test_a_trusted_plugin_runs if ids(file) == set()

test_a_revoked_binary_does_not if ids(object.union(file, {"digest": "sha256:bad"})) == {"PL-1"}

test_nor_one_of_a_stranger if ids(object.union(file, {"publisher": "somebody"})) == {"PL-2"}

test_nor_one_that_nobody_has_locked if ids({"name": "new", "kind": "source", "digest": "sha256:new", "locked": false, "capabilities": {}}) == {"PL-2", "PL-3"}

test_the_network_is_granted_by_name if {
	network := {"capabilities": {"network": ["*"]}}
	ids(object.union(file, network)) == {"PL-4"}
	ids(object.union(file, object.union(network, {"name": "postgres"}))) == set()
}
