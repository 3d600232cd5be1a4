# METADATA
# title: Which pipelines may be
# description: Somebody answers for the data, its purpose is registered, it goes only where it may, and no secret is written down.
# custom:
#   owner: data-governance
package governance.spec_admit.baseline

# METADATA
# title: Owner
# labels:
#   id: SA-1
deny contains {"id": "SA-1", "msg": sprintf("pipeline %q has no owner", [input.spec.name]), "path": "/owner"} if {
	not input.spec.owner
}

# METADATA
# title: Purpose
# labels:
#   id: SA-2
deny contains {"id": "SA-2", "msg": sprintf("the purpose %q of pipeline %q is not registered, there are %s", [purpose, input.spec.name, concat(", ", data.purposes)]), "path": "/purpose"} if {
	not purpose in data.purposes
}

# METADATA
# title: Where data may go
# labels:
#   id: SA-3
deny contains {"id": "SA-3", "msg": sprintf("flow %q: sink %q is not allowed in %s", [flow.name, flow.sink.plugin, environment]), "path": sprintf("/flows/%d/sink", [i])} if {
	some i, flow in input.spec.flows
	flow.sink
	not flow.sink.plugin in object.get(data.sinks, environment, [])
}

# METADATA
# title: Secrets in plain text
# description: A reference such as ${env:NAME} leads to a secret, and is none.
# labels:
#   id: SA-4
deny contains {"id": "SA-4", "msg": sprintf("there is a secret in plain text at %s", [path]), "path": path} if {
	walk(input.spec, [steps, value])
	is_string(value)
	regex.match(`(?i)(password|secret|token|api_?key)$`, sprintf("%v", [steps[count(steps) - 1]]))
	not contains(value, "${")
	path := concat("", [sprintf("/%v", [step]) | some step in steps])
}

default purpose := ""

purpose := input.purpose

default environment := "dev"

environment := input.environment
