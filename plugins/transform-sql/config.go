package main

import (
	"errors"
	"strings"

	"github.com/qanat-data/qanat/sdk"
)

// Config is what operators write.
type Config struct {
	Query       string   `json:"query" jsonschema:"required,minLength=1" jsonschema_description:"One SELECT in DuckDB's SQL. Inputs are tables named by the last part of their dataset; a single one is also called input."`
	Collect     bool     `json:"collect,omitempty" jsonschema_description:"Gather all of the input before the query runs; needed for aggregations, joins of inputs, windows, ordering and limits."`
	MemoryLimit sdk.Size `json:"memory_limit,omitempty" jsonschema_description:"Most memory that DuckDB takes before it spills to disk; 512MiB if absent."`
	Threads     int      `json:"threads,omitempty" jsonschema:"minimum=1,maximum=256,default=2" jsonschema_description:"Threads that DuckDB may use."`
	Output      string   `json:"output,omitempty" jsonschema_description:"Name of the output; the input's name if absent, or result when several inputs are collected."`
}

const (
	defaultMemory = 512 << 20
	leastMemory   = 32 << 20
	mostThreads   = 256
	defaultOutput = "result"
)

// Validate lists every fault of the settings. Whether the query fits its inputs is found out by Plan.
func (c Config) Validate() error {
	var faults []error
	if strings.TrimSpace(c.Query) == "" {
		faults = append(faults, sdk.ConfigError("/query", "is empty, expected one SELECT"))
	}
	if c.MemoryLimit != 0 && c.MemoryLimit < leastMemory {
		faults = append(faults, sdk.ConfigError("/memory_limit", "%d bytes are too few, expected at least 32MiB", c.MemoryLimit))
	}
	if c.Threads < 0 || c.Threads > mostThreads {
		faults = append(faults, sdk.ConfigError("/threads", "%d is out of range, expected 1 to %d", c.Threads, mostThreads))
	}
	return errors.Join(faults...)
}

func (c Config) memory() int64 {
	if c.MemoryLimit == 0 {
		return defaultMemory
	}
	return int64(c.MemoryLimit)
}

func (c Config) threads() int { return max(c.Threads, 1) }
