package governance.spec_admit.baseline_test

import data.governance.spec_admit.baseline

orders := {"spec": {"name": "orders", "owner": "shop", "source": {"config": {"password": "${env:PASSWORD}"}}}, "purpose": "billing", "environment": "dev"}

reasons(request) := result if {
	result := {reason.id: reason.path | some reason in baseline.deny} with input as request
		with data.pipelines as {"purposes": ["billing"], "sinks": {"dev": ["file"], "prod": ["postgres"]}}
}

test_a_pipeline_in_order_may_be if reasons(orders) == {}

test_somebody_must_own_it if reasons(json.remove(orders, ["/spec/owner"])) == {"SA-1": "/owner"}

test_its_purpose_must_be_known if {
	reasons(object.union(orders, {"purpose": "fun"})) == {"SA-2": "/purpose"}
	reasons(object.union(orders, {"purpose": ""})) == {"SA-2": "/purpose"}
}

to_file := object.union(orders, {"spec": {"flows": [{"name": "clean"}, {"name": "export", "sink": {"plugin": "file"}}]}})

test_sinks_are_those_of_the_environment if {
	reasons(to_file) == {}
	reasons(object.union(to_file, {"environment": "prod"})) == {"SA-3": "/flows/1/sink"}
	reasons(object.union(to_file, {"environment": ""})) == {"SA-3": "/flows/1/sink"}
}

test_secrets_are_not_written_down if {
	reasons(object.union(orders, {"spec": {"source": {"config": {"api_key": "[secret]"}}}})) == {"SA-4": "/source/config/api_key"}
}

test_without_data_nothing_may_be if {
	got := {reason.id | some reason in baseline.deny} with input as to_file with data.pipelines as {}
	got == {"SA-2", "SA-3"}
}
