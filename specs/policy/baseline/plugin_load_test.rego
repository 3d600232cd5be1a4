package governance.plugin_load.baseline_test

import data.governance.plugin_load.baseline

plugins := {"publishers": ["qanat"], "revoked": ["sha256:bad"], "network": ["postgres"]}

file := {"name": "file", "kind": "source", "digest": "sha256:good", "publisher": "qanat", "locked": true, "capabilities": {"fs": ["*"], "network": []}}

ids(plugin) := {reason.id | some reason in baseline.deny with input as {"action": "start", "plugin": plugin} with data.plugins as plugins}

test_a_trusted_plugin_runs if ids(file) == set()

test_a_revoked_binary_does_not if ids(object.union(file, {"digest": "sha256:bad"})) == {"PL-1"}

test_nor_one_of_a_stranger if ids(object.union(file, {"publisher": "somebody"})) == {"PL-2"}

unlocked := {"name": "new", "kind": "source", "digest": "sha256:new", "publisher": "", "locked": false, "capabilities": {"network": []}}

test_nor_one_that_nobody_has_locked if ids(unlocked) == {"PL-3"}

test_but_it_may_say_what_it_is if {
	count(baseline.deny) == 0 with input as {"action": "describe", "plugin": unlocked} with data.plugins as plugins
}

test_without_data_nobody_is_trusted if {
	networked := object.union(file, {"capabilities": {"network": ["*"]}})
	got := {reason.id | some reason in baseline.deny} with input as {"action": "start", "plugin": networked} with data.plugins as {}
	got == {"PL-2", "PL-4"}
}

test_the_network_is_granted_by_name if {
	network := {"capabilities": {"network": ["*"]}}
	ids(object.union(file, network)) == {"PL-4"}
	ids(object.union(file, object.union(network, {"name": "postgres"}))) == set()
}
