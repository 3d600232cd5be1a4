// Package policy holds the published contract with governance teams, governance/v1: the schemas of what policies are told and of what is
// made of their answers. Both are made from the types of core/policy.
package policy

import _ "embed"

// Input is the JSON schema of what a policy is told.
//
//go:embed input.schema.json
var Input []byte
