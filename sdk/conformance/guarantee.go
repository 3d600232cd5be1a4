package conformance

import (
	"fmt"
	"time"

	"github.com/qanat-data/qanat/sdk"
)

// guarantees say what the operator may rely on: what the plugin claims, as far as the checks have shown it.
func (s *suite) guarantees() []string {
	var lines []string
	if s.started.took > 0 {
		lines = append(lines, fmt.Sprintf("starts in %v, idle at %s", s.started.took.Round(time.Millisecond), mib(s.started.idle)))
	}
	switch s.Kind {
	case kindSource:
		return append(lines, s.sourceGuarantee()...)
	case kindTransform:
		return append(lines, s.transformGuarantee()...)
	case kindSink:
		return append(lines, s.sinkGuarantee()...)
	}
	if s.report.passed("check.deterministic", "check.units", "check.cuts") {
		lines = append(lines, "the same rows get the same verdict, in whatever batches and after whatever units")
	}
	return lines
}

func (s *suite) sourceGuarantee() []string {
	if !s.report.passed("source.covered", "source.ack.late", "source.resume", "source.kill") {
		return []string{"that no row is lost or read twice after a crash is not shown"}
	}
	return []string{"after a crash no row is lost or read twice: every checkpoint that was tried can be gone on from"}
}

func (s *suite) transformGuarantee() []string {
	plan := s.transformState.plan
	var lines []string
	if s.report.passed("transform.cardinality") {
		lines = append(lines, fmt.Sprintf("every row is accounted for: cardinality %q", plan.Cardinality))
	}
	if s.report.passed("transform.deterministic", "transform.units", "transform.cuts") {
		lines = append(lines, "a unit that is made again is the same")
	}
	if s.report.passed("transform.lineage") {
		lines = append(lines, "column lineage is complete, as far as made-up data can tell")
	}
	return lines
}

func (s *suite) sinkGuarantee() []string {
	claimed := s.sinkState.opened.Guarantee
	switch {
	case claimed != sdk.ExactlyOnce:
		return []string{fmt.Sprintf("delivery is %s, as it says", claimed)}
	case !s.report.passed("sink.mark", "sink.repeat", "sink.kill", "sink.fence.begin", "sink.fence.commit", "sink.fence.twin"):
		return []string{"it says exactly_once; that is not shown"}
	case !s.report.passed("sink.staged"):
		return []string{"exactly_once by its marks; nobody has looked at the target (give --probe)"}
	}
	return []string{"exactly_once: kept through SIGKILL, repeated commits and second writers"}
}
