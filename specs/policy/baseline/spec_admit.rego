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
deny contains {"id": "SA-2", "msg": sprintf("the purpose %q of pipeline %q is not one of data.pipelines.purposes", [input.purpose, input.spec.name]), "path": "/purpose"} if {
	not input.purpose in purposes
}

# METADATA
# title: Where data may go
# labels:
#   id: SA-3
deny contains {"id": "SA-3", "msg": sprintf("flow %q: sink %q is not allowed in environment %q", [flow.name, flow.sink.plugin, input.environment]), "path": sprintf("/flows/%d/sink", [i])} if {
	some i, flow in input.spec.flows
	flow.sink
	not flow.sink.plugin in object.get(sinks, input.environment, [])
}

# METADATA
# title: Secrets in plain text
# description: Qanat tells policies of a plain secret only that it is one. A reference such as ${env:NAME} leads to a secret, and is none.
# labels:
#   id: SA-4
deny contains {"id": "SA-4", "msg": sprintf("there is a secret in plain text at %s", [path]), "path": path} if {
	walk(input.spec, [steps, "[secret]"])
	path := concat("", [sprintf("/%v", [step]) | some step in steps])
}

# What the data does not say is nothing: a rule that asks for what is not there would say nothing.

default purposes := []

purposes := data.pipelines.purposes

default sinks := {}

sinks := data.pipelines.sinks
