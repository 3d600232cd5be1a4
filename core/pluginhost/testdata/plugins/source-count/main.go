// Command source-count is a source that counts: a stream of rows of about 60 bytes, cut into batches, with a checkpoint after
// each. It writes what it is acknowledged to a file.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk"
)

type config struct {
	Rows    int64  `json:"rows" jsonschema:"default=10"`
	Batch   int64  `json:"batch" jsonschema:"default=4"`
	AckFile string `json:"ack_file,omitempty"`
	Fail    string `json:"fail,omitempty"` // retryable: fails after half of the rows
}

// Validate has a rule that no schema can state.
func (c config) Validate() error {
	if c.Batch > c.Rows {
		return sdk.ConfigError("/batch", "is larger than rows")
	}
	return nil
}

func main() {
	sdk.Serve(sdk.Info{Name: "count", Version: "1.0.0", Publisher: "tests"}, sdk.SourceOf(open).Describe("counts"))
}

type source struct {
	config config
	record arrow.RecordBatch
	acked  atomic.Int64
}

func schema() *arrow.Schema {
	return arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int64},
		{Name: "amount", Type: arrow.PrimitiveTypes.Float64},
		{Name: "at", Type: arrow.FixedWidthTypes.Timestamp_us},
		{Name: "customer", Type: arrow.BinaryTypes.String},
		{Name: "quantity", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	}, nil)
}

func open(_ context.Context, c config, _ sdk.Env) (*source, error) {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema())
	defer b.Release()
	for i := range c.Batch {
		b.Field(0).(*array.Int64Builder).Append(i)
		b.Field(1).(*array.Float64Builder).Append(float64(i) / 4)
		b.Field(2).(*array.TimestampBuilder).Append(arrow.Timestamp(i))
		b.Field(3).(*array.StringBuilder).Append(fmt.Sprintf("customer %015d", i))
		b.Field(4).(*array.Int64Builder).Append(i % 9)
	}
	return &source{config: c, record: b.NewRecordBatch()}, nil
}

func (s *source) Streams(context.Context) ([]sdk.Stream, error) {
	return []sdk.Stream{{
		Name: "rows", Description: "numbered rows", Schema: schema(), Key: []string{"id"}, EstimatedRows: s.config.Rows,
		External: sdk.ExternalDataset{Namespace: "count", Name: "rows"},
	}}, nil
}

func (s *source) Read(ctx context.Context, req sdk.ReadRequest, out sdk.Emitter) error {
	var row int64
	if len(req.Position) > 0 {
		if err := json.Unmarshal(req.Position, &row); err != nil {
			return sdk.Fatal(err)
		}
	}
	if err := out.Schema(ctx, sdk.SchemaChange{Stream: "rows", Version: 1, Schema: schema(), Key: []string{"id"}}); err != nil {
		return err
	}
	for row < s.config.Rows {
		if s.config.Fail == "retryable" && row >= s.config.Rows/2 {
			return sdk.Retryable(fmt.Errorf("the line is down at row %d", row), 0)
		}
		select {
		case <-req.Stop:
			return nil
		default:
		}
		part := s.record.NewSlice(0, min(s.config.Batch, s.config.Rows-row))
		row += part.NumRows()
		if err := out.Batch(ctx, sdk.Batch{Stream: "rows", Version: 1, Origin: "counter", Record: part}); err != nil {
			return err
		}
		if err := out.Checkpoint(ctx, fmt.Append(nil, row)); err != nil {
			return err
		}
	}
	if !req.Follow {
		return nil
	}
	select {
	case <-req.Stop:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Ack appends the position to the file.
func (s *source) Ack(_ context.Context, pos sdk.Position) error {
	file, err := os.OpenFile(s.config.AckFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file, "%s\n", pos)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}

// Close leaves a last line, by which the host's tests see that it was called.
func (s *source) Close(ctx context.Context) error {
	s.record.Release()
	if s.config.AckFile == "" {
		return nil
	}
	return s.Ack(ctx, sdk.Position("closed"))
}
