// Package policy asks Open Policy Agent: it loads what governance teams wrote, evaluates all packages of a point, and combines their
// answers into one decision by the contract governance/v1 (specs/policy). A decision is never an error: what fails denies. It knows
// neither flows nor tables; whoever asks says what is to be decided, and obeys. It is the only room of core that imports OPA.
package policy
