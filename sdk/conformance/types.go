package conformance

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/qanat-data/qanat/sdk/conformance/sample"
	"github.com/qanat-data/qanat/sdk/conformance/strict"
)

// eachType tries every type that zones can hold. A type may be refused where schemas are planned; what is accepted there must work.
func (s *suite) eachType(ctx context.Context, t *trial, try func(p *strict.Process, c sample.Column) error) error {
	var refused, failed []string
	for _, c := range sample.Every() {
		p, err := s.process(ctx)
		if err != nil {
			return err
		}
		err = try(p, c)
		if err == nil {
			err = alive(p, "a column of type "+c.Name)
		}
		if no, ok := errors.AsType[*planRefused](err); ok && strict.Reported(no) {
			refused = append(refused, c.Name)
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			failed = append(failed, fmt.Sprintf("%s: %v", c.Name, err))
		}
	}
	t.note("%d types were tried beside the given columns, %d were accepted", len(sample.Every()), len(sample.Every())-len(refused))
	if len(refused) > 0 {
		t.note("refused: %s", strings.Join(refused, ", "))
	}
	if len(failed) > 0 {
		return seen("what the plan accepts works", "%s", strings.Join(failed, "\n"))
	}
	return nil
}
