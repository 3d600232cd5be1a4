// Package engine runs a project's pipelines: it opens what a project stands on (Project), probes plugins and tables for core/plan,
// asks core/policy for leave and notes what it decides, turns specs into flows for core/flow, and starts, supervises and drains the flows of a run side by side. It holds no loop over
// rows: that is core/flow's.
package engine
