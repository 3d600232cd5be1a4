// Package cdc holds what is kept of a PostgreSQL database against the database itself, while a workload that keeps books runs and
// everything is killed: the runtime, its plugins, the server.
package cdc
