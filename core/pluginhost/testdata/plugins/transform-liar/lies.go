package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"google.golang.org/grpc"

	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

var errHangUp = errors.New("the stream is ended")

type lie func(stream grpc.ServerStream, head *pluginv1.Head, stage string) error

// lies are answers to any call; most make sense for one.
var lies = map[string]lie{
	"hangs up":          func(grpc.ServerStream, *pluginv1.Head, string) error { return errHangUp },
	"exits":             func(grpc.ServerStream, *pluginv1.Head, string) error { os.Exit(0); return nil },
	"says nothing":      func(grpc.ServerStream, *pluginv1.Head, string) error { select {} },
	"closes mid-frame":  closesMidFrame,
	"an empty frame":    frames(&wire.Frame{Head: &pluginv1.Head{}}),
	"a wrong answer":    frames(&wire.Frame{Head: &pluginv1.Head{Kind: &pluginv1.Head_Ack{Ack: &pluginv1.Ack{}}}}),
	"too large":         frames(&wire.Frame{Head: &pluginv1.Head{}, Body: wire.Bytes(make([]byte, wire.MaxMessage+1))}),
	"garbage":           messages(raw(strings.Repeat("garbage", 100))),
	"millions of rows":  messages(manyRejections()),
	"a long error":      frames(&wire.Frame{Head: &pluginv1.Head{Kind: &pluginv1.Head_Error{Error: &pluginv1.Error{Message: strings.Repeat("e", 30<<20)}}}}),
	"an unknown error":  frames(&wire.Frame{Head: &pluginv1.Head{Kind: &pluginv1.Head_Error{Error: &pluginv1.Error{Code: 99, RetryAfterMs: math.MinInt64}}}}),
	"many answers":      frames(done(), done(), done()),
	"a finding behind":  frames(findings(&pluginv1.Finding{Row: 3, Code: "c"}), done()),
	"a finding before":  frames(findings(&pluginv1.Finding{Row: -1, Code: "c"}), done()),
	"a finding nowhere": frames(findings(&pluginv1.Finding{Row: math.MinInt64, Code: "c"}), done()),
	"a long code":       frames(findings(&pluginv1.Finding{Code: strings.Repeat("c", 65)}), done()),
	"endless findings": endless(func(i int) *wire.Frame {
		return findings(&pluginv1.Finding{Row: int64(i % 3), Code: "c", Reason: strings.Repeat("r", 10<<10)})
	}),
	"endless empty findings": endless(func(int) *wire.Frame { return findings() }),
	"a row behind":           frames(rejections(&pluginv1.Rejection{Row: 3, Code: "c"}), done()),
	"a row before":           frames(rejections(&pluginv1.Rejection{Row: -2, Code: "c"}), done()),
	"a row twice":            frames(rejections(&pluginv1.Rejection{Row: 1, Code: "c"}), rejections(&pluginv1.Rejection{Row: 1, Code: "c"}), done()),
	"long raw bytes":         frames(rejections(&pluginv1.Rejection{Row: 1, Code: "c", Raw: make([]byte, wire.MaxRaw+1)}), done()),
	"endless rejections": endless(func(int) *wire.Frame {
		return rejections(&pluginv1.Rejection{Row: -1, Code: "c", Raw: make([]byte, wire.MaxRaw), Reason: strings.Repeat("r", 10<<10)})
	}),
	"no result":         frames(done()),
	"two results":       frames(result("pass", nil), result("pass", nil), done()),
	"unknown verdict":   frames(result("fine", nil), done()),
	"not a number":      frames(result("pass", map[string]float64{"rows": math.NaN()}), done()),
	"unnamed metric":    frames(result("pass", map[string]float64{"": 1}), done()),
	"unknown guarantee": frames(opened(&pluginv1.Opened{Guarantee: "always"}), done()),
	"negative size":     frames(opened(&pluginv1.Opened{Guarantee: "exactly_once", PreferredRows: -1}), done()),
	"a later epoch":     frames(mark(&pluginv1.Mark{Epoch: 1 << 40}), done()),
	"a position of 10 MB": frames(
		mark(&pluginv1.Mark{Position: []byte(`"` + strings.Repeat("p", 10<<20) + `"`)}), done()),
	"a position of another kind": frames(mark(&pluginv1.Mark{Position: []byte("not JSON")}), done()),
	"endless progress": endless(func(i int) *wire.Frame {
		return &wire.Frame{Head: &pluginv1.Head{Kind: &pluginv1.Head_Progress{Progress: &pluginv1.Progress{Rows: uint64(i), Message: strings.Repeat("m", 1<<20)}}}}
	}),
	"endless streams": endless(func(i int) *wire.Frame { return schemaFrame("s"+strconv.Itoa(i), 1, honestSchema()) }),
	"endless versions": endless(func(i int) *wire.Frame {
		return schemaFrame("rows", uint32(i+1), honestSchema())
	}),
	"endless checkpoints": endless(func(int) *wire.Frame {
		return &wire.Frame{Head: &pluginv1.Head{Kind: &pluginv1.Head_Checkpoint{Checkpoint: &pluginv1.Checkpoint{Position: []byte("1")}}}}
	}),
	"a checkpoint of 10 MB": frames(&wire.Frame{Head: &pluginv1.Head{Kind: &pluginv1.Head_Checkpoint{
		Checkpoint: &pluginv1.Checkpoint{Position: []byte(`"` + strings.Repeat("p", 10<<20) + `"`)},
	}}}),
	"an unasked batch":      frames(batchFrame("rows", 1, 3, honestBody())),
	"a lost schema":         frames(batchFrame("rows", 7, 3, honestBody())),
	"a batch of no stream":  frames(batchFrame(strings.Repeat("s", 20<<20), 1, 3, honestBody())),
	"other columns":         frames(schemaFrame("rows", 1, schemaOf("other")), done()),
	"an empty column":       frames(schemaFrame("rows", 1, schemaOf("")), done()),
	"a long column":         frames(schemaFrame("rows", 1, schemaOf(strings.Repeat("c", 10<<20))), done()),
	"a column twice":        frames(schemaFrame("rows", 1, schemaOf("id", "id")), done()),
	"an unplanned output":   frames(schemaFrame("elsewhere", 1, honestSchema()), done()),
	"version zero":          frames(schemaFrame("rows", 0, honestSchema()), done()),
	"a version again":       frames(schemaFrame("rows", 1, honestSchema()), schemaFrame("rows", 1, honestSchema()), done()),
	"a huge version":        frames(schemaFrame("rows", math.MaxUint32, honestSchema()), done()),
	"no schema":             frames(schemaFrame("rows", 1, []byte("no schema"))),
	"a key that is missing": frames(keyed(schemaFrame("rows", 1, honestSchema()), "nope")),
	"fewer rows":            frames(schemaFrame("rows", 1, honestSchema()), batchFrame("rows", 1, 4, honestBody()), done()),
	"no rows":               frames(schemaFrame("rows", 1, honestSchema()), batchFrame("rows", 1, 0, honestBody()), done()),
	"endless rows":          frames(schemaFrame("rows", 1, honestSchema()), batchFrame("rows", 1, math.MaxUint64, honestBody()), done()),
	"an empty body":         frames(schemaFrame("rows", 1, honestSchema()), batchFrame("rows", 1, 3, nil), done()),
	"half a body":           frames(schemaFrame("rows", 1, honestSchema()), batchFrame("rows", 1, 3, honestBody()[:len(honestBody())/2]), done()),
	"two bodies":            frames(schemaFrame("rows", 1, honestSchema()), batchFrame("rows", 1, 3, append(honestBody(), honestBody()...)), done()),
	"a length of 2 GB":      frames(schemaFrame("rows", 1, honestSchema()), batchFrame("rows", 1, 3, swapped(3, 1<<31)), done()),
	"a negative length":     frames(schemaFrame("rows", 1, honestSchema()), batchFrame("rows", 1, 3, swapped(3, math.MaxUint64)), done()),
	"an offset outside":     frames(schemaFrame("rows", 1, textSchema()), batchFrame("rows", 1, 3, textBody(1<<30)), done()),
	"a negative offset":     frames(schemaFrame("rows", 1, textSchema()), batchFrame("rows", 1, 3, textBody(-5)), done()),
	"an index outside":      frames(schemaFrame("rows", 1, dictionarySchema()), batchFrame("rows", 1, 3, dictionaryBody(9)), done()),
	"a negative index":      frames(schemaFrame("rows", 1, dictionarySchema()), batchFrame("rows", 1, 3, dictionaryBody(-1)), done()),
	"an extension":          frames(schemaFrame("rows", 1, extensionSchema()), batchFrame("rows", 1, 3, honestBody()), done()),
	"endless batches": func(s grpc.ServerStream, head *pluginv1.Head, stage string) error {
		if err := s.SendMsg(schemaFrame("rows", 1, honestSchema())); err != nil {
			return err
		}
		body := largeBody()
		return endless(func(int) *wire.Frame { return batchFrame("rows", 1, largeRows, body) })(s, head, stage)
	},
	"endless empty batches": func(s grpc.ServerStream, head *pluginv1.Head, stage string) error {
		if err := s.SendMsg(schemaFrame("rows", 1, honestSchema())); err != nil {
			return err
		}
		body := bodyOf(0)
		return endless(func(int) *wire.Frame { return batchFrame("rows", 1, 0, body) })(s, head, stage)
	},
}

func frames(all ...*wire.Frame) lie {
	return func(stream grpc.ServerStream, _ *pluginv1.Head, _ string) error {
		for _, frame := range all {
			if err := stream.SendMsg(frame); err != nil {
				return err
			}
		}
		return nil
	}
}

func messages(all ...raw) lie {
	return func(stream grpc.ServerStream, _ *pluginv1.Head, _ string) error {
		for _, message := range all {
			if err := stream.SendMsg(message); err != nil {
				return err
			}
		}
		return nil
	}
}

// endless goes on until the stream is gone, whatever the host says.
func endless(next func(i int) *wire.Frame) lie {
	return func(stream grpc.ServerStream, _ *pluginv1.Head, _ string) error {
		for i := 0; ; i++ {
			if err := stream.SendMsg(next(i)); err != nil {
				return err
			}
		}
	}
}

// closesMidFrame shuts the sockets down when a part of a large frame has gone out.
func closesMidFrame(stream grpc.ServerStream, _ *pluginv1.Head, _ string) error {
	before := written()
	go func() {
		_ = stream.SendMsg(&wire.Frame{Head: &pluginv1.Head{}, Body: wire.Bytes(make([]byte, 31<<20))})
	}()
	for written() < before+1<<20 {
		runtime.Gosched()
	}
	for fd := range 64 {
		_ = syscall.Shutdown(fd, syscall.SHUT_RDWR)
	}
	select {}
}

// written is how many bytes the process has written; see proc(5) on io.
func written() int {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		panic(err)
	}
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte("wchar: ")); ok {
			n, _ := strconv.Atoi(string(bytes.TrimSpace(rest)))
			return n
		}
	}
	return 0
}

// manyRejections is a frame of millions of empty rejections, in two bytes each.
func manyRejections() raw {
	rows := bytes.Repeat([]byte{0x0a, 0x00}, 2<<20)
	reject := binary.AppendUvarint([]byte{0x2a}, uint64(len(rows)))
	head := append(reject, rows...)
	return append(binary.AppendUvarint([]byte{0x0a}, uint64(len(head))), head...)
}
