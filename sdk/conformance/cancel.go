package conformance

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/qanat-data/qanat/sdk/conformance/strict"
)

const cancelLimit = time.Second

// cancelled cancels what begin has begun, and looks after the limit whether the plugin is still at it. Whether a call has returned
// can't be seen from outside, so the process is ended with SIGQUIT, on which a Go program lists its goroutines: none may be in
// the SDK's method that serves the call.
func (s *suite) cancelled(ctx context.Context, t *trial, method string, begin func(p *strict.Process) (cancel func(), err error)) error {
	p, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer p.Close()
	cancel, err := begin(p)
	if err != nil {
		return err
	}
	cancel()
	pause(ctx, s.limit(cancelLimit))
	if err := alive(p, "the cancelled call"); err != nil {
		return err
	}
	if _, err := p.Describe(ctx); err != nil {
		return seen("an answer to another call", "%v", err)
	}
	list := p.Goroutines()
	if !strings.Contains(list, "goroutine ") {
		return skip("a call that goes on after it was cancelled keeps what it holds, a connection or a lock",
			"the process does not list its goroutines when it is ended with SIGQUIT, so nobody can see whether the call has returned")
	}
	serving := regexp.MustCompile(`qanat/sdk\.\(\*server\)\.` + method + `\(`)
	for block := range strings.SplitSeq(list, "\n\n") {
		if serving.MatchString(block) {
			return seen(fmt.Sprintf("the call has returned %v after it was cancelled", s.limit(cancelLimit)), "it is still at\n%s", stack(block))
		}
	}
	t.note("no goroutine served the call any more after %v", s.limit(cancelLimit))
	return nil
}

// stack is the functions of a goroutine's list, without places and addresses.
func stack(block string) string {
	const most = 8
	var lines []string
	for line := range strings.Lines(block) {
		if !strings.HasPrefix(line, "\t") && !strings.HasPrefix(line, "goroutine ") {
			name, _, _ := strings.Cut(strings.TrimSpace(line), "(0x")
			lines = append(lines, "  "+name)
		}
	}
	return strings.Join(slices.Clip(lines[:min(len(lines), most)]), "\n")
}
