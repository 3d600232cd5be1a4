package sdk

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// acking serves a source whose acknowledgements go to a function.
func acking(t *testing.T, read func(ctx context.Context, out Emitter) error, ack func(pos string) error) *host {
	t.Helper()
	return serve(t, SourceOf(func(context.Context, shopSettings, Env) (*ackingSource, error) {
		return &ackingSource{
			source: source{read: func(ctx context.Context, _ ReadRequest, out Emitter) error { return read(ctx, out) }},
			ack:    func(_ context.Context, pos Position) error { return ack(string(pos)) },
		}, nil
	}))
}

func ackFrame(pos string) *pluginv1.Head {
	return &pluginv1.Head{Kind: &pluginv1.Head_Ack{Ack: &pluginv1.Ack{Position: []byte(pos)}}}
}

func TestAcknowledgementsArriveAfterTheEndOfInput(t *testing.T) {
	t.Parallel()
	acked := make(chan string, 10)
	h := acking(t, func(ctx context.Context, out Emitter) error { return out.Checkpoint(ctx, Position(`1`)) },
		func(pos string) error { acked <- pos; return nil })
	c := h.read(nil)
	c.done()
	c.send(ackFrame(`1`))
	if pos := <-acked; pos != "1" {
		t.Errorf("acknowledged %s", pos)
	}
	c.send(ackFrame(`2`))
	c.end() // waits for the acknowledgement before it
	if pos := <-acked; pos != "2" {
		t.Errorf("acknowledged %s", pos)
	}
}

func TestTheLastAcknowledgementIsRepeatedBeforeReading(t *testing.T) {
	t.Parallel()
	var story []string
	h := acking(t, func(context.Context, Emitter) error { story = append(story, "read"); return nil },
		func(pos string) error { story = append(story, "ack "+pos); return nil })
	c := h.read(&pluginv1.Read{Acked: []byte(`7`)})
	c.done()
	c.end()
	if diff := cmp.Diff([]string{"ack 7", "read"}, story); diff != "" {
		t.Error(diff)
	}
	broken := acking(t, func(context.Context, Emitter) error { return errors.New("was read") }, func(string) error {
		return Retryable(errors.New("no connection"), time.Second)
	})
	c = broken.read(&pluginv1.Read{Acked: []byte(`7`)})
	c.fails(pluginv1.Error_CODE_RETRYABLE, "no connection")
	c.end()
}

func TestALaterAcknowledgementTakesThePlaceOfAWaitingOne(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}), make(chan struct{})
	var acked []string
	h := acking(t, func(context.Context, Emitter) error { return nil }, func(pos string) error {
		if acked = append(acked, pos); len(acked) == 1 {
			close(begun)
			<-release
			return errors.New("a fault that the next one covers")
		}
		return nil
	})
	c := h.read(nil)
	c.done()
	c.send(ackFrame("1"))
	<-begun
	for i := 2; i <= 9; i++ {
		c.send(ackFrame(fmt.Sprint(i)))
	}
	close(release)
	c.end()
	if acked[0] != "1" || acked[len(acked)-1] != "9" || len(acked) > 9 {
		t.Errorf("acknowledged %v", acked)
	}
	for i := 1; i < len(acked); i++ {
		if acked[i] <= acked[i-1] {
			t.Errorf("acknowledged %v", acked)
		}
	}
}
